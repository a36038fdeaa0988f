"""The input of a run: converted exactly or refused, with a pointer to what is wrong."""

import time
from collections.abc import Mapping
from typing import Any

import pytest

from service.runs.inputs import BodyInput, QueryInput, fit

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "count": {"type": "integer", "default": 1},
        "ratio": {"type": "number"},
        "loud": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "sizes": {"type": "array", "items": {"type": "integer"}},
        "options": {"type": "object"},
        "colour": {"enum": ["red", "green"]},
        "level": {"enum": [1, 2, "3"]},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "pairs": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "anything": {},
    },
    "required": ["name"],
    "additionalProperties": False,
}
OPEN: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": True}


def query(*pairs: tuple[str, str], schema: dict[str, Any] = SCHEMA) -> Any:
    fitted = fit(QueryInput(pairs), schema)
    assert fitted.problems == []
    return fitted.value


def refused(*pairs: tuple[str, str], schema: dict[str, Any] = SCHEMA) -> list[tuple[str, str]]:
    return [(each["pointer"], each["message"]) for each in fit(QueryInput(pairs), schema).problems]


def body(value: dict[str, Any], schema: dict[str, Any] = SCHEMA) -> list[tuple[str, str]]:
    fitted = fit(BodyInput(value), schema)
    assert fitted.problems or fitted.value == value
    return [(each["pointer"], each["message"]) for each in fitted.problems]


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("count", "12", 12),
        ("count", "-3", -3),
        ("ratio", "1.5", 1.5),
        ("ratio", "2", 2),
        ("ratio", "-1e3", -1000.0),
        ("loud", "true", True),
        ("loud", "0", False),
        ("options", '{"a": [1]}', {"a": [1]}),
        ("colour", "green", "green"),
        ("level", "2", 2),
        ("level", "3", "3"),
        ("maybe", "7", 7),
        ("either", "7", 7),
        ("either", "seven", "seven"),
        ("anything", "12", "12"),
        ("name", "", ""),
    ],
)
def test_query_text_becomes_what_the_annotation_says(field: str, text: str, value: Any) -> None:
    converted = query(*({"name": "x", field: text}.items()))
    assert converted[field] == value
    assert type(converted[field]) is type(value)


def test_a_repeated_field_is_a_list() -> None:
    assert query(("name", "x"), ("sizes", "1"), ("sizes", "2"))["sizes"] == [1, 2]
    assert query(("name", "x"), ("tags", "one"))["tags"] == ["one"]
    assert query(("name", "x"), ("pairs", "[1, 2]"), ("pairs", "[]"))["pairs"] == [[1, 2], []]


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("count", "1.0"),
        ("count", " 1"),
        ("count", "+1"),
        ("count", "1_000"),
        ("count", "٣"),
        ("count", "01"),
        ("count", ""),
        ("count", "9" * 5000),
        ("ratio", "nan"),
        ("ratio", "inf"),
        ("ratio", "0x10"),
        ("loud", "True"),
        ("loud", "yes"),
        ("loud", ""),
        ("options", "[1]"),
        ("options", "{"),
        ("options", '{"a": NaN}'),
        ("colour", "blue"),
        ("level", "4"),
        ("maybe", "null"),
        ("maybe", ""),
        ("sizes", "1.5"),
    ],
)
def test_query_text_that_is_not_exactly_it_is_refused(field: str, text: str) -> None:
    [(pointer, message)] = refused(*({"name": "x", field: text}.items()))
    assert pointer == f"/{field}"
    assert message.startswith("should be ")


def test_a_number_too_large_for_json_is_refused() -> None:
    assert refused(("name", "x"), ("ratio", "1e999")) != []


def test_one_field_twice_is_refused_where_one_value_is_wanted() -> None:
    assert refused(("name", "x"), ("name", "y")) == [("/name", "should be given once, not 2 times")]


def test_a_missing_required_field_is_refused() -> None:
    assert refused() == [("/name", "is required")]
    assert body({}) == [("/name", "is required")]


def test_an_unknown_field_is_refused_unless_the_agent_takes_anything() -> None:
    [(pointer, message)] = refused(("name", "x"), ("nmae", "y"))
    assert pointer == "/nmae"
    assert "it takes: name, count" in message
    assert query(("n", "1"), ("other", "text"), schema=OPEN) == {"n": 1, "other": "text"}


@pytest.mark.parametrize("name", ["input", "services"])
def test_what_the_host_fills_cannot_be_given(name: str) -> None:
    assert refused((name, "x"), schema=OPEN) == [(f"/{name}", "is reserved: it cannot be an input")]
    assert body({name: {}}, OPEN) == [(f"/{name}", "is reserved: it cannot be an input")]


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ({"name": 1}, "/name"),
        ({"name": None}, "/name"),
        ({"name": "x", "count": "1"}, "/count"),
        ({"name": "x", "count": True}, "/count"),
        ({"name": "x", "count": 1.0}, "/count"),
        ({"name": "x", "ratio": "1"}, "/ratio"),
        ({"name": "x", "ratio": False}, "/ratio"),
        ({"name": "x", "loud": 1}, "/loud"),
        ({"name": "x", "sizes": [1, "2", 3]}, "/sizes/1"),
        ({"name": "x", "options": []}, "/options"),
        ({"name": "x", "colour": "blue"}, "/colour"),
        ({"name": "x", "level": True}, "/level"),
        ({"name": "x", "maybe": "1"}, "/maybe"),
        ({"name": "x", "pairs": [[1], [2, None]]}, "/pairs/1/1"),
        ({"name": "x", "a/b~c": 1}, "/a~1b~0c"),
        ({"name": "x", "anything": float("inf")}, ""),
        ({"name": "x\0"}, ""),
        ({"name": "\ud800"}, ""),
    ],
)
def test_a_json_body_converts_nothing(value: dict[str, Any], pointer: str) -> None:
    assert [place for place, _ in body(value)] == [pointer]


def test_a_json_body_that_fits_is_left_as_it_is() -> None:
    assert body({"name": "x", "maybe": None, "ratio": 2, "either": "1", "anything": {"deep": [None]}}) == []


def test_a_list_of_alternatives_says_what_is_wrong_inside() -> None:
    schema = {
        "type": "object",
        "properties": {"v": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]}},
    }
    assert body({"v": [1, "x"]}, schema) == [("/v/1", "should be an integer")]
    assert body({"v": "x"}, schema) == [("/v", "should be an array or null")]


def test_problems_are_not_endless() -> None:
    assert len(body({"name": "x", "sizes": ["no"] * 10_000})) == 20


def test_an_alternative_of_null_is_null_when_absent_and_other_defaults_are_the_functions_own() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
            "b": {"type": "integer", "default": 7},
        },
        "required": [],
        "additionalProperties": False,
    }
    assert fit(QueryInput([]), schema).value == {"a": None}
    assert fit(BodyInput({"a": 3, "b": 1}), schema).value == {"a": 3, "b": 1}


MIB = 1024 * 1024
SECONDS = 2.0
"""Far more than any of these takes, far less than any took when its time grew with schema times input."""
WORDS = {"enum": [f"word {n}" for n in range(200)]}
INTEGERS = {"type": "array", "items": {"type": "integer"}}


def one(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"v": schema}, "required": [], "additionalProperties": False}


def lists_of(schema: Mapping[str, Any], deep: int) -> Mapping[str, Any]:
    for _ in range(deep):
        schema = {"type": "array", "items": {"anyOf": [WORDS, schema, {"type": "boolean"}]}}
    return schema


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array", "items": {"type": "integer"}}, [1] * (MIB // 2)),
        ({"type": "array", "items": {"type": ["integer", "null"]}}, [1, None] * (MIB // 8)),
        ({"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}, [1, None] * (MIB // 8)),
        ({"type": "array", "items": {"enum": list(range(30_000))}}, [29_999] * (MIB // 6)),
        ({"type": "array", "items": WORDS}, ["word 199"] * (MIB // 11)),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {str(n): n for n in range(MIB // 14)}),
        ({"type": "array", "items": INTEGERS}, [[1, 2, 3]] * (MIB // 10)),
        ({"type": "array"}, [[]] * (MIB // 3)),
    ],
)
def test_an_input_as_large_as_may_be_fits_within_seconds(schema: dict[str, Any], value: Any) -> None:
    begun = time.monotonic()
    assert fit(BodyInput({"v": value}), one(schema)).problems == []
    assert time.monotonic() - begun < SECONDS


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array", "items": {"anyOf": [WORDS] * 20}}, ["no"] * (MIB // 5)),
        ({"type": "array", "items": {"anyOf": [*[WORDS] * 19, INTEGERS]}}, [[1]] * (MIB // 4)),
        ({"anyOf": [{"type": "array", "items": {"anyOf": [WORDS] * 20}}] * 20}, ["no"] * (MIB // 5)),
        ({"anyOf": [{"type": "array", "items": WORDS}] * 20}, [*["word 1"] * (MIB // 10), "no"]),
        (lists_of(WORDS, 20), [[[["no"] * 10] * 10] * 10] * 150),
        ({"type": "object", "additionalProperties": {"anyOf": [WORDS, INTEGERS]}}, {"k" * (MIB // 2): [0.5] * 99_999}),
    ],
)
def test_no_schema_makes_an_input_that_does_not_fit_take_long(schema: dict[str, Any], value: Any) -> None:
    begun = time.monotonic()
    found = fit(BodyInput({"v": value}), one(schema)).problems
    assert time.monotonic() - begun < SECONDS
    assert 1 <= len(found) <= 20


def test_what_would_take_too_long_is_refused() -> None:
    schema = {"type": "array", "items": {"anyOf": [*[WORDS] * 19, {"type": "array", "items": WORDS}]}}
    assert body({"v": [["word 1"]] * 50_000}, one(schema)) == [("", "is too large to be checked")]


def test_unknown_fields_are_refused_at_once_however_many_there_are() -> None:
    schema = {"type": "object", "properties": {f"p{n}": {} for n in range(20_000)}, "additionalProperties": False}
    begun = time.monotonic()
    found = body({f"u{n}": 1 for n in range(50_000)}, schema)
    assert time.monotonic() - begun < SECONDS
    assert len(found) == 20
    assert all(len(message) < 500 for _, message in found)


def test_required_fields_that_are_missing_are_not_endless() -> None:
    assert len(body({}, {"type": "object", "required": [f"p{n}" for n in range(20_000)]})) == 20


def test_a_query_of_many_alternatives_and_choices_is_converted_within_seconds() -> None:
    schema = one({"type": "array", "items": {"anyOf": [*[WORDS] * 19, {"enum": list(range(30_000))}]}})
    begun = time.monotonic()
    assert query(*[("v", "29999")] * 1000, schema=schema) == {"v": [29_999] * 1000}
    assert refused(*[("v", "no")] * 1000, schema=schema)[0][0] == "/v"
    assert time.monotonic() - begun < SECONDS


def test_json_in_a_query_is_not_read_again_and_again_for_its_alternatives() -> None:
    schema = one({"anyOf": [{"type": "object"}] * 5_000})
    begun = time.monotonic()
    assert refused(("v", "[" + "1," * 30_000 + "1]"), schema=schema) == [("", "is too large to be checked")]
    assert time.monotonic() - begun < SECONDS


def test_equal_values_of_different_types_are_different_choices() -> None:
    schema = one({"type": "array", "items": {"enum": [1, False, "x", None]}})
    assert body({"v": [1, False, "x", None]}, schema) == []
    others: list[Any] = [True, 0, 1.0, "1", [], {}]
    for wrong in others:
        assert [pointer for pointer, _ in body({"v": [1, wrong]}, schema)] == ["/v/1"]
