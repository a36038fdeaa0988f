"""The bodies and answers of /secrets. A value is taken only if it fits into a header, which is all it is for."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from service.agents.models import Closed
from service.capabilities.manifest import BoundHost

MAX_HOSTS: Final = 20
_VALUE_PATTERN: Final = "^[!-~]([ -~]*[!-~])?$"
_VALUE: Final = re.compile(_VALUE_PATTERN.strip("^$"))


def _fits_a_header(value: SecretStr) -> SecretStr:
    if not _VALUE.fullmatch(value.get_secret_value()):
        raise ValueError("should be printable ASCII on one line, without a blank at either end")
    return value


def _without_repeats(hosts: list[str]) -> list[str]:
    return list(dict.fromkeys(hosts))


SecretValue = Annotated[
    SecretStr,
    AfterValidator(_fits_a_header),
    Field(
        description="Printable ASCII, without a blank at either end. It is never shown again.",
        json_schema_extra={"minLength": 1, "pattern": _VALUE_PATTERN},
    ),
]


class SecretPut(Closed):
    """A secret: its value, and the only hosts it may be sent to."""

    value: SecretValue
    hosts: Annotated[list[BoundHost], AfterValidator(_without_repeats)] = Field(
        min_length=1,
        max_length=MAX_HOSTS,
        description="For https: api.example.com or *.example.com, also with :port. Plain http: http://api.example.com.",
    )


class SecretSummary(BaseModel):
    """What is told of a secret."""

    name: str
    hosts: list[str]
    created_at: str
    updated_at: str


class SecretList(BaseModel):
    data: list[SecretSummary]
    next_cursor: str | None
