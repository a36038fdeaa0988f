"""Answers that an agent's owner gives for dry runs: `fixtures` of its config. The first that fits answers."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from service.capabilities.manifest import Method

MAX_FIXTURES: Final = 100

_METHODS: Final = get_args(Method)
_SCHEMES: Final = ("https://", "http://")
_HEADER_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


def _method(value: str) -> str:
    if value.upper() not in _METHODS:
        raise ValueError(f"should be one of {', '.join(_METHODS)}")
    return value


def _url(value: str) -> str:
    prefix = value.removesuffix("*")
    if not value.startswith(_SCHEMES) and (prefix == value or not any(each.startswith(prefix) for each in _SCHEMES)):
        raise ValueError("should begin with https:// or http://")
    return value


def _header_value(value: str) -> str:
    if not _HEADER_VALUE.fullmatch(value):
        raise ValueError("should have no control characters")
    return value


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


class HttpFixture(_Closed):
    """The answer to requests of one method and URL; a URL that ends in * is a prefix, one without ? takes any query."""

    method: Annotated[str, AfterValidator(_method)] = "GET"
    url: Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_url)]
    status: Annotated[int, Field(ge=100, le=599)] = 200
    headers: dict[str, Annotated[str, AfterValidator(_header_value)]] = {}
    json_value: Any = Field(None, alias="json")
    text: str | None = None

    @model_validator(mode="after")
    def _has_one_body(self) -> "HttpFixture":
        if self.text is not None and "json_value" in self.model_fields_set:
            raise ValueError("give json or text, not both")
        return self

    def fits(self, method: str, url: str) -> bool:
        if method != self.method.upper():
            return False
        if self.url.endswith("*"):
            return url.startswith(self.url[:-1])
        return self.url in (url, urlsplit(url)._replace(query="", fragment="").geturl())


class LlmFixture(_Closed):
    """The answer to prompts that contain a text: a text, or with a schema an object."""

    contains: str = ""
    answer: str | dict[str, Any]


class Fixtures(_Closed):
    """Answers for dry runs, by service."""

    http: Annotated[list[HttpFixture], Field(max_length=MAX_FIXTURES)] = []
    llm: Annotated[list[LlmFixture], Field(max_length=MAX_FIXTURES)] = []

    def for_request(self, method: str, url: str) -> HttpFixture | None:
        """`url` with its query."""
        return next((each for each in self.http if each.fits(method, url)), None)

    def for_prompt(self, prompt: str) -> LlmFixture | None:
        return next((each for each in self.llm if each.contains in prompt), None)


def fixtures_of(value: Mapping[str, Any] | None) -> Fixtures:
    """The fixtures of a config that has been validated."""
    return Fixtures() if value is None else Fixtures.model_validate(value)
