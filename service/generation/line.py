"""What generations share: a user has few at a time, and their drafts stand in a line before the jail, where few are
checked and tried at a time, so that runs find their children parked.

A user has one place in it, so that nobody's many drafts stand in the way of another's only one.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final
from uuid import UUID

from service.errors import ApiError
from service.turns import Turns

PLACES: Final = 2
GENERATIONS_OF_A_USER: Final = 5
RETRY_SECONDS: Final = 10


class DraftLine:
    """Whoever is inside `place` has one; it is waited for without an end: generations have deadlines of their own."""

    def __init__(self) -> None:
        self.waiting_or_in = 0
        self._turns = Turns(places=PLACES, places_of_a_user=1, patience_seconds=None)
        self.generations: Counter[UUID] = Counter()

    @contextmanager
    def generation(self, user_id: UUID) -> Iterator[None]:
        """One of the user's, from its first question to its end. Raises ApiError `too_many_generations`."""
        if self.generations[user_id] >= GENERATIONS_OF_A_USER:
            raise ApiError(
                "too_many_generations",
                f"You have {GENERATIONS_OF_A_USER} generations in flight, the limit of a user.",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
        self.generations[user_id] += 1
        try:
            yield
        finally:
            self.generations[user_id] -= 1
            if not self.generations[user_id]:
                del self.generations[user_id]

    @asynccontextmanager
    async def place(self, user_id: UUID) -> AsyncIterator[None]:
        self.waiting_or_in += 1
        try:
            async with self._turns.taken(user_id):
                yield
        finally:
            self.waiting_or_in -= 1
