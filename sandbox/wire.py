"""Frames between host and guest: a four-byte big-endian length, then one JSON object with a `kind`.

Both ends use this file; the standard library is all it needs. Bytes of a guest are hostile: `decode` bounds depth
before it parses, and refuses what is not JSON here (NaN, infinities, U+0000, lone surrogates). Never pickle, never
marshal.

host -> guest   one of {"kind": "run"}, {"kind": "check"}, {"kind": "probe"}, behind HEADER; then {"kind": "reply"}
guest -> host   {"kind": "call"} and {"kind": "log"}, any number; one {"kind": "done"}, after which there is nothing
"""

import json
import re
import struct
from itertools import accumulate
from typing import Any

HEADER = struct.Struct("!dIQ")
"""What a parked child is told before its job: wall seconds, cpu seconds, memory bytes. Written by the host alone."""

LENGTH = struct.Struct("!I")
MAX_DEPTH = 64
MAX_INTEGER_DIGITS = 3600
"""Below what Python converts between text and numbers, so that what was stored can be read again."""

REPLY_BYTES = 8 * 1024 * 1024
MIN_LOG_CHARGE_BYTES = 64
"""A log frame costs at least this much of the log limit, so that a flood of empty frames ends too."""

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
"""A string, or the rest of the payload after a quote that nothing closes: so matching stays linear."""

_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_MANY_DIGITS = re.compile(rb"[0-9]{%d}" % MAX_INTEGER_DIGITS)
_REFUSED_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\u(?:0000|[dD][89a-fA-F])")


class WireError(Exception):
    """The other end broke the protocol."""


def encode(message: dict[str, Any]) -> bytes:
    """One whole frame. Raises ValueError for what is not JSON here (for surrogates a UnicodeEncodeError)."""
    payload = _ENCODER.encode(message).encode()
    if b"\\u0000" in payload and _REFUSED_ESCAPE.search(payload):
        raise ValueError("U+0000 cannot be kept in JSON here; remove it")
    if _MANY_DIGITS.search(payload):
        _CAREFUL_DECODER.decode(payload.decode())
    return LENGTH.pack(len(payload)) + payload


def decode(payload: bytes) -> dict[str, Any]:
    """The message of one frame's payload. Raises WireError; depth is checked before anything is built."""
    if too_deep(payload):
        raise WireError(f"a frame is nested deeper than {MAX_DEPTH} levels")
    if _REFUSED_ESCAPE.search(payload):
        raise WireError("a frame holds U+0000 or half of a surrogate pair")
    try:
        decoder = _CAREFUL_DECODER if _MANY_DIGITS.search(payload) else _DECODER
        message = decoder.decode(payload.decode())
    except (ValueError, RecursionError) as error:
        raise WireError("a frame is not JSON") from error
    if not isinstance(message, dict):
        raise WireError("a frame is not an object")
    return message


def too_deep(payload: bytes) -> bool:
    """Whether JSON text nests deeper than MAX_DEPTH, in linear time and without parsing it."""
    if payload.count(b"[") + payload.count(b"{") <= MAX_DEPTH:
        return False
    steps = _STRING.sub(b"", payload).translate(_STEPS, _NOT_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0) > MAX_DEPTH


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _bounded(text: str) -> int:
    if len(text.lstrip("-")) > MAX_INTEGER_DIGITS:
        raise ValueError(f"a number has more than {MAX_INTEGER_DIGITS} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number is out of range")
    return value


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
_CAREFUL_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite, parse_int=_bounded)
