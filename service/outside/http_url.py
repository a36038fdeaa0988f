"""One way to read an http URL. Whatever another reader could take for another host is refused, not repaired.

The host of an `HttpUrl` is a name in lower case, or an IPv4 address in its usual spelling: comparing it is enough.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Final
from urllib.parse import quote, urlencode, urljoin

MAX_URL_CHARACTERS: Final = 8192
PORTS: Final = {"https": 443, "http": 80}

_URL: Final = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<target>[^#]*)(?:#.*)?", re.I | re.S | re.A)
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.I | re.A)
_AUTHORITY: Final = re.compile(r"(?P<host>[^:]+)(?::(?P<port>[0-9]{1,5}))?")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f\\]")
_AS_IT_IS: Final = "%/?:@!$&'()*+,;=-._~[]|^"

Scalar = str | int | float | bool
Params = Mapping[str, Scalar | Sequence[Scalar] | None]


class BadUrl(ValueError):
    """The text is not a URL that this host takes, and why."""


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """A URL in its parts: `port` is always there, `target` is the path with the query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def netloc(self) -> str:
        """The host as in a URL and in the header Host: the port only where it is not the scheme's own."""
        return self.host if self.port == PORTS[self.scheme] else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.target}"


def parse_url(text: str, params: Params | None = None) -> HttpUrl:
    """The URL, with `params` added to its query. Raises BadUrl. A fragment is dropped: it never leaves a client."""
    _require_fit(text)
    match = _URL.fullmatch(text)
    if match is None:
        raise BadUrl("should begin with https:// or http:// and a host")
    scheme = match["scheme"].lower()
    host, port = _authority(match["authority"], scheme)
    url = HttpUrl(scheme, host, port, _target(match["target"], params or {}))
    if len(str(url)) > MAX_URL_CHARACTERS:
        raise BadUrl(f"has more than {MAX_URL_CHARACTERS} characters once it is encoded")
    return url


def urlencoded(params: Params) -> str:
    """As in a query and in a form: a list repeats its name, None is left out, booleans are as in JSON."""
    return urlencode([(name, _said(value)) for name, values in params.items() for value in _each(values)])


def redirected(url: HttpUrl, location: str) -> HttpUrl:
    """Where a `Location` leads from `url`. Raises BadUrl."""
    _require_fit(location)
    if _SCHEME.match(location):
        return parse_url(location)
    if location.startswith("//"):
        return parse_url(f"{url.scheme}:{location}")
    return parse_url(urljoin(str(url), location))


def parse_host(text: str) -> str:
    """A host in its one spelling: a name in lower case, or four decimal numbers. Raises BadUrl."""
    if not text.isascii():
        raise BadUrl("should have an international host in its ASCII form (xn--...)")
    host = text.lower()
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):  # to some readers of URLs each of these is an IPv4 address
        return _ipv4(host)
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise BadUrl("should have a host of letters, digits, hyphens and single dots between them")
    return host


def _require_fit(text: str) -> None:
    if len(text) > MAX_URL_CHARACTERS:
        raise BadUrl(f"has more than {MAX_URL_CHARACTERS} characters")
    if _UNFIT.search(text):
        raise BadUrl("holds a control character or a backslash")


def _authority(text: str, scheme: str) -> tuple[str, int]:
    """The host and the port. A server of mail takes the lines of a request for commands: port 25 would send e-mail."""
    if "@" in text:
        raise BadUrl("may not hold a user or a password; send them as a header")
    if text.startswith("["):
        raise BadUrl("may not have an IPv6 address as its host; use a name")
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise BadUrl("should have a host, and behind a colon a port in digits")
    port = int(match["port"]) if match["port"] else PORTS[scheme]
    if port not in PORTS.values() and not 1024 <= port <= 65535:
        raise BadUrl("should have the port 80, 443, or one from 1024 to 65535; the others are for other protocols")
    return parse_host(match["host"]), port


def _ipv4(host: str) -> str:
    try:
        return str(IPv4Address(host))  # takes four decimal numbers without leading zeros, and nothing else
    except AddressValueError:
        raise BadUrl("should have an IPv4 address as four decimal numbers") from None


def _target(text: str, params: Params) -> str:
    path, mark, query = text.partition("?")
    try:
        added = urlencoded(params)
        path, query = quote(path, safe=_AS_IT_IS), quote(query, safe=_AS_IT_IS)
    except UnicodeEncodeError:
        raise BadUrl("holds half a surrogate pair") from None
    query = f"{query}&{added}" if query and added else query or added
    return (path or "/") + (f"?{query}" if query else mark)


def _each(values: Scalar | Sequence[Scalar] | None) -> Sequence[Scalar]:
    if values is None:
        return ()
    return (values,) if isinstance(values, str | int | float) else values


def _said(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
