"""The arguments of `http.request`, checked before anything acts: what is refused here never reaches a socket."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from service.capabilities.capability import Arguments
from service.capabilities.manifest import Method, SecretName
from service.capabilities.plain_json import plain
from service.outside.http_url import HttpUrl, Scalar, parse_url, urlencoded

MAX_HEADERS: Final = 50
MAX_HEADERS_CHARACTERS: Final = 32 * 1024
MAX_PARTS: Final = 200
"""Of the values of all headers."""

MAX_FIELDS: Final = 1000
"""Values of a query or a form."""

MAX_SECRETS: Final = 5
MAX_TIMEOUT_SECONDS: Final = 3600

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE: Final = re.compile(r"([!-~]([ -~\t]*[!-~])?)?")
_OURS: Final = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "expect", "host", "keep-alive"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    }
)
"""Headers that say how a message travels. Two readings of one of these is how requests are smuggled."""


def _at_most(most: int, what: str) -> BeforeValidator:
    """So many values in a mapping of values and lists of them: counted before each is looked at, since to say of a
    million what is wrong with each would take this host half a minute."""

    def few(value: Any) -> Any:
        values = value.values() if isinstance(value, dict) else ()
        if sum(len(each) if isinstance(each, list) else 1 for each in values) > most:
            raise ValueError(f"should have at most {most} {what}")
        return value

    return BeforeValidator(few)


def _fields(value: Any) -> Any:
    """Names the value that does not fit, and once: the union of its types would complain for each of them."""
    for name, given in value.items() if isinstance(value, dict) else ():
        values = given if isinstance(given, list) else [given]
        if not all(isinstance(each, str | int | float) or each is given is None for each in values):
            raise _misfit(name, "should be a text, a number or a boolean, or a list of those")
    return value


def _header_texts(value: Any) -> Any:
    for name, given in value.items() if isinstance(value, dict) else ():
        parts = given if isinstance(given, list) else [given]
        if not all(isinstance(part, str) or (isinstance(part, dict) and part is not given) for part in parts):
            raise _misfit(name, "should be a text")
    return value


def _misfit(name: Any, message: str) -> PydanticCustomError:
    """For a guest a TypeError, as every problem whose type ends so."""
    return PydanticCustomError("misfit_type", "{name} {message}", {"name": ascii(str(name)[:100]), "message": message})


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _url(value: str) -> str:
    parse_url(value)
    return value


def _header_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("should have names of letters, digits and hyphens")
    if name.lower() in _OURS or name.lower().startswith("proxy-"):
        raise ValueError(f"may not set {name}: this host does")
    return name


class SecretPart(Arguments):
    """A secret's place in the value of a header."""

    secret: SecretName


HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderValue = str | list[str | SecretPart]
Headers = Annotated[
    dict[HeaderName, HeaderValue],
    Field(max_length=MAX_HEADERS),
    BeforeValidator(_header_texts),
    _at_most(MAX_PARTS, "parts of values"),
]
Fields = dict[str, Scalar | list[Scalar] | None]
_FEW_FIELDS: Final = (BeforeValidator(_fields), _at_most(MAX_FIELDS, "values"))


def fits_a_header(value: str) -> bool:
    """Whether `value` is one line of printable ASCII, without a blank at either end."""
    return _VALUE.fullmatch(value) is not None


class Request(Arguments):
    """One request. `headers` map to a text, or to parts of which each is a text or {"secret": NAME}."""

    method: Annotated[Method, BeforeValidator(_upper)]
    url: Annotated[str, AfterValidator(_url)]
    params: Annotated[Fields | None, *_FEW_FIELDS, AfterValidator(plain)] = None
    headers: Headers | None = None
    json_value: Annotated[Any, Field(alias="json"), AfterValidator(plain)] = None
    data: Annotated[str | Fields | None, *_FEW_FIELDS, AfterValidator(plain)] = None
    timeout: Annotated[int | float, Field(gt=0, le=MAX_TIMEOUT_SECONDS)] | None = None

    @model_validator(mode="after")
    def _has_one_body(self) -> Self:
        if self.json_value is not None and self.data is not None:
            raise ValueError("give json or data, not both")
        return self

    @model_validator(mode="after")
    def _fits_the_query(self) -> Self:
        self.address()
        return self

    @model_validator(mode="after")
    def _has_fit_headers(self) -> Self:
        values = self.header_values(dict.fromkeys(self.secret_names(), "secret"))
        if len({name.lower() for name in values}) != len(values):
            raise ValueError("headers: the same name is given twice")
        if unfit := [name for name, value in values.items() if not fits_a_header(value)]:
            raise ValueError(f"headers: {unfit[0]} should be printable ASCII on one line, without a blank at an end")
        if sum(len(name) + len(value) for name, value in values.items()) > MAX_HEADERS_CHARACTERS:
            raise ValueError(f"headers: they have more than {MAX_HEADERS_CHARACTERS} characters")
        if len(self.secret_names()) > MAX_SECRETS:
            raise ValueError(f"headers: they hold more than {MAX_SECRETS} secrets")
        return self

    def address(self) -> HttpUrl:
        """The URL with its query."""
        return parse_url(self.url, self.params)

    def secret_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(part.secret for _, part in self._parts() if isinstance(part, SecretPart)))

    def headers_with_secrets(self) -> frozenset[str]:
        return frozenset(name for name, part in self._parts() if isinstance(part, SecretPart))

    def header_values(self, secrets: Mapping[str, str]) -> dict[str, str]:
        """The headers as text, the secrets put in."""
        values = dict.fromkeys(self.headers or {}, "")
        for name, part in self._parts():
            values[name] += secrets[part.secret] if isinstance(part, SecretPart) else part
        return values

    def body(self) -> tuple[bytes, str | None]:
        """What is sent, and its type if that follows from the argument."""
        if self.json_value is not None:
            return json.dumps(self.json_value).encode(), "application/json"
        if isinstance(self.data, dict):
            return urlencoded(self.data).encode(), "application/x-www-form-urlencoded"
        return (self.data or "").encode(), None

    def _parts(self) -> Iterator[tuple[str, str | SecretPart]]:
        for name, value in (self.headers or {}).items():
            for part in [value] if isinstance(value, str) else value:
                yield name, part
