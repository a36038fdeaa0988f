"""The input of a run: converted exactly or refused, with a pointer to what is wrong."""

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
