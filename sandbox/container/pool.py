"""Containers kept waiting ahead of need, each handed out once. A daemon that is away is tried again until it is back.

A container is only kept when what it says of itself, before any job, shows every required layer in force.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sandbox.container.daemon import LABEL, Daemon, DaemonError
from sandbox.container.streams import Streams
from sandbox.job import SandboxUnavailable

TAKE_SECONDS = 20.0
PARK_SECONDS = 30.0
"""How long a container may take from its start to saying that it waits."""

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
STOP_SECONDS = 20.0


@dataclass(eq=False, slots=True)
class Container:
    """One container that waits for its job, or has one."""

    id: str
    streams: Streams


class Pool:
    """`examine` is told the layers that a new container says it has; it raises SandboxUnavailable if it lacks one."""

    def __init__(
        self, daemon: Daemon, *, size: int, instance: str, examine: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self._daemon = daemon
        self._size = size
        self._instance = instance
        self._examine = examine
        self._options: Mapping[str, Any] = {}
        self._parked: deque[Container] = deque()
        self._waiting: deque[asyncio.Future[Container]] = deque()
        self._starting = 0
        self._undone: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pause = FIRST_PAUSE_SECONDS
        self._retry: asyncio.TimerHandle | None = None
        self._open = False
        self.trouble: str | None = "not started"

    async def start(self, options: Mapping[str, Any]) -> None:
        """Remove what a crashed host left behind, and wait for the first; DaemonError or SandboxUnavailable."""
        self._options = {**options, "labels": {LABEL: self._instance}}
        for leftover in await self._daemon.labelled(self._instance):
            await self._daemon.remove(leftover)
        self._open = True
        self._offer(await self._new())
        self.trouble = None
        self._fill()

    async def stop(self) -> None:
        """Remove every container, also those that are at work."""
        self._open = False
        self.trouble = "stopped"
        self._refuse_all()
        if self._retry is not None:
            self._retry.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
        with suppress(DaemonError, TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                left = await self._daemon.labelled(self._instance)
                await asyncio.gather(*(self._daemon.remove(container) for container in left))

    async def take(self) -> Container:
        """A waiting container, to be used once. SandboxUnavailable at once when none can come, else after a while."""
        if self._parked:
            container = self._parked.popleft()
            self._fill()
            return container
        if self.trouble is not None and not self._starting:
            raise SandboxUnavailable(f"there is no container to run in: {self.trouble}")
        waiting: asyncio.Future[Container] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._fill()
        try:
            async with asyncio.timeout(TAKE_SECONDS):
                return await waiting
        except TimeoutError:
            reason = self.trouble or f"none became free within {TAKE_SECONDS:.0f} s"
            raise SandboxUnavailable(f"there is no container to run in: {reason}") from None
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            if waiting.cancelled():
                self._fill()

    async def destroy(self, container: Container) -> None:
        """Kill it and remove it; returns when nothing of it is left, as far as the daemon can be asked."""
        container.streams.close()
        await self._remove(container.id)

    def dismiss(self, container: Container) -> None:
        """The same, while nobody waits."""
        container.streams.close()
        self._later(self._remove(container.id))

    def _fill(self) -> None:
        self._retry = None
        wanted = self._size + len(self._waiting) - len(self._parked) - self._starting
        for _ in range(wanted if self._open else 0):
            self._starting += 1
            self._later(self._add())

    async def _add(self) -> None:
        try:
            container = await self._new()
        except (DaemonError, SandboxUnavailable) as error:
            self._fail(str(error))
            return
        finally:
            self._starting -= 1
        if not self._open:
            await self.destroy(container)
            return
        self.trouble = None
        self._pause = FIRST_PAUSE_SECONDS
        self._offer(container)
        for forgotten in list(self._undone):
            await self._remove(forgotten)

    async def _new(self) -> Container:
        """A container that waits for its job. What goes wrong on the way leaves none behind."""
        identity = await self._daemon.create(self._options)
        try:
            streams = await self._daemon.start(identity)
            async with asyncio.timeout(PARK_SECONDS):
                layers = await asyncio.shield(streams.parked)
            if layers is None:
                raise SandboxUnavailable("a container ended before it was ready")
            self._examine(layers)
        except BaseException as error:
            await self._remove(identity)
            if isinstance(error, TimeoutError):
                raise SandboxUnavailable(f"a container was not ready within {PARK_SECONDS:.0f} s") from None
            raise
        return Container(identity, streams)

    def _offer(self, container: Container) -> None:
        """To whoever waits longest, or to the parked ones. One that dies while it is parked is replaced."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(container)
                return
        self._parked.append(container)
        container.streams.closed.add_done_callback(lambda _: self._lost(container))

    def _lost(self, container: Container) -> None:
        if container in self._parked:
            self._parked.remove(container)
            self.dismiss(container)
            if self._retry is None:
                self._fill()

    def _fail(self, reason: str) -> None:
        """Whoever waits is told at once; the next try comes after a pause that grows."""
        self.trouble = reason
        self._refuse_all()
        if self._open and self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(self._pause, self._fill)
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)

    def _refuse_all(self) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(SandboxUnavailable(f"there is no container to run in: {self.trouble}"))

    async def _remove(self, identity: str) -> None:
        """What cannot be removed now is tried again when the daemon is back."""
        self._undone.add(identity)
        with suppress(DaemonError):
            await asyncio.shield(self._daemon.remove(identity))
            self._undone.discard(identity)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
