"""One kept client of a Supabase project. Each request carries its own caller's token, set on that request alone: the
client has none, and nothing of a request is ever set on the client. Answers are bounded in bytes and in time.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import httpx
from postgrest import AsyncPostgrestClient, AsyncRequestBuilder
from postgrest.base_request_builder import RequestConfig
from supabase import AsyncClient, AsyncClientOptions

from service.auth import Caller
from service.database.gateway import DatabaseUnavailable, Invalid
from service.database.json_text import decode

Request = RequestConfig[httpx.AsyncClient]

WAIT_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 0.2
URL_BYTES: Final = 8000
"""What a gateway takes as one line."""
_UNREACHED: Final = frozenset({502, 503, 504, 520, 521, 522, 523, 524, 525, 527})
_GOING_AWAY: Final = ("57P01", "57P02", "57P03", "PGRST000", "PGRST001", "PGRST002", "PGRST003")
_CODE: Final = re.compile(r"[0-9A-Z]{5}|PGRST[0-9X]{1,3}")
_CONSTRAINT: Final = re.compile(r'constraint "([^"]{1,200})"')


class Refusal(Exception):
    """The project did not do it. `code` is a SQLSTATE, PostgREST's own, or empty when somebody before it answered.

    `message` is the server's, and may hold SQL and values.
    """

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(f"HTTP {status} {code}".strip())
        self.status = status
        self.code = code
        self.message = message

    @property
    def unreached(self) -> bool:
        """Nobody in front of Postgres could ask it, or it was just going away."""
        return self.code in _GOING_AWAY if self.code else self.status in _UNREACHED

    @property
    def passing(self) -> bool:
        """It may work later."""
        busy = self.code[:2] in ("08", "40", "53", "55", "57", "58") or self.status == HTTPStatus.TOO_MANY_REQUESTS
        return self.unreached or busy

    @property
    def of_the_key(self) -> bool:
        """A gateway does not know the host's key, whoever the caller is: tokens are PostgREST's, which gives a code."""
        return not self.code and self.status == HTTPStatus.UNAUTHORIZED

    @property
    def of_the_token(self) -> bool:
        """The caller's token was not believed, or has expired."""
        return self.code in ("PGRST301", "PGRST302", "PGRST303")

    @property
    def constraint(self) -> str:
        """What did not hold, where the message names it."""
        found = _CONSTRAINT.search(self.message)
        return found[1] if found else ""


class TooLong(DatabaseUnavailable):
    """The answer has more bytes than are read. What was asked for has happened."""


class Wire:
    """`key` is the project's publishable key, or its anon key: neither has any power of its own. `headers` go with
    every request."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        schema: str,
        answer_bytes: int,
        answer_seconds: float,
        pool_size: int = 20,
        wait_seconds: float = WAIT_SECONDS,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._url = url
        self._key = key
        self._schema = schema
        self._answer_bytes = answer_bytes
        self._headers = {"Accept-Encoding": "identity", **(headers or {})}
        self._answer_seconds = answer_seconds
        self._timeout = httpx.Timeout(answer_seconds, connect=min(answer_seconds, 5.0), pool=wait_seconds)
        # Given up before any server does, so that no change is sent on a connection that has just been closed.
        self._limits = httpx.Limits(max_connections=pool_size, max_keepalive_connections=pool_size, keepalive_expiry=15)
        self._http: httpx.AsyncClient | None = None
        self._client: AsyncPostgrestClient | None = None

    async def start(self) -> None:
        # One request a connection at a time: what is cancelled closes its own, and no answer can be another's.
        self._http = httpx.AsyncClient(
            transport=_Bounded(httpx.AsyncHTTPTransport(limits=self._limits), self._answer_bytes),
            headers=self._headers,
            timeout=self._timeout,
            follow_redirects=False,
        )
        # A cookie would come back with the requests of others: what one caller's answer sets is kept by nobody.
        self._http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        options = AsyncClientOptions(
            schema=self._schema,
            httpx_client=self._http,
            auto_refresh_token=False,
            persist_session=False,
            postgrest_client_retry=False,
        )
        self._client = AsyncClient(self._url, self._key, options).postgrest

    async def stop(self) -> None:
        http, self._http, self._client = self._http, None, None
        if http is not None:
            await http.aclose()

    def table(self, name: str) -> AsyncRequestBuilder:
        return self._started().from_(name)

    def function(self, name: str, arguments: Mapping[str, Any]) -> Request:
        return self._started().rpc(name, dict(arguments)).request

    async def send(self, request: Request, caller: Caller | None, *, reads: bool = False) -> str:
        """The JSON that it answers. Raises Refusal, Invalid or DatabaseUnavailable; what only reads is tried twice.

        Without a caller it is nobody's: the role `anon`, for what anybody may know.
        """
        request.headers.pop("Authorization", None)
        if caller is not None:
            if not caller.token:
                raise ValueError(
                    "what is done for a caller takes the caller's token; without one it takes DATABASE_URL"
                )
            request.headers["Authorization"] = f"Bearer {caller.token}"
        _add_preference(request.headers, "timezone=UTC")
        try:
            async with asyncio.timeout(self._answer_seconds):
                try:
                    return await self._once(request)
                except Refusal as refusal:
                    if not (reads and refusal.unreached):
                        raise
                except TooLong:
                    raise
                except DatabaseUnavailable:
                    if not reads:
                        raise
                await asyncio.sleep(RETRY_SECONDS)
                return await self._once(request)
        except TimeoutError:
            raise DatabaseUnavailable("the project did not answer in time") from None

    async def _once(self, request: Request) -> str:
        if len(str(request.path)) + len(str(request.params)) > URL_BYTES:
            raise Invalid("a condition is too long for a URL: it takes DATABASE_URL, a connection to Postgres itself")
        try:
            sending = request.send(httpx.Headers())
        except (ValueError, TypeError, RecursionError) as error:  # of writing the body, before anything is sent
            raise Invalid(f"a value that is not JSON: {type(error).__name__}") from None
        try:
            response = await sending
        except _MoreBytes:
            raise TooLong("the project answered more bytes than are read") from None
        except httpx.HTTPError as error:
            raise DatabaseUnavailable(f"the project cannot be reached: {type(error).__name__}") from None
        text = _text(response)
        if not response.is_success:
            raise _refusal(response.status_code, text)
        return text

    def _started(self) -> AsyncPostgrestClient:
        if self._client is None:
            raise DatabaseUnavailable("the database has not been started")
        return self._client


class _MoreBytes(httpx.TransportError):
    """An answer of more bytes than are read."""


class _Bounded(httpx.AsyncBaseTransport):
    """Reads no more of an answer than is wanted, and nothing compressed, which could be of any size."""

    def __init__(self, transport: httpx.AsyncBaseTransport, most_bytes: int) -> None:
        self._transport = transport
        self._most_bytes = most_bytes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.stream.aclose()
            raise httpx.DecodingError("compressed, unasked")
        response.stream = _BoundedStream(response.stream, self._most_bytes)
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


class _BoundedStream(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, most_bytes: int) -> None:
        self._stream = stream
        self._left = most_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            self._left -= len(part)
            if self._left < 0:
                raise _MoreBytes("more bytes than are read")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


def _add_preference(headers: httpx.Headers, preference: str) -> None:
    if preference not in (stated := headers.get("Prefer", "")):
        headers["Prefer"] = f"{stated},{preference}" if stated else preference


def _text(response: httpx.Response) -> str:
    try:
        return response.content.decode()
    except UnicodeDecodeError:
        raise DatabaseUnavailable("the project answered something that is no text") from None


def _refusal(status: int, text: str) -> Refusal:
    """An answer of PostgREST is JSON with these members; anything else is that of a gateway."""
    try:
        document = decode(text)
    except (ValueError, Invalid):
        return Refusal(status)
    found = document if isinstance(document, dict) else {}
    code, message = (value if isinstance(value := found.get(name), str) else "" for name in ("code", "message"))
    return Refusal(status, code, message) if _CODE.fullmatch(code) else Refusal(status)
