"""JSON from strangers, read strictly: what comes out is JSON that Postgres stores as it is.

No NaN, no infinity, no U+0000, no lone surrogate, no key twice, nested at most MAX_DEPTH deep. Hostile bytes end in
NotJson and in nothing else.
"""

import json
import math
import re
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 64
_SUSPECT_ESCAPE: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


class NotJson(ValueError):
    """A text is not JSON as this host understands it. The message is safe to send; a column counts from 0."""

    def __init__(self, reason: str, *, line: int = 0, column: int = 0) -> None:
        super().__init__(reason)
        self.line = line
        self.column = column


def parse_json(body: bytes) -> Any:
    """Strict JSON of bytes that are not trusted. Raises NotJson."""
    if not body.strip():
        raise NotJson("it is empty")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise NotJson("it is not valid UTF-8") from None
    try:
        value = json.loads(
            text, parse_constant=_refuse_constant, parse_float=_finite_float, object_pairs_hook=_object_without_repeats
        )
    except json.JSONDecodeError as error:
        control = error.msg.startswith("Invalid control character")
        reason = r"write a line break in a text as \n, a tab as \t" if control else error.msg
        raise NotJson(reason, line=error.lineno, column=error.colno - 1) from None
    except RecursionError:
        raise NotJson(f"it is nested more than {MAX_DEPTH} deep") from None
    except NotJson:
        raise
    except ValueError:  # an integer of more digits than Python converts
        raise NotJson("a number in it has too many digits") from None
    # Brackets bound the depth and escapes are the only way to a bad character: the walk is for the suspicious few.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH or _SUSPECT_ESCAPE.search(body):
        _walk(value)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is not a JSON value")


def _finite_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise NotJson("a number in it is too large")
    return value


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise NotJson("an object in it has the same key twice")
    return value


def _walk(value: Any) -> None:
    """Refuse depth and bad characters, without recursion."""
    level = [value]
    depth = 0
    while level:
        containers = [item for item in level if isinstance(item, dict | list)]
        for item in level:
            if isinstance(item, str):
                _require_storable(item)
        if containers:
            depth += 1
            if depth > MAX_DEPTH:
                raise NotJson(f"it is nested more than {MAX_DEPTH} deep")
        level = []
        for container in containers:
            if isinstance(container, dict):
                level.extend(container)
                level.extend(container.values())
            else:
                level.extend(container)


def _require_storable(text: str) -> None:
    if "\x00" in text:
        raise NotJson("a text in it contains U+0000")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise NotJson("a text in it contains half a surrogate pair") from None
