"""A vector and a matrix with operators."""

import math
from functools import reduce, total_ordering


@total_ordering
class Vector:
    __slots__ = ("_items",)

    def __init__(self, *items):
        self._items = tuple(float(item) for item in items)

    def __repr__(self):
        return f"{self.__class__.__name__}({', '.join(f'{x:g}' for x in self)})"

    def __iter__(self):
        return iter(self._items)

    def __len__(self):
        return len(self._items)

    def __getitem__(self, index):
        got = self._items[index]
        return Vector(*got) if isinstance(index, slice) else got

    def __add__(self, other):
        if not isinstance(other, Vector):
            return NotImplemented
        return Vector(*(a + b for a, b in zip(self, other, strict=True)))

    def __mul__(self, factor):
        return Vector(*(x * factor for x in self))

    __rmul__ = None

    def __matmul__(self, other):
        return sum(a * b for a, b in zip(self, other))

    def __neg__(self):
        return self * -1

    def __abs__(self):
        return math.sqrt(self @ self)

    def __bool__(self):
        return any(self)

    def __eq__(self, other):
        return isinstance(other, Vector) and self._items == other._items

    def __lt__(self, other):
        return abs(self) < abs(other)

    def __hash__(self):
        return hash(self._items)

    def __format__(self, spec):
        return "<" + " ".join(format(x, spec) for x in self) + ">"

    def __contains__(self, value):
        return value in self._items


def transpose(rows):
    return [list(column) for column in zip(*rows)]


def run(rows: list):
    vectors = [Vector(*row) for row in rows]
    total = reduce(lambda a, b: a + b, vectors)
    try:
        vectors[0] + 3
        refused = None
    except TypeError as error:
        refused = type(error).__name__
    return {
        "total": repr(total),
        "length": round(abs(total), 6),
        "dot": vectors[0] @ vectors[-1],
        "negative": repr(-total),
        "formatted": f"{total:.2f}",
        "sorted": [repr(v) for v in sorted(vectors, reverse=True)],
        "set": len({*vectors, *vectors}),
        "slice": repr(total[1:]),
        "contains": 1.0 in vectors[0],
        "at_least": vectors[0] >= vectors[-1],
        "empty": bool(Vector(0, 0)),
        "transposed": transpose(rows),
        "refused": refused,
    }


EXAMPLES = [{"rows": [[1, 2, 3], [4, 5, 6]]}]
