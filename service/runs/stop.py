"""How others end the part of a run that may be ended: guest code, and never the two round trips around it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(Exception):
    """The guest was killed because someone asked for it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Stop:
    """Asked for once, from the same event loop. What is inside `interruptible()` is cancelled and raises Stopped."""

    def __init__(self) -> None:
        self._reason: str | None = None
        self._task: asyncio.Task[object] | None = None

    def ask(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason
            if self._task is not None:
                self._task.cancel()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        if self._reason is not None:
            raise Stopped(self._reason)
        self._task = asyncio.current_task()
        try:
            yield
        except asyncio.CancelledError:
            if self._reason is None or self._task is None:
                raise
            self._task.uncancel()  # ours: nobody else wants this task to end
            raise Stopped(self._reason) from None
        finally:
            self._task = None
