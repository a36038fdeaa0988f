"""Finds, before anything runs, the imports, module attributes and builtins that an agent does not have."""

import ast
import builtins
from collections.abc import Iterator
from typing import Any

from sandbox.guest.language import problem
from sandbox.restricted import hints
from sandbox.restricted.importer import MODULES, module_names
from sandbox.restricted.names import READABLE_NAMES

Problems = Iterator[dict[str, Any]]


def name_problems(tree: ast.Module, builtin_names: frozenset[str]) -> Problems:
    """One problem a use, of a tree that was not transformed yet."""
    imported: dict[str, set[str]] = {}
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from _import(node, imported)
        elif isinstance(node, ast.ImportFrom):
            yield from _import_from(node, imported, bound)
        else:
            bound.update(_bindings(node))
    modules = {name: found.copy().pop() for name, found in imported.items() if len(found) == 1 and name not in bound}
    bound.update(imported)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield from _attribute(node, modules)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in bound:
            yield from _builtin(node, builtin_names)


def _import(node: ast.Import, imported: dict[str, set[str]]) -> Problems:
    for alias in node.names:
        if alias.name not in MODULES:
            yield _no_module(node, alias.name)
        elif alias.asname:
            imported.setdefault(alias.asname, set()).add(alias.name)
        else:
            top = alias.name.partition(".")[0]
            imported.setdefault(top, set()).add(top)


def _import_from(node: ast.ImportFrom, imported: dict[str, set[str]], bound: set[str]) -> Problems:
    if node.level:
        hint = "An agent is one file: import only modules of the standard library."
        yield problem(node.lineno, node.col_offset, "import_not_allowed", "relative imports are not available", hint)
        return
    module = node.module or ""
    if module not in MODULES:
        yield _no_module(node, module)
        return
    for alias in node.names:
        name = alias.asname or alias.name
        if f"{module}.{alias.name}" in MODULES:
            imported.setdefault(name, set()).add(f"{module}.{alias.name}")
        else:
            bound.add(name)
        if alias.name == "*":
            hint = f"Name what you need: from {module} import ..."
            yield problem(node.lineno, node.col_offset, "import_not_allowed", '"import *" is not available', hint)
        elif alias.name not in module_names(module):
            yield _no_name(alias, module, alias.name)


def _no_module(node: ast.AST, name: str) -> dict[str, Any]:
    hint = hints.for_module(name, MODULES)
    return _problem(node, "import_not_allowed", f"module {name!r} is not available to agents", hint)


def _no_name(node: ast.AST, module: str, name: str) -> dict[str, Any]:
    message = f"module {module!r} has no {name!r} for agents"
    return _problem(node, "import_not_allowed", message, hints.for_name(module, name, module_names(module)))


def _problem(node: Any, code: str, message: str, hint: str) -> dict[str, Any]:
    return problem(node.lineno, node.col_offset, code, message, hint)


def _attribute(node: ast.Attribute, modules: dict[str, str]) -> Problems:
    """`json.codecs`: `json` is nothing but the imported module, anywhere in the source."""
    if isinstance(node.value, ast.Name) and node.value.id in modules and not node.attr.startswith("_"):
        module = modules[node.value.id]
        if node.attr not in module_names(module):
            if f"{module}.{node.attr}" in MODULES or f"{module}.{node.attr}" in hints.MODULES:
                yield _no_module(node, f"{module}.{node.attr}")
            else:
                yield _no_name(node, module, node.attr)


def _builtin(node: ast.Name, builtin_names: frozenset[str]) -> Problems:
    if node.id not in builtin_names | READABLE_NAMES and hasattr(builtins, node.id):
        message = f"{node.id!r} is not available to agents"
        yield _problem(node, "builtin_not_available", message, hints.for_builtin(node.id))


def _bindings(node: ast.AST) -> Iterator[str]:
    """Names that a node gives a value to, whatever the scope."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
        case ast.TypeVar(name=name) | ast.ParamSpec(name=name) | ast.TypeVarTuple(name=name):
            yield name
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            yield from names
