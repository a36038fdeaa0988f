"""The wire's promises about hostile bytes."""

import json
from typing import Any

import pytest

from sandbox import wire


def payload(message: dict[str, Any]) -> bytes:
    return wire.encode(message)[wire.LENGTH.size :]


def test_what_is_encoded_is_decoded() -> None:
    message = {"kind": "call", "args": {"text": 'é "[{\\', "number": 1.5, "deep": [[[]]], "none": None}}
    assert wire.decode(payload(message)) == message


def test_the_length_counts_bytes_not_characters() -> None:
    frame = wire.encode({"text": "é"})
    assert wire.LENGTH.unpack_from(frame)[0] == len(frame) - wire.LENGTH.size == len('{"text":"é"}'.encode())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\0", "\ud800", {1, 2}])
def test_what_is_not_json_is_not_encoded(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        wire.encode({"value": value})


def test_a_backslash_before_u0000_is_text() -> None:
    message = {"text": "\\u0000 \\ud800"}
    assert wire.decode(payload(message)) == message


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'"text"',
        b"{",
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":"\\u0000"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\udfff"}',
        b'{"a":"' + b"\\\\" * 3 + b'\\u0000"}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"a":1}{"b":2}',
        b'{"a":1} ]',
    ],
)
def test_hostile_bytes_are_a_wire_error(hostile: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode(hostile)


@pytest.mark.parametrize(("depth", "deep"), [(1, False), (wire.MAX_DEPTH, False), (wire.MAX_DEPTH + 1, True)])
def test_depth_is_counted_exactly(depth: int, deep: bool) -> None:
    assert wire.too_deep(b"[" * depth + b"]" * depth) is deep
    assert wire.too_deep(b"[" * depth) is deep
    wide = b",".join([b"[]"] * 500)
    assert wire.too_deep(b"[" * (depth - 1) + b"[" + wide + b"]" * depth) is (depth + 1 > wire.MAX_DEPTH)


def test_brackets_in_strings_do_not_count() -> None:
    text = json.dumps({"a": "[" * 1000 + '"' + "{" * 1000}).encode()
    assert not wire.too_deep(text)


@pytest.mark.parametrize("evil", [b'"' * 1_000_000, b'"\\' * 500_000, b'"[' * 500_000, b"[" * 1_000_000])
def test_depth_of_a_megabyte_of_anything_is_found(evil: bytes) -> None:
    wire.too_deep(b"[" * 70 + evil)
