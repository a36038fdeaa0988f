"""From an annotation in a syntax tree to JSON Schema. Nothing is evaluated, and what is not understood is said."""

import ast
from typing import Any

_SCALARS: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "list": {"type": "array"},
    "List": {"type": "array"},
    "Sequence": {"type": "array"},
    "dict": {"type": "object"},
    "Dict": {"type": "object"},
    "Mapping": {"type": "object"},
    "Any": {},
    "object": {},
    "None": {"type": "null"},
}
_LISTS = frozenset({"list", "List", "Sequence"})
_DICTS = frozenset({"dict", "Dict", "Mapping"})
_MAX_DEPTH = 20
_MAX_CHOICES = 200
_MAX_ALTERNATIVES = 20
_MAX_CHOICE_CHARACTERS = 1000
_MAX_CHOICE_BITS = 1024

HINT = "Use str, int, float, bool, list, dict, list[...], dict[str, ...], Literal[...], X | None, or no annotation."


class NotUnderstood(Exception):
    """Why an annotation says nothing about JSON."""

    code = "annotation_not_understood"

    def __init__(self, node: ast.AST, hint: str = HINT) -> None:
        super().__init__(f"the annotation {_source(node)[:60]!r} is not understood")
        self.hint = hint


class TooLarge(NotUnderstood):
    """An annotation that would make every input slow to check."""

    code = "annotation_too_large"

    def __init__(self, has: str, hint: str) -> None:
        Exception.__init__(self, f"the annotation {has}")
        self.hint = hint


def _source(node: ast.AST) -> str:
    try:
        return ast.unparse(node)
    except RecursionError:
        return "..."


def annotation_schema(node: ast.expr, depth: int = 0) -> dict[str, Any]:
    """JSON Schema of an annotation. Raises NotUnderstood."""
    if depth > _MAX_DEPTH:
        raise TooLarge(f"is nested more than {_MAX_DEPTH} deep", "Nest less, or take a dict or a list of anything.")
    match node:
        case ast.Constant(value=None):
            return {"type": "null"}
        case ast.Constant(value=str(text)):
            return annotation_schema(_parsed(text, node), depth + 1)
        case ast.Name() | ast.Attribute():
            name = _name(node)
            if name in _SCALARS:
                return dict(_SCALARS[name])
        case ast.BinOp(op=ast.BitOr()):
            return _any_of(_alternatives(node), depth)
        case ast.Subscript():
            return _generic(node, depth)
    raise NotUnderstood(node)


def _parsed(text: str, node: ast.expr) -> ast.expr:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise NotUnderstood(node) from None


def _name(node: ast.expr) -> str:
    """`str`, or the `List` of `typing.List`."""
    match node:
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="typing" | "t"), attr=name):
            return name
    return ""


def _alternatives(node: ast.expr) -> list[ast.expr]:
    """`a | b | c` as a list. Stops when there are too many."""
    found: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and len(found) <= _MAX_ALTERNATIVES:
        found.append(node.right)
        node = node.left
    return [node, *reversed(found)]


def _any_of(options: list[ast.expr], depth: int) -> dict[str, Any]:
    schemas: list[dict[str, Any]] = []
    has = f"has more than {_MAX_ALTERNATIVES} alternatives"
    if len(options) > _MAX_ALTERNATIVES:
        raise TooLarge(has, "Use fewer, or no annotation.")
    for option in options:
        schema = annotation_schema(option, depth + 1)
        schemas += [each for each in schema.get("anyOf", [schema]) if each not in schemas]
        if len(schemas) > _MAX_ALTERNATIVES:
            raise TooLarge(has, "Use fewer, or no annotation.")
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _generic(node: ast.Subscript, depth: int) -> dict[str, Any]:
    name = _name(node.value)
    items = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name in _LISTS and len(items) == 1:
        schema = annotation_schema(items[0], depth + 1)
        return {"type": "array", "items": schema} if schema else {"type": "array"}
    if name in _DICTS and len(items) == 2:
        if annotation_schema(items[0], depth + 1) != {"type": "string"}:
            raise NotUnderstood(node, "Use text for keys, as JSON does: dict[str, ...].")
        schema = annotation_schema(items[1], depth + 1)
        return {"type": "object", "additionalProperties": schema} if schema else {"type": "object"}
    if name == "Literal":
        return _literal_schema(node, items)
    if name == "Optional" and len(items) == 1:
        return _any_of([items[0], ast.Constant(None)], depth)
    if name == "Union" and items:
        return _any_of(items, depth)
    if name == "Annotated" and len(items) > 1:
        schema = annotation_schema(items[0], depth + 1)
        texts = [item.value for item in items[1:] if isinstance(item, ast.Constant) and isinstance(item.value, str)]
        return {**schema, "description": texts[0]} if texts else schema
    raise NotUnderstood(node)


def _literal_schema(node: ast.Subscript, items: list[ast.expr]) -> dict[str, Any]:
    values = []
    if len(items) > _MAX_CHOICES:
        raise TooLarge(f"has more than {_MAX_CHOICES} choices", "Use str or int, and check the value in the code.")
    for item in items:
        try:
            value = ast.literal_eval(item)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            raise NotUnderstood(node, "Use text, whole numbers, True, False and None in Literal.") from None
        if not isinstance(value, str | int | None):
            raise NotUnderstood(node, "Use text, whole numbers, True, False and None in Literal.")
        size = len(value) if isinstance(value, str) else 0 if value is None else value.bit_length()
        if size > (_MAX_CHOICE_CHARACTERS if isinstance(value, str) else _MAX_CHOICE_BITS):
            raise TooLarge("has a choice that is very long", f"Use at most {_MAX_CHOICE_CHARACTERS} characters.")
        values.append(value)
    kinds = {_kind(value) for value in values}
    return {"type": kinds.pop(), "enum": values} if len(kinds) == 1 else {"enum": values}


def _kind(value: Any) -> str:
    """The JSON type of a value; a bool is not a number."""
    table = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object"))
    return next((name for kind, name in table if isinstance(value, kind)), "null")


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Does a JSON value fit a schema of this module? Looks at the outermost level and at list items."""
    if "anyOf" in schema:
        return any(fits(value, option) for option in schema["anyOf"])
    if "enum" in schema and not any(value == each and _kind(value) == _kind(each) for each in schema["enum"]):
        return False
    kind = _kind(value)
    if "type" in schema and kind != schema["type"] and (kind, schema["type"]) != ("integer", "number"):
        return False
    return not (kind == "array" and "items" in schema) or all(fits(item, schema["items"]) for item in value)
