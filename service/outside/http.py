"""The guarded HTTP client: what leaves this host for strangers leaves here.

A name is looked up once a hop, every address it has must be public, and the connection is made to one of those
addresses themselves, so no second lookup can lead elsewhere. No proxy, no environment, no cookie, no connection that is
used twice. What a server sends is bounded in time, in bytes after decompression, and in pieces.
"""

import asyncio
import ssl
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Final

import httpx

from service.outside.http_text import text_of
from service.outside.http_url import BadUrl, HttpUrl, redirected
from service.outside.lookups import LookupFailed, Resolve, system_addresses
from service.outside.public_addresses import is_public

MAX_REDIRECTS: Final = 5
MAX_ADDRESSES: Final = 3
MAX_HEADERS: Final = 200
MAX_HEADER_BYTES: Final = 64 * 1024
MAX_PIECES: Final = 20_000
"""A body in pieces of a byte or two would cost this host a hundred times what it costs to send."""

CONNECT_SECONDS: Final = 4.0
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CARRIED: Final = frozenset({"accept", "accept-language", "content-type", "user-agent"})
"""Headers that go along to another origin. Of the rest nobody here can tell which are credentials."""

_DEFAULTS: Final = {"Accept": "*/*", "User-Agent": "agenthost", "Accept-Encoding": "gzip", "Connection": "close"}
_LIMITS: Final = httpx.Limits(max_connections=1, max_keepalive_connections=0)


class HttpError(Exception):
    """There is no answer, and why: fit for whoever asked. Never holds an address, nor a library's own words.

    `sent`: a request may have reached a server all the same.
    """

    sent = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request. `private` are headers that never follow a redirect to another origin, whatever their name."""

    method: str
    url: HttpUrl
    headers: Mapping[str, str] = field(default_factory=dict)
    private: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What came back. Names of headers are in lower case; several of one name are joined by a comma."""

    status: int
    headers: Mapping[str, str]
    text: str
    url: HttpUrl


Permit = Callable[[str, HttpUrl], None]
"""Called with the method and the URL of each hop before anything is looked up; raises to refuse."""


class HttpDoor:
    """Sends requests to the public internet, and to nothing else."""

    def __init__(
        self,
        *,
        resolve: Resolve = system_addresses,
        tls: ssl.SSLContext | None = None,
        allowed: frozenset[tuple[str, int]] = frozenset(),
    ) -> None:
        """`allowed`: addresses and ports that count as public. For tests, which have no public address."""
        self._resolve = resolve
        self._tls = tls or httpx.create_ssl_context(trust_env=False)
        self._allowed = allowed

    async def request(self, request: HttpRequest, *, seconds: float, most_bytes: int, permit: Permit) -> HttpAnswer:
        """The answer at the end of at most MAX_REDIRECTS redirects. Raises HttpError, and whatever `permit` raises.

        `seconds` is for all of it, `most_bytes` for a body after decompression.
        """
        call = _Call(most_bytes, permit)
        try:
            async with asyncio.timeout(seconds):
                return await self._followed(request, call)
        except TimeoutError:
            error = HttpError(f"{request.url.host} gave no complete answer within {seconds:.3g} seconds")
        except HttpError as failure:
            error = failure
        error.sent = call.sent
        raise error from None

    async def _followed(self, request: HttpRequest, call: "_Call") -> HttpAnswer:
        for _ in range(MAX_REDIRECTS + 1):
            call.permit(request.method, request.url)
            addresses = await self._addresses(request.url)
            answer = await self._exchanged(request, addresses, call)
            onward = _onward(request, answer)
            if onward is None:
                return answer
            request = onward
        raise HttpError(f"there were more than {MAX_REDIRECTS} redirects, the last one to {request.url.host}")

    async def _addresses(self, url: HttpUrl) -> list[str]:
        """All addresses of the host, or none: a name with public and other addresses is a trap, or a mistake."""
        try:
            found = [url.host] if _is_address(url.host) else await self._resolve(url.host)
        except LookupFailed:
            raise HttpError(f"{url.host} could not be looked up: no name server answered; try again") from None
        if not found or not all((address, url.port) in self._allowed or is_public(address) for address in found):
            # The same for a name that does not exist: which names exist inside is nobody's business.
            raise HttpError(f"{url.host} has no address on the public internet")
        return list(found)[:MAX_ADDRESSES]

    async def _exchanged(self, request: HttpRequest, addresses: list[str], call: "_Call") -> HttpAnswer:
        """The next address is tried only where no connection came about: a request is never sent twice."""
        host = request.url.host
        reason = f"no connection to {host} on port {request.url.port}; is it up?"
        sent_before = call.sent
        for address in addresses:
            call.sent = True
            transport = httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False, limits=_LIMITS)
            try:
                async with transport:
                    response = await transport.handle_async_request(_pinned(request, address))
                    return await _read(request.url, response, call.most_bytes)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                call.sent = sent_before
                if _is_certificate(error):
                    reason = f"the certificate of {host} is not valid for that name, or nobody trusted signed it"
            except httpx.TransportError:
                raise HttpError(f"{host} broke off, or answered with something that is not HTTP") from None
        raise HttpError(reason)


@dataclass(slots=True)
class _Call:
    """What holds for all hops of a request, and whether a server may have got one of them."""

    most_bytes: int
    permit: Permit
    sent: bool = False


def _pinned(request: HttpRequest, address: str) -> httpx.Request:
    """The request to an address. The name is left where the server looks for it: in Host and in TLS, which checks the
    certificate against it."""
    url = httpx.URL(scheme=request.url.scheme, host=address, port=request.url.port).copy_with(
        raw_path=request.url.target.encode()
    )
    headers = httpx.Headers({"Host": request.url.netloc, **_DEFAULTS})
    headers.update(dict(request.headers) | dict(request.private))
    timeout = {"connect": CONNECT_SECONDS, "read": None, "write": None, "pool": None}
    extensions = {"sni_hostname": request.url.host, "timeout": timeout}
    body = request.body or (b"" if request.method in ("POST", "PUT", "PATCH") else None)
    return httpx.Request(request.method, url, headers=headers, content=body, extensions=extensions)


def _onward(request: HttpRequest, answer: HttpAnswer) -> HttpRequest | None:
    """The request that a redirect asks for; None where it is none. Methods change as the Fetch standard has them."""
    location = answer.headers.get("location")
    if answer.status not in _REDIRECTS or location is None:
        return None
    try:
        url = redirected(request.url, location)
    except BadUrl as error:
        raise HttpError(f"{request.url.host} redirects to a bad URL, which {error}") from None
    method, headers, body = request.method, dict(request.headers), request.body
    if (answer.status == 303 and method != "HEAD") or (answer.status in (301, 302) and method == "POST"):
        method, body = "GET", b""
        headers = {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
    if url.origin == request.url.origin:
        return replace(request, method=method, url=url, headers=headers, body=body)
    headers = {name: value for name, value in headers.items() if name.lower() in _CARRIED}
    return HttpRequest(method=method, url=url, headers=headers, body=body)


async def _read(url: HttpUrl, response: httpx.Response, most_bytes: int) -> HttpAnswer:
    try:
        raw = response.headers.raw
        if len(raw) > MAX_HEADERS or sum(len(name) + len(value) for name, value in raw) > MAX_HEADER_BYTES:
            raise HttpError(f"{url.host} sent more than {MAX_HEADERS} headers or {MAX_HEADER_BYTES} bytes of them")
        headers = dict(response.headers.items())
        redirects = response.status_code in _REDIRECTS and "location" in headers
        body = b"" if redirects else await _body(url, response, most_bytes)
    finally:
        await response.aclose()
    return HttpAnswer(
        status=response.status_code, headers=headers, text=text_of(body, headers.get("content-type", "")), url=url
    )


async def _body(url: HttpUrl, response: httpx.Response, most_bytes: int) -> bytes:
    """The whole body, decompressed piece by piece and never past the limit."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "x-gzip"):
        raise HttpError(f"{url.host} sent a Content-Encoding that was not asked for")
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16) if "gzip" in encoding else None
    body = bytearray()
    received = pieces = 0
    try:
        async for piece in response.aiter_raw():
            received, pieces = received + len(piece), pieces + 1
            body += piece if inflate is None else inflate.decompress(piece, most_bytes + 1 - len(body))
            if max(received, len(body)) > most_bytes:
                raise HttpError(f"the answer of {url.host} is larger than {most_bytes} bytes, the limit")
            if pieces > MAX_PIECES:
                raise HttpError(f"{url.host} sent its answer in more than {MAX_PIECES} pieces")
            if inflate is not None and inflate.eof:
                break  # whatever follows is no part of it
    except zlib.error:
        raise HttpError(f"{url.host} sent a broken gzip stream") from None
    if inflate is not None and received and not inflate.eof:
        raise HttpError(f"{url.host} sent a gzip stream that ends too early")
    return bytes(body)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
