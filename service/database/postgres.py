"""The port over a Postgres connection. Every verb is one transaction in one round trip: role and claims, the statement,
commit. No statement runs without a caller's role, and the login itself may do nothing."""

import asyncio
import json
import select as selecting
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

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
    Row,
    Where,
)
from service.database.json_text import decode
from service.database.migrations import newest_migration
from service.database.pipeline import exchange

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

STATEMENT_SECONDS: Final = 5
ANSWER_SECONDS: Final = STATEMENT_SECONDS + 1.0
"""For a server that does not end the statement in time, because it hangs or the network to it is gone."""
WAIT_SECONDS: Final = 5.0

# Over TCP a lost network is noticed also while nobody waits for an answer.
_LINK: Final[Mapping[str, Any]] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 6000,
}

# What PostgREST sets too. Transaction-local, so that it is safe behind a pooler that lends connections per transaction.
_BECOME: Final = (
    sql.SQL(
        "select set_config('search_path', '', true), set_config('TimeZone', 'UTC', true), "
        "set_config('statement_timeout', {}, true), set_config('request.jwt.claims', %s, true), "
        "set_config('role', 'authenticated', true)"
    )
    .format(sql.Literal(f"{STATEMENT_SECONDS}s"))
    .as_bytes(None)
)
_BEGIN: Final = (b"begin", ())
_COMMIT: Final = (b"commit", ())
_ROLLBACK: Final = (b"rollback", ())

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
        self._pool_size = pool_size
        self._wait_seconds = wait_seconds
        self._functions: Mapping[str, Mapping[str, str]] = {}
        self._pool: AsyncConnectionPool[Connection] | None = None

    async def start(self) -> None:
        """Raises DatabaseUnfit for a login or a schema that the host must not serve with."""
        await self._examine()
        self._pool = AsyncConnectionPool(
            self._dsn,
            connection_class=psycopg.AsyncConnection[tuple[Any, ...]],
            kwargs={"autocommit": True, "prepare_threshold": None, **_LINK},
            min_size=1,
            max_size=self._pool_size,
            max_waiting=1000,
            timeout=self._wait_seconds,
            reconnect_timeout=5.0,
            name="agenthost",
            open=False,
        )
        await self._pool.open(wait=False)

    async def stop(self) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.close()

    async def status(self) -> DatabaseStatus:
        query = statements.call("schema_version", {}, {})
        try:
            version = decode(await self._transact("{}", query))
        except DatabaseUnavailable:
            return DatabaseStatus(ready=False, detail="the database does not answer")
        except DatabaseError:
            return DatabaseStatus(ready=False, detail="the database does not know agenthost: run `agenthost migrate`")
        if version != newest_migration():
            return DatabaseStatus(ready=False, detail=_other_schema(version))
        return DatabaseStatus(ready=True, detail=f"migration {version}")

    async def select(
        self,
        caller: Caller,
        table: str,
        *,
        columns: Sequence[str] | None = None,
        where: Where | None = None,
        order: str | None = None,
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
        text = await self._transact(_claims(caller), statement)
        return None if text is None else decode(text)

    async def _rows(self, caller: Caller, statement: statements.Statement) -> list[Row]:
        rows: list[Row] = decode(await self._transact(_claims(caller), statement))
        return rows

    async def _transact(self, claims: str, statement: statements.Statement) -> Any:
        try:
            try:
                return await self._once(claims, statement)
            except psycopg.OperationalError as error:
                # Once sent, only a read may be sent again: nobody knows whether a write has happened.
                if not statement.reads or error.sqlstate not in (None, *_GOING_AWAY):
                    raise
                return await self._once(claims, statement)
        except psycopg.Error as error:
            raise _translated(error) from error

    async def _once(self, claims: str, statement: statements.Statement) -> Any:
        pool, connection = await self._live_connection()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await _answer(connection, claims, statement)
        except psycopg.Error:
            raise
        except BaseException as error:
            # Cut off in between: what the connection is in the middle of is anyone's guess.
            await connection.close()
            if isinstance(error, TimeoutError):
                raise DatabaseUnavailable("the database did not answer in time") from None
            raise
        finally:
            await pool.putconn(connection)

    async def _live_connection(self) -> tuple[AsyncConnectionPool[Connection], Connection]:
        """One that has not died in the pool, so that what is sent on it is not lost before it arrives."""
        pool = self._pool
        if pool is None:
            raise DatabaseUnavailable("the database has not been started")
        deadline = time.monotonic() + self._wait_seconds
        while True:
            connection = await pool.getconn(timeout=deadline - time.monotonic())
            if _is_alive(connection):
                return pool, connection
            await connection.close()
            await pool.putconn(connection)

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
            raise DatabaseUnfit(_other_schema(version))


async def _answer(connection: Connection, claims: str, statement: statements.Statement) -> str | None:
    query = (statement.query, statement.parameters)
    try:
        answer = (await exchange(connection, [_BEGIN, (_BECOME, (claims,)), query, _COMMIT]))[2]
    except psycopg.Error:
        if connection.pgconn.transaction_status == TransactionStatus.INERROR:
            await exchange(connection, [_ROLLBACK])
        raise
    text = answer.get_value(0, 0) if answer.ntuples else None
    return None if text is None else text.decode()


async def connect(dsn: str) -> Connection:
    """A connection of its own, in autocommit, for what is not a caller's."""
    return await psycopg.AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=None, **_LINK)


def _claims(caller: Caller) -> str:
    return json.dumps({**caller.claims, "sub": str(caller.user_id), "role": "authenticated"})


def _is_alive(connection: Connection) -> bool:
    """A healthy idle connection has nothing to read; one whose server has gone has an end of file, or last words."""
    pgconn = connection.pgconn
    if pgconn.status != ConnStatus.OK:
        return False
    poll = selecting.poll()
    poll.register(pgconn.socket, selecting.POLLIN | selecting.POLLERR | selecting.POLLHUP)
    if not poll.poll(0):
        return True
    try:
        pgconn.consume_input()
    except psycopg.Error:
        return False
    return pgconn.status == ConnStatus.OK and not poll.poll(0)


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


def _other_schema(version: str | None) -> str:
    if version is not None and version > newest_migration():
        return f"the database is at migration {version}, newer than this agenthost: upgrade agenthost"
    return f"the database is at migration {version}, not {newest_migration()}: run `agenthost migrate`"


_GOING_AWAY: Final = ("57P01", "57P02", "57P03")


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
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return DatabaseUnavailable(message)
    return DatabaseError(message)
