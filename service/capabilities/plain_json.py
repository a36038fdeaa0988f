"""JSON as this host keeps it: no U+0000, no lone surrogate, no NaN, no endless number, at most MAX_DEPTH deep.

Postgres refuses the rest in `jsonb`. What users may correct is refused with `fault`; what is only told (logs, errors,
effects, rows that were written past the host) is made plain with `cleaned`.
"""

import json
import math
from typing import Any, Final

MAX_DEPTH: Final = 64
MAX_INTEGER_BITS: Final = 12_000
"""Python and Postgres read integers of some 4,000 digits; more may come back as something else."""
MANY: Final = 64
_TEXT: Final = frozenset({str})
_KINDS: Final = frozenset({str, int, float, bool, type(None), dict, list})
REPLACEMENT: Final = "\ufffd"
_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical(value: Any) -> bytes:
    """The one spelling of a JSON value: sorted keys, no spaces, ASCII. Raises ValueError for NaN and infinities."""
    return _CANONICAL.encode(value).encode()


def fault(value: Any) -> str | None:
    """Why `value` is not JSON as this host keeps it, or None. Never recurses: the value may be hostile."""
    if not isinstance(value, dict | list):
        return _scalar_fault(value)
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        many = len(level) > MANY and _KINDS.issuperset(map(type, level))
        if reason := (_together if many else _one_by_one)(level, below):
            return reason
        if not below:
            return None
        level = below
    return f"it is nested more than {MAX_DEPTH} deep"


def _one_by_one(level: list[Any], below: list[Any]) -> str | None:
    """The fault of a scalar or a key in `level`, if any; what is within its lists and objects is added to `below`."""
    for item in level:
        if isinstance(item, dict):
            if not all(isinstance(key, str) for key in item):
                return "a key in it is not a text"
            below.extend(item)
            below.extend(item.values())
        elif isinstance(item, list):
            below.extend(item)
        elif reason := _scalar_fault(item):
            return reason
    return None


def _together(level: list[Any], below: list[Any]) -> str | None:
    """The same in a fraction of the time: a call can hold a million items."""
    integers = [item for item in level if type(item) is int]
    widest = max(max(integers), -min(integers)) if integers else 0
    if not all(map(math.isfinite, [item for item in level if type(item) is float])):
        return "a number in it is not finite"
    if reason := _scalar_fault(widest) or _scalar_fault("".join([item for item in level if type(item) is str])):
        return reason
    within = [item for item in level if type(item) is dict or type(item) is list]
    return _one_by_one([item for item in within if item], below)


def plain[Value](value: Value) -> Value:
    """`value`, as it is. Raises ValueError when it is not JSON as this host keeps it."""
    if reason := fault(value):
        raise ValueError(f"cannot be used: {reason}")
    return value


def cleaned(value: Any) -> Any:
    """`value` with every part that JSON here cannot hold replaced: characters by U+FFFD, the rest by null."""
    return value if fault(value) is None else _cleaned(value, 0)


def cleaned_text(text: str) -> str:
    """`text` with U+0000 and lone surrogates replaced by U+FFFD."""
    if _scalar_fault(text) is None:
        return text
    return "".join(REPLACEMENT if char == "\0" or "\ud800" <= char <= "\udfff" else char for char in text)


def _scalar_fault(value: Any) -> str | None:
    if isinstance(value, str):
        if "\0" in value:
            return "a text in it contains U+0000"
        try:
            if not value.isascii():
                value.encode()
        except UnicodeEncodeError:
            return "a text in it contains half a surrogate pair"
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return "a number in it is not finite"
    if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
        return "a number in it is too large"
    if value is None or isinstance(value, int | float):
        return None
    return f"a value of type {type(value).__name__} in it is not JSON"


def _cleaned(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return cleaned_text(value)
    if isinstance(value, dict | list):
        if depth >= MAX_DEPTH:
            return None
        if isinstance(value, list):
            return [_cleaned(item, depth + 1) for item in value]
        return {cleaned_text(str(key)): _cleaned(item, depth + 1) for key, item in value.items()}
    return value if _scalar_fault(value) is None else None
