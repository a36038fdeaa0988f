"""What an agent returned -> a JSON value. Runs inside the guest, on the guest's own objects."""

import enum
import sys
from typing import Any

from sandbox.wire import MAX_DEPTH, MAX_INTEGER_DIGITS

_DEPTH = MAX_DEPTH - 4
_BEYOND = 10**MAX_INTEGER_DIGITS
_AS_TEXT = (("decimal", "Decimal"), ("fractions", "Fraction"), ("uuid", "UUID"))
ISO = (("datetime", "date"), ("datetime", "time"))
_PERIOD = (("datetime", "timedelta"),)


class NotJson(ValueError):
    """A value that has no JSON form; the message says which, where, and what to do."""


def to_json(value: Any, path: str = "output", depth: int = 0) -> Any:
    """Plain dicts, lists, strings and numbers. Raises NotJson; never calls back into objects it does not know."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    if isinstance(value, str):
        return _text(str(value), path)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise NotJson(f"{path} is {value}, which JSON does not have; return None or a string instead")
        return float(value)
    if isinstance(value, enum.Enum):
        return to_json(value.value, path, depth)
    if isinstance(value, int):
        if not -_BEYOND < value < _BEYOND:
            raise NotJson(f"{path} has more than {MAX_INTEGER_DIGITS} digits; return it as a string instead")
        return int(value)
    if depth > _DEPTH:
        raise NotJson(f"{path} is nested deeper than {_DEPTH} levels, or contains itself")
    return _container(value, path, depth + 1)


def _container(value: Any, path: str, depth: int) -> Any:
    if isinstance(value, dict):
        return {_key(key, path): to_json(item, f"{path}.{key}", depth) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item, f"{path}[{index}]", depth) for index, item in enumerate(value)]
    if isinstance(value, set | frozenset):
        return [to_json(item, f"{path}[...]", depth) for item in _ordered(value)]
    if is_one_of(value, _AS_TEXT):
        return str(value)
    if is_one_of(value, ISO):
        return value.isoformat()
    if is_one_of(value, _PERIOD):
        return value.total_seconds()
    dataclasses = sys.modules.get("dataclasses")
    if dataclasses is not None and dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_json(getattr(value, field.name), f"{path}.{field.name}", depth)
            for field in dataclasses.fields(value)
        }
    raise NotJson(f"{path} is a {type(value).__name__}, which has no JSON form{_hint(value)}")


def is_one_of(value: Any, kinds: tuple[tuple[str, str], ...]) -> bool:
    """Whether it is of one of these types, each by module and name.

    Nothing is imported for it: of a module that the agent has not loaded there is no value here, and to load them all
    takes longer than to start Python, which a container does for each run.
    """
    return isinstance(
        value, tuple(getattr(sys.modules[module], name) for module, name in kinds if module in sys.modules)
    )


def _hint(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        return "; decode it, or use base64"
    if hasattr(value, "__next__") or isinstance(value, range | map | filter | zip):
        return "; make a list of it"
    return "; return dicts, lists, strings, numbers, booleans or None"


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise NotJson(f"{path} has the key {key!r:.80}; keys must be strings: use str(key)")
    return _text(str(key), path)


def _text(text: str, path: str) -> str:
    if "\0" in text:
        raise NotJson(f"{path} holds the character U+0000, which cannot be stored; remove it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotJson(f"{path} holds half of a surrogate pair; encode the text with errors='replace' first") from None
    return text


def _ordered(value: set[Any] | frozenset[Any]) -> list[Any]:
    try:
        return sorted(value)
    except TypeError:
        return list(value)
