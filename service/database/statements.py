"""The verbs of the port as SQL. Identifiers are checked and quoted, values are always parameters; each statement
answers one JSON text, written by Postgres as PostgREST would write it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any, Final
from uuid import UUID

from psycopg import sql

from service.database.gateway import Where
from service.database.json_text import encode

SCHEMA: Final = "agenthost"
_PLAIN_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_OPERATORS: Final = {"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "like": "like"}
_IS: Final = {None: "is null", True: "is true", False: "is false"}


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL and the texts of its parameters (untyped: Postgres takes the type of the place where each stands)."""

    query: bytes
    parameters: tuple[str | None, ...] = ()
    reads: bool = False


def select(
    table: str, columns: Sequence[str] | None, where: Where | None, order: str | None, limit: int | None
) -> Statement:
    condition, parameters = _where(where or {})
    chosen = sql.SQL(", ").join(map(_name, columns)) if columns is not None else sql.SQL("*")
    query = sql.SQL("select coalesce(json_agg(found), '[]')::text from (select {} from {}{}{}{}) as found").format(
        chosen, _table(table), condition, _order(order), _limit(limit)
    )
    return Statement(query.as_bytes(None), parameters, reads=True)


def insert(table: str, rows: Sequence[Mapping[str, Any]]) -> Statement:
    columns = list(rows[0])
    if not columns or any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError("rows of one insert have the same columns, at least one")
    names = sql.SQL(", ").join(map(_name, columns))
    query = sql.SQL("insert into {} ({}) select {} from json_populate_recordset(null::{}, %s) returning *").format(
        _table(table), names, names, _table(table)
    )
    return Statement(_returning(query), (encode(list(rows)),))


def update(table: str, values: Mapping[str, Any], where: Where) -> Statement:
    if not values:
        raise ValueError("an update needs values")
    condition, parameters = _where(where, required=True, of="row")
    assignments = sql.SQL(", ").join(sql.SQL("{0} = new.{0}").format(_name(column)) for column in values)
    query = sql.SQL("update {} as row set {} from json_populate_record(null::{}, %s) as new{} returning row.*").format(
        _table(table), assignments, _table(table), condition
    )
    return Statement(_returning(query), (encode(dict(values)), *parameters))


def delete(table: str, where: Where) -> Statement:
    condition, parameters = _where(where, required=True)
    query = sql.SQL("delete from {} as row{} returning row.*").format(_table(table), condition)
    return Statement(_returning(query), parameters)


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
    query = sql.SQL("select to_json({}({}))::text").format(_table(function), sql.SQL(", ").join(named))
    return query.as_bytes(None)


def _returning(query: sql.Composed) -> bytes:
    return (
        sql.SQL("with done as ({}) select coalesce(json_agg(done), '[]')::text from done").format(query).as_bytes(None)
    )


def _name(name: str) -> sql.Identifier:
    if not _PLAIN_NAME.fullmatch(name):
        raise ValueError(f"not a plain name: {name!r}")
    return sql.Identifier(name)


def _table(name: str) -> sql.Composed:
    return sql.SQL("{}.{}").format(sql.Identifier(SCHEMA), _name(name))


def _order(order: str | None) -> sql.Composable:
    if order is None:
        return sql.SQL("")
    column, _, direction = order.partition(" ")
    if direction not in ("", "asc", "desc"):
        raise ValueError(f"not an order: {order!r}")
    return sql.SQL(" order by {}{}").format(_name(column), sql.SQL(" desc" if direction == "desc" else ""))


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
        operations = wanted if isinstance(wanted, Mapping) else {"is" if wanted is None else "eq": wanted}
        for operator, value in operations.items():
            named = _name(column) if of is None else sql.SQL("{}.{}").format(_name(of), _name(column))
            term, values = _term(named, operator, value)
            terms.append(term)
            parameters.extend(values)
    if not terms:
        if required:
            raise ValueError("to change or delete rows says which")
        return sql.SQL(""), ()
    return sql.SQL(" where {}").format(sql.SQL(" and ").join(terms)), tuple(parameters)


def _term(column: sql.Composable, operator: str, value: Any) -> tuple[sql.Composable, list[str | None]]:
    if operator == "is":
        if value not in (None, True, False):
            raise ValueError("`is` compares with None, True or False")
        return sql.SQL("{} {}").format(column, sql.SQL(_IS[value])), []
    if operator == "in":
        if not value:
            return sql.SQL("false"), []
        marks = sql.SQL(", ").join([sql.SQL("%s")] * len(value))
        return sql.SQL("{} in ({})").format(column, marks), [_text(each) for each in value]
    if operator not in _OPERATORS:
        raise ValueError(f"no such operator: {operator!r}")
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
