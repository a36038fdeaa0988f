"""Which of two representations a request prefers, from its Accept header (RFC 9110, section 12.5.1)."""

import re
from collections.abc import Iterable
from typing import Final

_WEIGHT: Final = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


def prefers(accept: Iterable[str], wanted: str, *, to: str) -> bool:
    """Whether `wanted` is named and weighs more than `to`, which is the answer in every other case.

    `accept` holds the values of all Accept headers. A wildcard does not name `wanted`, and a weight that cannot be read
    counts as 0. Where both weigh the same, a type that is named goes before one that only a wildcard covers.
    """
    weights = _weights(accept)
    ranges = (to, to.partition("/")[0] + "/*", "*/*")
    other = next(((weights[name], name == to) for name in ranges if name in weights), (0.0, False))
    weight = weights.get(wanted, 0.0)
    return weight > 0 and (weight, True) > other


def _weights(accept: Iterable[str]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for item in ",".join(accept).lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        given = next((part for part in parameters if part.startswith("q")), "q=1")
        weight = _WEIGHT.fullmatch(given)
        weights[name] = float(weight[1]) if weight else 0.0
    return weights
