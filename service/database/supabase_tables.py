"""The user's own tables over a Supabase project's REST interface.

Every request carries the header `agenthost-guest`, under which agenthost's own tables show and take no row, also to a
view or a trigger of the user's, unless it acts as an owner whom no policy binds. What a change meets is read before it
is made, so that one of too many rows is refused whole; a statement ends when the project ends it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from service.auth import Caller
from service.database import supabase_requests as requests
from service.database.gateway import DatabaseUnavailable, DatabaseUnfit, Invalid, Order, Row, Where
from service.database.json_text import encode
from service.database.refusals import Complaint, told, too_many_bytes, too_many_rows
from service.database.statements import Bounds
from service.database.supabase import FEWEST_MOST_ROWS, asked, read_rows
from service.database.supabase_wire import WAIT_SECONDS, Refusal, Request, TooLong, Wire
from service.database.tables import ANSWER_BYTES, PLACES_OF_A_USER
from service.database.user_tables import Refused, UserTables
from service.turns import NoTurn, Turns

Build = Callable[[], Request]

ANSWER_SECONDS: Final = 10.0
"""Longer than the 8 s after which a project itself ends a statement, and says so."""
GUEST: Final = {"agenthost-guest": "on"}
_NULL: Final = re.compile(r'column "([^"]{1,200})" of relation "([^"]{1,200})"')
_STATES: Final = {"PGRST200": "42703", "PGRST204": "42703", "PGRST205": "42P01"}
"""What PostgREST finds in its own picture of the schema, as Postgres would say it."""


class SupabaseTables:
    """Statements that count, on connections of their own, so that slow tables of users do not stand in the way of
    runs. `key` is the project's publishable or anon key."""

    def __init__(
        self, url: str, key: str, *, most_rows: int, pool_size: int = 10, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._bounds = Bounds(most_rows, ANSWER_BYTES)
        self._turns = Turns(places=pool_size, places_of_a_user=PLACES_OF_A_USER, patience_seconds=wait_seconds)
        self._wire = Wire(
            url,
            key,
            schema="public",
            answer_bytes=ANSWER_BYTES,
            answer_seconds=ANSWER_SECONDS,
            pool_size=pool_size,
            wait_seconds=wait_seconds,
            headers=GUEST,
        )

    async def start(self) -> None:
        """Raises DatabaseUnfit where the header that shuts agents out does not arrive."""
        await self._wire.start()
        if await asked(self._wire, "is_guest") is not True:
            raise DatabaseUnfit(
                "a gateway in front of the project keeps back the header agenthost-guest, without which agents could "
                "reach agenthost's own tables: let it pass, or set DATABASE_URL"
            )

    async def stop(self) -> None:
        await self._wire.stop()

    def of(self, caller: Caller) -> UserTables:
        return _Live(self._wire, self._bounds, self._turns, caller)


class _Live:
    def __init__(self, wire: Wire, bounds: Bounds, turns: Turns, caller: Caller) -> None:
        self._wire = wire
        self._bounds = bounds
        self._turns = turns
        self._caller = caller

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
        most = self._bounds.rows + 1 if limit is None else limit
        wanted = partial(requests.select, self._wire, table, columns, where, order)
        rows = await self._rows(table, partial(wanted, most), reads=True)
        if len(rows) > self._bounds.rows:
            raise too_many_rows(table, self._bounds)
        if FEWEST_MOST_ROWS <= len(rows) < most and await self._rows(
            table, partial(wanted, 1, offset=len(rows)), reads=True
        ):
            raise too_many_rows(table, replace(self._bounds, rows=len(rows)))
        return rows

    async def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> list[Row]:
        if len(rows) > self._bounds.rows:
            raise ValueError(f"{len(rows)} rows, more than the {self._bounds.rows} of one call")
        return await self._rows(table, partial(requests.insert, self._wire, table, rows)) if rows else []

    async def update(self, table: str, values: Mapping[str, Any], *, where: Where) -> list[Row]:
        change = partial(requests.update, self._wire, table, values, where)
        await self._require_few(table, change, where, len(encode(values)))
        return await self._rows(table, change)

    async def delete(self, table: str, *, where: Where) -> list[Row]:
        change = partial(requests.delete, self._wire, table, where)
        await self._require_few(table, change, where, 0)
        return await self._rows(table, change)

    async def _require_few(self, table: str, change: Build, where: Where, more_bytes: int) -> None:
        """Refuse a change whose rows one call could not answer, before it is made."""
        _built(change)
        rows = await self.select(table, where=where)
        if len(encode(rows).encode()) + len(rows) * more_bytes > self._bounds.bytes:
            raise too_many_bytes(table, self._bounds)

    async def _rows(self, table: str, build: Build, *, reads: bool = False) -> list[Row]:
        answer = await self._send(table, _built(build), reads=reads)
        try:
            return read_rows(answer)
        except Invalid:
            raise Refused(f"a value in {table} is nested too deeply to be read") from None

    async def _send(self, table: str, request: Request, *, reads: bool) -> str:
        try:
            async with self._turns.taken(self._caller.user_id):
                return await self._wire.send(request, self._caller, reads=reads)
        except NoTurn as busy:
            whose = "runs of others" if busy.others else "other runs of yours"
            raise Refused(f"the database is busy with {whose}: try again") from None
        except Refusal as refused:
            raise _told(refused, table) from refused
        except Invalid as error:
            raise Refused(str(error), mistaken=True) from None
        except TooLong:
            if reads:
                raise too_many_bytes(table, self._bounds) from None
            raise


def _built(build: Build) -> Request:
    try:
        return build()
    except Invalid as error:
        raise Refused(f"a value does not fit: {error}", mistaken=True) from None


def _told(refused: Refusal, table: str) -> Refused | DatabaseUnavailable:
    if refused.of_the_token:
        return Refused("the project does not accept the token that the run was asked for with")
    if refused.code == "PGRST106":
        return Refused("this project does not expose the schema public: its tables take DATABASE_URL")
    if refused.of_the_key or (refused.passing and refused.code[:2] not in ("40", "55", "57")):
        return DatabaseUnavailable(str(refused))
    state = _STATES.get(refused.code, refused.code)
    if not state or state.startswith("PGRST"):
        return Refused(f"the project refused it ({refused}): what it cannot do over REST takes DATABASE_URL")
    null = _NULL.search(refused.message)
    complaint = Complaint(
        state=state,
        message=refused.message,
        constraint=refused.constraint,
        column=null[1] if null else "",
        table=null[2] if null else "",
        # REST does not tell where it arose; what is missing from the statement's own table names that table.
        within=state in ("42703", "42P01") and not re.search(rf"\b{table}\b", refused.message),
    )
    return told(complaint, table)
