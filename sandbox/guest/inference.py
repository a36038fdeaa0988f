"""The capabilities a source seems to need, from its syntax tree. A suggestion: the broker is the rule.

Only what is literally there is suggested. A name counts wherever it is written, whatever its scope.
"""

import ast
import re
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from sandbox.guest.services import SERVICES

_HTTP_METHODS = frozenset({"get", "post", "put", "patch", "delete"})
_DB_VERBS = frozenset({"select", "insert", "update", "delete"})
_HOST = re.compile(r"[a-z0-9.-]+")
_MAX_ROUNDS = 10


def infer(tree: ast.Module) -> dict[str, Any]:
    """In the shape of a manifest: {"http": {"hosts": [...], "methods": [...]}, "kv": {}}; sorted, so it is stable."""
    nodes = list(ast.walk(tree))
    found = _Found(tree, nodes)
    used: dict[str, Any] = {service: {} for service in map(found.service, nodes) if service}
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            service = found.service(node.func.value)
            if service:
                _note_call(used[service], service, node.func.attr, node, found)
    return {service: _shape(service, used[service]) for service in sorted(used)}


class _Found:
    """Which expressions are `services`, which are one service, and which names stand for one literal text."""

    def __init__(self, tree: ast.Module, nodes: list[ast.AST]) -> None:
        self._services = {"services"}
        self._aliases: dict[str, str] = {}
        self._texts = _constants(tree, nodes)
        functions = {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}
        binding = [node for node in nodes if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr | ast.Call)]
        for _ in range(_MAX_ROUNDS):  # an alias of an alias takes another round
            before = len(self._services) + len(self._aliases)
            for node in binding:
                self._follow(node, functions)
            if before == len(self._services) + len(self._aliases):
                break

    def _follow(self, node: ast.AST, functions: dict[str, ast.FunctionDef]) -> None:
        """`s = services`, `kv = services.kv`, and `helper(services)` for a function of this source."""
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._bind(target, node.value)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            self._bind(node.target, node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
            arguments = functions[node.func.id].args
            for parameter, value in zip([*arguments.posonlyargs, *arguments.args], node.args, strict=False):
                self._bind(ast.Name(parameter.arg), value)
            for keyword in node.keywords:
                if keyword.arg:
                    self._bind(ast.Name(keyword.arg), keyword.value)

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            service = self.service(value)
            if service:
                self._aliases.setdefault(target.id, service)
            elif self._is_services(value):
                self._services.add(target.id)

    def _is_services(self, node: ast.AST) -> bool:
        match node:
            case ast.Name(id=name):
                return name in self._services
            case ast.Attribute(attr="services"):  # self.services
                return True
        return False

    def service(self, node: ast.AST) -> str:
        """The name of the service that an expression is, else ""."""
        match node:
            case ast.Attribute(value=value, attr=attr) if attr in SERVICES and self._is_services(value):
                return attr
            case ast.Name(id=name):
                return self._aliases.get(name, "")
        return ""

    def text(self, node: ast.expr | None) -> tuple[str, bool]:
        """The literal text that an expression begins with, and whether that is all of it."""
        match node:
            case ast.Constant(value=str(value)):
                return value, True
            case ast.Name(id=name) if name in self._texts:
                return self._texts[name], True
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._joined([left, right])
            case ast.JoinedStr(values=values):
                return self._joined([v.value if isinstance(v, ast.FormattedValue) else v for v in values])
        return "", False

    def _joined(self, parts: list[ast.expr]) -> tuple[str, bool]:
        text = ""
        for part in parts:
            piece, whole = self.text(part)
            text += piece
            if not whole:
                return text, False
        return text, True


def _constants(tree: ast.Module, nodes: list[ast.AST]) -> dict[str, str]:
    """Names that are given one text in the whole source: `BASE = "https://api.example.com"`."""
    stored = [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    stored += [node.arg for node in nodes if isinstance(node, ast.arg)]
    texts: dict[str, str] = {}
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(value))):
                texts[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(value))):
                texts[name] = value
    times = Counter(stored)
    return {name: text for name, text in texts.items() if times[name] == 1}


def _argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    if position < len(call.args) and not any(isinstance(arg, ast.Starred) for arg in call.args[: position + 1]):
        return call.args[position]
    return None


def _note_call(used: dict[str, Any], service: str, action: str, call: ast.Call, found: _Found) -> None:
    """Add what one call literally names to what is known of its service."""
    if service == "http":
        _note_http(used, action, call, found)
    elif service == "db" and action in _DB_VERBS:
        table, whole = found.text(_argument(call, 0, "table"))
        if whole and table:
            used.setdefault(table, set()).add(action)
    elif (service, action) in (("agents", "run"), ("secrets", "ref")):
        name, whole = found.text(_argument(call, 0, "name"))
        if whole and name:
            used.setdefault(name, set())


def _note_http(used: dict[str, Any], action: str, call: ast.Call, found: _Found) -> None:
    url, method = _argument(call, 0, "url"), action
    if action == "request":
        method, _ = found.text(_argument(call, 0, "method"))
        url = _argument(call, 1, "url")
    if method.lower() not in _HTTP_METHODS:
        return
    used.setdefault("methods", set()).add(method.upper())
    scheme, host = _literal_host(*found.text(url))
    if host:
        used.setdefault("hosts", set()).add(host)
        used.setdefault("schemes", set()).add(scheme)


def _literal_host(text: str, whole: bool) -> tuple[str, str]:
    """Scheme and host[:port] of the beginning of a URL, when the host is certain to end in it."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return "", ""
    host = parts.hostname or ""
    ended = whole or any(mark in text.partition("://")[2] for mark in "/?#")
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host) or not ended or "@" in parts.netloc:
        return "", ""
    return parts.scheme, f"{host}:{port}" if port else host


def _shape(service: str, used: dict[str, Any]) -> dict[str, Any]:
    if service == "http":
        manifest = {"hosts": sorted(used.get("hosts", ())), "methods": sorted(used.get("methods", ()))}
        schemes = sorted(used.get("schemes", ()))
        return manifest | ({"schemes": schemes} if "http" in schemes else {})
    if service == "db":
        return {"tables": {table: sorted(used[table]) for table in sorted(used)}}
    if service in ("agents", "secrets"):
        return {"names": sorted(used)}
    if service == "email":
        return {"to": ["me"]}
    return {}
