"""singledispatch, getattr-dispatch, isinstance chains, and a visitor."""

import functools
from datetime import date


@functools.singledispatch
def show(value):
    return f"?{value!r}"


@show.register(int)
@show.register(float)
def _(value):
    return f"number {value}"


@show.register
def _(value: str):
    return f"text {value}"


@show.register(list)
def _(value):
    return [show(item) for item in value]


class Visitor:
    def visit(self, node):
        name = "visit_" + type(node).__name__
        return getattr(self, name, self.generic)(node)

    def generic(self, node):
        return f"no rule for {node.__class__.__name__}"

    def visit_dict(self, node):
        return {key: self.visit(value) for key, value in node.items()}

    def visit_list(self, node):
        return [self.visit(item) for item in node]

    def visit_int(self, node):
        return node + 1

    def visit_NoneType(self, node):
        return "nothing"


def kind(value):
    match value:
        case bool():
            return "bool"
        case int(number) if number < 0:
            return "negative"
        case int() | float():
            return "number"
        case str(text):
            return f"text of {len(text)}"
        case None:
            return "none"
        case []:
            return "empty list"
        case [only]:
            return f"list of {kind(only)}"
        case [first, *rest]:
            return f"{kind(first)} and {len(rest)} more"
        case {"type": "point", "x": x, "y": y, **rest}:
            return f"point {x},{y} {sorted(rest)}"
        case {}:
            return "dict"
        case _:
            return type(value).__name__


def run(values: list):
    visitor = Visitor()
    return {
        "shown": show([1, 2.5, "a", None, [True]]),
        "visited": [visitor.visit(value) for value in values],
        "kinds": [kind(value) for value in [*values, date(2024, 1, 1), (), -4, True]],
        "types": sorted({type(value).__name__ for value in values}),
        "same": type(values) is list and isinstance(values, list) and type(1) == int,
    }


EXAMPLES = [{"values": [1, "abc", None, [], [2], [1, 2, 3], {"type": "point", "x": 1, "y": 2, "z": 3}, {"a": None}, 1.5]}]
