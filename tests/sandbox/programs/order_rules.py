"""A rules engine: functions in tables, decorators that register, any/all, sets, and validation of nested input."""

from dataclasses import dataclass, field
from functools import wraps

RULES = {}


def rule(name, *, weight=1):
    def decorate(function):
        @wraps(function)
        def checked(order):
            try:
                return bool(function(order)) * weight
            except (KeyError, TypeError, AttributeError) as error:
                order.setdefault("_problems", []).append(f"{name}: {type(error).__name__} {error}")
                return 0

        RULES[name] = checked
        return checked

    return decorate


@rule("has items", weight=2)
def has_items(order):
    return order["items"]


@rule("known country")
def known_country(order):
    return order["address"]["country"].upper() in {"DE", "CH", "FR"}


@rule("not too dear", weight=3)
def not_too_dear(order):
    return sum(item["price"] * item.get("quantity", 1) for item in order["items"]) <= 1000


@rule("unique names")
def unique_names(order):
    names = [item["name"].strip().lower() for item in order["items"]]
    return len(names) == len(set(names))


@dataclass
class Verdict:
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    score: int = 0

    def __iadd__(self, other):
        name, points = other
        (self.passed if points else self.failed).append(name)
        self.score += points
        return self


def run(orders: list[dict]):
    verdicts = []
    for order in orders:
        verdict = Verdict()
        for name, check in RULES.items():
            verdict += name, check(order)
        verdicts.append([verdict.passed, verdict.failed, verdict.score, order.pop("_problems", [])])
    return {"verdicts": verdicts, "rules": [function.__name__ for function in RULES.values()]}


EXAMPLES = [
    {
        "orders": [
            {"items": [{"name": "pen", "price": 5, "quantity": 3}], "address": {"country": "de"}},
            {"items": [{"name": "car", "price": 5000}, {"name": " CAR ", "price": 1}], "address": {"country": "XX"}},
            {"items": None},
        ]
    }
]
