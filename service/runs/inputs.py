"""The input of a run: text of a query converted by the schema, JSON of a body as it is, both then held against it.

The schemas are our own subset of JSON Schema: what `engine.check` reads from a signature. Conversion is exact or
refused; nothing is guessed, trimmed or rounded.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from service.capabilities.plain_json import fault
from service.errors import json_pointer
from service.strict_json import NotJson, parse_json

Schema = Mapping[str, Any]
Place = tuple[str | int, ...]
Problems = list[dict[str, str]]

MAX_PROBLEMS: Final = 20
RESERVED: Final = ("input", "services")
"""Parameters that the host fills. (`test` is refused before.)"""

_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,299})", re.ASCII)
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,299})(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


@dataclass(frozen=True, slots=True)
class QueryInput:
    """Input as names and texts, in their order."""

    pairs: Sequence[tuple[str, str]]

    def raw(self) -> dict[str, Any]:
        """As it came: a text a name, or a list of texts for a name given several times."""
        return {name: texts[0] if len(texts) == 1 else texts for name, texts in self.by_name().items()}

    def by_name(self) -> dict[str, list[str]]:
        grouped: dict[str, list[str]] = {}
        for name, text in self.pairs:
            grouped.setdefault(name, []).append(text)
        return grouped


@dataclass(frozen=True, slots=True)
class BodyInput:
    """Input as a JSON object."""

    value: Mapping[str, Any]

    def raw(self) -> dict[str, Any]:
        return dict(self.value)


@dataclass(frozen=True, slots=True)
class Fitted:
    """The input as the agent gets it, and why it does not fit (`pointer` and `message` each); empty when it fits."""

    value: Mapping[str, Any]
    problems: Problems = field(default_factory=list)


def fit(given: QueryInput | BodyInput, schema: Schema) -> Fitted:
    """Hold an input against an agent's `input_schema`, converting it first if it is a query."""
    problems: Problems = []
    value: Any = given.raw()
    if reason := fault(value):
        return Fitted(value, [_problem((), f"is not JSON here: {reason}")])
    if reserved := [name for name in RESERVED if name in value]:
        return Fitted(value, [_problem((name,), "is reserved: it cannot be an input") for name in reserved])
    if isinstance(given, QueryInput):
        value = _converted(given.by_name(), schema, problems)
    if not problems:
        validate(schema, value, (), problems)
    return Fitted(value if problems else _with_absent_nulls(value, schema), problems[:MAX_PROBLEMS])


def _with_absent_nulls(value: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """`X | None` without a default is null when absent; every other default is the function's own to fill in."""
    properties = schema.get("properties", {})
    absent = {name: None for name, known in properties.items() if "default" in known and known["default"] is None}
    return {**absent, **value}


class _Unconvertible(Exception):
    """A text is not what its annotation asks for; the message continues 'should be'."""


def _converted(grouped: Mapping[str, list[str]], schema: Schema, problems: Problems) -> dict[str, Any]:
    properties = schema.get("properties", {})
    value: dict[str, Any] = {}
    for name, texts in grouped.items():
        if name not in properties:  # refused later, or taken as it is by an agent that takes anything
            value[name] = texts[0] if len(texts) == 1 else texts
            continue
        try:
            value[name] = _from_texts(properties[name], texts)
        except _Unconvertible as error:
            problems.append(_problem((name,), f"should be {error}"))
    return value


def _from_texts(schema: Schema, texts: list[str]) -> Any:
    """What the texts of one name mean. Of alternatives, the first that fits; null only ever by being absent."""
    said = []
    for alternative in _alternatives(schema):
        try:
            return _from_texts_of(alternative, texts)
        except _Unconvertible as error:
            said.append(str(error))
    raise _Unconvertible(" or ".join(dict.fromkeys(said)) or "absent")


def _alternatives(schema: Schema) -> list[Schema]:
    kinds = schema.get("type")
    nested = schema.get("anyOf", [{**schema, "type": kind} for kind in kinds] if isinstance(kinds, list) else [schema])
    return [alternative for alternative in nested if alternative.get("type") != "null"]


def _from_texts_of(schema: Schema, texts: list[str]) -> Any:
    if schema.get("type") == "array":
        return [_from_text(schema.get("items", {}), text) for text in texts]
    if len(texts) != 1:
        raise _Unconvertible(f"given once, not {len(texts)} times")
    return _from_text(schema, texts[0])


def _from_text(schema: Schema, text: str) -> Any:
    if "anyOf" in schema or isinstance(schema.get("type"), list):
        return _from_texts(schema, [text])
    if "enum" in schema or "const" in schema:
        return _from_choice(schema.get("enum", [schema.get("const")]), text)
    match schema.get("type"):
        case "integer":
            if not _INTEGER.fullmatch(text):
                raise _Unconvertible("an integer")
            return int(text)
        case "number":
            if not _NUMBER.fullmatch(text) or math.isinf(float(text)):
                raise _Unconvertible("a number")
            return int(text) if _INTEGER.fullmatch(text) else float(text)
        case "boolean":
            if text not in _BOOLEANS:
                raise _Unconvertible("true, false, 1 or 0")
            return _BOOLEANS[text]
        case "object" | "array" as kind:
            return _from_json(text, kind)
        case _:
            return text


def _from_choice(choices: Sequence[Any], text: str) -> Any:
    for choice in choices:
        if choice is not None and text == (choice if isinstance(choice, str) else _spelling(choice)):
            return choice
    raise _Unconvertible(f"one of {_shown(choices)}")


def _spelling(choice: Any) -> str:
    return str(choice).lower() if isinstance(choice, bool) else str(choice)


def _from_json(text: str, kind: str) -> Any:
    try:
        value = parse_json(text.encode())
    except NotJson:
        value = None
    if not isinstance(value, _TYPES[kind]):
        raise _Unconvertible(f"JSON of {_named(kind)}")
    return value


def validate(schema: Schema, value: Any, place: Place, problems: Problems) -> None:
    """Add to `problems` where `value` does not fit `schema`. Stops at MAX_PROBLEMS."""
    if len(problems) >= MAX_PROBLEMS:
        return
    if "anyOf" in schema:
        _validate_any(schema["anyOf"], value, place, problems)
        return
    if "enum" in schema or "const" in schema:
        choices = schema.get("enum", [schema.get("const")])
        if not any(type(choice) is type(value) and choice == value for choice in choices):
            problems.append(_problem(place, f"should be one of {_shown(choices)}"))
        return
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(kind, value) for kind in kinds):
        problems.append(_problem(place, f"should be {' or '.join(_named(kind) for kind in kinds)}"))
    elif isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            validate(schema["items"], item, (*place, index), problems)
    elif isinstance(value, dict):
        _validate_object(schema, value, place, problems)


def _validate_any(alternatives: Sequence[Schema], value: Any, place: Place, problems: Problems) -> None:
    """One alternative must fit; of those that do not, the one of the value's own type says what is wrong."""
    tried: list[Problems] = []
    for alternative in alternatives:
        found: Problems = []
        validate(alternative, value, place, found)
        if not found:
            return
        tried.append(found)
    here = json_pointer(place)
    inside = [found for found in tried if any(problem["pointer"] != here for problem in found)]
    if inside:
        problems.extend(inside[0])
        return
    wanted = dict.fromkeys(problem["message"].removeprefix("should be ") for found in tried for problem in found)
    problems.append(_problem(place, f"should be {' or '.join(wanted)}"))


def _validate_object(schema: Schema, value: Mapping[str, Any], place: Place, problems: Problems) -> None:
    properties: Mapping[str, Any] = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in value:
            problems.append(_problem((*place, name), "is required"))
    for name, item in value.items():
        if name in properties:
            validate(properties[name], item, (*place, name), problems)
        elif others is False:
            known = ", ".join(properties) or "nothing"
            problems.append(_problem((*place, name), f"is not an input of this agent; it takes: {known}"))
        elif isinstance(others, Mapping):
            validate(others, item, (*place, name), problems)


def _is(kind: str, value: Any) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _named(kind: str) -> str:
    return {"integer": "an integer", "array": "an array", "object": "an object", "null": "null"}.get(kind, f"a {kind}")


def _shown(choices: Sequence[Any]) -> str:
    return ", ".join(repr(choice) if isinstance(choice, str) else _spelling(choice) for choice in choices)


def _problem(place: Place, message: str) -> dict[str, str]:
    return {"pointer": json_pointer(place), "message": message[:500]}
