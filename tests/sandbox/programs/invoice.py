"""Money with Decimal: lines, tax, rounding, a formatted table."""

from collections import namedtuple
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, getcontext

Line = namedtuple("Line", ["text", "quantity", "price"])
CENT = Decimal("0.01")


def money(value):
    return value.quantize(CENT, rounding=ROUND_HALF_UP)


def run(lines: list[dict], tax: str = "0.19"):
    getcontext().prec = 20
    parsed = []
    skipped = []
    for line in lines:
        try:
            parsed.append(Line(line["text"], int(line.get("quantity", 1)), Decimal(line["price"])))
        except (InvalidOperation, KeyError, TypeError) as error:
            skipped.append(f"{type(error).__name__}: {line!r}")
    net = sum((line.quantity * line.price for line in parsed), Decimal(0))
    amount = money(net * Decimal(tax))
    width = max((len(line.text) for line in parsed), default=0)
    table = [f"{line.text:<{width}} {line.quantity:>3} x {line.price:>8.2f}" for line in parsed]
    table.append("-" * (width + 15))
    table.append(f"{'net':<{width}} {money(net):>14,}")
    dearest = max(parsed, key=lambda line: line.price, default=None)
    return {
        "net": str(money(net)),
        "tax": str(amount),
        "gross": str(money(net) + amount),
        "table": table,
        "dearest": dearest._asdict() | {"price": str(dearest.price)} if dearest else None,
        "doubled": [line._replace(quantity=line.quantity * 2).quantity for line in parsed],
        "skipped": skipped,
    }


EXAMPLES = [
    {"lines": [{"text": "Widget", "quantity": 3, "price": "19.995"}, {"text": "Long name", "price": "1000"}]},
    {"lines": [{"text": "bad", "price": "x"}, {"price": "1"}], "tax": "0"},
]
