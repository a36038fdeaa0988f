"""Requests to a model provider through the `openai` client, held to what the settings say.

The client also takes keys, headers, addresses and proxies from the environment: none of that leaves this host, since
the transport lets out its own headers only. What comes in is bounded. Slow to import: model.py does it when needed.
"""

import json
import logging
import math
import re
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, cast

import httpx2
import openai
import structlog

from service.outside.model_question import ModelError, Received, Tokens, Unsupported, so_far
from service.outside.model_stream import events_in

log = structlog.get_logger("agenthost.model")

DEFAULT_BASE_URL: Final = "https://api.openai.com/v1"
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
MAX_STREAM_BYTES: Final = 4 * MAX_ANSWER_BYTES
"""Of an answer in pieces, each of which comes in an envelope of its own."""
WAIT_SECONDS: Final = 1.0
"""Before asking again, where the provider does not say how long."""
MAX_WAIT_SECONDS: Final = 86_400.0
_OUR_HEADERS: Final = frozenset({"host", "content-type", "content-length", "transfer-encoding", "accept"})
_CODE: Final = re.compile(r"[a-z][a-z0-9_.\[\]]{0,39}", re.ASCII)
"""No hyphen and no capital: a provider that quotes its key there does not get it shown."""
_UNSUPPORTED: Final = frozenset({400, 404, 405, 415, 422, 501})
_KEY_REFUSED: Final = frozenset({401, 403})
_KEY_HINT: Final = "Trying again does not help: only whoever runs this host can mend its key (OPENAI_API_KEY)."


class Wire:
    """One provider."""

    def __init__(self, *, api_key: str | None, base_url: str | None) -> None:
        # Client libraries log addresses and bodies when the environment asks for it; ours are other people's.
        for name in ("openai", "httpx2", "httpcore2"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = openai.AsyncOpenAI(
            api_key=api_key or "none",
            admin_api_key="",
            organization="",
            project="",
            webhook_secret="",
            base_url=base_url or DEFAULT_BASE_URL,
            max_retries=0,
            timeout=None,  # the caller's deadline ends it
            http_client=httpx2.AsyncClient(
                transport=_Transport(api_key), trust_env=False, follow_redirects=False, timeout=None
            ),
        )

    async def post(self, path: str, body: dict[str, Any], *, worst: Tokens) -> Received:
        """The JSON of the answer. Raises ModelError; `worst` is what a question may have cost whose answer was lost:
        one that comes as a whole was made as a whole, however little of it arrived."""
        with _told(worst):
            response = await self._client.post(path, body=body, cast_to=httpx2.Response)
        return _json(response.content, worst)

    async def stream(
        self, path: str, body: dict[str, Any], *, worst: Tokens, on_event: Callable[[Any], None]
    ) -> Received:
        """As `post`, with each event as it comes. None, when there were events: they are the answer."""
        with _told(worst):
            stream = await self._client.post(
                path, body=body, cast_to=object, stream=True, stream_cls=openai.AsyncStream[object]
            )
            async with stream:
                if not _is_stream(stream.response):
                    return _json(await stream.response.aread(), worst)
                body_bytes = _Counted(stream.response.aiter_bytes())
                try:
                    async for event in events_in(aiter(body_bytes)):
                        on_event(event)
                except (ValueError, RecursionError):
                    raise _not_json(so_far(worst, body_bytes.size)) from None
                except httpx2.HTTPError:
                    raise _cut_short(so_far(worst, body_bytes.size)) from None
        return Received(None, body_bytes.size)

    async def close(self) -> None:
        await self._client.close()


@contextmanager
def _told(worst: Tokens) -> Iterator[None]:
    """Whatever goes wrong on the wire, as a ModelError."""
    try:
        yield
    except openai.APIStatusError as error:
        raise _refusal(error.response, error.body) from None
    except _AnswerTooLarge as error:
        message = f"the model's answer has more than {error.most} bytes, the limit"
        raise ModelError(message, spent=so_far(worst, error.most), fault="answer") from None
    except (openai.APIConnectionError, httpx2.HTTPError) as error:
        if isinstance(error.__cause__, httpx2.ConnectError | ssl.SSLError):
            log.warning("model_unreachable", error=type(error.__cause__).__name__)
            raise ModelError("the model provider cannot be reached", wait_seconds=WAIT_SECONDS) from None
        raise _cut_short(worst) from None


def _cut_short(spent: Tokens) -> ModelError:
    return ModelError("the model provider's answer was cut short", spent=spent, fault="answer")


def _not_json(spent: Tokens) -> ModelError:
    return Unsupported("the model provider's answer is not JSON", spent=spent, fault="answer")


def _json(content: bytes, worst: Tokens) -> Received:
    try:
        return Received(json.loads(content), len(content))
    except (ValueError, RecursionError):
        raise _not_json(so_far(worst, len(content))) from None


class _Counted:
    """The pieces of a body, and how many bytes have come."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self.size = 0
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._pieces:
            self.size += len(piece)
            yield piece


def _is_stream(response: httpx2.Response) -> bool:
    return str(response.headers.get("content-type", "")).startswith("text/event-stream")


class _AnswerTooLarge(Exception):
    """More bytes than an answer may have."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most


class _Transport(httpx2.AsyncBaseTransport):
    """Lets out our headers and no others, and in so many bytes and no more."""

    def __init__(self, api_key: str | None) -> None:
        self._authorization = None if api_key is None else f"Bearer {api_key}"
        self._inner = httpx2.AsyncHTTPTransport(
            trust_env=False, limits=httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers = httpx2.Headers(
            [(name, value) for name, value in request.headers.multi_items() if name in _OUR_HEADERS]
        )
        # Uncompressed: a few bytes on the wire cannot become many here.
        request.headers.update({"user-agent": "agenthost", "accept-encoding": "identity"})
        if self._authorization is not None:
            request.headers["authorization"] = self._authorization
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise httpx2.DecodingError("compressed, although not asked to", request=request)
        most = MAX_STREAM_BYTES if _is_stream(response) else MAX_ANSWER_BYTES
        body = _Bounded(cast("httpx2.AsyncByteStream", response.stream), most)
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=body, extensions=response.extensions
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Bounded(httpx2.AsyncByteStream):
    """A body of so many bytes and no more. Raises _AnswerTooLarge past them."""

    def __init__(self, stream: httpx2.AsyncByteStream, most: int) -> None:
        self._stream = stream
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        room = self._most
        async for chunk in self._stream:
            room -= len(chunk)
            if room < 0:
                raise _AnswerTooLarge(self._most)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _refusal(response: httpx2.Response, body: object) -> ModelError:
    """An answer with an error status, told without the provider's words: they may name its account or quote its key."""
    status = response.status_code
    said = f"{status}{_codes(body)}"
    if status == 429:
        seconds = _retry_after(response.headers)
        when = "try again later" if seconds is None else f"try again in {math.ceil(seconds)} seconds"
        return ModelError(
            f"the model provider takes no more requests at the moment ({said}): {when}",
            wait_seconds=WAIT_SECONDS if seconds is None else seconds,
        )
    if status in _KEY_REFUSED:
        log.error("model_key_refused", status=status)
        return ModelError(
            f"the model provider refused this host's key ({status}): its operator must look at it", hint=_KEY_HINT
        )
    if status in _UNSUPPORTED:
        return Unsupported(f"the model provider refused the request ({said}): is the model's name right?")
    if status >= 500:
        log.warning("model_failed", status=status)
        return ModelError(f"the model provider failed ({said}): try again later", wait_seconds=WAIT_SECONDS)
    log.warning("model_failed", status=status)
    return ModelError(f"the model provider answered with status {status}")


def _codes(body: object) -> str:
    """Its error's `code` and `param`, where they are plain names."""
    found = [body.get(name) for name in ("code", "param")] if isinstance(body, dict) else []
    names = [name for name in found if isinstance(name, str) and _CODE.fullmatch(name)]
    return "".join(f", {name}" for name in names)


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds, whether they came as a number or as a date; None when nothing sensible came."""
    text = headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            when = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), MAX_WAIT_SECONDS) if math.isfinite(seconds) else None
