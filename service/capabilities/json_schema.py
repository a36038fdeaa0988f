"""The JSON Schema that an agent may ask a model to answer in: a subset that every provider has and this host checks.

A schema is a tenant's, and so is a value: each is looked at in bounded time.
"""

from collections.abc import Mapping
from typing import Any, Final

from service.capabilities.plain_json import canonical
from service.errors import json_pointer
from service.runs.validation import TYPES, Problems, TooLarge, Validation

MAX_BYTES: Final = 16 * 1024
MAX_DEPTH: Final = 10
MAX_PARTS: Final = 500
MAX_ALTERNATIVES: Final = 20
_TEXTS: Final = frozenset({"title", "description"})
_CONSTRAINTS: Final = frozenset({"type", "properties", "required", "additionalProperties", "items"})
_KNOWN: Final = _CONSTRAINTS | _TEXTS | {"enum", "const", "anyOf"}
_EXAMPLES: Final[Mapping[str, Any]] = {
    "string": "made up",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "array": [],
    "object": {},
    "null": None,
}


class NotASchema(ValueError):
    """A schema cannot be used here. The message says where and why."""


def require_schema(schema: Any) -> None:
    """Raises NotASchema for what is not a schema of an object in the subset."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise NotASchema('should be a JSON Schema with "type": "object"')
    if len(canonical(schema)) > MAX_BYTES:
        raise NotASchema(f"has more than {MAX_BYTES} bytes as JSON")
    _Reading().read(schema, "", 0)


def misfit(schema: Mapping[str, Any], value: Any) -> str | None:
    """Where and why `value` does not fit a schema that `require_schema` took; None when it does."""
    problems: Problems = []
    try:
        Validation(unknown="is not in the schema, which has").check(schema, value, (), problems)
    except TooLarge:
        return "it is too large to be checked"
    if not problems:
        return None
    place, message = problems[0]
    return f"{json_pointer(place) or 'it'} {message}"


def example(schema: Mapping[str, Any]) -> Any:
    """A value that fits a schema that `require_schema` took: the first choice everywhere, every property there."""
    if "anyOf" in schema:
        return example(schema["anyOf"][0])
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kinds = schema.get("type", "object")
    kind = kinds if isinstance(kinds, str) else next((each for each in kinds if each != "null"), "null")
    if kind == "object":
        return {name: example(inside) for name, inside in schema.get("properties", {}).items()}
    if kind == "array" and "items" in schema:
        return [example(schema["items"])]
    return _EXAMPLES[kind]


class _Reading:
    """One schema being read; its parts are counted."""

    def __init__(self) -> None:
        self._parts = 0

    def read(self, schema: Any, place: str, depth: int) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise NotASchema(f"has more than {MAX_PARTS} parts")
        if depth > MAX_DEPTH:
            raise NotASchema(f"is nested more than {MAX_DEPTH} deep")
        if not isinstance(schema, dict):
            raise NotASchema(f"{place or '/'} should be an object")
        if unknown := sorted(str(key) for key in schema.keys() - _KNOWN):
            raise NotASchema(
                f"{place}/{unknown[0][:80]} is not understood here; these are: {', '.join(sorted(_KNOWN))}"
            )
        if "anyOf" in schema:
            self._read_alternatives(schema, place, depth)
        elif "enum" in schema or "const" in schema:
            _read_choices(schema, place)
        else:
            _read_types(schema, place)
            self._read_inside(schema, place, depth)

    def _read_alternatives(self, schema: Mapping[str, Any], place: str, depth: int) -> None:
        _require_nothing_but(schema, {"anyOf"}, place)
        alternatives = schema["anyOf"]
        if not isinstance(alternatives, list) or not 1 <= len(alternatives) <= MAX_ALTERNATIVES:
            raise NotASchema(f"{place}/anyOf should be a list of 1 to {MAX_ALTERNATIVES} schemas")
        for index, alternative in enumerate(alternatives):
            self.read(alternative, f"{place}/anyOf/{index}", depth + 1)

    def _read_inside(self, schema: Mapping[str, Any], place: str, depth: int) -> None:
        properties = schema.get("properties", {})
        if not isinstance(properties, dict):
            raise NotASchema(f"{place}/properties should be an object")
        for name, inside in properties.items():
            self.read(inside, f"{place}/properties/{name[:80]}", depth + 1)
        required = schema.get("required", [])
        if not isinstance(required, list) or not all(isinstance(name, str) and name in properties for name in required):
            raise NotASchema(f"{place}/required should be a list of names that stand in properties")
        others = schema.get("additionalProperties", True)
        if not isinstance(others, bool):
            self.read(others, f"{place}/additionalProperties", depth + 1)
        if "items" in schema:
            self.read(schema["items"], f"{place}/items", depth + 1)


def _read_types(schema: Mapping[str, Any], place: str) -> None:
    kinds = _kinds(schema)
    if not kinds or not all(isinstance(kind, str) and kind in TYPES for kind in kinds):
        raise NotASchema(f"{place}/type should be one or several of {', '.join(TYPES)}")


def _read_choices(schema: Mapping[str, Any], place: str) -> None:
    _require_nothing_but(schema, {"enum", "const", "type"}, place)
    choices = schema.get("enum", [schema.get("const")])
    if "enum" in schema and "const" in schema:
        raise NotASchema(f"{place} should have enum or const, not both")
    if not isinstance(choices, list) or not choices or any(isinstance(choice, dict | list) for choice in choices):
        raise NotASchema(f"{place} should have at least one choice, and only texts, numbers, booleans and null")
    _read_types(schema, place)
    allowed = frozenset().union(*(TYPES[kind] for kind in _kinds(schema)))
    if any(type(choice) not in allowed for choice in choices):
        raise NotASchema(f"{place} has a choice that is not of its type")


def _kinds(schema: Mapping[str, Any]) -> list[Any]:
    kinds = schema.get("type", list(TYPES))
    return kinds if isinstance(kinds, list) else [kinds]


def _require_nothing_but(schema: Mapping[str, Any], names: set[str], place: str) -> None:
    if others := sorted(schema.keys() - names - _TEXTS):
        raise NotASchema(f"{place}/{others[0]} cannot stand beside {' or '.join(sorted(names & schema.keys()))}")
