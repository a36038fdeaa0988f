"""The verbs as SQL, on tables of agenthost or of its users. Identifiers are checked and quoted, values are always
parameters; each statement answers one JSON text, written by Postgres as PostgREST would write it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any, Final
from uuid import UUID

from psycopg import sql

from service.database.gateway import Order, Where
from service.database.json_text import encode

SCHEMA: Final = "agenthost"
MAX_VALUES: Final = 1000
"""What one condition may compare with; the protocol itself ends at 65,535 parameters."""
_PLAIN_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_OPERATORS: Final = {"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "like": "like"}
_IS: Final = {None: "is null", True: "is true", False: "is false"}
_NULL: Final = {"eq": "is null", "neq": "is not null"}
"""Nothing equals SQL's null: what equality with None asks for is said so."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL and the texts of its parameters (untyped: Postgres takes the type of the place where each stands)."""

    query: bytes
    parameters: tuple[str | None, ...] = ()
    reads: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that a statement may answer. Past it the statement fails whole, and changes nothing: with undefined
    object, since no session has the parameter TOO_MANY_ROWS or TOO_MANY_BYTES that it then asks for."""

    rows: int
    bytes: int


TOO_MANY_ROWS: Final = "agenthost.too_many_rows"
TOO_MANY_BYTES: Final = "agenthost.too_many_bytes"


def select(
    table: str,
    columns: Sequence[str] | None,
    where: Where | None,
    order: Order | None,
    limit: int | None,
    *,
    schema: str = SCHEMA,
    bounds: Bounds | None = None,
) -> Statement:
    condition, parameters = _where(where or {})
    chosen = sql.SQL(", ").join(map(_name, columns)) if columns is not None else sql.SQL("*")
    if limit is None and bounds is not None:
        limit = bounds.rows + 1
    query = sql.SQL("select {} from {}{}{}{}").format(
        chosen, _in_schema(schema, table), condition, _order(order), _limit(limit)
    )
    return Statement(_answer(query, bounds), parameters, reads=True)


def insert(
    table: str, rows: Sequence[Mapping[str, Any]], *, schema: str = SCHEMA, bounds: Bounds | None = None
) -> Statement:
    columns = list(rows[0])
    if not columns or any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError("rows of one insert have the same columns, at least one")
    names = sql.SQL(", ").join(map(_name, columns))
    target = _in_schema(schema, table)
    query = sql.SQL("insert into {} ({}) select {} from json_populate_recordset(null::{}, %s) returning *").format(
        target, names, names, target
    )
    return Statement(_answer(query, bounds), (encode(list(rows)),))


def update(
    table: str, values: Mapping[str, Any], where: Where, *, schema: str = SCHEMA, bounds: Bounds | None = None
) -> Statement:
    if not values:
        raise ValueError("an update needs values")
    condition, parameters = _where(where, required=True, of="row")
    assignments = sql.SQL(", ").join(sql.SQL("{0} = new.{0}").format(_name(column)) for column in values)
    target = _in_schema(schema, table)
    query = sql.SQL("update {} as row set {} from json_populate_record(null::{}, %s) as new{} returning row.*").format(
        target, assignments, target, condition
    )
    return Statement(_answer(query, bounds), (encode(dict(values)), *parameters))


def delete(table: str, where: Where, *, schema: str = SCHEMA, bounds: Bounds | None = None) -> Statement:
    condition, parameters = _where(where, required=True)
    query = sql.SQL("delete from {} as row{} returning row.*").format(_in_schema(schema, table), condition)
    return Statement(_answer(query, bounds), parameters)


def call(function: str, types: Mapping[str, str], arguments: Mapping[str, Any]) -> Statement:
    """`types` are the function's arguments as the catalogue has them."""
    if unknown := arguments.keys() - types.keys():
        raise ValueError(f"{function} has no argument {', '.join(sorted(unknown))}")
    texts = (_argument(value, types[name]) for name, value in arguments.items())
    return Statement(_call(function, tuple(arguments)), tuple(texts))


@cache
def _call(function: str, arguments: tuple[str, ...]) -> bytes:
    """Composed once for all: every run makes two calls, and their text never changes."""
    named = [sql.SQL("{} => %s").format(_name(name)) for name in arguments]
    query = sql.SQL("select to_json({}({}))::text").format(_in_schema(SCHEMA, function), sql.SQL(", ").join(named))
    return query.as_bytes(None)


def _answer(query: sql.Composed, bounds: Bounds | None) -> bytes:
    """All the rows of `query` as one text. `done.*` is the row also where a column is named `done`."""
    if bounds is None:
        whole = sql.SQL("with done as ({}) select coalesce(json_agg(done.*), '[]')::text from done").format(query)
    else:
        whole = sql.SQL(
            "with done as ({}), "
            "answer as (select count(*) as n, coalesce(json_agg(done.*), '[]')::text as written from done) "
            "select case when n > {} then current_setting({}) when octet_length(written) > {} then current_setting({}) "
            "else written end from answer"
        ).format(query, *map(sql.Literal, (bounds.rows, TOO_MANY_ROWS, bounds.bytes, TOO_MANY_BYTES)))
    return whole.as_bytes(None)


def _name(name: str) -> sql.Identifier:
    if not _PLAIN_NAME.fullmatch(name):
        raise ValueError(f"not a plain name: {name[:80]!r}")
    return sql.Identifier(name)


def _in_schema(schema: str, name: str) -> sql.Composed:
    return sql.SQL("{}.{}").format(_name(schema), _name(name))


def _order(order: Order | None) -> sql.Composable:
    each = [order] if isinstance(order, str) else order or ()
    if not each:
        return sql.SQL("")
    return sql.SQL(" order by {}").format(sql.SQL(", ").join(map(_ordered_by, each)))


def _ordered_by(order: str) -> sql.Composable:
    column, _, direction = order.partition(" ")
    if direction not in ("", "asc", "desc"):
        raise ValueError(f"not an order: {order[:80]!r}")
    return sql.SQL("{}{}").format(_name(column), sql.SQL(" desc" if direction == "desc" else ""))


def _limit(limit: int | None) -> sql.Composable:
    if limit is None:
        return sql.SQL("")
    if type(limit) is not int or limit < 0:
        raise ValueError(f"not a limit: {limit!r}")
    return sql.SQL(" limit {}").format(sql.Literal(limit))


def _where(
    where: Where, *, required: bool = False, of: str | None = None
) -> tuple[sql.Composable, tuple[str | None, ...]]:
    """`of` is the alias whose columns are meant, where a statement has several."""
    terms: list[sql.Composable] = []
    parameters: list[str | None] = []
    for column, wanted in where.items():
        operations = wanted if isinstance(wanted, Mapping) else {"eq": wanted}
        for operator, value in operations.items():
            named = _name(column) if of is None else sql.SQL("{}.{}").format(_name(of), _name(column))
            term, values = _term(named, operator, value)
            terms.append(term)
            parameters.extend(values)
    if len(parameters) > MAX_VALUES:
        raise ValueError(f"a condition compares with {len(parameters)} values, more than {MAX_VALUES}")
    if not terms:
        if required:
            raise ValueError("to change or delete rows says which")
        return sql.SQL(""), ()
    return sql.SQL(" where {}").format(sql.SQL(" and ").join(terms)), tuple(parameters)


def _term(column: sql.Composable, operator: str, value: Any) -> tuple[sql.Composable, list[str | None]]:
    if value is None and operator in _NULL:
        return sql.SQL("{} {}").format(column, sql.SQL(_NULL[operator])), []
    if operator == "is":
        if value not in (None, True, False):
            raise ValueError("`is` compares with None, True or False")
        return sql.SQL("{} {}").format(column, sql.SQL(_IS[value])), []
    if operator == "in":
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ValueError("`in` compares with a list")
        if not value:
            return sql.SQL("false"), []
        marks = sql.SQL(", ").join([sql.SQL("%s")] * len(value))
        return sql.SQL("{} in ({})").format(column, marks), [_text(each) for each in value]
    if operator not in _OPERATORS:
        offered = ", ".join([*_OPERATORS, "in", "is"])
        raise ValueError(f"no such operator: {operator[:80]!r}; there are {offered}")
    return sql.SQL("{} {} %s").format(column, sql.SQL(_OPERATORS[operator])), [_text(value)]


def _argument(value: Any, type_name: str) -> str | None:
    if value is None:
        return None
    return encode(value) if type_name in ("json", "jsonb") else _text(value)


def _text(value: Any) -> str:
    """A scalar as Postgres reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str | int | float | Decimal | UUID):
        return str(value)
    raise ValueError(f"not a scalar: {type(value).__name__}")
