"""Why Postgres refused a statement on a user's own table, said for the one who wrote the statement: which constraint,
column or type it was. What only a log may see (SQL, other schemas, the server) is never in it."""

import re
from dataclasses import dataclass
from typing import Final

import psycopg

from service.database import statements
from service.database.gateway import DatabaseUnavailable
from service.database.user_tables import Refused

MAX_SAID: Final = 300
_MISSING: Final = re.compile(r"""(?:\b\w+\.|["'])([a-z_][a-z0-9_]*)""")
_UNAVAILABLE: Final = ("08", "53", "57", "58")


@dataclass(frozen=True, slots=True)
class Complaint:
    """What Postgres said, on either way in. `within`: it arose in a trigger, not in the statement itself."""

    state: str
    message: str = ""
    constraint: str = ""
    column: str = ""
    table: str = ""
    within: bool = False


def refusal(error: psycopg.Error, table: str, bounds: statements.Bounds) -> Refused | DatabaseUnavailable:
    """What to raise for `error`."""
    state, diag = error.sqlstate or "", error.diag
    message = diag.message_primary or ""
    if not state and isinstance(error, psycopg.DataError):
        return Refused("a value does not fit: text cannot contain U+0000", mistaken=True)
    if state == "42704" and statements.TOO_MANY_ROWS in message:
        return too_many_rows(table, bounds)
    if state == "42704" and statements.TOO_MANY_BYTES in message:
        return too_many_bytes(table, bounds)
    complaint = Complaint(
        state=state,
        message=message,
        constraint=diag.constraint_name or "",
        column=diag.column_name or "",
        table=diag.table_name or "",
        within=diag.context is not None,
    )
    return told(complaint, table)


def told(complaint: Complaint, table: str) -> Refused | DatabaseUnavailable:
    """The same for any way in."""
    state = complaint.state
    if said := _of_the_rows(complaint, table) or _of_the_moment(state):
        return Refused(said)
    if said := _of_the_statement(complaint, table):
        return Refused(said, mistaken=True)
    if not state or state.startswith(_UNAVAILABLE):
        return DatabaseUnavailable(f"the database failed {state}".strip())
    return Refused(f"the database refused it, or a trigger of {table} failed (SQLSTATE {state})")


def too_many_rows(table: str, bounds: statements.Bounds) -> Refused:
    said = f"more than {bounds.rows} rows of {table}, the limit of one call: choose fewer by where or limit"
    return Refused(said, mistaken=True)


def too_many_bytes(table: str, bounds: statements.Bounds) -> Refused:
    said = f"the rows of {table} have more than {bounds.bytes} bytes as JSON: ask for fewer rows or columns"
    return Refused(said, mistaken=True)


def _of_the_rows(complaint: Complaint, table: str) -> str | None:
    constraint = _shown(complaint.constraint)
    match complaint.state:
        case "23505":
            return f"there is already a row with the same values (unique constraint {constraint})"
        case "23503":
            return f"a row refers to another that is not there, or is still referred to (foreign key {constraint})"
        case "23502":
            return f"{_shown(complaint.column)} of {_shown(complaint.table)} must have a value"
        case "23514" | "23P01":
            return f"the constraint {constraint} does not allow these values"
        case "42501" | "44000":
            return f"no grant or policy allows it to the agent's owner, on {table} or on what its triggers use"
        case "P0001":
            return _shown(complaint.message)
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


def _of_the_statement(complaint: Complaint, table: str) -> str | None:
    state = complaint.state
    if state.startswith("22"):
        return f"a value does not fit: {_shown(complaint.message)}"
    if state == "428C9":
        return _shown(complaint.message)
    if state.startswith("42") and complaint.within:
        return None  # in the middle of a trigger: not what the statement says
    match state:
        case "42P01":
            return f"there is no table {table} in the schema public"
        case "42703":
            found = _MISSING.search(complaint.message)
            return f"{table} has no column {found[1]}" if found else f"{table} does not have all of these columns"
        case "42883" | "42804" | "42846":
            return "an operator or a value does not fit the type of its column"
        case "0A000" | "55000" | "42809":
            return f"{table} cannot be used like this: {_shown(complaint.message)}"
    return None


def _shown(text: str) -> str:
    return text.partition("\n")[0][:MAX_SAID]
