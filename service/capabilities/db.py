"""db: the owner's own tables in the schema `public`, under the owner's own policies.

The dry run executes the very same statements, in one transaction that is rolled back when the run ends: the agent reads
its own writes, constraints and triggers act, and nothing stays.
"""

from collections.abc import Awaitable
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, Field

from service.capabilities.capability import (
    Arguments,
    Capability,
    DryContext,
    GuestError,
    LiveContext,
    RunContext,
    denied,
)
from service.capabilities.manifest import Manifest, TableName
from service.capabilities.plain_json import cleaned, plain
from service.database.gateway import Row
from service.database.user_tables import Refused, UserTables

MAX_COLUMNS: Final = 200
MAX_LIMIT: Final = 100_000
"""Of rows; the operator's own limit is lower, as a rule."""


Values = Annotated[dict[str, Any], Field(min_length=1, max_length=MAX_COLUMNS), AfterValidator(plain)]
Where = Annotated[dict[str, Any], Field(max_length=MAX_COLUMNS), AfterValidator(plain)]
SomeWhere = Annotated[Where, Field(min_length=1)]
Columns = Annotated[list[str], Field(min_length=1, max_length=MAX_COLUMNS, fail_fast=True)]


class Select(Arguments):
    table: TableName
    columns: Columns | None = None
    where: Where | None = None
    order: str | Columns | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] | None = None


class Insert(Arguments):
    table: TableName
    rows: Annotated[list[Values], Field(fail_fast=True)]


class Update(Arguments):
    table: TableName
    values: Values
    where: SomeWhere


class Delete(Arguments):
    table: TableName
    where: SomeWhere


class _Db:
    """What both twins do: they differ in the tables that they are given, and in what is said `without` any."""

    without: ClassVar[str]

    def __init__(self, tables: UserTables | None) -> None:
        self._given = tables

    async def select(self, arguments: Select) -> Any:
        found = self._tables("select").select(
            arguments.table,
            columns=arguments.columns,
            where=arguments.where,
            order=arguments.order,
            limit=arguments.limit,
        )
        return await _answer("select", found)

    async def insert(self, arguments: Insert) -> Any:
        return await _answer("insert", self._tables("insert").insert(arguments.table, arguments.rows))

    async def update(self, arguments: Update) -> Any:
        changed = self._tables("update").update(arguments.table, arguments.values, where=arguments.where)
        return await _answer("update", changed)

    async def delete(self, arguments: Delete) -> Any:
        return await _answer("delete", self._tables("delete").delete(arguments.table, where=arguments.where))

    def _tables(self, verb: str) -> UserTables:
        if self._given is None:
            raise GuestError("ServiceError", f"db.{verb}: {self.without}")
        return self._given


async def _answer(verb: str, answer: Awaitable[list[Row]]) -> list[Row]:
    """The rows as a guest can read them. Raises GuestError with what was wrong."""
    try:
        rows = await answer
    except ValueError as error:
        raise GuestError("ValueError", f"db.{verb}: {error}") from None
    except Refused as refused:
        message = f"db.{verb}: {refused.message}"
        raise GuestError("ValueError" if refused.mistaken else "ServiceError", message) from None
    # In a list: the answer's frame adds one level to what a guest reads.
    readable: list[Row] = cleaned([rows])[0]
    return readable


class LiveDb(_Db):
    """Each call is a statement that counts."""

    without = "this host has no tables of users: it takes DATABASE_URL, or a Supabase project"

    def __init__(self, context: LiveContext) -> None:
        tables = context.outside.tables
        super().__init__(None if tables is None else tables.of(context.caller))


class DryDb(_Db):
    """Each call is a statement of the run's one transaction, which is rolled back."""

    without = "a dry run of db takes a connection to Postgres, which this host does not have (DATABASE_URL)"

    def __init__(self, context: DryContext) -> None:
        super().__init__(context.rehearsal)


def _permit(manifest: Manifest, action: str, arguments: Any, context: RunContext) -> None:
    """The table and the verb stand in the grant."""
    table = arguments.table
    verbs = [] if manifest.db is None else manifest.db.tables.get(table, [])
    if action not in verbs:
        wanted = ", ".join(f'"{verb}"' for verb in (*verbs, action))
        raise denied(
            f"the agent may not {action} {table}: add {table} = [{wanted}] to tables of [capabilities.db] in its "
            f"'# /// agent' block, or \"{table}\": [{wanted}] to db.tables of capabilities in its agent_config"
        )


DB: Final = Capability(
    name="db",
    arguments={"select": Select, "insert": Insert, "update": Update, "delete": Delete},
    live=LiveDb,
    dry_run=DryDb,
    permit=_permit,
    reads=frozenset({"select"}),
)
