"""The line before the jail's checks: a user has few of them at a time, the host not many, and whoever waits too long is
told to come back. What the engine still remembers passes by the line."""

import asyncio
import hashlib
from typing import Final
from uuid import UUID
from weakref import WeakValueDictionary

from sandbox.job import Checked, Engine
from service.errors import ApiError

PLACES: Final = 4
PLACES_OF_A_USER: Final = 2
PATIENCE_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 5


class TooManyChecks(ApiError):
    """The source was not looked at: nothing is known of it."""

    def __init__(self) -> None:
        detail = f"Other checks of yours, or of this host, did not end within {PATIENCE_SECONDS:g} s."
        super().__init__("too_many_checks", detail, headers={"Retry-After": str(RETRY_SECONDS)})


class CheckLine:
    """A place is held until its check has ended, also when nobody waits for the answer any more."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(PLACES)
        self._users: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()
        self._known: WeakValueDictionary[tuple[str, bytes], Checked] = WeakValueDictionary()
        self._checking: set[asyncio.Task[Checked]] = set()

    async def check(self, engine: Engine, source: str, user_id: UUID) -> Checked:
        """`engine.check` in its turn. Raises TooManyChecks when that does not come."""
        key = engine.name, hashlib.sha256(source.encode("utf-8", "surrogatepass")).digest()
        if key in self._known:
            return await engine.check(source)
        places_of_user = self._users.setdefault(user_id, asyncio.Semaphore(PLACES_OF_A_USER))
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._enter(places_of_user)
        except TimeoutError:
            raise TooManyChecks from None
        task = asyncio.create_task(self._placed(engine, source, places_of_user))
        self._checking.add(task)
        task.add_done_callback(self._ended)
        checked = self._known[key] = await asyncio.shield(task)
        return checked

    async def _enter(self, places_of_user: asyncio.Semaphore) -> None:
        """The user's place first: who has none does not stand in the way of others."""
        await places_of_user.acquire()
        try:
            await self._places.acquire()
        except BaseException:
            places_of_user.release()
            raise

    async def _placed(self, engine: Engine, source: str, places_of_user: asyncio.Semaphore) -> Checked:
        try:
            return await engine.check(source)
        finally:
            self._places.release()
            places_of_user.release()

    def _ended(self, task: asyncio.Task[Checked]) -> None:
        self._checking.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also when the one who asked has gone
