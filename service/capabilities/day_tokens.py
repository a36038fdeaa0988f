"""The model tokens of a user's day.

They are taken before an answer, as many as it may cost; what it did not need, later answers of the same taker use
first, and what it cost beyond that is taken too, over the limit or not.
"""

from typing import Any, Final

from service.auth import Caller
from service.database.gateway import Database
from service.outside.model_question import Tokens

_COUNT_ALWAYS: Final = 2**31 - 1


class DayIsOver(Exception):
    """The day has not so many left. Of its `limit` so many are `used`, by all takers of the user."""

    def __init__(self, *, used: int, limit: int, resets_at: str) -> None:
        super().__init__(f"{used} of {limit} are used")
        self.used = used
        self.limit = limit
        self.resets_at = resets_at


class DayTokens:
    """What one taker - a run, a generation - has taken of its user's day and not used yet."""

    def __init__(self, database: Database, caller: Caller, limit: int) -> None:
        self._database = database
        self._caller = caller
        self._limit = limit
        self._taken = 0

    @property
    def unused(self) -> int:
        return self._taken

    async def take(self, amount: int) -> None:
        """Have so many at hand. Raises DayIsOver, and then has taken none."""
        more = amount - self._taken
        if more <= 0:
            return
        quota = await self._call(more, self._limit)
        if not quota["allowed"]:
            raise DayIsOver(used=quota["used"], limit=self._limit, resets_at=str(quota["resets_at"]))
        self._taken += more

    async def settle(self, spent: Tokens) -> None:
        """Count what an answer has cost."""
        self._taken -= spent.total
        if self._taken < 0:
            over, self._taken = -self._taken, 0
            await self._call(over, _COUNT_ALWAYS)

    async def _call(self, amount: int, limit: int) -> Any:
        return await self._database.call(
            self._caller, "take_quota", p_name="model_tokens", p_amount=amount, p_limit=limit
        )
