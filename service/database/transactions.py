"""One statement, one transaction, one round trip, always as a caller: role and claims, the statement, commit. No
statement runs without a caller's role, and the login itself may do nothing."""

import asyncio
import json
import select as selecting
import time
from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg_pool import AsyncConnectionPool

from service.auth import Caller
from service.database.gateway import DatabaseUnavailable
from service.database.pipeline import exchange
from service.database.statements import Statement

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
_GOING_AWAY: Final = ("57P01", "57P02", "57P03")

BEGIN: Final = (b"begin", ())
_COMMIT: Final = (b"commit", ())
ROLLBACK: Final = (b"rollback", ())


def becoming(**settings: str) -> bytes:
    """SQL that makes the rest of a transaction the caller's, as PostgREST does; its one parameter are the claims.

    All of it is transaction-local, so that it is safe behind a pooler that lends connections per transaction.
    """
    settings = {"search_path": "", "TimeZone": "UTC", "statement_timeout": f"{STATEMENT_SECONDS}s"} | settings
    each = [
        sql.SQL("set_config({}, {}, true)").format(sql.Literal(name), sql.Literal(value))
        for name, value in settings.items()
    ]
    query = sql.SQL(
        "select {}, set_config('request.jwt.claims', %s, true), set_config('role', 'authenticated', true)"
    ).format(sql.SQL(", ").join(each))
    return query.as_bytes(None)


def claims_of(caller: Caller) -> str:
    return json.dumps({**caller.claims, "sub": str(caller.user_id), "role": "authenticated"})


async def connect(dsn: str) -> Connection:
    """A connection of its own, in autocommit."""
    return await psycopg.AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=None, **_LINK)


class Transactions:
    """A pool of connections of one login. Its errors are psycopg's, or DatabaseUnavailable."""

    def __init__(self, dsn: str, *, become: bytes, name: str, pool_size: int, wait_seconds: float) -> None:
        self._dsn = dsn
        self._become = become
        self._name = name
        self._pool_size = pool_size
        self._wait_seconds = wait_seconds
        self._pool: AsyncConnectionPool[Connection] | None = None

    async def start(self) -> None:
        self._pool = AsyncConnectionPool(
            self._dsn,
            connection_class=psycopg.AsyncConnection[tuple[Any, ...]],
            kwargs={"autocommit": True, "prepare_threshold": None, **_LINK},
            min_size=1,
            max_size=self._pool_size,
            max_waiting=1000,
            timeout=self._wait_seconds,
            reconnect_timeout=5.0,
            name=self._name,
            open=False,
        )
        await self._pool.open(wait=False)

    async def stop(self) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.close()

    async def one(self, claims: str, statement: Statement) -> str | None:
        """What the statement answers, which is one text."""
        try:
            return await self._once(claims, statement)
        except psycopg.OperationalError as error:
            # Once sent, only a read may be sent again: nobody knows whether a write has happened.
            if not statement.reads or error.sqlstate not in (None, *_GOING_AWAY):
                raise
            return await self._once(claims, statement)

    async def _once(self, claims: str, statement: Statement) -> str | None:
        pool, connection = await self._live_connection()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._answer(connection, claims, statement)
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

    async def _answer(self, connection: Connection, claims: str, statement: Statement) -> str | None:
        query = (statement.query, statement.parameters)
        try:
            answer = (await exchange(connection, [BEGIN, (self._become, (claims,)), query, _COMMIT]))[2]
        except psycopg.Error:
            if connection.pgconn.transaction_status == TransactionStatus.INERROR:
                await exchange(connection, [ROLLBACK])
            raise
        text = answer.get_value(0, 0) if answer.ntuples else None
        return None if text is None else text.decode()

    async def _live_connection(self) -> tuple[AsyncConnectionPool[Connection], Connection]:
        """One that has not died in the pool, so that what is sent on it is not lost before it arrives."""
        pool = self._pool
        if pool is None:
            raise DatabaseUnavailable("the database has not been started")
        deadline = time.monotonic() + self._wait_seconds
        while True:
            connection = await pool.getconn(timeout=deadline - time.monotonic())
            if is_alive(connection):
                return pool, connection
            await connection.close()
            await pool.putconn(connection)


def is_alive(connection: Connection) -> bool:
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
