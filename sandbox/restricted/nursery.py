"""The host's end of a zygote: keeps children parked ahead of need, hands each out once, learns how each ended.

One `Nursery` owns one zygote process at a time and replaces it: after so many runs, because all its children share a
hash secret and a memory layout, and at once when it dies.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable
from typing import Any

from sandbox.job import TAKE_SECONDS, SandboxUnavailable
from sandbox.restricted.child import Child, Exit, ZygoteProcess, pid_behind

START_SECONDS = 15.0
RESTART_PAUSE_SECONDS = 0.2
REFILL_SECONDS = 0.02
"""How long a place may stay empty while enough others are parked: forks are kept out of the way of runs."""

CHILDREN_AT_ONCE = 192
"""So many may be there at once, parked and at work; whoever comes then waits. A process has 1024 descriptors as a rule,
and a run takes up to four of the host's: its child's, the one that it was asked for by, and two while it looks a name
up."""

FORKS_AT_ONCE = 8
"""So many are ordered before any has come: while it forks, a zygote neither kills nor buries."""

NO_ROOM_SECONDS = 0.1
"""How long none is asked for once the machine had no room for one."""

_DATAGRAM_BYTES = 65536


class Nursery:
    """Parked children of the current zygote. All methods belong to one event loop."""

    def __init__(self, *, options: dict[str, Any], parked: int, recycle_runs: int) -> None:
        self._options = options
        self._target = parked
        self._recycle_runs = recycle_runs
        self._parked: asyncio.Queue[Child] = asyncio.Queue()
        self._unfiltered: asyncio.Queue[Child] = asyncio.Queue()
        self._waiting = 0
        self._zygotes: set[ZygoteProcess] = set()
        self._current: ZygoteProcess | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._refill: asyncio.TimerHandle | None = None
        self._no_room_until = 0.0
        self._leaving: set[asyncio.Task[Exit]] = set()
        self._closed = False
        self.trouble: str | None = "not started"

    @property
    def current(self) -> ZygoteProcess | None:
        """The zygote that children are forked from; dead for as long as its successor is starting."""
        return self._current

    async def start(self) -> dict[str, Any]:
        """Start the first zygote. What it says of itself; SandboxUnavailable when it cannot build the jail."""
        self._closed = False
        self._current = await self._spawn()
        self.trouble = None
        self._fill()
        return self._current.ready.result()

    async def stop(self) -> None:
        """End every zygote, and with them every child. Runs still in flight end as the zygote's death does."""
        self._closed = True
        self.trouble = "stopped"
        if self._replacing is not None:
            self._replacing.cancel()
        if self._refill is not None:
            self._refill.cancel()
        for zygote in list(self._zygotes):
            zygote.kill()
        while self._zygotes:  # noqa: ASYNC110 - each is buried by its own end of file
            await asyncio.sleep(0.005)
        await asyncio.gather(*self._leaving)

    async def take(self) -> Child:
        """A parked child, to be used once. Waits for one under load; SandboxUnavailable when none comes."""
        self._waiting += 1
        try:
            if self._parked.empty():
                self._fill()
            async with asyncio.timeout(TAKE_SECONDS):
                child = await self._next()
        except TimeoutError:
            reason = self.trouble or f"none became free within {TAKE_SECONDS:.0f} s"
            raise SandboxUnavailable(f"there is no sandbox to run in: {reason}") from None
        finally:
            self._waiting -= 1
        child.hand_out()
        if child.zygote.handed_out >= self._recycle_runs:
            self._replace()
        if self._parked.qsize() < self._target // 2:
            self._fill()
        elif self._refill is None:
            self._refill = asyncio.get_running_loop().call_later(REFILL_SECONDS, self._fill)
        return child

    async def _next(self) -> Child:
        """The next one that is alive: short of memory, the kernel takes guests while they are parked."""
        while True:
            child = await self._parked.get()
            if child.waits_to_be_hung_up_on():
                return child
            child.connection.close()

    def dismiss(self, child: Child) -> None:
        """Its job is done: it is killed, so that it cannot go on, and goes while nobody waits."""
        child.kill()
        task = asyncio.get_running_loop().create_task(child.finish())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def take_unfiltered(self) -> Child:
        """A child without the system call filter, for the self-test of the other layers. Never for a tenant's job."""
        self._zygote().order({"fork": 1, "filter": False})
        try:
            async with asyncio.timeout(TAKE_SECONDS):
                child = await self._unfiltered.get()
        except TimeoutError:
            raise SandboxUnavailable(f"the jail could not be tried within {TAKE_SECONDS:.0f} s") from None
        child.parked = False
        return child

    async def bare_fork(self) -> None:
        """Have the zygote fork a child that exits at once, and wait for it: the yardstick of the benchmarks."""
        zygote = self._zygote()
        zygote.bare = asyncio.get_running_loop().create_future()
        zygote.order({"bare": True})
        await zygote.bare

    def _zygote(self) -> ZygoteProcess:
        if self._current is None or self._current.dead:
            raise SandboxUnavailable(self.trouble or "the zygote is being replaced")
        return self._current

    def _fill(self) -> None:
        if self._refill is not None:
            self._refill.cancel()
            self._refill = None
        zygote = self._current
        if zygote is None or zygote.dead:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._no_room_until:
            self._refill = loop.call_at(self._no_room_until, self._fill)
            return
        there = sum(len(each.children) + each.pending for each in self._zygotes)
        wanted = self._target + self._waiting - self._parked.qsize() - zygote.pending
        wanted = min(wanted, CHILDREN_AT_ONCE - there, FORKS_AT_ONCE - zygote.pending)
        if wanted > 0:
            zygote.pending += wanted
            zygote.order({"fork": wanted, "filter": True})

    async def _spawn(self) -> ZygoteProcess:
        """A new zygote that is ready. SandboxUnavailable, with the layer that could not be put up."""
        try:
            zygote = ZygoteProcess.start(self._options)
        except OSError as error:
            raise SandboxUnavailable(f"no zygote can be started: {error.strerror}") from error
        self._zygotes.add(zygote)
        asyncio.get_running_loop().add_reader(zygote.control.fileno(), self._listen, zygote)
        try:
            async with asyncio.timeout(START_SECONDS):
                await asyncio.shield(zygote.ready)
        except BaseException as error:
            zygote.ready.cancel()
            zygote.kill()
            if isinstance(error, TimeoutError):
                raise SandboxUnavailable(f"the zygote was not ready within {START_SECONDS:.0f} s") from None
            raise
        if zygote.dead:
            raise SandboxUnavailable("the zygote died when it was ready")
        return zygote

    def _replace(self) -> None:
        """Start another zygote beside the current one, if none is starting yet."""
        if not self._closed and (self._replacing is None or self._replacing.done()):
            self._replacing = asyncio.get_running_loop().create_task(self._replaced())

    async def _replaced(self) -> None:
        pause = RESTART_PAUSE_SECONDS
        while True:
            try:
                fresh = await self._spawn()
                break
            except SandboxUnavailable as error:
                if self._current is None or self._current.dead:
                    self.trouble = str(error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
        old, self._current, self.trouble = self._current, fresh, None
        self._fill()
        if old is not None and not old.dead:
            old.retired = True
            self._drop_parked(lambda child: child.zygote is old)
            self._bury_if_idle(old)

    def _drop_parked(self, unwanted: Callable[[Child], bool]) -> None:
        for _ in range(self._parked.qsize()):
            child = self._parked.get_nowait()
            if unwanted(child):
                child.connection.close()
            else:
                self._parked.put_nowait(child)

    def _bury_if_idle(self, zygote: ZygoteProcess) -> None:
        if zygote.retired and not zygote.children:
            zygote.kill()

    def _listen(self, zygote: ZygoteProcess) -> None:
        """Datagrams of one zygote. Its end of file is its end."""
        for _ in range(64):
            try:
                data, descriptors, _, _ = socket.recv_fds(zygote.control, _DATAGRAM_BYTES, 2)
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            if not data:
                self._lost(zygote)
                return
            self._hear(zygote, json.loads(data), descriptors)

    def _hear(self, zygote: ZygoteProcess, message: dict[str, Any], descriptors: list[int]) -> None:
        match message:
            case {"parked": pid, "filter": filtered}:
                self._park(zygote, pid, filtered, descriptors)
            case {"unforked": _, "filter": filtered}:
                self._no_room(zygote, filtered)
            case {"exited": pid, "status": status, "cpu_ms": cpu_ms, "max_rss_bytes": max_rss_bytes}:
                if (child := zygote.children.pop(pid, None)) is not None:
                    self._ended(child, Exit(status, cpu_ms, max_rss_bytes))
                self._bury_if_idle(zygote)
            case {"ready": _} if not zygote.ready.done():
                zygote.ready.set_result(message)
            case {"failed": layer, "message": reason} if not zygote.ready.done():
                zygote.ready.set_exception(SandboxUnavailable(f"the jail's layer {layer!r} cannot be put up: {reason}"))
            case {"bare": True} if zygote.bare is not None:
                zygote.bare.set_result(None)

    def _park(self, zygote: ZygoteProcess, pid: int, filtered: bool, descriptors: list[int]) -> None:
        """A new child, its socket and its pidfd. Where this process can have no more of them, the kernel drops some:
        the child reads that nobody is there, and ends."""
        if len(descriptors) < 2:
            for descriptor in descriptors:
                os.close(descriptor)
            self._no_room(zygote, filtered)
            return
        connection, host_pid = socket.socket(fileno=descriptors[0]), pid_behind(descriptors[1])
        os.close(descriptors[1])
        connection.setblocking(False)
        child = Child(zygote, pid, connection, asyncio.get_running_loop().create_future(), host_pid)
        zygote.children[pid] = child
        if not filtered:
            self._unfiltered.put_nowait(child)
            return
        zygote.pending -= 1
        if zygote.retired:
            connection.close()
            return
        self._parked.put_nowait(child)
        if not zygote.pending and (self._waiting or self._parked.qsize() < self._target // 2):
            self._fill()

    def _no_room(self, zygote: ZygoteProcess, filtered: bool) -> None:
        """For a child that was asked for. The next are asked for after a pause."""
        if filtered:
            zygote.pending -= 1
        self._pause()

    def _pause(self) -> None:
        self._no_room_until = asyncio.get_running_loop().time() + NO_ROOM_SECONDS
        self._fill()

    def _ended(self, child: Child, end: Exit) -> None:
        child.ended.set_result(end)
        if child.parked:
            self._drop_parked(lambda parked: parked is child)
        if child.parked and child.zygote is self._current:  # of itself: it found no room either
            self._pause()
        elif child.parked or self._waiting:
            self._fill()

    def _lost(self, zygote: ZygoteProcess) -> None:
        """It died, or was killed: so did all its children. A successor is started unless there is one."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(zygote.control.fileno())
        loop.remove_writer(zygote.control.fileno())
        zygote.dead = True
        zygote.control.close()
        zygote.kill()
        zygote.process.wait()
        self._zygotes.discard(zygote)
        if not zygote.ready.done():
            zygote.ready.set_exception(SandboxUnavailable("the zygote died while it was starting"))
        if zygote.bare is not None and not zygote.bare.done():
            zygote.bare.set_exception(SandboxUnavailable("the zygote died"))
        for child in list(zygote.children.values()):
            self._ended(child, Exit(None))
        zygote.children.clear()
        if zygote is self._current and not self._closed:
            self.trouble = "the zygote died and is being replaced"
            self._replace()
