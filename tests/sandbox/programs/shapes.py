"""Abstract classes, properties, operators, and class patterns."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass


class Shape(ABC):
    registry: dict[str, type] = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        Shape.registry[cls.__name__.lower()] = cls

    @abstractmethod
    def area(self) -> float: ...

    @property
    def label(self):
        return f"{type(self).__name__} of {self.area():.2f}"

    def __lt__(self, other):
        return self.area() < other.area()


@dataclass(eq=True, frozen=True)
class Circle(Shape):
    radius: float

    def area(self):
        return math.pi * self.radius**2


@dataclass(eq=True, frozen=True)
class Rectangle(Shape):
    width: float
    height: float = 1.0

    def __post_init__(self):
        if self.width < 0:
            object.__setattr__(self, "width", -self.width)

    def area(self):
        return self.width * self.height

    @staticmethod
    def square(side):
        return Rectangle(side, side)


def describe(shape):
    match shape:
        case Circle(radius=0) | Rectangle(width=0):
            return "nothing"
        case Circle(r) if r > 10:
            return "big circle"
        case Circle():
            return "circle"
        case Rectangle(w, h) if w == h:
            return f"square {w:g}"
        case Rectangle(width=w, height=h):
            return f"{w:g} by {h:g}"


def run():
    shapes = [Circle(1), Circle(20), Rectangle(-2, 3), Rectangle.square(4), Rectangle(0), Shape.registry["circle"](0)]
    try:
        Shape()
        abstract = False
    except TypeError:
        abstract = True
    try:
        shapes[0].radius = 5
    except AttributeError as error:
        frozen = str(error)
    return {
        "labels": [s.label for s in sorted(shapes)],
        "described": [describe(s) for s in shapes],
        "abstract": abstract,
        "frozen": frozen,
        "equal": Circle(1) == Circle(1),
        "different": len({Circle(1), Circle(1), Circle(2)}),
        "is": [isinstance(shapes[0], Shape), issubclass(Rectangle, Shape)],
        "repr": repr(shapes[2]),
    }


EXAMPLES = [{}]
