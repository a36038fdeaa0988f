"""Places that users share: each of them has few at a time and all together not many; who waits too long is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID
from weakref import WeakValueDictionary


class NoTurn(Exception):
    """No place became free in time. `others`: the user's own places were not what was missing."""

    def __init__(self, *, others: bool) -> None:
        super().__init__("no place became free in time")
        self.others = others


class Turns:
    def __init__(self, *, places: int, places_of_a_user: int, patience_seconds: float | None) -> None:
        """Without `patience_seconds` a place is waited for without an end."""
        self._places = asyncio.Semaphore(places)
        self._places_of_a_user = places_of_a_user
        self._patience_seconds = patience_seconds
        self._users: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def taken(self, user_id: UUID) -> AsyncIterator[None]:
        """A place for as long as the block takes. Raises NoTurn.

        The user's own place comes first: who has none does not stand in the way of others.
        """
        own = self._users.setdefault(user_id, asyncio.Semaphore(self._places_of_a_user))
        patience = self._patience_seconds
        deadline = None if patience is None else asyncio.get_running_loop().time() + patience
        await _acquire(own, deadline, others=False)
        try:
            await _acquire(self._places, deadline, others=True)
            try:
                yield
            finally:
                self._places.release()
        finally:
            own.release()


async def _acquire(places: asyncio.Semaphore, deadline: float | None, *, others: bool) -> None:
    try:
        async with asyncio.timeout_at(deadline):
            await places.acquire()
    except TimeoutError:
        raise NoTurn(others=others) from None
