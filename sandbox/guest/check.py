"""Checks a source: language, signature, metadata, services used. Executes nothing of it. Runs only inside a jail."""

import ast
import symtable
import warnings
from types import CodeType
from typing import Any

from sandbox.guest.inference import infer
from sandbox.guest.language import AGENT_FILE, Language, Refused, problem
from sandbox.guest.metadata import read_metadata
from sandbox.guest.services import CALLS, ERRORS, SERVICES
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
    problems += signature.problems + wrong + absent_services(tree) + absent_calls(tree)
    if not problems:
        problems += services_not_taken(source, tree, signature.entry)
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


def absent_calls(tree: ast.Module) -> list[dict[str, Any]]:
    """Calls that a service does not have, where it is named in full; an alias may be another's name."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(
                value=ast.Attribute(value=ast.Name(id="services"), attr=service), attr=name, ctx=ast.Load()
            ) if name not in CALLS.get(service, (name,)) and not name.startswith("_"):
                hint = f"There are: {', '.join(CALLS[service])}."
                message = f"services.{service} has no {name!r}"
                found.append(problem(node.lineno, node.col_offset, "call_not_available", message, hint))
    return found


def services_not_taken(source: str, tree: ast.Module, entry: str) -> list[dict[str, Any]]:
    """An entry point that reads `services` where nothing binds it: a NameError in every run that comes there."""
    module = symtable.symtable(source, AGENT_FILE, "exec")
    if _binds_services(module):
        return []
    of_entry = [table for table in module.get_children() if table.get_name() == entry][-1]
    if not any(symbol.is_global() for symbol in _services_in(of_entry)):
        return []
    function = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == entry][-1]
    hint = f"Write services=None as the last parameter of {entry}."
    message = f"{entry!r} uses services and does not take it"
    return [problem(function.lineno, function.col_offset, "services_not_taken", message, hint)]


def _binds_services(module: symtable.SymbolTable) -> bool:
    """Whether it is a name of the module, made there or in a function that declares it global."""
    own = "services" in module.get_identifiers() and module.lookup("services").is_local()
    return own or any(symbol.is_declared_global() and symbol.is_assigned() for symbol in _services_in(module))


def _services_in(table: symtable.SymbolTable) -> list[symtable.Symbol]:
    """The name `services` as each scope of a table sees it."""
    scopes = [table]
    for scope in scopes:
        scopes += scope.get_children()
    return [scope.lookup("services") for scope in scopes if "services" in scope.get_identifiers()]


def refusal(problems: list[dict[str, Any]], metadata: dict[str, Any]) -> dict[str, Any]:
    """An answer that holds problems: in the order of the source, each once, not endlessly many. The metadata is told
    too, since it may name another engine, whose language the source is in."""
    unique = {(p["line"], p["column"], p["code"], p["message"]): p for p in problems}
    ordered = [unique[key] for key in sorted(unique)]
    empty: dict[str, Any] = {"entry": "", "description": "", "input_schema": {}, "inferred": {}}
    return {"problems": ordered[:MAX_PROBLEMS], "metadata": metadata, **empty}
