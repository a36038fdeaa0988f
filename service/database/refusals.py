"""Why Postgres refused a statement on a user's own table, said for the one who wrote the statement: which constraint,
column or type it was. What only a log may see (SQL, other schemas, the server) is never in it."""

import re
from typing import Final

import psycopg
from psycopg.errors import Diagnostic

from service.database import statements
from service.database.gateway import DatabaseUnavailable
from service.database.user_tables import Refused

MAX_SAID: Final = 300
_MISSING: Final = re.compile(r'(?:\b(?:row|new)\.|")([a-z_][a-z0-9_]*)')
_UNAVAILABLE: Final = ("08", "53", "57", "58")


def refusal(error: psycopg.Error, table: str, bounds: statements.Bounds) -> Refused | DatabaseUnavailable:
    """What to raise for `error`."""
    state = error.sqlstate or ""
    if said := _of_the_rows(state, error.diag, table) or _of_the_moment(state):
        return Refused(said)
    if said := _of_the_bounds(state, error.diag, table, bounds) or _of_the_statement(state, error.diag, table):
        return Refused(said, mistaken=True)
    if not state and isinstance(error, psycopg.DataError):
        return Refused("a value does not fit: text cannot contain U+0000", mistaken=True)
    if not state or state.startswith(_UNAVAILABLE):
        return DatabaseUnavailable(f"{type(error).__name__} {state}")
    return Refused(f"the database refused it, or a trigger of {table} failed (SQLSTATE {state})")


def _of_the_rows(state: str, diag: Diagnostic, table: str) -> str | None:
    constraint = _shown(diag.constraint_name)
    match state:
        case "23505":
            return f"there is already a row with the same values (unique constraint {constraint})"
        case "23503":
            return f"a row refers to another that is not there, or is still referred to (foreign key {constraint})"
        case "23502":
            return f"{_shown(diag.column_name)} of {_shown(diag.table_name)} must have a value"
        case "23514" | "23P01":
            return f"the constraint {constraint} does not allow these values"
        case "42501" | "44000":
            return f"no grant or policy allows it to the agent's owner, on {table} or on what its triggers use"
        case "P0001":
            return _shown(diag.message_primary)
    return None


def _of_the_moment(state: str) -> str | None:
    match state:
        case "55P03":
            return "a row or the table is locked by another run or session: try again"
        case "40001" | "40P01":
            return "it collided with another transaction: try again"
        case "57014":
            return "it took too long and was ended: ask for less at once"
    return None


def _of_the_bounds(state: str, diag: Diagnostic, table: str, bounds: statements.Bounds) -> str | None:
    if state != "42704":
        return None
    if statements.TOO_MANY_ROWS in (diag.message_primary or ""):
        return f"more than {bounds.rows} rows of {table}, the limit of one call: choose fewer by where or limit"
    if statements.TOO_MANY_BYTES in (diag.message_primary or ""):
        return f"the rows of {table} have more than {bounds.bytes} bytes as JSON: ask for fewer rows or columns"
    return None


def _of_the_statement(state: str, diag: Diagnostic, table: str) -> str | None:
    if state.startswith("22"):
        return f"a value does not fit: {_shown(diag.message_primary)}"
    if state == "428C9":
        return _shown(diag.message_primary)
    if state.startswith("42") and diag.context:
        return None  # in the middle of a trigger: not what the statement says
    match state:
        case "42P01":
            return f"there is no table {table} in the schema public"
        case "42703":
            found = _MISSING.search(diag.message_primary or "")
            return f"{table} has no column {found[1]}" if found else f"{table} does not have all of these columns"
        case "42883" | "42804" | "42846":
            return "an operator or a value does not fit the type of its column"
        case "0A000" | "55000" | "42809":
            return f"{table} cannot be used like this: {_shown(diag.message_primary)}"
    return None


def _shown(text: str | None) -> str:
    return (text or "").partition("\n")[0][:MAX_SAID]
