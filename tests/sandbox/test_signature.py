"""The entry point and its inputs, read from the syntax tree."""

import ast
from typing import Any

import pytest

from sandbox.guest.signature import Signature, read_signature


def read(source: str) -> Signature:
    return read_signature(ast.parse(source))


def schema_of(parameters: str, before: str = "") -> dict[str, Any]:
    signature = read(f"{before}\ndef run({parameters}): pass")
    assert signature.problems == []
    return signature.input_schema


def one(annotation: str) -> dict[str, Any]:
    properties: dict[str, Any] = schema_of(f"x: {annotation}")["properties"]
    found: dict[str, Any] = properties["x"]
    return found


@pytest.mark.parametrize(
    ("source", "entry"),
    [
        ("def run(): pass", "run"),
        ("def agent_main(): pass", "agent_main"),
        ("def main(): pass\ndef agent_main(): pass", "agent_main"),
        ("def main(): pass\ndef run(): pass\ndef agent_main(): pass", "run"),
        ("def helper(): pass\ndef main(): pass", "main"),
    ],
)
def test_entry_is_run_else_agent_main_else_main(source: str, entry: str) -> None:
    assert read(source).entry == entry
    assert read(source).problems == []


@pytest.mark.parametrize(
    ("source", "code", "line"),
    [
        ("x = 1", "entry_missing", 0),
        ("if True:\n    def run(): pass", "entry_missing", 0),
        ("class C:\n    def run(self): pass", "entry_missing", 0),
        ("\nasync def run(): pass", "entry_not_plain", 2),
        ("run = lambda: 1", "entry_not_plain", 1),
        ("class run: pass", "entry_not_plain", 1),
        ("from math import sqrt as run", "entry_not_plain", 1),
        ("def run(): pass\nrun = 1", "entry_not_plain", 2),
        ("@cache\ndef run(): pass", "entry_not_plain", 2),
        ("def run(a, /): pass", "parameter_not_named", 1),
        ("def run(*names): pass", "parameter_not_named", 1),
        ("def run(**services): pass", "parameter_reserved", 1),
        ("def run(x: date): pass", "annotation_not_understood", 1),
        ("def run(x: dict[int, str]): pass", "annotation_not_understood", 1),
        ("def run(x: Literal[1.5]): pass", "annotation_not_understood", 1),
        ("def run(x: f()): pass", "annotation_not_understood", 1),
        ("def run(x: 'in valid'): pass", "annotation_not_understood", 1),
        ("def run(x: int = 'a'): pass", "default_does_not_fit", 1),
        ("def run(x: Literal['a'] = 'b'): pass", "default_does_not_fit", 1),
        ("def run(x: list[int] = ['a']): pass", "default_does_not_fit", 1),
    ],
)
def test_wrong_signature_is_a_problem_with_a_hint(source: str, code: str, line: int) -> None:
    (problem,) = read(source).problems
    assert (problem["code"], problem["line"]) == (code, line)
    assert problem["hint"]
    assert problem["message"]


def test_all_problems_of_a_signature_are_listed() -> None:
    assert len(read("def run(a, /, b: date, *c, d: int = 'x'): pass").problems) == 4


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        ("str", {"type": "string"}),
        ("int", {"type": "integer"}),
        ("float", {"type": "number"}),
        ("bool", {"type": "boolean"}),
        ("list", {"type": "array"}),
        ("dict", {"type": "object"}),
        ("Any", {}),
        ("typing.Any", {}),
        ("list[int]", {"type": "array", "items": {"type": "integer"}}),
        ("List[str]", {"type": "array", "items": {"type": "string"}}),
        ("list[Any]", {"type": "array"}),
        ("dict[str, float]", {"type": "object", "additionalProperties": {"type": "number"}}),
        ("typing.Dict[str, Any]", {"type": "object"}),
        (
            "dict[str, list[dict]]",
            {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "object"}}},
        ),
        ("Literal['a', 'b']", {"type": "string", "enum": ["a", "b"]}),
        ("Literal[1, -2]", {"type": "integer", "enum": [1, -2]}),
        ("Literal['a', 1]", {"enum": ["a", 1]}),
        ("Literal[True]", {"type": "boolean", "enum": [True]}),
        ("'int'", {"type": "integer"}),
        ("int | str", {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ("Union[int, str, int]", {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ("Annotated[int, 'How many']", {"type": "integer", "description": "How many"}),
    ],
)
def test_annotation_becomes_schema(annotation: str, schema: dict[str, Any]) -> None:
    assert one(annotation) == schema


@pytest.mark.parametrize(
    "annotation", ["int | None", "None | int", "Optional[int]", "typing.Optional[int]", "'int | None'"]
)
def test_optional_input_may_be_absent_and_is_null_then(annotation: str) -> None:
    schema = schema_of(f"x: {annotation}")
    options = schema["properties"]["x"]["anyOf"]
    assert {"type": "integer"} in options
    assert {"type": "null"} in options
    assert schema["properties"]["x"]["default"] is None
    assert schema["required"] == []


def test_literal_with_none_may_be_absent() -> None:
    assert one("Literal['a', None]") == {"enum": ["a", None], "default": None}


@pytest.mark.parametrize(
    ("parameter", "schema", "required"),
    [
        ("x", {"type": "string"}, True),
        ("x='a'", {"type": "string", "default": "a"}, False),
        ("x=7", {"type": "integer", "default": 7}, False),
        ("x=1.5", {"type": "number", "default": 1.5}, False),
        ("x=False", {"type": "boolean", "default": False}, False),
        ("x=[]", {"type": "array", "default": []}, False),
        ("x={'a': [1]}", {"type": "object", "default": {"a": [1]}}, False),
        ("x: int = -5", {"type": "integer", "default": -5}, False),
        ("x: float = 1", {"type": "number", "default": 1}, False),
        ("x: list[int] = (1, 2)", {"type": "array", "items": {"type": "integer"}, "default": [1, 2]}, False),
        ("x: list = DEFAULT", {"type": "array"}, False),
        ("x: float = float('inf')", {"type": "number"}, False),
        ("x: float = 1e999", {"type": "number"}, False),
        ("x: Any = None", {"default": None}, False),
        ("x: str = None", {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}, False),
        ("x=None", {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}, False),
        ("*, x: int", {"type": "integer"}, True),
        ("*, x: int = 2", {"type": "integer", "default": 2}, False),
    ],
)
def test_default_and_requirement(parameter: str, schema: dict[str, Any], required: bool) -> None:
    found = schema_of(parameter)
    assert found["properties"] == {"x": schema}
    assert found["required"] == (["x"] if required else [])


@pytest.mark.parametrize(
    ("parameters", "open_ended"),
    [
        ("a", False),
        ("a, **kwargs", True),
        ("a, input", True),
        ("a, input=None", True),
        ("a, services=None, test=False", False),
    ],
)
def test_reserved_names_are_no_inputs_and_open_the_schema(parameters: str, open_ended: bool) -> None:
    schema = schema_of(parameters)
    assert list(schema["properties"]) == ["a"]
    assert schema["additionalProperties"] is open_ended
    assert schema["type"] == "object"


def test_docstring_describes_the_agent_and_its_inputs() -> None:
    signature = read('''
"""Of the module."""
def run(company: str, days: int = 7):
    """Sends a digest
    of new leads.

    More text.

    Args:
        company (str): whose leads
            they are
        days: how far back: in days

    Returns:
        company: not this
    """
''')
    assert signature.description == "Sends a digest of new leads."
    properties = signature.input_schema["properties"]
    assert properties["company"]["description"] == "whose leads they are"
    assert properties["days"]["description"] == "how far back: in days"
    assert signature.input_schema["description"] == signature.description


def test_sphinx_fields_and_the_modules_docstring_are_understood() -> None:
    signature = read('"""Of the module.\n\n:param str a: the first\n"""\ndef run(a): pass')
    assert signature.description == "Of the module."
    assert signature.input_schema["properties"]["a"]["description"] == "the first"


def test_deep_annotation_is_a_problem_not_a_crash() -> None:
    (problem,) = read(f"def run(x: {'list[' * 50}int{']' * 50}): pass").problems
    assert problem["code"] == "annotation_too_large"


def chosen(values: int) -> str:
    return f"Literal[{', '.join(map(str, range(values)))}]"


def alternatives(count: int) -> str:
    return " | ".join(f"Literal[{n}]" for n in range(count))


def nested(deep: int) -> str:
    return "list[" * deep + "int" + "]" * deep


def parameters(count: int) -> str:
    return ", ".join(f"p{n}: int" for n in range(count))


@pytest.mark.parametrize(
    "within",
    [
        f"x: {chosen(200)}",
        f"x: {alternatives(20)}",
        f"x: Union[{chosen(200)}, None]",
        f"x: {nested(20)}",
        parameters(100),
    ],
)
def test_a_large_signature_is_understood(within: str) -> None:
    assert schema_of(within)["properties"]


@pytest.mark.parametrize(
    ("beyond", "code", "says"),
    [
        (f"x: {chosen(201)}", "annotation_too_large", "more than 200 choices"),
        (f"x: list[{chosen(30_000)}]", "annotation_too_large", "more than 200 choices"),
        (f"x: {alternatives(21)}", "annotation_too_large", "more than 20 alternatives"),
        (f"x: Union[{alternatives(20)}, Union[str, None]]", "annotation_too_large", "more than 20 alternatives"),
        (f"x: Union[{', '.join(['int'] * 5000)}]", "annotation_too_large", "more than 20 alternatives"),
        (f"x: {nested(21)}", "annotation_too_large", "more than 20 deep"),
        (f"x: Literal[{'a' * 1001!r}]", "annotation_too_large", "very long"),
        (f"x: Literal[0x{'f' * 5000}]", "annotation_too_large", "very long"),
        (parameters(101), "too_many_parameters", "101 parameters; at most 100"),
    ],
)
def test_a_signature_that_would_be_slow_to_check_is_a_problem_with_a_place(beyond: str, code: str, says: str) -> None:
    (problem,) = read(f"\ndef run(\n{beyond}): pass").problems
    assert (problem["code"], problem["line"]) == (code, 3)
    assert says in problem["message"]
    assert problem["hint"]
    assert problem["column"] == (3 if beyond.startswith("x: ") else beyond.index("p100"))


def test_a_default_that_json_cannot_hold_is_not_shown() -> None:
    assert schema_of(f"x: int = 0x{'f' * 5000}")["properties"]["x"] == {"type": "integer"}
