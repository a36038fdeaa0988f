"""Signed records, and the JSON they are made of."""

from typing import Any

import pytest

from service.capabilities.effects import call_hash, name_shown, shortened
from service.capabilities.plain_json import canonical, cleaned, fault
from service.runs.signature import RecordSigner
from service.secret_keys import SecretKey

OLD = SecretKey("old", b"o" * 32)
NEW = SecretKey("new", b"n" * 32)


def test_a_signature_holds_for_exactly_the_record() -> None:
    signer = RecordSigner([NEW])
    record = {"run_id": "1", "output": {"a": [1, 2.5, None, True]}}
    signature = signer.sign(record)
    assert signer.verify({"output": {"a": [1, 2.5, None, True]}, "run_id": "1"}, signature)
    assert not signer.verify({**record, "output": {"a": [1, 2.5, None, 1]}}, signature)
    assert not signer.verify({**record, "more": 1}, signature)


def test_every_key_verifies_and_the_first_signs() -> None:
    signature = RecordSigner([OLD]).sign({"a": 1})
    rotated = RecordSigner([NEW, OLD])
    assert rotated.verify({"a": 1}, signature)
    assert rotated.sign({"a": 1}).startswith("new:")
    assert not RecordSigner([NEW]).verify({"a": 1}, signature)


@pytest.mark.parametrize("signature", [None, "", ":", "new", "new:", "new:é", "other:00", 7, {"a": 1}])
def test_a_senseless_signature_does_not_verify(signature: Any) -> None:
    assert not RecordSigner([NEW]).verify({"a": 1}, signature)


def test_a_record_that_could_never_be_signed_does_not_verify() -> None:
    assert not RecordSigner([NEW]).verify({"a": float("nan")}, "new:00")


@pytest.mark.parametrize("keys", [[], [SecretKey("short", b"x" * 31)]])
def test_a_signer_needs_a_real_key(keys: list[SecretKey]) -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        RecordSigner(keys)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ("a\0b", "a�b"),
        ("a\ud800", "a�"),
        ({"k\0": ["\udfff"]}, {"k�": ["�"]}),
        ([float("nan"), float("inf"), 1.5], [None, None, 1.5]),
        (10**4000, None),
        ({"a": object()}, {"a": None}),
    ],
)
def test_what_json_cannot_hold_is_replaced(value: Any, plain: Any) -> None:
    assert fault(value) is not None
    assert cleaned(value) == plain
    assert fault(cleaned(value)) is None


def test_a_value_nested_without_end_is_cut_and_nothing_recurses() -> None:
    deep: Any = "end"
    for _ in range(100_000):
        deep = [deep]
    assert fault(deep) == "it is nested more than 64 deep"
    assert fault(cleaned(deep)) is None


def test_shown_values_are_short_and_say_what_was_cut() -> None:
    assert shortened("x" * 600) == "x" * 500 + "… (600 characters)"
    assert shortened(list(range(60)))[-1] == "… (60 items)"
    assert shortened({str(i): i for i in range(60)})["…"] == "(60 items)"
    assert len(canonical(shortened([["x" * 1000] * 1000] * 1000))) < 10_000
    assert len(canonical(shortened({"k" * 400 + str(i): {"x" * 400: 1} for i in range(1000)}))) < 10_000
    assert shortened(2**2000) == "… (a number of 2001 bits)"
    assert shortened({"a": [1, {"b": None}]}) == {"a": [1, {"b": None}]}


def test_names_fit_their_column() -> None:
    assert len(name_shown("é" * 100).encode()) <= 63
    assert name_shown("a\0") == "a�"


def test_the_same_call_has_the_same_hash() -> None:
    assert call_hash("kv", "set", {"a": 1, "b": 2}) == call_hash("kv", "set", {"b": 2, "a": 1})
    assert call_hash("kv", "set", {"a": 1}) != call_hash("kv", "set", {"a": 1.0})
