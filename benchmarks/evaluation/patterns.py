"""What a value should be, as data: JSON stands for itself, and an object with one key that begins with $ for a test.

{"$has": {...}}        an object with at least these keys     {"$near": [number, how near]}
{"$contains": x}       a text with it in any case, or a list with an item that fits
{"$matches": regex}    a text somewhere                       {"$length": n}
{"$any_order": [...]}  a list with these items                {"$all": [...]}, {"$one_of": [...]}, {"$not": x}
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

MAX_SHOWN: Final = 200


def fault(wanted: Any, value: Any, where: str = "output") -> str | None:
    """Where and how a value is not what is wanted; None when it is."""
    operator = _operator(wanted)
    if operator is not None:
        return _fault_of_operator(operator, wanted[operator], value, where)
    if isinstance(wanted, Mapping) and isinstance(value, Mapping):
        if set(wanted) != set(value):
            return f"{where} has the keys {shown(sorted(value))}, not {shown(sorted(wanted))}"
        return _first(fault(wanted[key], value[key], f"{where}.{key}") for key in wanted)
    if isinstance(wanted, list) and isinstance(value, list):
        if len(wanted) != len(value):
            return f"{where} has {len(value)} items, not {len(wanted)}: {shown(value)}"
        return _first(fault(*pair, f"{where}[{place}]") for place, pair in enumerate(zip(wanted, value, strict=True)))
    same = wanted == value and isinstance(wanted, bool) is isinstance(value, bool)
    return None if same else f"{where} is {shown(value)}, not {shown(wanted)}"


def shown(value: Any) -> str:
    """JSON, cut short."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _operator(wanted: Any) -> str | None:
    if isinstance(wanted, Mapping) and len(wanted) == 1:
        key = str(next(iter(wanted)))
        return key if key.startswith("$") else None
    return None


def _fault_of_operator(operator: str, wanted: Any, value: Any, where: str) -> str | None:
    match operator:
        case "$one_of":
            fits = any(fault(each, value) is None for each in wanted)
        case "$all":
            return _first(fault(each, value, where) for each in wanted)
        case "$not":
            fits = fault(wanted, value) is not None
        case "$has":
            if not isinstance(value, Mapping):
                return f"{where} is {shown(value)}, not an object"
            return _first(fault(each, value.get(key), f"{where}.{key}") for key, each in wanted.items())
        case "$contains" if isinstance(value, list):
            fits = any(fault(wanted, item) is None for item in value)
        case "$contains":
            fits = isinstance(value, str) and wanted.casefold() in value.casefold()
        case "$matches":
            fits = isinstance(value, str) and re.search(wanted, value) is not None
        case "$near":
            number = isinstance(value, int | float) and not isinstance(value, bool)
            fits = number and math.isclose(value, wanted[0], rel_tol=0, abs_tol=wanted[1])
        case "$length":
            fits = isinstance(value, str | list | dict) and len(value) == wanted
        case "$any_order":
            fits = isinstance(value, list) and len(value) == len(wanted) and not left_over(wanted, value)[0]
        case _:
            raise ValueError(f"{operator} is no test")
    return None if fits else f"{where} is {shown(value)}, not {shown({operator: wanted})}"


def left_over(wanted: list[Any], values: list[Any]) -> tuple[list[Any], list[Any]]:
    """What is wanted and not among the values, and the values that were not wanted. Each value counts once."""
    missing, left = [], list(values)
    for each in wanted:
        place = next((place for place, value in enumerate(left) if fault(each, value) is None), None)
        if place is None:
            missing.append(each)
        else:
            del left[place]
    return missing, left


def _first(faults: Any) -> str | None:
    return next((each for each in faults if each is not None), None)
