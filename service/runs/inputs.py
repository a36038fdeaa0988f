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
from service.runs.validation import (
    MAX_MESSAGE,
    MAX_PROBLEMS,
    TYPES,
    Place,
    Problems,
    Schema,
    TooLarge,
    Validation,
    named,
)
from service.strict_json import NotJson, parse_json

RESERVED: Final = ("input", "services")
"""Parameters that the host fills. (`test` is refused before.)"""

_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,299})", re.ASCII)
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,299})(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


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
    problems: list[dict[str, str]] = field(default_factory=list)


def fit(given: QueryInput | BodyInput, schema: Schema) -> Fitted:
    """Hold an input against an agent's `input_schema`, converting it first if it is a query."""
    problems: Problems = []
    value: Any = given.raw()
    if reason := fault(value):
        return Fitted(value, [_problem((), f"is not JSON here: {reason}")])
    if reserved := [name for name in RESERVED if name in value]:
        return Fitted(value, [_problem((name,), "is reserved: it cannot be an input") for name in reserved])
    validation = Validation()
    try:
        if isinstance(given, QueryInput):
            value = _Conversion(validation).converted(given.by_name(), schema, problems)
        if not problems:
            validation.check(schema, value, (), problems)
    except TooLarge:
        problems = [((), "is too large to be checked")]
    shown = [_problem(*problem) for problem in problems[:MAX_PROBLEMS]]
    return Fitted(value if shown else _with_absent_nulls(value, schema), shown)


def _with_absent_nulls(value: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """`X | None` without a default is null when absent; every other default is the function's own to fill in."""
    properties = schema.get("properties", {})
    absent = {name: None for name, known in properties.items() if "default" in known and known["default"] is None}
    return {**absent, **value}


class _Unconvertible(Exception):
    """A text is not what its annotation asks for; the message continues 'should be'."""


class _Conversion:
    """Texts to values; its steps count as those of the validation."""

    def __init__(self, validation: Validation) -> None:
        self._validation = validation

    def converted(self, grouped: Mapping[str, list[str]], schema: Schema, problems: Problems) -> dict[str, Any]:
        properties = schema.get("properties", {})
        value: dict[str, Any] = {}
        for name, texts in grouped.items():
            if len(problems) >= MAX_PROBLEMS:
                break
            if name not in properties:  # refused later, or taken as it is by an agent that takes anything
                value[name] = texts[0] if len(texts) == 1 else texts
                continue
            try:
                value[name] = self._from_texts(properties[name], texts)
            except _Unconvertible as error:
                problems.append(((name,), f"should be {error}"))
        return value

    def _from_texts(self, schema: Schema, texts: list[str]) -> Any:
        """What the texts of one name mean. Of alternatives, the first that fits; null only ever by being absent."""
        said = []
        for alternative in _alternatives(schema):
            try:
                return self._from_texts_of(alternative, texts)
            except _Unconvertible as error:
                said.append(str(error))
        raise _Unconvertible((" or ".join(dict.fromkeys(said)) or "absent")[:MAX_MESSAGE])

    def _from_texts_of(self, schema: Schema, texts: list[str]) -> Any:
        self._validation.take()
        if schema.get("type") == "array":
            return [self._from_text(schema.get("items", {}), text) for text in texts]
        if len(texts) != 1:
            raise _Unconvertible(f"given once, not {len(texts)} times")
        return self._from_text(schema, texts[0])

    def _from_text(self, schema: Schema, text: str) -> Any:
        self._validation.take()
        if "anyOf" in schema or isinstance(schema.get("type"), list):
            return self._from_texts(schema, [text])
        if "enum" in schema or "const" in schema:
            return self._from_choice(schema, text)
        if schema.get("type") in ("object", "array"):
            self._validation.take(len(text) // 16)
        return _from_text_of(schema.get("type"), text)

    def _from_choice(self, schema: Schema, text: str) -> Any:
        known = self._validation.known(schema)
        if text not in known.spelled:
            raise _Unconvertible(known.wanted)
        return known.spelled[text]


def _alternatives(schema: Schema) -> list[Schema]:
    kinds = schema.get("type")
    nested = schema.get("anyOf", [{**schema, "type": kind} for kind in kinds] if isinstance(kinds, list) else [schema])
    return [alternative for alternative in nested if alternative.get("type") != "null"]


def _from_text_of(kind: str | None, text: str) -> Any:
    match kind:
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
        case "object" | "array":
            return _from_json(text, kind)
        case _:
            return text


def _from_json(text: str, kind: str) -> Any:
    try:
        value = parse_json(text.encode())
    except NotJson:
        value = None
    if type(value) not in TYPES[kind]:
        raise _Unconvertible(f"JSON of {named(kind)}")
    return value


def _problem(place: Place, message: str) -> dict[str, str]:
    return {"pointer": json_pointer(place), "message": message[:MAX_MESSAGE]}
