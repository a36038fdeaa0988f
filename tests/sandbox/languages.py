"""Runs source in a language, in this process: what the jail does, without the jail."""

import ast
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.guest.check import check
from sandbox.guest.language import Language, PlainLanguage, Refused, finish_log
from sandbox.guest.results import to_json
from sandbox.restricted.policy import RestrictedLanguage

PROGRAMS_FOLDER = Path(__file__).parent / "programs"


@functools.cache
def restricted() -> RestrictedLanguage:
    return RestrictedLanguage()


@functools.cache
def plain() -> PlainLanguage:
    return PlainLanguage()


@dataclass(frozen=True)
class Program:
    """An ordinary agent, and the inputs to try it with: the literal list EXAMPLES at the end of its file."""

    name: str
    source: str
    examples: tuple[Mapping[str, Any], ...]


def read_program(path: Path) -> Program:
    source = path.read_text()
    for statement in ast.parse(source).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="EXAMPLES")], value=value):
                return Program(path.stem, source, tuple(ast.literal_eval(value)))
    raise ValueError(f"{path} has no EXAMPLES")


PROGRAMS = [read_program(path) for path in sorted(PROGRAMS_FOLDER.glob("*.py"))]


def problems_of(source: str, language: Language | None = None) -> list[dict[str, Any]]:
    """Why the language refuses a source; [] when it does not. Needs no entry point."""
    try:
        (language or restricted()).compile(source)
    except Refused as refused:
        return refused.problems
    return []


def codes_of(source: str) -> list[str]:
    return [problem["code"] for problem in problems_of(source)]


def namespace_of(source: str, language: Language | None = None, log: list[str] | None = None) -> dict[str, Any]:
    """The namespace of a module, after its code was executed."""
    language = language or restricted()
    lines = [] if log is None else log
    namespace = language.globals(log=lines.append, test=True)
    exec(language.compile(source), namespace)
    return namespace


def evaluate(source: str, language: Language | None = None) -> Any:
    """What `result` is at the end of a source."""
    return namespace_of(source, language)["result"]


def run(source: str, language: Language, given: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Check a source, run its entry point: the result as JSON, and the log."""
    checked, code = check(source, language)
    assert code is not None, checked["problems"]
    log: list[str] = []
    namespace = language.globals(log=log.append, test=True)
    exec(code, namespace)
    result = to_json(namespace[checked["entry"]](**given))
    finish_log(namespace)
    return result, log
