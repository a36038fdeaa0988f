"""Every refusal of a check says what to write instead, and what it says is so: the hint names nothing that is not
there, and code that follows it passes."""

import ast
import builtins
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from sandbox.guest.check import check
from sandbox.guest.services import Services
from sandbox.job import FailureCode
from sandbox.restricted import hints, names
from sandbox.restricted.allowed_builtins import NAMES as BUILTIN_NAMES
from sandbox.restricted.importer import MODULES, module_names
from tests.sandbox.languages import problems_of, restricted

ROOT = Path(__file__).parents[2] / "sandbox"
RUN = "\n\ndef run():\n    return 1\n"
ADVICE = re.compile(
    r"(?:^|[.:,] )(?:Use|Write|Make|Call|Extend|Choose|Parse|Keep|Return|Import|Take|Raise|Let|Slice|Do|Decorate|Remove"
    r"|Assign|Name|Nest|Match|Begin|There are|Python 3.1[2-9] cannot)\b",
    re.IGNORECASE,
)


def tells(hint: str) -> bool:
    """Whether a hint is an advice: one of its sentences begins with what to do."""
    return ADVICE.search(hint) is not None


def modules_of_everybody() -> Iterator[str]:
    """The standard library's, those that agents reach for, and one that nobody knows."""
    yield from sorted(sys.stdlib_module_names - MODULES)
    yield from sorted(hints.MODULES)
    yield from ("nobody_knows", "nobody.knows")


def hints_in(source: str) -> set[str]:
    return {problem["hint"] for problem in problems_of(source)}


@pytest.mark.parametrize("name", list(modules_of_everybody()))
def test_a_module_that_is_not_there(name: str) -> None:
    (hint,) = hints_in(f"import {name}")
    assert tells(hint)
    (hint,) = hints_in(f"from {name} import something")
    assert tells(hint)


@pytest.mark.parametrize("module", sorted(MODULES - {"__future__", "urllib"}))
def test_a_name_that_a_module_does_not_have(module: str) -> None:
    real = importlib.import_module(module)
    for name in sorted({*dir(real), "nothing_of_the_kind"} - module_names(module)):
        if name.startswith("_") or f"{module}.{name}" in MODULES:
            continue
        (hint,) = hints_in(f"from {module} import {name}")
        assert tells(hint), name
        assert len(hint) < 600


@pytest.mark.parametrize("name", sorted(set(dir(builtins)) - BUILTIN_NAMES - names.READABLE_NAMES))
def test_a_builtin_that_is_not_there(name: str) -> None:
    if name in ("__loader__", "__package__", "__spec__", "__doc__"):
        return  # names of any module, refused as names
    assert name in hints.BUILTINS
    assert all(map(tells, hints_in(f"print({name})")))


def test_hints_are_given_for_what_is_refused_and_for_nothing_else() -> None:
    assert not set(hints.MODULES) & MODULES
    assert not set(hints.BUILTINS) & BUILTIN_NAMES
    assert set(hints.BUILTINS) <= set(dir(builtins))
    for module, name in hints.NAMES:
        assert name not in module_names(module), f"{module}.{name} is there"
    for name in hints.ATTRIBUTES:
        assert not names.attribute_allowed(name) or name in names.GUARDED
    for name in hints.RESERVED:
        assert problems_of(f"class C:\n    def {name}(self): pass") or problems_of(f"{name} = 1")


ATTRIBUTES = sorted(
    {name for kind in (object, type, dict, str, BaseException, property, type(len)) for name in dir(kind)}
    | set(dir(problems_of))
    | names.INTROSPECTION
    | set(hints.ATTRIBUTES)
)


@pytest.mark.parametrize("name", [name for name in ATTRIBUTES if not names.attribute_allowed(name)])
def test_an_attribute_that_cannot_be_read_or_set(name: str) -> None:
    for source in (f"print(x.{name})", f"x.{name} = 1", f"x.{name} += 1"):
        found = hints_in(source)
        assert found
        assert all(map(tells, found))


ANNOTATED = "def run(x: {}):\n    return x\n"
CASES: dict[str, list[tuple[str, str]]] = {
    "async_not_allowed": [
        ("async def run():\n    return 1\n", "def run():\n    return 1\n"),
        (f"x = [a async for a in b]{RUN}", f"x = [a for a in [1]]{RUN}"),
    ],
    "attribute_not_allowed": [
        ("def run(x: str):\n    return x.__class__.__mro__\n", "def run(x: str):\n    return type(x).__name__\n"),
        (f"match 1:\n    case A(obj=x): pass{RUN}", f"match 1:\n    case int(x) if x > 0: pass{RUN}"),
        (f"def f(x): x.now += 1{RUN}", f"def f(x): x.now = x.now + 1{RUN}"),
    ],
    "builtin_not_available": [
        ("def run(x: str):\n    return eval(x)\n", "import json\n\ndef run(x: str):\n    return json.loads(x)\n"),
        ("def run():\n    return input()\n", "def run(name: str):\n    return name\n"),
    ],
    "import_not_allowed": [
        (
            "import requests\n\ndef run():\n    return requests.get('https://a.example/').json()\n",
            "def run(services):\n    return services.http.get('https://a.example/').json()\n",
        ),
        (f"from math import *{RUN}", f"from math import sqrt{RUN}"),
        (f"from . import x{RUN}", f"import math{RUN}"),
        (f"from operator import attrgetter{RUN}", f"key = lambda item: item.name{RUN}"),
        (f"from json import codecs{RUN}", f"from json import loads{RUN}"),
    ],
    "metaclass_not_allowed": [(f"class C(metaclass=M): pass{RUN}", f"import abc\nclass C(abc.ABC): pass{RUN}")],
    "method_not_allowed": [
        (f"class C:\n    def __new__(c): pass{RUN}", f"class C:\n    def __init__(self): pass{RUN}")
    ],
    "name_not_allowed": [
        (f"__x__ = 1{RUN}", f"x = 1{RUN}"),
        (f"class C:\n    __slots__ = make(){RUN}", f"class C:\n    __slots__ = ('a', 'b'){RUN}"),
    ],
    "statement_not_allowed": [
        (f"try:\n    pass\nexcept* ValueError:\n    pass{RUN}", f"try:\n    pass\nexcept ValueError:\n    pass{RUN}")
    ],
    "service_not_available": [
        ("def run(services):\n    return services.weather()\n", "def run(services):\n    return services.kv.get('k')\n")
    ],
    "call_not_available": [
        ("def run(services):\n    services.kv.put('k', 1)\n", "def run(services):\n    services.kv.set('k', 1)\n")
    ],
    "services_not_taken": [
        ("def run(a):\n    services.kv.get(a)\n", "def run(a, services=None):\n    services.kv.get(a)\n")
    ],
    "syntax_error": [("def run(:\n", "def run():\n    return 1\n"), (f"\ufeff{RUN}", RUN)],
    "too_complex": [("-" * 100_000 + "1", RUN)],
    "not_text": [(f"x = 1\0{RUN}", f"x = 1{RUN}")],
    "metadata_twice": [
        (f"# /// agent\n# [limits]\n# ///\n\n# /// agent\n# ///\n{RUN}", f"# /// agent\n# [limits]\n# ///\n{RUN}")
    ],
    "metadata_not_closed": [(f"# /// agent\n# [limits]\n{RUN}", f"# /// agent\n# [limits]\n# ///\n{RUN}")],
    "metadata_not_toml": [(f"# /// agent\n# ??\n# ///\n{RUN}", f'# /// agent\n# name = "text"\n# ///\n{RUN}')],
    "metadata_not_json": [(f"# /// agent\n# d = 2020-01-01\n# ///\n{RUN}", f"# /// agent\n# d = 1\n# ///\n{RUN}")],
    "entry_missing": [("def other():\n    return 1\n", "def run():\n    return 1\n")],
    "entry_not_plain": [
        ("run = 1\n", "def run():\n    return 1\n"),
        ("@str\ndef run():\n    return 1\n", "@str\ndef made():\n    return 1\n\n\ndef run():\n    return str(made)\n"),
    ],
    "too_many_parameters": [
        (f"def run({', '.join(f'a{n}' for n in range(200))}): pass\n", "def run(**kwargs):\n    return kwargs\n")
    ],
    "parameter_not_named": [
        ("def run(a, /):\n    return a\n", "def run(a):\n    return a\n"),
        ("def run(*names):\n    return names\n", "def run(names: list[str]):\n    return names\n"),
    ],
    "parameter_reserved": [("def run(**input):\n    return input\n", "def run(**kwargs):\n    return kwargs\n")],
    "annotation_not_understood": [
        (ANNOTATED.format("set[str]"), ANNOTATED.format("list[str]")),
        (ANNOTATED.format("dict[int, str]"), ANNOTATED.format("dict[str, str]")),
        (
            "from typing import Literal\n" + ANNOTATED.format("Literal[1.5]"),
            "from typing import Literal\n" + ANNOTATED.format("Literal['a', 1]"),
        ),
    ],
    "annotation_too_large": [
        (
            ANNOTATED.format(" | ".join(f"list[{'list[' * n}int{']' * n}]" for n in range(30))),
            "def run(x):\n    return x\n",
        ),
        (ANNOTATED.format("list[" * 30 + "int" + "]" * 30), ANNOTATED.format("list")),
    ],
    "default_does_not_fit": [("def run(n: int = 'x'):\n    return n\n", "def run(n: int = 1):\n    return n\n")],
}
UNREACHED = {"not_allowed"}
"""What a later RestrictedPython may refuse by itself: this one has nothing left that the policy does not decide."""


@pytest.mark.parametrize(
    ("code", "refused", "instead"), [(code, *case) for code, cases in CASES.items() for case in cases]
)
def test_a_refusal_says_what_to_write_and_that_passes(code: str, refused: str, instead: str) -> None:
    found, _ = check(refused, restricted())
    problems: list[dict[str, Any]] = found["problems"]
    assert code in {problem["code"] for problem in problems}
    assert all(tells(problem["hint"]) for problem in problems), problems
    mended, compiled = check(instead, restricted())
    assert (mended["problems"], compiled is not None) == ([], True)


def codes_in_the_code() -> set[str]:
    """Every text of the check's sources that is spelled like a code and stands where one is given."""
    found = set()
    for path in (*ROOT.glob("restricted/*.py"), *ROOT.glob("guest/*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                given = (
                    [each.value for each in node.args if isinstance(each, ast.Constant)]
                    if name.strip("_") in ("refuse", "problem")
                    else []
                )
                found |= {each for each in given if isinstance(each, str) and re.fullmatch("[a-z]+(_[a-z]+)+", each)}
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "code":
                texts = [each.value for each in ast.walk(node.value) if isinstance(each, ast.Constant)]
                found |= {each for each in texts if isinstance(each, str) and re.fullmatch("[a-z]+(_[a-z]+)+", each)}
    return found


def test_no_refusal_is_left_out() -> None:
    assert codes_in_the_code() - UNREACHED - set(get_args(FailureCode)) == set(CASES)


def every_hint() -> set[str]:
    tables: list[dict[Any, str]] = [hints.MODULES, hints.BUILTINS, hints.NAMES, hints.RESERVED, hints.ATTRIBUTES]
    texts = {text for table in tables for text in table.values()} | {hints.ASYNC, hints.PLAINER}
    for cases in CASES.values():
        for refused, _ in cases:
            texts |= {problem["hint"] for problem in check(refused, restricted())[0]["problems"]}
    return texts


@pytest.mark.parametrize("hint", sorted(every_hint()))
def test_a_hint_names_nothing_that_is_not_there(hint: str) -> None:
    assert tells(hint)
    services = Services(lambda *_: None)
    for service, method in re.findall(r"services\.(\w+)(?:\.(\w+))?", hint):
        assert hasattr(services, service)
        assert not method or inspect.ismethod(getattr(getattr(services, service), method))
    for module, name in re.findall(r"\b([a-z]+)\.([A-Za-z_]\w*)", re.sub(r"services\.\w+(\.\w+)?", "", hint)):
        if module in MODULES:
            assert name in module_names(module), f"{module}.{name}"
    assert "container" not in hint
