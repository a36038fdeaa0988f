"""The scanner itself: a corpus that could not see a stolen flag would prove nothing."""

import base64
from typing import Any

import pytest

from tests.escapes.flags import captured, new_flag

FLAG = new_flag("x")
RAW = FLAG.encode()


@pytest.mark.parametrize(
    "carrier",
    [
        FLAG,
        {"deep": [{"er": f"before {FLAG} after"}]},
        {FLAG: 1},
        FLAG[::-1],
        list(FLAG),
        [*RAW],
        "-".join(FLAG),
        RAW.hex(),
        RAW.hex(" "),
        str(RAW),
        str(list(RAW)),
        base64.b64encode(RAW).decode(),
        base64.b64encode(b"a" + RAW + b"b").decode(),
        base64.b64encode(b"ab" + RAW).decode(),
        base64.b32encode(b"abc" + RAW + b"d").decode(),
        "".join(chr(ord(letter)) + "\N{ZERO WIDTH SPACE}" for letter in FLAG),
        ("some log", FLAG[:9], FLAG[9:]),
    ],
    ids=lambda carrier: type(carrier).__name__,
)
def test_a_flag_is_seen_in_disguise(carrier: Any) -> None:
    assert captured({"x": FLAG}, carrier) == {"x"}


def test_other_text_is_no_flag() -> None:
    assert captured({"x": FLAG}, {"a": new_flag("x"), "b": [1, 2, 3], "c": "FLAGx"}) == set()
