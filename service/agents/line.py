"""The line before the jail's checks: a user has few of them at a time, the host not many, and whoever waits too long is
told to come back. What the engine still remembers passes by the line."""

import asyncio
from contextlib import AsyncExitStack
from typing import Final
from uuid import UUID

from sandbox.job import Checked, Engine
from service.errors import ApiError
from service.turns import NoTurn, Turns

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

    def __init__(self, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._turns = Turns(places=PLACES, places_of_a_user=PLACES_OF_A_USER, patience_seconds=patience_seconds)
        self._checking: set[asyncio.Task[Checked]] = set()

    async def check(self, engine: Engine, source: str, user_id: UUID) -> Checked:
        """`engine.check` in its turn. Raises TooManyChecks when that does not come."""
        if (known := engine.known(source)) is not None:
            return known
        async with AsyncExitStack() as place:
            try:
                await place.enter_async_context(self._turns.taken(user_id))
            except NoTurn:
                raise TooManyChecks from None
            task = asyncio.create_task(_placed(engine, source, place.pop_all()))
        self._checking.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Checked]) -> None:
        self._checking.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also when the one who asked has gone


async def _placed(engine: Engine, source: str, place: AsyncExitStack) -> Checked:
    async with place:
        return await engine.check(source)
