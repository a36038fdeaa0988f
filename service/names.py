"""How agents, secrets and engines are named: their patterns, and what each says in words."""

from collections.abc import Mapping
from typing import Final

NAME_PATTERN: Final = "^[a-z0-9][a-z0-9_-]{0,62}$"
SECRET_PATTERN: Final = "^[A-Z][A-Z0-9_]{0,62}$"
ENGINE_PATTERN: Final = "^[a-z][a-z0-9_-]{0,31}$"
IN_WORDS: Final[Mapping[str, str]] = {
    NAME_PATTERN: "should be lower-case letters, digits, - and _, begin with a letter or a digit, and have at most 63 "
    "characters",
    SECRET_PATTERN: "should be capitals, digits and _, begin with a capital, and have at most 63 characters",
    ENGINE_PATTERN: "should be lower-case letters, digits, - and _, begin with a letter, and have at most 32 "
    "characters",
}
