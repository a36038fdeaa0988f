"""JSON as TOML, for the blocks of agents' files. A text stands on one line, what does not print is escaped."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_BARE_KEY: Final = re.compile("[A-Za-z0-9_-]+")
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class NotToml(ValueError):
    """TOML cannot say it: it has no null."""


def toml_lines(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """A table, plain values before the tables in it. Raises NotToml."""
    for key, value in table.items():
        if not _has_headings(value):
            yield f"{_key(key)} = {_inline(value)}"
    for key, value in table.items():
        inner = (*path, key)
        heading = ".".join(map(_key, inner))
        if isinstance(value, Mapping):
            if not value or not all(map(_has_headings, value.values())):
                yield f"[{heading}]"
            yield from toml_lines(value, inner)
        elif _has_headings(value):
            for each in value:
                yield f"[[{heading}]]"
                yield from toml_lines(each, inner)


def _has_headings(value: Any) -> bool:
    """Whether it is written as [table] or [[tables]]."""
    tables = isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value)
    return isinstance(value, Mapping) or bool(tables)


def _inline(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _text(value)
        case list():
            return f"[{', '.join(map(_inline, value))}]"
        case Mapping():
            pairs = ", ".join(f"{_key(key)} = {_inline(each)}" for key, each in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
    raise NotToml(f"TOML has no {type(value).__name__}")


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    return f"\\u{ord(char):04X}" if ord(char) < 0x10000 else f"\\U{ord(char):08X}"
