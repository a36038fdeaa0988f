"""The verbs as requests to PostgREST. Names are checked and quoted, so that no column is taken for an instruction
(`order`, `or`, ...); values are escaped where the URL gives them a meaning."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from service.database.conditions import Term, limited, ordering, plain, same_columns, terms
from service.database.gateway import Invalid, Order, Where
from service.database.supabase_wire import Request, Wire

_IS: Final = {None: "null", True: "true", False: "false"}


def select(
    wire: Wire,
    table: str,
    columns: Sequence[str] | None,
    where: Where | None,
    order: Order | None,
    limit: int | None,
    *,
    offset: int = 0,
) -> Request:
    chosen = ",".join(_quoted(plain(column)) for column in columns) if columns is not None else "*"
    request = wire.table(plain(table)).select(chosen).request
    _filter(request, terms(where or {}))
    if ordered := [f"{_quoted(column)}.{'desc' if down else 'asc'}" for column, down in ordering(order)]:
        _add(request, "order", ",".join(ordered))
    if limited(limit) is not None:
        _add(request, "limit", str(limit))
    if offset:
        _add(request, "offset", str(offset))
    return request


def insert(wire: Wire, table: str, rows: Sequence[Mapping[str, Any]]) -> Request:
    columns = same_columns(rows)
    request = wire.table(plain(table)).insert([dict(row) for row in rows]).request
    request.params = request.params.set("columns", ",".join(map(_quoted, columns)))
    return request


def update(wire: Wire, table: str, values: Mapping[str, Any], where: Where) -> Request:
    if not values:
        raise ValueError("an update needs values")
    request = wire.table(plain(table)).update({plain(column): value for column, value in values.items()}).request
    _filter(request, terms(where, required=True))
    return request


def delete(wire: Wire, table: str, where: Where) -> Request:
    request = wire.table(plain(table)).delete().request
    _filter(request, terms(where, required=True))
    return request


def call(wire: Wire, function: str, arguments: Mapping[str, Any]) -> Request:
    written = {plain(name): str(value) if isinstance(value, Decimal) else value for name, value in arguments.items()}
    return wire.function(plain(function), written)


def _filter(request: Request, wanted: Sequence[Term]) -> None:
    for term in wanted:
        _add(request, _quoted(term.column), _compared(term))


def _compared(term: Term) -> str:
    match term.value:
        case tuple() as values:
            return f"in.({','.join(_quoted(_utf8(value)) for value in values)})"
        case str(text):
            if term.operator == "like" and "*" in text:
                raise ValueError("over REST `like` takes no *, which means % there: that takes DATABASE_URL")
            return f"{term.operator}.{_utf8(text)}"
        case value:
            return f"{'not.' if term.operator == 'is_not' else ''}is.{_IS[value]}"


def _utf8(text: str) -> str:
    """What a URL can carry and Postgres can read."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid("text must be Unicode") from None
    if "\0" in text:
        raise Invalid("text cannot contain U+0000")
    return text


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _add(request: Request, name: str, value: str) -> None:
    request.params = request.params.add(name, value)
