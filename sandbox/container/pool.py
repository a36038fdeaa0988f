"""Containers kept waiting ahead of need, each handed out once. A daemon that is away is asked again until it is back.

A container is only kept when what it says of itself, before any job, shows every required layer in force. Whatever
carries this host's label and is none of its living containers is removed, at the start and every few seconds.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from random import sample
from secrets import token_hex
from typing import Any

from sandbox.container.daemon import LABEL, Daemon, DaemonError
from sandbox.container.streams import Streams
from sandbox.job import TAKE_SECONDS, SandboxUnavailable

PARK_SECONDS = 30.0
"""How long a container may take from its start to saying that it waits."""

STARTS_AT_ONCE = 4
REMOVALS_AT_ONCE = 4
"""More at once would only slow the runs in flight, and one another."""

TIMES_POOL = 8
"""So many times the size of the pool may be there at once, parked and at work. Whoever comes then waits."""

USERS = range(60706, 61184)
"""In turn, one a container, so that runs do not share what the kernel counts by user. In systemd's list of ids these
are unused; they are below 65536, since a daemon in a user namespace may have no others."""

LOOK_AGAIN_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
DESTROY_SECONDS = 10.0
STOP_SECONDS = 20.0


@dataclass(eq=False, slots=True)
class Container:
    """One container that waits for its job, or has one."""

    name: str
    streams: Streams


class Pool:
    """`options` are those of a container: asked anew after every failure, since it is what makes the image.

    `examine` is told the layers that a new container says it has; it raises SandboxUnavailable if it lacks one.
    `changed` is called whenever `trouble` has another value.
    """

    def __init__(
        self,
        daemon: Daemon,
        *,
        size: int,
        instance: str,
        options: Callable[[], Awaitable[Mapping[str, Any]]],
        examine: Callable[[Mapping[str, Any]], None],
        changed: Callable[[], None],
    ) -> None:
        self._daemon = daemon
        self._size = size
        self._instance = instance
        self._ask_options = options
        self._examine = examine
        self._changed = changed
        self._options: Mapping[str, Any] | None = None
        self._users = cycle(sample(USERS, len(USERS)))
        self._known: set[str] = set()
        self._parked: deque[Container] = deque()
        self._waiting: deque[asyncio.Future[Container]] = deque()
        self._starting = 0
        self._removals = asyncio.Semaphore(REMOVALS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._doubt = asyncio.Event()
        self._tried = asyncio.Event()
        self.trouble: str | None = "starting"

    async def start(self, seconds: float) -> None:
        """Begin to keep containers. Waits so long for the first one, or for the first failure."""
        self._keeper = asyncio.get_running_loop().create_task(self._keep())
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._tried.wait()

    async def stop(self) -> None:
        """Remove every container, also those that are at work."""
        self._options = None
        self._tell("stopped")
        self._refuse_all()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        self._drop_parked()
        await self._settle()
        self._known.clear()
        with suppress(DaemonError):
            await self._sweep()
        await self._settle()

    @property
    def ready(self) -> bool:
        """A run that comes now gets a container, or may hope for one."""
        return bool(self._parked) or self.trouble is None

    async def take(self) -> Container:
        """A waiting container, to be used once. SandboxUnavailable at once when none can come, else after a while."""
        while self._parked:
            container = self._parked.popleft()
            self._fill()
            if not container.streams.closed.done():
                return container
            self.dismiss(container)
        if self.trouble is not None:
            raise self._none()
        waiting: asyncio.Future[Container] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._fill()
        try:
            await asyncio.wait({waiting}, timeout=TAKE_SECONDS)
        except asyncio.CancelledError:
            self._withdraw(waiting)
            raise
        if not waiting.done():
            self._withdraw(waiting)
            raise self._none()
        return waiting.result()

    async def destroy(self, container: Container) -> None:
        """Kill it and remove it; returns when nothing of it is left, or the daemon does not do it in time."""
        await asyncio.wait({self.dismiss(container)}, timeout=DESTROY_SECONDS)

    def dismiss(self, container: Container) -> asyncio.Task[None]:
        """The same, while nobody waits."""
        return self._later(self._remove(container.name, container.streams))

    async def _keep(self) -> None:
        """The only one that tries anything while there is trouble, and looks now and then whether there is."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._look()
            except Exception as error:  # whatever it is, it is seen, and tried again
                known = isinstance(error, DaemonError | SandboxUnavailable)
                self._tell(str(error) if known else f"a mistake of the host: {type(error).__name__}")
                self._refuse_all()
                self._tried.set()
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                continue
            pause = FIRST_PAUSE_SECONDS
            self._tell(None)
            self._tried.set()
            self._fill()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                    await self._doubt.wait()
                await asyncio.sleep(FIRST_PAUSE_SECONDS)

    async def _look(self) -> None:
        """DaemonError or SandboxUnavailable unless all is well; where that was in doubt, a new container proves it."""
        doubtful = self.trouble is not None or self._doubt.is_set()
        self._doubt.clear()
        try:
            await self._sweep()
        except DaemonError:
            self._drop_parked()  # they can be reached through the daemon alone
            raise
        options = {**await self._ask_options(), "labels": {LABEL: self._instance}}
        if doubtful:
            # Not cancelled with the keeper: a creation that was cut off would leave its container behind.
            await asyncio.shield(self._later(self._park_new(self._name(), options)))
        self._options = options

    async def _sweep(self) -> None:
        """Remove what carries the label and is unknown: of a crashed host, of failed removals, of late creations."""
        for name in await self._daemon.labelled(self._instance):
            if name not in self._known:
                self._known.add(name)
                self._later(self._remove(name, None))

    def _fill(self) -> None:
        while (
            self._options is not None
            and self._starting < STARTS_AT_ONCE
            and len(self._parked) + self._starting < self._size + len(self._waiting)
            and len(self._known) < self._size * TIMES_POOL
        ):
            self._starting += 1
            self._later(self._add(self._name(), self._options))

    async def _add(self, name: str, options: Mapping[str, Any]) -> None:
        try:
            await self._park_new(name, options)
        except (DaemonError, SandboxUnavailable):
            self._question()
        finally:
            self._starting -= 1
            self._fill()

    def _name(self) -> str:
        """Of a new container; known from now on, whatever the daemon makes of it and when."""
        name = f"agenthost-{self._instance[:12]}-{token_hex(6)}"
        self._known.add(name)
        return name

    async def _park_new(self, name: str, options: Mapping[str, Any]) -> None:
        """One more container that waits for its job. What goes wrong on the way leaves none behind."""
        streams = None
        try:
            user = next(self._users)
            await self._daemon.create(name, {"user": f"{user}:{user}", **options})
            streams = await self._daemon.start(name)
            async with asyncio.timeout(PARK_SECONDS):
                layers = await asyncio.shield(streams.parked)
            if layers is None:
                raise SandboxUnavailable("a container ended before it was ready")
            self._examine(layers)
        except BaseException as error:
            self._later(self._remove(name, streams))
            if isinstance(error, TimeoutError):
                raise SandboxUnavailable(f"a container was not ready within {PARK_SECONDS:.0f} s") from None
            raise
        self._park(Container(name, streams))

    def _park(self, container: Container) -> None:
        """To whoever waits longest, or to the parked ones. One that dies while it is parked is replaced."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(container)
                return
        if self.trouble == "stopped":
            self.dismiss(container)
            return
        self._parked.append(container)
        container.streams.closed.add_done_callback(lambda _: self._lost(container))

    def _withdraw(self, waiting: asyncio.Future[Container]) -> None:
        """Of somebody who waits no more; a container that was handed over meanwhile goes to the next."""
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        if waiting.done() and not waiting.exception():
            self._park(waiting.result())
        waiting.cancel()

    def _lost(self, container: Container) -> None:
        if container in self._parked:
            self._parked.remove(container)
            self.dismiss(container)
            self._question()

    def _drop_parked(self) -> None:
        while self._parked:
            self.dismiss(self._parked.popleft())

    def _question(self) -> None:
        """Something failed that should not have: nothing is started until the keeper has looked."""
        self._options = None
        self._doubt.set()

    def _refuse_all(self) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(self._none())

    def _none(self) -> SandboxUnavailable:
        reason = self.trouble or f"none became free within {TAKE_SECONDS:.0f} s"
        return SandboxUnavailable(f"there is no container to run in: {reason}")

    def _tell(self, trouble: str | None) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._changed()

    async def _remove(self, name: str, streams: Streams | None) -> None:
        """What cannot be removed now is swept up later."""
        try:
            if streams is not None:
                await streams.hang_up()
            async with self._removals:
                await self._daemon.remove(name)
        except DaemonError:
            pass
        finally:
            self._known.discard(name)
            self._fill()

    async def _settle(self) -> None:
        """Wait for what is under way, but not for a daemon that is stuck: the next start removes what it leaves."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
