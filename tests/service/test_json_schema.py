"""The subset of JSON Schema that a model may be asked to answer in: what is taken, made up, and does not fit."""

import time
from typing import Any

import pytest

from service.capabilities.json_schema import MAX_DEPTH, MAX_PARTS, NotASchema, example, misfit, require_schema

TEXT = {"type": "string"}


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = TEXT
    for _ in range(depth - 1):
        schema = {"type": "array", "items": schema}
    return of(x=schema)


TAKEN = [
    ({"type": "object"}, {}),
    (
        of(a=TEXT, b={"type": "integer"}, c={"type": "number"}, d={"type": "boolean"}),
        {"a": "made up", "b": 1, "c": 1.5, "d": True},
    ),
    (of(a={"type": "array", "items": of(n={"type": "null"})}), {"a": [{"n": None}]}),
    (of(a={"type": "array"}, b={"type": "object"}, c={}), {"a": [], "b": {}, "c": {}}),
    (
        of(a={"enum": ["x", 7, None]}, b={"const": False}, c={"type": "string", "enum": ["y"]}),
        {"a": "x", "b": False, "c": "y"},
    ),
    (of(a={"anyOf": [{"type": "null"}, TEXT], "description": "A text, or none."}), {"a": None}),
    (of(a={"type": ["null", "integer"]}, b={"type": ["null"]}), {"a": 1, "b": None}),
    ({**of(a=TEXT), "additionalProperties": False, "title": "T", "description": "D"}, {"a": "made up"}),
    ({"type": "object", "additionalProperties": TEXT}, {}),
    ({"type": "object", "properties": {"a": TEXT, "b": TEXT}, "required": []}, {"a": "made up", "b": "made up"}),
    (nested(MAX_DEPTH), {"x": [[[[[[[[["made up"]]]]]]]]]}),
]


@pytest.mark.parametrize(("schema", "made_up"), TAKEN)
def test_what_is_made_up_for_a_schema_fits_it(schema: dict[str, Any], made_up: Any) -> None:
    require_schema(schema)
    assert example(schema) == made_up
    assert misfit(schema, made_up) is None


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({}, '"type": "object"'),
        ({"type": "string"}, '"type": "object"'),
        ({"type": ["object"]}, '"type": "object"'),
        ([], '"type": "object"'),
        ({"type": "object", "$ref": "#/x"}, "/$ref is not understood here; these are: additionalProperties, anyOf,"),
        (of(a={"type": "string", "pattern": "(a+)+$"}), "/properties/a/pattern is not understood"),
        (of(a={"type": "text"}), "/properties/a/type should be one or several of string"),
        (of(a={"type": []}), "type should be"),
        (of(a={"type": {}}), "type should be"),
        (of(a={"type": [{}]}), "type should be"),
        (of(a="string"), "/properties/a should be an object"),
        (of(a={"type": "array", "items": [TEXT]}), "/properties/a/items should be an object"),
        ({"type": "object", "properties": []}, "/properties should be an object"),
        ({"type": "object", "required": "a"}, "/required should be a list"),
        ({"type": "object", "required": ["a"]}, "/required should be a list of names that stand in properties"),
        ({"type": "object", "properties": {"a": TEXT}, "required": [{}]}, "/required should be"),
        ({"type": "object", "additionalProperties": "no"}, "/additionalProperties should be an object"),
        (of(a={"enum": []}), "at least one choice"),
        (of(a={"enum": "abc"}), "at least one choice"),
        (of(a={"enum": [{}]}), "only texts, numbers, booleans and null"),
        (of(a={"type": "integer", "enum": [True]}), "a choice that is not of its type"),
        (of(a={"enum": [1], "const": 1}), "enum or const, not both"),
        (of(a={"enum": [1], "items": TEXT}), "/properties/a/items cannot stand beside enum"),
        (of(a={"anyOf": []}), "a list of 1 to"),
        (of(a={"anyOf": {}}), "a list of 1 to"),
        (of(a={"anyOf": [TEXT], "type": "string"}), "/properties/a/type cannot stand beside anyOf"),
        (of(a={"anyOf": [TEXT] * 21}), "a list of 1 to 20"),
        (nested(MAX_DEPTH + 1), f"nested more than {MAX_DEPTH} deep"),
        (of(**{str(n): {} for n in range(MAX_PARTS)}), f"more than {MAX_PARTS} parts"),
        (of(a={"enum": ["x" * 20_000]}), "bytes as JSON"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(schema: Any, told: str) -> None:
    with pytest.raises(NotASchema) as error:
        require_schema(schema)
    assert told in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("schema", "value", "told"),
    [
        (of(a=TEXT), "text", "it should be an object"),
        (of(a=TEXT), {}, "/a is required"),
        (of(a=TEXT), {"a": 7}, "/a should be a string"),
        (of(a={"type": "integer"}), {"a": True}, "/a should be an integer"),
        (of(a={"type": "array", "items": TEXT}), {"a": ["x", None]}, "/a/1 should be a string"),
        ({**of(a=TEXT), "additionalProperties": False}, {"a": "x", "b": 1}, "/b is not in the schema, which has: a"),
        (of(a={"enum": ["x", "y"]}), {"a": "z"}, "/a should be one of 'x', 'y'"),
        (of(a={"anyOf": [TEXT, {"type": "null"}]}), {"a": 1}, "/a should be a string or null"),
    ],
)
def test_a_value_that_does_not_fit_is_told_where_and_why(schema: dict[str, Any], value: Any, told: str) -> None:
    require_schema(schema)
    assert misfit(schema, value) == told


def test_a_hostile_schema_and_a_hostile_value_take_little_time() -> None:
    schema: dict[str, Any] = TEXT
    for _ in range(MAX_DEPTH // 2 - 1):
        schema = {"anyOf": [of(x=schema)] * 3}
    schema = of(x=schema)
    value: Any = 7
    for _ in range(MAX_DEPTH // 2):
        value = {"x": value}
    began = time.monotonic()
    require_schema(schema)
    assert misfit(schema, value) is not None
    assert misfit(of(a={"type": "array", "items": of(b=TEXT)}), {"a": [{"b": 1}] * 1_000_000}) is not None
    assert time.monotonic() - began < 5
