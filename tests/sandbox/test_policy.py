"""What the language adds to RestrictedPython, what it refuses, and how it says so."""

import ast
from typing import Any

import pytest

from sandbox.guest.language import Refused
from sandbox.restricted.policy import Policy, RestrictedLanguage
from sandbox.restricted.version import POLICY_VERSION
from tests.sandbox.additions import ADDITIONS, MATCHES
from tests.sandbox.languages import codes_of, evaluate, namespace_of, plain, problems_of, restricted


@pytest.mark.parametrize("name", ADDITIONS)
def test_addition_means_what_it_means_in_plain_python(name: str) -> None:
    assert evaluate(ADDITIONS[name]) == evaluate(ADDITIONS[name], plain())


@pytest.mark.parametrize("name", MATCHES)
def test_match_means_what_it_means_in_plain_python(name: str) -> None:
    cases, subjects = MATCHES[name]
    shown = [
        subject if isinstance(subject, str) and subject.startswith("Point") else repr(subject) for subject in subjects
    ]
    source = (
        "import math\nfrom dataclasses import dataclass\nfrom enum import IntEnum\n"
        "class Colour(IntEnum):\n    RED = 1\n@dataclass\nclass Point:\n    x: object\n    y: object\n"
        f"def f(s):\n  r = None\n  match s:{cases}  return r\nresult = [f(s) for s in [{', '.join(shown)}]]"
    )
    assert evaluate(source) == evaluate(source, plain())


def test_subscript_of_an_augmented_assignment_is_evaluated_once() -> None:
    source = """
calls = []
def note(x):
    calls.append(x)
    return x
class Box:
    value = 1
box = Box()
d = {"k": 1}
def target():
    calls.append("target")
    return d
def owner():
    calls.append("owner")
    return box
target()[note("k")] += note(2)
owner().value += note(3)
result = [calls, d, box.value]
"""
    assert evaluate(source) == [["target", "k", 2, "owner", 3], {"k": 3}, 4]


@pytest.mark.parametrize(
    ("source", "line", "column", "code", "message", "hint"),
    [
        (
            "x = 1\ny = x.__globals__",
            2,
            4,
            "attribute_not_allowed",
            "'__globals__' cannot be read",
            "public attributes",
        ),
        (
            "try:\n  f()\nexcept E as e:\n  e.__traceback__",
            4,
            2,
            "attribute_not_allowed",
            "'__traceback__'",
            "own lines",
        ),
        ("print(__file__)", 1, 6, "name_not_allowed", "'__file__' is reserved", "services.kv"),
        ("x = 1\nx.__dict__ = 2", 2, 0, "attribute_not_allowed", "'__dict__' cannot be set", "public attributes"),
        ("def f():\n    __x__ = 1", 2, 4, "name_not_allowed", "'__x__' is reserved", "Choose a name"),
        ("class C:\n  def __new__(c): pass", 2, 2, "method_not_allowed", "'__new__' is reserved", "__init__"),
        ("class C(metaclass=X): pass", 1, 18, "metaclass_not_allowed", "metaclasses", "abc.ABC"),
        ("async def f(): pass", 1, 0, "async_not_allowed", "async", "plain functions"),
        ("try:\n  pass\nexcept* E:\n  pass", 1, 0, "statement_not_allowed", "except*", "except"),
        ("\nopen('x')", 2, 0, "builtin_not_available", "'open' is not available", "services.kv"),
        ("input()", 1, 0, "builtin_not_available", "'input' is not available", "parameter"),
        ("eval('1')", 1, 0, "builtin_not_available", "'eval' is not available", "json.loads"),
        ("super = 1", 1, 0, "name_not_allowed", "'super' is reserved", "another name"),
        ("x = (1 +", 1, 4, "syntax_error", "never closed", "cannot read this line"),
        ("match 1:\n  case A(obj=x): pass", 2, 7, "attribute_not_allowed", "'obj' cannot be matched", "guard"),
    ],
)
def test_refusal_says_where_what_and_what_instead(
    source: str, line: int, column: int, code: str, message: str, hint: str
) -> None:
    (problem,) = problems_of(source)
    assert (problem["line"], problem["column"], problem["code"]) == (line, column, code)
    assert message in problem["message"]
    assert hint in problem["hint"]


def test_every_problem_is_reported() -> None:
    assert codes_of("import os\nx.__globals__\nopen('x')\nasync def f(): pass\n_a_ = 1") == [
        "import_not_allowed",
        "builtin_not_available",
        "attribute_not_allowed",
        "async_not_allowed",
        "name_not_allowed",
    ]


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("-" * 100_000 + "1", "too_complex"),
        ("1" + "+1" * 100_000, "too_complex"),
        ("(" * 1000 + ")" * 1000, "syntax_error"),
        ("x = '\ud800'", "not_text"),
        ("x = 1\0", "not_text"),
        ("x" * 10 + "\n\tif:\n  y", "syntax_error"),
        ("\x0c\x00", "not_text"),
        ("def f(:\n", "syntax_error"),
        ("return 1", "syntax_error"),
        ("x.y.z" + ".a" * 100_000, "too_complex"),
        ("if x:\n" + "".join(" " * i + "if x:\n" for i in range(1, 120)) + " " * 120 + "pass", "syntax_error"),
    ],
)
def test_source_that_breaks_the_parser_is_a_problem(source: str, code: str) -> None:
    with pytest.raises(Refused) as caught:
        restricted().compile(source)
    assert [p["code"] for p in caught.value.problems] == [code]
    with pytest.raises(Refused):
        plain().compile(source)


def test_unknown_nodes_are_refused() -> None:
    class Unheard(ast.stmt):
        pass

    policy = Policy()
    node = Unheard()
    node.lineno, node.col_offset = 3, 1
    policy.visit(ast.Module([node], []))
    assert [p["code"] for p in policy.problems] == ["statement_not_allowed"]
    assert policy.problems[0]["line"] == 3


def test_syntax_warnings_are_not_errors() -> None:
    assert evaluate("result = '\\d'\nassert (1, 'always')") == "\\d"


def test_print_is_logged_by_lines() -> None:
    log: list[str] = []
    namespace_of("print('a')\nprint('b', end=' ')\nprint('c')\nprint()\nprint('d\\ne')\nprint('rest', end='')", log=log)
    assert log == ["a", "b c", "", "d\ne"]


def test_test_mode_is_a_global() -> None:
    assert evaluate("result = IS_TEST_MODE") is True


def test_two_runs_share_nothing() -> None:
    language = restricted()
    first: dict[str, Any] = language.globals(log=print, test=False)
    second: dict[str, Any] = language.globals(log=print, test=False)
    assert first is not second
    assert first["__builtins__"] is not second["__builtins__"]
    exec(language.compile("import random\nrandom.seed(1)\na = random.random()"), first)
    exec(language.compile("import random\na = random.random()"), second)
    assert first["a"] != second["a"]


def test_version_names_this_policy() -> None:
    assert RestrictedLanguage.version == POLICY_VERSION
    assert len(POLICY_VERSION) == 16
