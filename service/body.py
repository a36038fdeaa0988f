"""Reading a request's body as JSON, strictly and within bounds: everything that reads a body does it here.

What comes out is JSON that Postgres stores as it is: no NaN, no infinity, no U+0000, no lone surrogate, no key twice,
nested at most MAX_DEPTH deep. Whatever else arrives is refused with its documented error, never a 500.
"""

import asyncio
import json
import math
import re
from typing import Any, Final, NoReturn

from fastapi import Request

from service.errors import ApiError

MAX_DEPTH: Final = 64
_REQUIRED: Final = object()
_SUSPECT_ESCAPE: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


class NotJson(ValueError):
    """A text is not JSON as this host understands it. The message is safe to send; line and column count from 1."""

    def __init__(self, reason: str, *, line: int = 0, column: int = 0) -> None:
        super().__init__(reason)
        self.line = line
        self.column = column


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


def parse_json(body: bytes) -> Any:
    """Strict JSON of bytes that are not trusted. Raises NotJson."""
    if not body.strip():
        raise NotJson("it is empty")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise NotJson("it is not valid UTF-8") from None
    try:
        value = json.loads(
            text, parse_constant=_refuse_constant, parse_float=_finite_float, object_pairs_hook=_object_without_repeats
        )
    except json.JSONDecodeError as error:
        raise NotJson(error.msg, line=error.lineno, column=error.colno) from None
    except RecursionError:
        raise NotJson(f"it is nested more than {MAX_DEPTH} deep") from None
    except NotJson:
        raise
    except ValueError:  # an integer of more digits than Python converts
        raise NotJson("a number in it has too many digits") from None
    # Brackets bound the depth and escapes are the only way to a bad character: the walk is for the suspicious few.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH or _SUSPECT_ESCAPE.search(body):
        _walk(value)
    return value


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


def _refuse_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is not a JSON value")


def _finite_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise NotJson("a number in it is too large")
    return value


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise NotJson("an object in it has the same key twice")
    return value


def _walk(value: Any) -> None:
    """Refuse depth and bad characters, without recursion."""
    level = [value]
    depth = 0
    while level:
        containers = [item for item in level if isinstance(item, dict | list)]
        for item in level:
            if isinstance(item, str):
                _require_storable(item)
        if containers:
            depth += 1
            if depth > MAX_DEPTH:
                raise NotJson(f"it is nested more than {MAX_DEPTH} deep")
        level = []
        for container in containers:
            if isinstance(container, dict):
                level.extend(container)
                level.extend(container.values())
            else:
                level.extend(container)


def _require_storable(text: str) -> None:
    if "\x00" in text:
        raise NotJson("a text in it contains U+0000")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise NotJson("a text in it contains half a surrogate pair") from None
