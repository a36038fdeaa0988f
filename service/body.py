"""Reading a request's body as JSON, strictly and within bounds: everything that reads a body does it here.

Whatever arrives that is not JSON (`strict_json.py` says what is) is refused with its documented error, never a 500.
"""

import asyncio
from typing import Any, Final

from starlette.requests import Request

from service.errors import ApiError
from service.strict_json import NotJson, parse_json

_REQUIRED: Final = object()


async def read_json(
    request: Request, limit_bytes: int, *, refusal: str = "not_json", if_empty: Any = _REQUIRED, seconds: float = 30.0
) -> Any:
    """The body's JSON value, of at most `limit_bytes` and within `seconds`.

    Raises ApiError `body_too_large` (while reading, not after it), `unsupported_media_type`, `request_timeout`, or
    `refusal` when it is not JSON. An empty body gives `if_empty`, or is refused when that is not given.
    """
    body = await _read(request, limit_bytes, seconds)
    if not body.strip() and if_empty is not _REQUIRED:
        return if_empty
    _require_json_type(request)
    try:
        return parse_json(body)
    except NotJson as error:
        place = [{"line": error.line, "column": error.column, "message": str(error)}] if error.line else None
        raise ApiError(refusal, f"The body is not JSON: {error}.", errors=place) from None


async def _read(request: Request, limit_bytes: int, seconds: float) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:18]) > limit_bytes:
        raise _too_large(limit_bytes)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit_bytes:
                    raise _too_large(limit_bytes)
                chunks.append(chunk)
    except TimeoutError:
        raise ApiError(
            "request_timeout", f"The body did not arrive within {seconds:g} seconds.", headers={"Connection": "close"}
        ) from None
    return b"".join(chunks)


def _too_large(limit_bytes: int) -> ApiError:
    return ApiError("body_too_large", f"The body has more than {limit_bytes} bytes.")


def _require_json_type(request: Request) -> None:
    declared = request.headers.get("content-type")
    if declared is None:
        return
    kind, _, parameters = declared.lower().partition(";")
    kind = kind.strip()
    charset = parameters.partition("charset=")[2].strip(' "')
    if not (kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))):
        raise ApiError("unsupported_media_type", "The Content-Type of the body is not application/json.")
    if charset not in ("", "utf-8", "utf8"):
        raise ApiError("unsupported_media_type", "The body's charset is not UTF-8.")
