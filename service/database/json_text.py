"""JSON to and from Postgres. What is written is strict; what is read may be a hostile user's row and still never raises
anything but `Invalid`, and never yields what JSON cannot say (NaN, infinities)."""

import json
import math
from datetime import date
from typing import Any
from uuid import UUID

from service.database.gateway import Invalid


def encode(value: Any) -> str:
    """The text of a JSON value. Raises Invalid for what is not one: NaN, lone surrogates, U+0000, cycles, objects."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_scalar)
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise Invalid(f"a value that is not JSON: {type(error).__name__}") from None
    return text


def decode(text: str) -> Any:
    """What Postgres wrote. Numbers that Python cannot hold stay text."""
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise Invalid("a stored value is nested too deep to be read") from None


def _scalar(value: Any) -> str:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def _float(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _int(text: str) -> int | str:
    # Python refuses to read integers of more than 4,300 digits (CVE-2020-10735).
    return int(text) if len(text) < 4000 else text


_DECODER = json.JSONDecoder(parse_float=_float, parse_int=_int)
