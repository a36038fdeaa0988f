"""The verbs as SQL, on tables of agenthost or of its users. Identifiers are checked and quoted, values are always
parameters; each statement answers one JSON text, written by Postgres as PostgREST would write it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from psycopg import sql

from service.database.conditions import Term, limited, ordering, plain, same_columns, scalar, terms
from service.database.gateway import Order, Where
from service.database.json_text import encode

SCHEMA: Final = "agenthost"
_OPERATORS: Final = {"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "like": "like"}
_IS: Final = {None: "null", True: "true", False: "false"}


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
    names = sql.SQL(", ").join(map(_name, same_columns(rows)))
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
    return sql.Identifier(plain(name))


def _in_schema(schema: str, name: str) -> sql.Composed:
    return sql.SQL("{}.{}").format(_name(schema), _name(name))


def _order(order: Order | None) -> sql.Composable:
    each = [
        sql.SQL("{}{}").format(_name(column), sql.SQL(" desc" if descending else ""))
        for column, descending in ordering(order)
    ]
    return sql.SQL(" order by {}").format(sql.SQL(", ").join(each)) if each else sql.SQL("")


def _limit(limit: int | None) -> sql.Composable:
    return sql.SQL("") if limited(limit) is None else sql.SQL(" limit {}").format(sql.Literal(limit))


def _where(
    where: Where, *, required: bool = False, of: str | None = None
) -> tuple[sql.Composable, tuple[str | None, ...]]:
    """`of` is the alias whose columns are meant, where a statement has several."""
    found = terms(where, required=required)
    if not found:
        return sql.SQL(""), ()
    composed = [_term(term, of) for term in found]
    parameters = tuple(text for _, texts in composed for text in texts)
    return sql.SQL(" where {}").format(sql.SQL(" and ").join(term for term, _ in composed)), parameters


def _term(term: Term, of: str | None) -> tuple[sql.Composable, tuple[str, ...]]:
    column = _name(term.column) if of is None else sql.SQL("{}.{}").format(_name(of), _name(term.column))
    match term.value:
        case tuple() as values:
            if not values:
                return sql.SQL("false"), ()
            marks = sql.SQL(", ").join([sql.SQL("%s")] * len(values))
            return sql.SQL("{} in ({})").format(column, marks), values
        case str(text):
            return sql.SQL("{} {} %s").format(column, sql.SQL(_OPERATORS[term.operator])), (text,)
        case value:
            negated = "not " if term.operator == "is_not" else ""
            return sql.SQL("{} is {}{}").format(column, sql.SQL(negated), sql.SQL(_IS[value])), ()


def _argument(value: Any, type_name: str) -> str | None:
    if value is None:
        return None
    return encode(value) if type_name in ("json", "jsonb") else scalar(value)
