"""The user's own tables over Postgres itself: each call is one transaction in one round trip.

Every statement carries the setting `agenthost.guest`, under which agenthost's own tables show and take no row, also
to a view or a trigger of the user's.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

import psycopg

from service.auth import Caller
from service.database import statements
from service.database.gateway import Invalid, Order, Row, Where
from service.database.json_text import decode
from service.database.refusals import refusal
from service.database.statements import Bounds, Statement
from service.database.transactions import WAIT_SECONDS, Transactions, becoming, claims_of
from service.database.user_tables import Refused, UserTables
from service.turns import NoTurn, Turns

ANSWER_BYTES: Final = 4 * 1024 * 1024
PLACES_OF_A_USER: Final = 3
GUEST: Final = {"search_path": "public, extensions", "agenthost.guest": "on", "lock_timeout": "2s"}
"""Settings of a guest's statement. Triggers and policies of a user see the search path that REST gives them."""


class Verbs(ABC):
    """The port's verbs as statements; who answers these says whether they count."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds

    @abstractmethod
    async def _answer(self, statement: Statement) -> str | None:
        """What the statement answers. Raises psycopg.Error, Refused or DatabaseUnavailable."""

    async def select(
        self,
        table: str,
        *,
        columns: Sequence[str] | None = None,
        where: Where | None = None,
        order: Order | None = None,
        limit: int | None = None,
    ) -> list[Row]:
        if limit is not None and limit > self._bounds.rows:
            raise ValueError(f"limit is {limit}, more than the {self._bounds.rows} rows of one call")
        statement = statements.select(table, columns, where, order, limit, schema="public", bounds=self._bounds)
        return await self._rows(table, statement)

    async def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> list[Row]:
        if len(rows) > self._bounds.rows:
            raise ValueError(f"{len(rows)} rows, more than the {self._bounds.rows} of one call")
        if not rows:
            return []
        return await self._rows(table, statements.insert(table, rows, schema="public", bounds=self._bounds))

    async def update(self, table: str, values: Mapping[str, Any], *, where: Where) -> list[Row]:
        return await self._rows(table, statements.update(table, values, where, schema="public", bounds=self._bounds))

    async def delete(self, table: str, *, where: Where) -> list[Row]:
        return await self._rows(table, statements.delete(table, where, schema="public", bounds=self._bounds))

    async def _rows(self, table: str, statement: Statement) -> list[Row]:
        try:
            text = await self._answer(statement)
            rows: list[Row] = decode(text or "[]")
        except psycopg.Error as error:
            raise refusal(error, table, self._bounds) from error
        except Invalid:
            raise Refused(f"a value in {table} is nested too deeply to be read") from None
        return rows


class PostgresTables:
    """Statements that count. The pool is not the host's own, so that
    slow tables of users do not stand in the way of runs; `dsn` is the serving login's."""

    def __init__(self, dsn: str, *, most_rows: int, pool_size: int = 10, wait_seconds: float = WAIT_SECONDS) -> None:
        self._bounds = Bounds(most_rows, ANSWER_BYTES)
        self._turns = Turns(places=pool_size, places_of_a_user=PLACES_OF_A_USER, patience_seconds=wait_seconds)
        self._transactions = Transactions(
            dsn, become=becoming(**GUEST), name="tables", pool_size=pool_size, wait_seconds=wait_seconds
        )

    async def start(self) -> None:
        await self._transactions.start()

    async def stop(self) -> None:
        await self._transactions.stop()

    def of(self, caller: Caller) -> UserTables:
        return _Live(self._bounds, self._transactions, self._turns, caller)


class _Live(Verbs):
    def __init__(self, bounds: Bounds, transactions: Transactions, turns: Turns, caller: Caller) -> None:
        super().__init__(bounds)
        self._transactions = transactions
        self._turns = turns
        self._caller = caller

    async def _answer(self, statement: Statement) -> str | None:
        try:
            async with self._turns.taken(self._caller.user_id):
                return await self._transactions.one(claims_of(self._caller), statement)
        except NoTurn as busy:
            whose = "runs of others" if busy.others else "other runs of yours"
            raise Refused(f"the database is busy with {whose}: try again") from None
