"""The entry point and its typed inputs, read from the syntax tree: nothing is evaluated."""

import ast
from dataclasses import dataclass, field
from typing import Any

from sandbox.guest.annotations import NotUnderstood, annotation_schema, fits
from sandbox.guest.docstrings import Documentation, read_docstring
from sandbox.guest.language import problem

ENTRY_POINTS = ("run", "agent_main", "main")
RESERVED = frozenset({"services", "input", "test"})
MAX_PARAMETERS = 100
_MAX_INTEGER_BITS = 12_000


@dataclass(slots=True)
class Signature:
    """`input_schema` is a JSON Schema of type object; with `problems` the rest says little."""

    entry: str = ""
    description: str = ""
    input_schema: dict[str, Any] = field(default_factory=dict)
    problems: list[dict[str, Any]] = field(default_factory=list)


def read_signature(tree: ast.Module) -> Signature:
    """The signature of `run`, else `agent_main`, else `main`."""
    signature = Signature()
    function = find_entry(tree, signature.problems)
    if function is None:
        return signature
    documentation = read_docstring(ast.get_docstring(function) or ast.get_docstring(tree) or "")
    signature.entry = function.name
    signature.description = documentation.description
    signature.input_schema = _input_schema(function, documentation, signature.problems)
    return signature


def find_entry(tree: ast.Module, problems: list[dict[str, Any]]) -> ast.FunctionDef | None:
    """The last plain `def` at module level of the first entry name that there is."""
    found: dict[str, ast.stmt] = {}
    for statement in tree.body:
        for name in _defined(statement):
            found[name] = statement
    hint = "Write at the top level: def run(...): ..."
    for name in ENTRY_POINTS:
        if name in found:
            function = found[name]
            if isinstance(function, ast.FunctionDef) and not function.decorator_list:
                return function
            if isinstance(function, ast.FunctionDef):
                message = f"the entry point {name!r} is decorated"
                problems.append(_problem(function, "entry_not_plain", message, "Decorate a function that it calls."))
            else:
                message = f"the entry point {name!r} is not a plain function"
                problems.append(_problem(function, "entry_not_plain", message, hint))
            return None
    problems.append(problem(0, 0, "entry_missing", "there is no function run, agent_main or main", hint))
    return None


def _defined(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return [name]
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return [alias.asname or alias.name for alias in aliases]
    return []


def _input_schema(
    function: ast.FunctionDef, documentation: Documentation, problems: list[dict[str, Any]]
) -> dict[str, Any]:
    arguments = function.args
    properties: dict[str, Any] = {}
    required: list[str] = []
    _check_shape(arguments, problems)
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    pairs = [*zip(positional, defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    if len(pairs) > MAX_PARAMETERS:
        message = f"the entry point has {len(pairs)} parameters; at most {MAX_PARAMETERS} are allowed"
        hint = "Take a dict, or **kwargs."
        problems.append(_problem(pairs[MAX_PARAMETERS][0], "too_many_parameters", message, hint))
        return {}
    for argument, default in pairs:
        if argument.arg in RESERVED:
            continue
        schema, optional = _property(argument, default, problems)
        if argument.arg in documentation.parameters:
            schema["description"] = documentation.parameters[argument.arg]
        properties[argument.arg] = schema
        if not optional:
            required.append(argument.arg)
    open_ended = arguments.kwarg is not None or any(argument.arg == "input" for argument, _ in pairs)
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": open_ended}
    return schema | ({"description": documentation.description} if documentation.description else {})


def _check_shape(arguments: ast.arguments, problems: list[dict[str, Any]]) -> None:
    """Inputs have names: what can only be given by position cannot be given."""
    for argument in arguments.posonlyargs:
        message = f"parameter {argument.arg!r} is positional-only"
        problems.append(_problem(argument, "parameter_not_named", message, 'Remove the "/": inputs are given by name.'))
    if arguments.vararg:
        hint = "Use a list, such as names: list[str], or **kwargs."
        message = f"parameter *{arguments.vararg.arg} cannot be given by name"
        problems.append(_problem(arguments.vararg, "parameter_not_named", message, hint))
    if arguments.kwarg and arguments.kwarg.arg in RESERVED:
        message = f"parameter **{arguments.kwarg.arg} has a reserved name"
        problems.append(_problem(arguments.kwarg, "parameter_reserved", message, "Call it **kwargs."))


def _property(
    argument: ast.arg, default: ast.expr | None, problems: list[dict[str, Any]]
) -> tuple[dict[str, Any], bool]:
    """The schema of one input, and whether it may be absent."""
    literal = _literal(default)
    try:
        schema = annotation_schema(argument.annotation) if argument.annotation else _untyped(literal)
    except NotUnderstood as reason:
        problems.append(_problem(argument.annotation, reason.code, str(reason), reason.hint))
        return {}, True
    if literal is not _ABSENT:
        if literal is None and not fits(None, schema):
            schema = {"anyOf": [schema, {"type": "null"}]}
        elif not fits(literal, schema):
            message = f"the default of {argument.arg!r} does not fit its annotation"
            hint = "Write a default of the annotated type, or another annotation."
            problems.append(_problem(default, "default_does_not_fit", message, hint))
        return {**schema, "default": literal}, True
    if default is None and fits(None, schema) and schema:
        return {**schema, "default": None}, True  # X | None is null when it is absent
    return schema, default is not None


_ABSENT = object()


def _literal(default: ast.expr | None) -> Any:
    """A JSON value that stands in the source, else _ABSENT: nothing is evaluated."""
    if default is None:
        return _ABSENT
    try:
        value = ast.literal_eval(default)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _ABSENT
    return _as_json(value)


def _as_json(value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() > _MAX_INTEGER_BITS:
        return _ABSENT  # JSON here has no such number
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else _ABSENT  # neither infinite nor not a number
    if isinstance(value, list | tuple):
        items = [_as_json(item) for item in value]
        return _ABSENT if _ABSENT in items else items
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        members = {key: _as_json(item) for key, item in value.items()}
        return _ABSENT if _ABSENT in members.values() else members
    return _ABSENT


def _untyped(literal: Any) -> dict[str, Any]:
    """Without an annotation an input is text, unless its default shows another type."""
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (list, "array"), (dict, "object")):
        if isinstance(literal, kind):
            return {"type": name}
    return {"type": "string"}


def _problem(node: ast.AST | None, code: str, message: str, hint: str) -> dict[str, Any]:
    return problem(getattr(node, "lineno", 0), getattr(node, "col_offset", 0), code, message, hint)
