"""Faults are found wherever they are: among few items, which are looked at one by one, and among many, together."""

from typing import Any

import pytest

from service.capabilities.plain_json import MANY, MAX_DEPTH, fault

FAULTS = ["a\0", "\ud800", 2**12_000, -(2**12_000), float("nan"), float("inf"), b"", {1: 2}, {"a\0": 1}, object()]


@pytest.mark.parametrize("bad", FAULTS, ids=lambda bad: f"{type(bad).__name__} {str(bad)[:4]!a}"[:24])
def test_a_fault_is_the_same_among_few_and_among_many(bad: Any) -> None:
    reason = fault([bad])
    assert reason is not None
    kinds: tuple[Any, ...] = (1, 1.5, "text", True, None, [], {}, {"a": [1]})
    for kind in kinds:
        many: list[Any] = [kind] * (2 * MANY)
        for place in (0, MANY, 2 * MANY):
            assert fault([*many[:place], bad, *many[place:]]) == reason
            assert fault({"deep": [*many[:place], {"er": [bad]}, *many[place:]]}) == reason


def test_many_good_items_have_no_fault_and_depth_is_counted_alike() -> None:
    good = [1, -(2**11_999), 1.5, "é\U0001f600", True, None, [], {}, {"a": ["b"]}] * MANY
    assert fault(good) is None
    nested: Any = "x"
    for _ in range(MAX_DEPTH - 1):
        nested = [nested]
    assert fault([nested]) is None
    assert fault([nested] * (2 * MANY)) is None
    assert "deep" in str(fault([[nested]] * (2 * MANY)))
