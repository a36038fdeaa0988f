"""A calculator: tokens by regular expression, a recursive parser, match on what it parsed."""

import math
import operator
import re

TOKEN = re.compile(r"\s*(?:(?P<number>\d+\.?\d*)|(?P<name>[a-z]+)|(?P<op>[-+*/^()]))")
BINARY = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "^": operator.pow}
PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 3}


class ParseError(ValueError):
    def __init__(self, message, position):
        super().__init__(f"{message} at {position}")
        self.position = position


def tokens(text):
    position = 0
    while position < len(text.rstrip()):
        if not (found := TOKEN.match(text, position)):
            raise ParseError("unexpected character", position)
        yield found.lastgroup, found[found.lastgroup]
        position = found.end()
    yield "end", ""


class Parser:
    def __init__(self, text):
        self._tokens = list(tokens(text))
        self._at = 0

    def _peek(self):
        return self._tokens[self._at]

    def _next(self):
        token = self._peek()
        self._at += 1
        return token

    def parse(self, level=1):
        left = self._atom()
        while True:
            kind, value = self._peek()
            if kind != "op" or PRECEDENCE.get(value, 0) < level:
                return left
            self._next()
            right = self.parse(PRECEDENCE[value] + (value != "^"))
            left = ("binary", value, left, right)

    def _atom(self):
        match self._next():
            case ("number", text):
                return ("number", float(text))
            case ("name", "pi"):
                return ("number", math.pi)
            case ("name", name):
                return ("call", name, self._atom())
            case ("op", "("):
                inner = self.parse()
                if self._next() != ("op", ")"):
                    raise ParseError("expected )", self._at)
                return inner
            case ("op", "-"):
                return ("negative", self.parse(3))
            case (kind, value):
                raise ParseError(f"unexpected {value or kind}", self._at)


def evaluate(node):
    match node:
        case ("number", value):
            return value
        case ("negative", inner):
            return -evaluate(inner)
        case ("call", ("sqrt" | "floor") as name, argument):
            return {"sqrt": math.sqrt, "floor": math.floor}[name](evaluate(argument))
        case ("binary", op, left, right):
            return BINARY[op](evaluate(left), evaluate(right))
        case _:
            raise ValueError(f"cannot evaluate {node[0]} {node[1]!r}")


def run(expressions: list[str]):
    results = {}
    for text in expressions:
        try:
            results[text] = round(evaluate(Parser(text).parse()), 6)
        except ParseError as error:
            results[text] = {"error": str(error), "position": error.position}
        except (ValueError, ZeroDivisionError) as error:
            results[text] = {"error": type(error).__name__, "text": str(error)}
    return results


EXAMPLES = [{"expressions": ["1 + 2 * 3", "2 ^ 3 ^ 2", "-(4 - 6) * sqrt(16)", "1 / 0", "2 +", "foo 3", "3 $ 4", "floor(pi)"]}]
