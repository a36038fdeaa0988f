"""How agents are named: one pattern, and what it says in words."""

from typing import Final

NAME_PATTERN: Final = "^[a-z0-9][a-z0-9_-]{0,62}$"
NAME_IN_WORDS: Final = (
    "should be lower-case letters, digits, - and _, begin with a letter or a digit, and have at most 63 characters"
)
