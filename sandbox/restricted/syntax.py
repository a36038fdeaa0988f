"""Shapes of syntax that the policy treats by a rule of their own."""

import ast

_MAIN_SIDES = {ast.dump(ast.Name("__name__", ast.Load())), ast.dump(ast.Constant("__main__"))}


def is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and is_name(node.func, "super")


def is_object_setattr(node: ast.expr) -> bool:
    """Added: `object.__setattr__(self, "x", 1)`, how a frozen dataclass sets a field; a guard stands in for it."""
    return isinstance(node, ast.Attribute) and node.attr == "__setattr__" and is_name(node.value, "object")


def is_abstract_meta(node: ast.expr) -> bool:
    return is_name(node, "ABCMeta") or (isinstance(node, ast.Attribute) and node.attr == "ABCMeta")


def is_main_block(node: ast.stmt) -> bool:
    """`if __name__ == "__main__":`, and no else."""
    match node:
        case ast.If(test=ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]), orelse=[]):
            sides = {ast.dump(left), ast.dump(right)} if not isinstance(left, ast.Compare) else set()
            return sides == _MAIN_SIDES
    return False
