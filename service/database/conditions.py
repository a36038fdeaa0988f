"""What a call of a verb asks for, checked once for every way in: names are plain, operators known, values scalars."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from service.database.gateway import Order, Where

MAX_VALUES: Final = 1000
"""What one condition may compare with."""
COMPARISONS: Final = ("eq", "neq", "lt", "lte", "gt", "gte", "like")
_PLAIN_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison of a column. `value` is a text for COMPARISONS, several for `in`, and for `is` and `is_not` None,
    True or False."""

    column: str
    operator: str
    value: str | tuple[str, ...] | bool | None


def plain(name: str) -> str:
    """The name of a table, a column or a function; ValueError for any that would need quoting."""
    if not _PLAIN_NAME.fullmatch(name):
        raise ValueError(f"not a plain name: {name[:80]!r}")
    return name


def same_columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns of the rows of one insert."""
    if not rows[0] or any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError("rows of one insert have the same columns, at least one")
    return [plain(column) for column in rows[0]]


def ordering(order: Order | None) -> list[tuple[str, bool]]:
    """Columns to order by; True for descending."""
    ordered = []
    for each in [order] if isinstance(order, str) else order or ():
        column, _, direction = each.partition(" ")
        if direction not in ("", "asc", "desc"):
            raise ValueError(f"not an order: {each[:80]!r}")
        ordered.append((plain(column), direction == "desc"))
    return ordered


def limited(limit: int | None) -> int | None:
    if limit is not None and (type(limit) is not int or limit < 0):
        raise ValueError(f"not a limit: {limit!r}")
    return limit


def terms(where: Where, *, required: bool = False) -> list[Term]:
    """What every row must meet; all rows where there are none, which `required` refuses."""
    found = []
    for column, wanted in where.items():
        operations = wanted if isinstance(wanted, Mapping) else {"eq": wanted}
        found += [_term(plain(column), operator, value) for operator, value in operations.items()]
    values = sum(len(term.value) if isinstance(term.value, tuple) else isinstance(term.value, str) for term in found)
    if values > MAX_VALUES:
        raise ValueError(f"a condition compares with {values} values, more than {MAX_VALUES}")
    if required and not found:
        raise ValueError("to change or delete rows says which")
    return found


def _term(column: str, operator: str, value: Any) -> Term:
    if value is None and operator in ("eq", "neq"):
        # Nothing equals SQL's null: what equality with None asks for is said so.
        return Term(column, "is" if operator == "eq" else "is_not", None)
    if operator == "is":
        if value not in (None, True, False):
            raise ValueError("`is` compares with None, True or False")
        return Term(column, "is", None if value is None else bool(value))
    if operator == "in":
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ValueError("`in` compares with a list")
        return Term(column, "in", tuple(scalar(each) for each in value))
    if operator not in COMPARISONS:
        offered = ", ".join([*COMPARISONS, "in", "is"])
        raise ValueError(f"no such operator: {operator[:80]!r}; there are {offered}")
    return Term(column, operator, scalar(value))


def scalar(value: Any) -> str:
    """A scalar as Postgres reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str | int | float | Decimal | UUID):
        return str(value)
    raise ValueError(f"not a scalar: {type(value).__name__}")
