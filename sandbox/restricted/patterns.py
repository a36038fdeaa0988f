"""The `match` statement, added to the policy: patterns compare, index and bind; class patterns also reach attributes.

Mapping and sequence patterns read items only, by C code: no object has an item that an agent must not have.
"""

import ast
import copy
from typing import Any

from sandbox.restricted import names


def guard_call(function: str, *args: Any, at: ast.AST) -> ast.Call:
    """A call of a guard, in the place of a node."""
    node = ast.Call(ast.Name(function, ast.Load()), list(args), [])
    return ast.fix_missing_locations(ast.copy_location(node, at))


class MatchRules(ast.NodeTransformer):
    """The part of the policy for `match`. `refuse` and `check_name` are the policy's."""

    def __init__(self) -> None:
        super().__init__()
        self._hoisted: list[ast.stmt] = []
        self._temporaries = 0

    def refuse(self, node: ast.AST, code: str, message: str, hint: str) -> None:
        raise NotImplementedError

    def check_name(self, node: Any, name: str | None, allow_magic_methods: bool = False) -> None:
        raise NotImplementedError

    def visit_parts(self, node: Any) -> Any:
        """Visit what is in a node; the node itself stays."""
        return ast.NodeTransformer.generic_visit(self, node)

    def visit_statements(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """Visit a body; a statement may become several."""
        done: list[ast.stmt] = []
        for statement in body:
            result = self.visit(statement)
            done += result if isinstance(result, list) else [result] if result is not None else [statement]
        return done

    def visit_Match(self, node: ast.Match) -> Any:
        """Added. Patterns compare, index and bind; only class patterns reach attributes (see MatchClass)."""
        outer, self._hoisted = self._hoisted, []
        self.visit_parts(node)
        hoisted, self._hoisted = self._hoisted, outer
        return [*hoisted, node]

    def visit_match_case(self, node: ast.match_case) -> Any:
        node.pattern = self.visit(node.pattern)
        if node.guard is not None:
            node.guard = self.visit(node.guard)
        node.body = self.visit_statements(node.body)
        return node

    def visit_MatchValue(self, node: ast.MatchValue) -> Any:
        """A literal, or Name.attr...: the grammar wants it bare, so only names without a guard of their own."""
        if isinstance(node.value, ast.Attribute):
            self._pattern_path(node.value)
        else:
            node.value = self.visit(node.value)
        return node

    def _pattern_path(self, node: ast.expr) -> None:
        if isinstance(node, ast.Attribute):
            self._pattern_name(node, node.attr)
            self._pattern_path(node.value)
        else:
            self.visit(node)

    def _pattern_name(self, node: ast.AST, name: str) -> None:
        if name.startswith("_") or name in names.GUARDED or not names.attribute_allowed(name):
            hint = "Match without it, and test it in a guard: case x if x.name == ..."
            self.refuse(node, "attribute_not_allowed", f"attribute {name!r} cannot be matched", hint)

    def visit_MatchClass(self, node: ast.MatchClass) -> Any:
        """Keywords are attributes with literal names. Positions are read through `__match_args__`, so the class goes
        through a guard, before the match: the grammar wants a bare name in its place."""
        self._pattern_path(node.cls)
        for name in node.kwd_attrs:
            self._pattern_name(node, name)
        if node.patterns:
            self._temporaries += 1
            temporary = f"_tmp{self._temporaries}_"
            cls = copy.deepcopy(node.cls)
            target = ast.copy_location(ast.Name(temporary, ast.Store()), node.cls)
            guarded = ast.Assign([target], guard_call("_match_class_", cls, at=node.cls))
            self._hoisted.append(ast.fix_missing_locations(ast.copy_location(guarded, node.cls)))
            node.cls = ast.copy_location(ast.Name(temporary, ast.Load()), node.cls)
        node.patterns = [self.visit(pattern) for pattern in node.patterns]
        node.kwd_patterns = [self.visit(pattern) for pattern in node.kwd_patterns]
        return node

    def _capturing(self, node: Any) -> Any:
        """Binds a name, and has patterns in it."""
        self.check_name(node, getattr(node, "rest", None) or getattr(node, "name", None))
        return self.visit_parts(node)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> Any:
        node.keys = [self.visit(ast.MatchValue(key)).value for key in node.keys]
        keys, node.keys = node.keys, []
        self._capturing(node)
        node.keys = keys
        return node

    def visit_MatchSingleton(self, node: ast.MatchSingleton) -> Any:
        return node

    def visit_MatchSequence(self, node: ast.MatchSequence) -> Any:
        return self.visit_parts(node)

    def visit_MatchOr(self, node: ast.MatchOr) -> Any:
        return self.visit_parts(node)

    visit_MatchAs = visit_MatchStar = _capturing
