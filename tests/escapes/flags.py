"""What there is to steal, and how it would look on its way out. A flag is a fresh random token for one test run."""

import base64
import codecs
import json
import re
import secrets
from collections.abc import Iterator
from typing import Any

PREFIX = "FLAG"


def new_flag(place: str) -> str:
    """Letters and digits alone, so that no encoder splits or escapes it."""
    return f"{PREFIX}{place}{secrets.token_hex(12)}"


def disguises(flag: str) -> set[str]:
    """A flag plain, backwards, rotated, in hexadecimal, in base 32 and 64 at every alignment, as numbers."""
    raw = flag.encode()
    shapes = {flag, flag[::-1], codecs.encode(flag, "rot13"), flag.swapcase(), raw.hex(), raw.hex().upper()}
    shapes |= {base64.b64encode(b"." * shift + raw)[4:-4].decode() for shift in range(3)}
    shapes |= {base64.b32encode(b"." * shift + raw)[8:-8].decode() for shift in range(5)}
    shapes |= {",".join(str(byte) for byte in raw), "".join(f"%{byte:02x}" for byte in raw)}
    return shapes


def views(value: Any) -> Iterator[str]:
    """What a value could be read as: its JSON, its texts joined, without punctuation, its numbers as characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    yield text
    yield re.sub(r"[\W_]", "", text)
    yield re.sub(r"[^0-9,]", "", text)
    yield "".join(leaves(value))
    yield "".join(chr(int(number)) for number in re.findall(r"\d+", text) if len(number) < 4 and int(number) < 128)


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)


def captured(flags: dict[str, str], value: Any) -> set[str]:
    """The places whose flag is somewhere in `value`."""
    seen = list(views(value))
    return {place for place, flag in flags.items() if any(shape in view for shape in disguises(flag) for view in seen)}
