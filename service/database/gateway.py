"""The port to Postgres: five verbs, each always *as a caller*. No verb works without one.

Two implementations (`postgres.py`, `supabase.py`) answer alike: rows are JSON objects as PostgREST writes
them (uuid and timestamps as text), everything is in the schema `agenthost`. Values go in as JSON has them; UUID,
Decimal and datetime are taken too. Names of tables, columns and functions come from code, never from a request: a name
that is not plain is a ValueError.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from service.auth import Caller

Row = dict[str, Any]
Where = Mapping[str, Any]
"""{column: value} for equality, or {column: {op: value}} with op one of eq neq lt lte gt gte in is like."""
Order = str | Sequence[str]
"""A column, with " desc" behind it for descending; or several."""


class DatabaseError(Exception):
    """The database refused or failed. The message is safe to log, never to send: it may hold SQL."""


class Conflict(DatabaseError):
    """A unique value is taken. `constraint` is its name."""

    def __init__(self, message: str, constraint: str = "") -> None:
        super().__init__(message)
        self.constraint = constraint


class Forbidden(DatabaseError):
    """A policy or a missing grant refused it."""


class Invalid(DatabaseError):
    """A value does not fit its column or a check constraint. `constraint` is its name, where there is one."""

    def __init__(self, message: str, constraint: str = "") -> None:
        super().__init__(message)
        self.constraint = constraint


class DatabaseUnavailable(DatabaseError):
    """It cannot be reached, or did not answer in time: try again later. What was asked for may have happened."""


class DatabaseUnfit(DatabaseError):
    """The host must not serve from this database, or cannot. The message is for the operator and says what to do."""


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """For /ready and doctor: can it be reached, as whom, and which migration it is at."""

    ready: bool
    detail: str


class Database(Protocol):
    """Postgres, as the caller sees it."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def status(self) -> DatabaseStatus: ...

    @property
    def ends_with_token(self) -> bool:
        """Whether a caller can do nothing more once their token has expired: the database checks it itself."""
        ...

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
        """Rows that the caller's policies let them see."""
        ...

    async def insert(self, caller: Caller, table: str, rows: Sequence[Mapping[str, Any]]) -> list[Row]:
        """All rows or none; they have the same columns. The rows as stored."""
        ...

    async def update(self, caller: Caller, table: str, values: Mapping[str, Any], *, where: Where) -> list[Row]:
        """The rows as they are now; none when no row is the caller's to change. `where` is required."""
        ...

    async def delete(self, caller: Caller, table: str, *, where: Where) -> list[Row]:
        """The rows as they were. `where` is required."""
        ...

    async def call(self, caller: Caller, function: str, **arguments: Any) -> Any:
        """A function of the schema, by named arguments, in one transaction; its result as JSON. None is SQL's null."""
        ...
