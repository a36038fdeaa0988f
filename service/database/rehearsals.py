"""Dry runs on the user's own tables: really executed, in one transaction of the caller's that is rolled back whatever
happens. The agent reads its own writes; constraints, triggers and policies act as they would; nothing stays.

Nothing here sends a commit. What a rollback does not undo: numbers taken from sequences, and what a trigger does
outside its transaction (dblink, an HTTP extension). Foreign tables, whose wrappers may write at once, are refused.
"""

import asyncio
import contextlib
import math
import time
from contextlib import AsyncExitStack
from typing import Final

import psycopg
from psycopg.pq import TransactionStatus

from service.auth import Caller
from service.database.gateway import DatabaseUnavailable
from service.database.pipeline import exchange
from service.database.statements import Bounds, Statement
from service.database.tables import ANSWER_BYTES, GUEST, Verbs
from service.database.transactions import (
    ANSWER_SECONDS,
    BEGIN,
    ROLLBACK,
    Connection,
    becoming,
    claims_of,
    connect,
    is_alive,
)
from service.database.user_tables import REHEARSAL_SECONDS, REHEARSALS_AT_ONCE, Refused, Rehearsal
from service.turns import NoTurn, Turns

PATIENCE_SECONDS: Final = 3.0
IDLE_SECONDS: Final = 5
_ROLLBACK_SECONDS: Final = 2.0

_BECOME: Final = becoming(
    **GUEST
    | {
        "lock_timeout": "250ms",
        "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
        "client_connection_check_interval": "500ms",  # a statement nobody waits for any more lets go of its locks
        "restrict_nonsystem_relation_kind": "foreign-table",
    }
)
_SAVEPOINT: Final = (b"savepoint call", ())
_IMMEDIATE: Final = (b"set constraints all immediate", ())
_RELEASE: Final = (b"release savepoint call", ())
_UNDO: Final = (b"rollback to savepoint call", ())


class PostgresRehearsals:
    """A few at a time, one of a user; each has a connection of its own that is closed with it, so that nothing of a
    session stays either. `dsn` is the serving login's."""

    def __init__(
        self,
        dsn: str,
        *,
        most_rows: int,
        patience_seconds: float = PATIENCE_SECONDS,
        lifetime_seconds: float = REHEARSAL_SECONDS,
    ) -> None:
        self._dsn = dsn
        self._bounds = Bounds(most_rows, ANSWER_BYTES)
        self._lifetime_seconds = lifetime_seconds
        self._turns = Turns(places=REHEARSALS_AT_ONCE, places_of_a_user=1, patience_seconds=patience_seconds)
        self._open: set[_Rehearsal] = set()

    def of(self, caller: Caller) -> Rehearsal:
        """See Rehearsals. It connects at its first statement."""
        return _Rehearsal(self._dsn, self._bounds, self._turns, caller, self._open, self._lifetime_seconds)

    async def stop(self) -> None:
        """Roll back whatever is open."""
        for rehearsal in list(self._open):
            await rehearsal.close()


class _Rehearsal(Verbs):
    def __init__(
        self,
        dsn: str,
        bounds: Bounds,
        turns: Turns,
        caller: Caller,
        all_open: "set[_Rehearsal]",
        lifetime_seconds: float,
    ) -> None:
        super().__init__(bounds)
        self._dsn = dsn
        self._turns = turns
        self._caller = caller
        self._all_open = all_open
        self._claims = claims_of(caller)
        self._lifetime_seconds = lifetime_seconds
        self._held = AsyncExitStack()
        self._letting_go = asyncio.Lock()
        self._connection: Connection | None = None
        self._ends_at = math.inf
        self._expiry: asyncio.Task[None] | None = None
        self._closed = False
        self._last_call = 0.0
        self._cut_off = False

    async def close(self) -> None:
        """Roll back, and give the place free. Nothing can be opened afterwards."""
        self._closed = True
        self._all_open.discard(self)
        await self._let_go()
        if self._expiry is not None:
            self._expiry.cancel()

    async def _let_go(self) -> None:
        async with self._letting_go:
            await self._held.aclose()

    async def _expire(self) -> None:
        await asyncio.sleep(self._ends_at - time.monotonic())
        await self._let_go()

    @property
    def _expired(self) -> bool:
        return time.monotonic() >= self._ends_at

    async def _answer(self, statement: Statement) -> str | None:
        connection = self._connection or await self._begin()
        if self._expired or not is_alive(connection):
            raise self._lost()
        try:
            async with asyncio.timeout(min(ANSWER_SECONDS, self._ends_at - time.monotonic())):
                return await self._call(connection, statement)
        except asyncio.CancelledError:
            self._cut_off = True
            raise
        except TimeoutError:
            if self._expired:
                raise self._lost() from None
            raise DatabaseUnavailable("the database did not answer in time") from None
        except psycopg.Error:
            if connection.closed:
                raise self._lost() from None
            raise
        finally:
            self._last_call = time.monotonic()

    async def _call(self, connection: Connection, statement: Statement) -> str | None:
        """One call, which by itself can fail. Outside a transaction the savepoint would, and nothing be executed."""
        become = (_BECOME, (self._claims,))
        query = (statement.query, statement.parameters)
        try:
            results = await exchange(connection, [_SAVEPOINT, become, _IMMEDIATE, query, _RELEASE])
        except psycopg.Error:
            if connection.pgconn.transaction_status == TransactionStatus.INERROR:
                await exchange(connection, [_UNDO, _RELEASE])
            raise
        text = results[3].get_value(0, 0) if results[3].ntuples else None
        return None if text is None else text.decode()

    async def _begin(self) -> Connection:
        """Wait for a place, connect, begin."""
        if self._closed:
            raise Refused("the run has ended")
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._turns.taken(self._caller.user_id))
            except NoTurn as busy:
                whose = "dry runs of others" if busy.others else "another dry run of yours"
                raise Refused(f"{whose} did not let go of the database in time: try again") from None
            connection = await connect(self._dsn)
            stack.push_async_callback(_end, connection)
            await self._begin_transaction(connection)
            if self._closed:
                raise Refused("the run has ended")
            self._held = stack.pop_all()
        self._all_open.add(self)
        self._connection = connection
        self._ends_at = time.monotonic() + self._lifetime_seconds
        self._expiry = asyncio.create_task(self._expire())
        return connection

    async def _begin_transaction(self, connection: Connection) -> None:
        # With the settings, once more outside of any savepoint: undoing a call does not undo them.
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await exchange(connection, [BEGIN, (_BECOME, (self._claims,))])
        except TimeoutError:
            raise DatabaseUnavailable("the database did not answer in time") from None
        except psycopg.errors.UndefinedObject:
            raise Refused("dry runs of db need Postgres 15.8, 16.4, 17 or later") from None

    def _lost(self) -> Refused | DatabaseUnavailable:
        """The connection is gone, and with it all that was done on it: no later call may begin anew."""
        if self._expired:
            most = f"{self._lifetime_seconds:g} s"
            return Refused(f"the dry run has lost its rows: a dry run may hold the database for {most} at most")
        if self._cut_off:
            return Refused("the dry run has lost its rows: a child run was ended in the middle of a call")
        if time.monotonic() - self._last_call < IDLE_SECONDS - 0.5:
            return DatabaseUnavailable("the connection of a dry run was lost")
        return Refused(f"the dry run has lost its rows: it may pause for {IDLE_SECONDS} s at most between calls of db")


async def _end(connection: Connection) -> None:
    """Roll back, so that its locks are gone when the run is answered; closing alone would do it a moment later."""
    try:
        with contextlib.suppress(psycopg.Error, TimeoutError):
            async with asyncio.timeout(_ROLLBACK_SECONDS):
                await exchange(connection, [ROLLBACK])
    finally:
        await connection.close()
