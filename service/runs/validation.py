"""An input held against a schema, in bounded time: both are a tenant's, and this runs between the requests of others.

What is asked of a schema again and again is worked out once, lists of scalars are taken whole, and every other step
is counted: past MAX_STEPS the input counts as too large.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

Schema = Mapping[str, Any]
Place = tuple[str | int, ...]
Problems = list[tuple[Place, str]]

MAX_PROBLEMS: Final = 20
MAX_STEPS: Final = 200_000
MAX_MESSAGE: Final = 500
_LISTED_CHARACTERS: Final = 300
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
TYPES: Final[Mapping[str, frozenset[type]]] = {
    "string": frozenset({str}),
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
    "boolean": frozenset({bool}),
    "array": frozenset({list}),
    "object": frozenset({dict}),
    "null": frozenset({type(None)}),
}
_NO_TYPES: Final[frozenset[type]] = frozenset()


class TooLarge(Exception):
    """To go on would take too long."""


class Known:
    """What is known of one schema (not of those inside it). `wanted` continues "should be"."""

    __slots__ = ("choices", "inputs", "schema", "spelled", "types", "wanted", "whole")

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.choices: frozenset[tuple[type, Any]] | None = None
        self.spelled: dict[str, Any] = {}
        self.inputs = _cut(", ".join(schema.get("properties", ()))) or "nothing"
        if "enum" in schema or "const" in schema:
            choices = schema.get("enum", [schema.get("const")])
            self.choices = frozenset((type(choice), choice) for choice in choices if type(choice) in _SCALARS)
            self.types = self.whole = _NO_TYPES
            self.wanted = f"one of {_cut(', '.join(_shown(choice) for choice in choices))}"
            for choice in choices:
                if choice is not None:
                    self.spelled.setdefault(_spelling(choice), choice)
            return
        kinds = schema.get("type", tuple(TYPES))
        kinds = [kinds] if isinstance(kinds, str) else kinds
        self.types = _NO_TYPES.union(*(TYPES[kind] for kind in kinds))
        self.whole = self.types - _looked_into(schema)
        self.wanted = " or ".join(map(named, kinds))


class Validation:
    """One value against one schema. `unknown` is said, with what is known, of a property that may not be there."""

    def __init__(self, *, unknown: str = "is not an input of this agent; it takes") -> None:
        self._unknown = unknown
        self._steps = MAX_STEPS
        self._known: dict[int, Known] = {}  # each holds its schema: no other can get that id

    def take(self, steps: int = 1) -> None:
        """Count steps. Raises TooLarge when there were too many."""
        self._steps -= steps
        if self._steps < 0:
            raise TooLarge

    def known(self, schema: Schema) -> Known:
        """What is known of a schema; `whole` are the types of which every value fits."""
        found = self._known.get(id(schema))
        if found is None:
            found = Known(schema)
            self.take(1 + len(schema.get("enum", ())) + len(schema.get("properties", ())))
            if "anyOf" in schema:
                found.whole = _NO_TYPES.union(*(self.known(each).whole for each in schema["anyOf"]))
            self._known[id(schema)] = found
        return found

    def check(self, schema: Schema, value: Any, place: Place, problems: Problems) -> None:
        """Add to `problems` where `value` does not fit `schema`. Stops at MAX_PROBLEMS. Raises TooLarge."""
        if len(problems) >= MAX_PROBLEMS:
            return
        self.take()
        known = self.known(schema)
        kind = type(value)
        if kind in known.whole:
            return
        if "anyOf" in schema:
            self._check_any(schema["anyOf"], value, place, problems)
        elif known.choices is not None:
            if kind not in _SCALARS or (kind, value) not in known.choices:
                problems.append((place, f"should be {known.wanted}"))
        elif kind not in known.types:
            problems.append((place, f"should be {known.wanted}"))
        elif kind is list:
            self._check_items(schema["items"], value, place, problems)
        else:
            self._check_object(schema, value, place, problems)

    def _check_any(self, alternatives: Sequence[Schema], value: Any, place: Place, problems: Problems) -> None:
        """One alternative must fit; of those that do not, the one of the value's own type says what is wrong."""
        tried: list[Problems] = []
        for alternative in alternatives:
            found: Problems = []
            self.check(alternative, value, place, found)
            if not found:
                return
            tried.append(found)
        for found in tried:
            if any(len(inside) > len(place) for inside, _ in found):
                problems.extend(found)
                return
        wanted = dict.fromkeys(message.removeprefix("should be ") for found in tried for _, message in found)
        problems.append((place, f"should be {' or '.join(wanted)}"[:MAX_MESSAGE]))

    def _check_items(self, schema: Schema, value: Sequence[Any], place: Place, problems: Problems) -> None:
        if self._all_fit(schema, value):
            return
        for index, item in enumerate(value):
            if len(problems) >= MAX_PROBLEMS:
                return
            self.check(schema, item, (*place, index), problems)

    def _check_object(self, schema: Schema, value: Mapping[str, Any], place: Place, problems: Problems) -> None:
        properties: Mapping[str, Any] = schema.get("properties", {})
        required: Sequence[str] = schema.get("required", ())
        others = schema.get("additionalProperties", True)
        self.take(len(required) // 16)
        missing = [name for name in required if name not in value]
        problems.extend(((*place, name), "is required") for name in missing[:MAX_PROBLEMS])
        if not properties and isinstance(others, Mapping) and self._all_fit(others, value.values()):
            return
        self.take(len(value) // 16)
        for name, item in value.items():
            if len(problems) >= MAX_PROBLEMS:
                return
            if name in properties:
                self.check(properties[name], item, (*place, name), problems)
            elif others is False:
                problems.append(((*place, name), f"{self._unknown}: {self.known(schema).inputs}"))
            elif isinstance(others, Mapping):
                self.check(others, item, (*place, name), problems)

    def _all_fit(self, schema: Schema, values: Collection[Any]) -> bool:
        """Whether all fit, where that is seen at a glance: by their types, or as choices. False decides nothing."""
        known = self.known(schema)
        self.take(len(values) // 16)
        if known.whole.issuperset(map(type, values)):
            return True
        if known.choices is None or not _SCALARS.issuperset(map(type, values)):
            return False
        self.take(len(values) // 4)
        return all(map(known.choices.__contains__, zip(map(type, values), values, strict=True)))


def named(kind: str) -> str:
    """A type of JSON in a sentence."""
    return {"integer": "an integer", "array": "an array", "object": "an object", "null": "null"}.get(kind, f"a {kind}")


def _looked_into(schema: Schema) -> frozenset[type]:
    """Types of which not every value fits."""
    objects = TYPES["object"] if schema.keys() & {"properties", "required", "additionalProperties"} else _NO_TYPES
    return objects | (TYPES["array"] if "items" in schema else _NO_TYPES)


def _shown(choice: Any) -> str:
    return repr(choice) if isinstance(choice, str) else _spelling(choice)


def _spelling(choice: Any) -> str:
    return str(choice).lower() if isinstance(choice, bool) else str(choice)


def _cut(text: str) -> str:
    return text if len(text) <= _LISTED_CHARACTERS else text[:_LISTED_CHARACTERS] + "..."
