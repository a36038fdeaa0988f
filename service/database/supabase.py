"""The port over a Supabase project's REST interface: the host holds no power at all, each request has its caller's.

What it cannot do takes a connection to Postgres: to work without a caller, and to roll back what several calls did.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from service.auth import Caller
from service.database import supabase_requests as requests
from service.database.conditions import limited
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
from service.database.postgres import other_schema
from service.database.statements import SCHEMA
from service.database.supabase_wire import WAIT_SECONDS, Refusal, Request, Wire
from service.turns import NoTurn, Turns

ANSWER_BYTES: Final = 64 * 1024 * 1024
ANSWER_SECONDS: Final = 6.0
PLACES_OF_A_USER: Final = 10
FEWEST_MOST_ROWS: Final = 100
"""The project's `max_rows` ends an answer without a word. It must not be lower: what has fewer rows was not ended."""
_NOT_EXPOSED: Final = (
    "the project does not expose the schema agenthost: add it to the exposed schemas of its Data API (schemas of [api] "
    "in supabase/config.toml)"
)


class SupabaseDatabase:
    """`key` is the project's publishable or anon key, `url` its address."""

    def __init__(self, url: str, key: str, *, pool_size: int = 20, wait_seconds: float = WAIT_SECONDS) -> None:
        self._turns = Turns(places=pool_size, places_of_a_user=PLACES_OF_A_USER, patience_seconds=wait_seconds)
        self._wire = Wire(
            url,
            key,
            schema=SCHEMA,
            answer_bytes=ANSWER_BYTES,
            answer_seconds=ANSWER_SECONDS,
            pool_size=pool_size,
            wait_seconds=wait_seconds,
        )

    async def start(self) -> None:
        """Raises DatabaseUnfit for a project that the host cannot serve with, and says what to do."""
        await self._wire.start()
        await require_fit(self._wire)

    async def stop(self) -> None:
        await self._wire.stop()

    async def status(self) -> DatabaseStatus:
        """See PostgresDatabase."""
        try:
            await require_fit(self._wire, or_newer=True)
        except DatabaseUnavailable:
            return DatabaseStatus(ready=False, detail="the project does not answer")
        except DatabaseError as error:
            return DatabaseStatus(ready=False, detail=str(error))
        return DatabaseStatus(ready=True, detail=f"migration {newest_migration()}")

    @property
    def ends_with_token(self) -> bool:
        return True

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
        most, found = limited(limit), list[Row]()
        while True:
            left = None if most is None else most - len(found)
            request = requests.select(self._wire, table, columns, where, order, left, offset=len(found))
            page = await self._rows(caller, request, reads=True)
            found += page
            if len(page) < FEWEST_MOST_ROWS or len(page) == left:
                return found

    async def insert(self, caller: Caller, table: str, rows: Sequence[Mapping[str, Any]]) -> list[Row]:
        return await self._rows(caller, requests.insert(self._wire, table, rows)) if rows else []

    async def update(self, caller: Caller, table: str, values: Mapping[str, Any], *, where: Where) -> list[Row]:
        return await self._rows(caller, requests.update(self._wire, table, values, where))

    async def delete(self, caller: Caller, table: str, *, where: Where) -> list[Row]:
        return await self._rows(caller, requests.delete(self._wire, table, where))

    async def call(self, caller: Caller, function: str, **arguments: Any) -> Any:
        request = requests.call(self._wire, function, arguments)
        try:
            answer = await self._send(request, caller)
        except Refusal as refusal:
            if refusal.code == "PGRST202":
                raise ValueError(f"no such function: {function!r} with {', '.join(arguments) or 'nothing'}") from None
            raise translated(refusal) from refusal
        return _read(answer) if answer else None

    async def _send(self, request: Request, caller: Caller, *, reads: bool = False) -> str:
        """In its turn: who makes their own requests slow, past the host, does not hold the connections of others."""
        try:
            async with self._turns.taken(caller.user_id):
                return await self._wire.send(request, caller, reads=reads)
        except NoTurn:
            raise DatabaseUnavailable("no connection to the project became free in time") from None

    async def _rows(self, caller: Caller, request: Request, *, reads: bool = False) -> list[Row]:
        try:
            answer = await self._send(request, caller, reads=reads)
        except Refusal as refusal:
            raise translated(refusal) from refusal
        return read_rows(answer)


def read_rows(text: str) -> list[Row]:
    """Raises Invalid where they are nested too deeply."""
    rows = _read(text)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DatabaseUnavailable("the project answered something that is no rows")
    return rows


def _read(text: str) -> Any:
    try:
        return decode(text)
    except ValueError:
        raise DatabaseUnavailable("the project answered something that is no JSON") from None


async def asked(wire: Wire, function: str) -> Any:
    """What a function of agenthost's answers nobody. Raises DatabaseUnfit or DatabaseUnavailable."""
    request = requests.call(wire, function, {})
    request.headers["Content-Profile"] = SCHEMA
    try:
        return _read(await wire.send(request, None, reads=True))
    except Refusal as refusal:
        raise _unfit(refusal) from refusal


async def require_fit(wire: Wire, *, or_newer: bool = False) -> None:
    """Raises DatabaseUnfit for a project at another migration, and what `asked` raises."""
    version = await asked(wire, "schema_version")
    version = version if isinstance(version, str) else None
    if version != newest_migration() and not (or_newer and version is not None and version > newest_migration()):
        raise DatabaseUnfit(other_schema(version))


def _unfit(refusal: Refusal) -> DatabaseError:
    if refusal.passing:
        return DatabaseUnavailable(f"the project does not answer: {refusal}")
    if refusal.code == "PGRST106":
        return DatabaseUnfit(_NOT_EXPOSED)
    if refusal.code in ("PGRST202", "42501", "42883", "3F000"):
        return DatabaseUnfit("the project does not know agenthost, or an older one: run `agenthost migrate`")
    if refusal.status in (401, 403):
        return DatabaseUnfit(
            "the project refuses SUPABASE_PUBLISHABLE_KEY: take its publishable key, or its anon key, and see that "
            "SUPABASE_URL is the same project's"
        )
    return DatabaseUnfit(f"no Data API of a Supabase project answers at SUPABASE_URL ({refusal})")


def translated(refusal: Refusal) -> DatabaseError:
    """Messages leave out what Postgres quotes from values: they go to the log."""
    message = f"{refusal.code}: {refusal.message[:300]}" if refusal.code else str(refusal)
    if refusal.of_the_token:
        return Forbidden("the project does not believe the caller's token")
    if refusal.code == "23505":
        return Conflict(message, refusal.constraint)
    if refusal.code == "42501":
        return Forbidden(message)
    if refusal.code.startswith("23"):
        return Invalid(message, refusal.constraint)
    if refusal.code.startswith(("22", "54")) or refusal.status in (413, 414, 431):
        return Invalid(str(refusal), refusal.constraint)
    if refusal.code == "PGRST106":
        return DatabaseUnavailable(_NOT_EXPOSED)
    if refusal.passing or refusal.of_the_key or refusal.code == "42883":
        return DatabaseUnavailable(message)  # 42883: in the middle of a function that a migration replaced meanwhile
    return DatabaseError(message)
