"""The port over Postgres itself. Every verb is one transaction in one round trip, as the caller."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from service.auth import Caller
from service.database import statements
from service.database.gateway import (
    Conflict,
    DatabaseError,
    DatabaseStatus,
    DatabaseUnavailable,
    DatabaseUnfit,
    Forbidden,
    Invalid,
    Order,
    Row,
    Where,
)
from service.database.json_text import decode
from service.database.migrations import newest_migration
from service.database.transactions import WAIT_SECONDS, Transactions, becoming, claims_of, connect

_LOGIN: Final = """
select
  (select rolsuper or rolbypassrls from pg_roles where rolname = current_user),
  exists (select from pg_roles r where (r.rolsuper or r.rolbypassrls) and pg_has_role(r.oid, 'MEMBER')),
  exists (select from pg_class c where c.relnamespace = to_regnamespace('agenthost')
    and pg_has_role(c.relowner, 'MEMBER')),
  exists (select from pg_class c where c.relnamespace = to_regnamespace('agenthost') and c.relkind = 'r'
    and has_table_privilege(c.oid, 'select, insert, update, delete')),
  coalesce((select pg_has_role(oid, 'MEMBER') from pg_roles where rolname = 'authenticated'), false),
  current_user
"""

_FUNCTIONS: Final = """
select p.proname, coalesce(
  json_object_agg(p.proargnames[i], format_type(p.proargtypes[i - 1], null)) filter (where i is not null), '{}')::text
from pg_proc p left join generate_series(1, p.pronargs) i on true
where p.pronamespace = to_regnamespace('agenthost') and p.prokind = 'f' and p.prorettype <> 'trigger'::regtype
group by p.oid, p.proname
"""


class PostgresDatabase:
    """`dsn` is the serving login's (agenthost_api): not the owner's, and never one that policies do not bind."""

    def __init__(self, dsn: str, *, pool_size: int = 10, wait_seconds: float = WAIT_SECONDS) -> None:
        self._dsn = dsn
        self._functions: Mapping[str, Mapping[str, str]] = {}
        self._transactions = Transactions(
            dsn, become=becoming(), name="agenthost", pool_size=pool_size, wait_seconds=wait_seconds
        )

    async def start(self) -> None:
        """Raises DatabaseUnfit for a login or a schema that the host must not serve with."""
        await self._examine()
        await self._transactions.start()

    async def stop(self) -> None:
        await self._transactions.stop()

    async def status(self) -> DatabaseStatus:
        """A database that has been migrated further since the start is ready: replicas are replaced one by one."""
        query = statements.call("schema_version", {}, {})
        try:
            version = decode(await self._transact("{}", query))
        except DatabaseUnavailable:
            return DatabaseStatus(ready=False, detail="the database does not answer")
        except DatabaseError:
            return DatabaseStatus(ready=False, detail="the database does not know agenthost: run `agenthost migrate`")
        if version is None or version < newest_migration():
            return DatabaseStatus(ready=False, detail=other_schema(version))
        return DatabaseStatus(ready=True, detail=f"migration {version}")

    @property
    def ends_with_token(self) -> bool:
        return False

    async def select(
        self,
        caller: Caller,
        table: str,
        *,
        columns: Sequence[str] | None = None,
        where: Where | None = None,
        order: Order | None = None,
        limit: int | None = None,
    ) -> list[Row]:
        return await self._rows(caller, statements.select(table, columns, where, order, limit))

    async def insert(self, caller: Caller, table: str, rows: Sequence[Mapping[str, Any]]) -> list[Row]:
        return await self._rows(caller, statements.insert(table, rows)) if rows else []

    async def update(self, caller: Caller, table: str, values: Mapping[str, Any], *, where: Where) -> list[Row]:
        return await self._rows(caller, statements.update(table, values, where))

    async def delete(self, caller: Caller, table: str, *, where: Where) -> list[Row]:
        return await self._rows(caller, statements.delete(table, where))

    async def call(self, caller: Caller, function: str, **arguments: Any) -> Any:
        if function not in self._functions:
            raise ValueError(f"no such function: {function!r}")
        statement = statements.call(function, self._functions[function], arguments)
        text = await self._transact(claims_of(caller), statement)
        return None if text is None else decode(text)

    async def _rows(self, caller: Caller, statement: statements.Statement) -> list[Row]:
        rows: list[Row] = decode(await self._transact(claims_of(caller), statement))
        return rows

    async def _transact(self, claims: str, statement: statements.Statement) -> Any:
        try:
            return await self._transactions.one(claims, statement)
        except psycopg.Error as error:
            raise _translated(error) from error

    async def _examine(self) -> None:
        try:
            async with await connect(self._dsn) as connection:
                login = await (await connection.execute(_LOGIN)).fetchone()
                _require_powerless(*(login or ()))
                self._functions = {
                    name: decode(types) for name, types in await (await connection.execute(_FUNCTIONS)).fetchall()
                }
                version = None
                if "schema_version" in self._functions:
                    async with connection.transaction():
                        await connection.execute("set local role authenticated")
                        found = await (await connection.execute("select agenthost.schema_version()")).fetchone()
                        version = found[0] if found else None
        except psycopg.Error as error:
            raise _translated(error) from error
        if version != newest_migration():
            raise DatabaseUnfit(other_schema(version))


def _require_powerless(  # in the order of _LOGIN
    unbound: bool, becomes_unbound: bool, owner: bool, inherits: bool, member: bool, user: str
) -> None:
    use = "Use the login agenthost_api that `agenthost migrate` makes"
    if unbound:
        raise DatabaseUnfit(f"{user!r} may pass by row-level security, so the host will not serve with it. {use}.")
    if owner:
        raise DatabaseUnfit(f"{user!r} owns agenthost's tables, so the host will not serve with it. {use}.")
    if becomes_unbound:
        raise DatabaseUnfit(f"{user!r} may become a role that passes by row-level security. {use}.")
    if inherits:
        raise DatabaseUnfit(f"{user!r} has rights on agenthost's tables without taking a role. {use}.")
    if not member:
        raise DatabaseUnfit(f"{user!r} is not a member of the role `authenticated`. {use}.")


def other_schema(version: str | None) -> str:
    """Why a database at this migration does not fit, and what to do."""
    if version is not None and version > newest_migration():
        return f"the database is at migration {version}, newer than this agenthost: upgrade agenthost"
    return f"the database is at migration {version}, not {newest_migration()}: run `agenthost migrate`"


def _translated(error: psycopg.Error) -> DatabaseError:
    """Messages leave out what Postgres quotes from values: they go to the log."""
    state = error.sqlstate or ""
    message = f"{state or type(error).__name__}: {error.diag.message_primary or str(error).partition('\n')[0]}"
    constraint = error.diag.constraint_name or ""
    if state == "23505":
        return Conflict(message, constraint)
    if state == "42501":
        return Forbidden(message)
    if state.startswith("23"):
        return Invalid(message, constraint)
    if state.startswith(("22", "54")) or (not state and isinstance(error, psycopg.DataError)):
        return Invalid(f"{state}: {type(error).__name__}", constraint)
    if isinstance(error, PoolTimeout | TooManyRequests | PoolClosed):
        return DatabaseUnavailable("no connection to the database became free in time")
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) or state == "42883":
        return DatabaseUnavailable(message)  # 42883: in the middle of a function that a migration replaced meanwhile
    return DatabaseError(message)
