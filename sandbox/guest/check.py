"""Checks a source: language, signature, metadata, services used. Executes nothing of it. Runs only inside a jail."""

import ast
import warnings
from types import CodeType
from typing import Any

from sandbox.guest.inference import infer
from sandbox.guest.language import AGENT_FILE, Language, Refused, problem
from sandbox.guest.metadata import read_metadata
from sandbox.guest.services import ERRORS, SERVICES
from sandbox.guest.signature import read_signature

MAX_PROBLEMS = 100


def check(source: str, language: Language) -> tuple[dict[str, Any], CodeType | None]:
    """The JSON of a `Checked` (all but its code), and the code object: None when there are problems.

    The same source and language always give the same answer. Nothing that the source can hold makes it raise, but for
    what ends the process: the jail's limits.
    """
    problems: list[dict[str, Any]] = []
    code: CodeType | None = None
    try:
        code = language.compile(source)
    except Refused as refused:
        problems += refused.problems
    found: dict[str, Any] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source, AGENT_FILE)
        found = read(source, tree, problems)
    except Exception:
        if not problems:
            hint = "Write shorter functions and expressions, and nest less."
            problems.append(problem(0, 0, "too_complex", "the source cannot be analysed", hint))
    if problems:
        return refusal(problems, found.get("metadata", {})), None
    return {"problems": [], **found}, code


def read(source: str, tree: ast.Module, problems: list[dict[str, Any]]) -> dict[str, Any]:
    """What the syntax tree says of the agent; adds to `problems`."""
    signature = read_signature(tree)
    metadata, wrong = read_metadata(source, tree)
    problems += signature.problems + wrong + absent_services(tree)
    return {
        "entry": signature.entry,
        "description": signature.description,
        "input_schema": signature.input_schema,
        "metadata": metadata,
        "inferred": infer(tree),
    }


def absent_services(tree: ast.Module) -> list[dict[str, Any]]:
    """Services that are named and do not exist: refused now rather than in the middle of a run."""
    hint = f"There are: {', '.join(SERVICES)}."
    return [
        problem(node.lineno, node.col_offset, "service_not_available", f"there is no service {node.attr!r}", hint)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "services"
        if node.attr not in SERVICES and node.attr not in ERRORS
    ]


def refusal(problems: list[dict[str, Any]], metadata: dict[str, Any]) -> dict[str, Any]:
    """An answer that holds problems: in the order of the source, each once, not endlessly many. The metadata is told
    too, since it may name another engine, whose language the source is in."""
    unique = {(p["line"], p["column"], p["code"], p["message"]): p for p in problems}
    ordered = [unique[key] for key in sorted(unique)]
    empty: dict[str, Any] = {"entry": "", "description": "", "input_schema": {}, "inferred": {}}
    return {"problems": ordered[:MAX_PROBLEMS], "metadata": metadata, **empty}
