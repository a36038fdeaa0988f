"""The line before the jail for drafts: few are checked and tried at a time, so that runs find their children parked.

A user has one place, so that nobody's many drafts stand in the way of another's only one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID
from weakref import WeakValueDictionary

PLACES: Final = 2


class DraftLine:
    """Whoever is inside `place` has one; it is waited for without an end: generations have deadlines of their own."""

    def __init__(self) -> None:
        self.waiting_or_in = 0
        self._places = asyncio.Semaphore(PLACES)
        self._users: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def place(self, user_id: UUID) -> AsyncIterator[None]:
        own = self._users.setdefault(user_id, asyncio.Lock())
        self.waiting_or_in += 1
        try:
            async with own, self._places:
                yield
        finally:
            self.waiting_or_in -= 1
