"""The port to the user's own tables: those of the schema `public`, under the user's own policies, for agents.

Two implementations answer alike: `tables.py`, whose statements count, and `rehearsals.py`, whose are rolled back. Names
of tables and columns, operators and orders are those of a guest: what is not plain is a ValueError.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from service.auth import Caller
from service.database.gateway import Order, Row, Where

REHEARSALS_AT_ONCE: Final = 8
REHEARSAL_SECONDS: Final = 10.0
"""How long one lives from its first statement on: its locks stand in the way of live runs, its place in that of dry
runs."""


class Refused(Exception):
    """The statement changed nothing. The message is for whoever wrote it and holds nothing of the server's.

    `mistaken`: it cannot work as it is written, whatever the rows are.
    """

    def __init__(self, message: str, *, mistaken: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.mistaken = mistaken


class UserTables(Protocol):
    """One caller's tables. Every verb raises Refused or ValueError, and then has done nothing; or DatabaseUnavailable,
    and then a change may have happened."""

    async def select(
        self,
        table: str,
        *,
        columns: Sequence[str] | None = None,
        where: Where | None = None,
        order: Order | None = None,
        limit: int | None = None,
    ) -> list[Row]:
        """At most `limit` rows; without it all of them, or Refused when they are more than one call may answer."""
        ...

    async def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> list[Row]:
        """All rows or none; they have the same columns. The rows as stored."""
        ...

    async def update(self, table: str, values: Mapping[str, Any], *, where: Where) -> list[Row]:
        """The rows as they are now. Refused when they are more than one call may answer. `where` is required."""
        ...

    async def delete(self, table: str, *, where: Where) -> list[Row]:
        """The rows as they were. Refused when they are more than one call may answer. `where` is required."""
        ...


class Tables(Protocol):
    """Every caller's tables."""

    def of(self, caller: Caller) -> UserTables: ...


class Rehearsal(UserTables, Protocol):
    """The tables as a dry run sees and changes them. Nothing of it stays; whoever got it closes it."""

    async def close(self) -> None: ...


class Rehearsals(Protocol):
    def of(self, caller: Caller) -> Rehearsal:
        """The rehearsal of one run and its child runs."""
        ...
