"""The restricted engine: one forked, jailed, once-used process a job. Implements the port of sandbox/job.py."""

import asyncio
import hashlib
import json
import signal
import sys
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Literal

from sandbox import wire
from sandbox.conversation import Conversation, GuestGone, Verdict
from sandbox.guest.probe import PROBES, WITHOUT_FILTER
from sandbox.job import Checked, EngineStatus, Job, OnCall, OnLog, Outcome, Reply, SandboxUnavailable
from sandbox.limits import Limits
from sandbox.restricted.child import LINGER_SECONDS, Child, Exit
from sandbox.restricted.jail import OPTIONAL_LAYERS
from sandbox.restricted.nursery import Nursery
from sandbox.verdicts import outcome_of, read_checked

WALL_GRACE_SECONDS = 2.0
"""The kernel's timer in the guest ends a run at its limit; the host waits so much longer before it kills."""

CHECK_WALL_SECONDS = 10.0
CHECK_FRAME_BYTES = 8 * 1024 * 1024
CACHE_BYTES = 64 * 1024 * 1024
RECEIVE_BYTES = 256 * 1024


class RestrictedEngine:
    """`language="plain"` and `without` (layers of jail.LAYERS) exist for tests of the jail itself.

    `start` refuses when a layer is missing or a self-test gets through, unless `allow_weaker`.
    """

    name = "restricted"

    def __init__(
        self,
        *,
        limits: Limits,
        parked: int = 8,
        recycle_runs: int = 1000,
        language: Literal["restricted", "plain"] = "restricted",
        without: frozenset[str] = frozenset(),
        allow_weaker: bool = False,
    ) -> None:
        self._limits = limits
        self._allow_weaker = allow_weaker
        options = {"language": language, "without": sorted(without), "weaker": allow_weaker}
        self.nursery = Nursery(options=options, parked=parked, recycle_runs=recycle_runs)
        self._facts: Mapping[str, Any] = {"in_force": [], "missing": []}
        self._leaks: list[str] = []
        self._cache: OrderedDict[bytes, Checked] = OrderedDict()
        self._cache_bytes = 0
        self._checking: dict[bytes, asyncio.Task[Checked]] = {}

    async def start(self) -> None:
        """Build the jail and attack it. SandboxUnavailable, and nothing left running, when it does not hold."""
        if sys.platform != "linux":
            raise SandboxUnavailable("the restricted engine needs Linux; use the container engine here")
        try:
            self._facts = await self.nursery.start()
            self._leaks = await self._self_test()
            weak = [*self._leaks, *(f"the layer {name!r} is missing" for name in self._required_missing())]
            if weak and not self._allow_weaker:
                raise SandboxUnavailable("the jail does not hold: " + "; ".join(weak))
        except BaseException:
            await self.nursery.stop()
            raise

    async def stop(self) -> None:
        await self.nursery.stop()

    def status(self) -> EngineStatus:
        trouble = self.nursery.trouble
        missing = (*self._facts["missing"], *self._leaks)
        detail = trouble or ("weaker than required" if self._required_missing() or self._leaks else "ready")
        return EngineStatus(
            name=self.name,
            ready=trouble is None,
            detail=detail,
            isolation=tuple(self._facts["in_force"]),
            missing=missing,
        )

    async def check(self, source: str) -> Checked:
        """As the port says. Answers are kept in memory, by the hash of the source, as long as this engine lives."""
        size = len(source.encode("utf-8", "surrogatepass"))
        if size > self._limits.source_bytes:
            return read_checked(
                None, f"the source is {size} bytes long; at most {self._limits.source_bytes} are allowed"
            )
        key = hashlib.sha256(source.encode("utf-8", "surrogatepass")).digest()
        if (known := self._cache.get(key)) is not None:
            self._cache.move_to_end(key)
            return known
        if (checking := self._checking.get(key)) is None:
            checking = self._checking[key] = asyncio.get_running_loop().create_task(self._check_once(key, source))
        return await asyncio.shield(checking)

    async def _check_once(self, key: bytes, source: str) -> Checked:
        """The check that all who ask for this source now wait for."""
        try:
            checked = await self._check(source)
            self._remember(key, checked)
            return checked
        finally:
            del self._checking[key]

    async def run(self, job: Job, *, on_call: OnCall, on_log: OnLog | None = None) -> Outcome:
        """As the port says."""
        conversation = Conversation(job.limits, on_call, on_log)
        opening = opening_of(job)
        started = time.monotonic()
        end = await self._converse(conversation, opening, job.limits.wall_seconds)
        wall_ms = (time.monotonic() - started) * 1000
        return outcome_of(conversation, end, source=job.source, engine=self.name, wall_ms=wall_ms)

    async def _converse(self, conversation: Conversation, opening: bytes, wall_seconds: float) -> Exit:
        """Take a child, hold the conversation, learn what it used. SandboxUnavailable when the zygote was lost.

        A guest that has said its last word, and waits to be hung up on, is asked the kernel about and dismissed: its
        end need not be waited for. Any other is killed, and waited for.
        """
        child = await self.nursery.take()
        connection = _SocketConnection(child)
        try:
            async with asyncio.timeout(wall_seconds + WALL_GRACE_SECONDS):
                await conversation.hold(connection, opening, child.ended)
        except TimeoutError:
            conversation.verdict = Verdict("wall_time_exceeded", f"the run took longer than {wall_seconds:g} s")
        except BaseException:
            child.kill()
            await asyncio.shield(child.finish())
            raise
        if conversation.silent and child.waits_to_be_hung_up_on() and (used := child.used()) is not None:
            self.nursery.dismiss(child)
            return used
        return await self._end_of(child, conversation, connection)

    async def _end_of(self, child: Child, conversation: Conversation, connection: "_SocketConnection") -> Exit:
        if conversation.closing is None:
            child.kill()
        try:
            await asyncio.wait({child.ended}, timeout=LINGER_SECONDS)
            if not child.ended.done():
                child.kill()
            await conversation.rest(connection)
        finally:
            end = await asyncio.shield(child.finish())
        if end.status is None and conversation.closing is None:
            raise SandboxUnavailable("the sandbox was lost during the run")
        return end

    async def _check(self, source: str) -> Checked:
        try:
            opening = wire.encode({"kind": "check", "source": source})
        except ValueError:
            return read_checked(None, "the source holds U+0000 or half of a surrogate pair")
        limits = Limits(
            wall_seconds=CHECK_WALL_SECONDS,
            cpu_seconds=self._limits.cpu_seconds,
            memory_bytes=self._limits.memory_bytes,
            frame_bytes=CHECK_FRAME_BYTES,
        )
        conversation = Conversation(limits, _no_calls)
        end = await self._converse(conversation, _opening(limits, opening), limits.wall_seconds)
        if conversation.closing is None and not _own_fault(conversation, end):
            raise SandboxUnavailable("the check of a source was cut off")
        return read_checked(conversation.closing, "the source is too complex to be checked")

    def _remember(self, key: bytes, checked: Checked) -> None:
        self._cache[key] = checked
        self._cache_bytes += _weight(checked)
        while self._cache_bytes > CACHE_BYTES:
            _, dropped = self._cache.popitem(last=False)
            self._cache_bytes -= _weight(dropped)

    async def _self_test(self) -> list[str]:
        """What a guest got through with; every probe, with all layers and then with all but the filter."""
        leaks = [f"{name} is possible in the jail" for name in PROBES if not await self._denied(name, filtered=True)]
        for name in WITHOUT_FILTER:
            if not await self._denied(name, filtered=False):
                leaks.append(f"only the system call filter stops {name}")
        return leaks

    async def _denied(self, name: str, *, filtered: bool) -> bool:
        child = await (self.nursery.take() if filtered else self.nursery.take_unfiltered())
        conversation = Conversation(self._limits, _no_calls)
        opening = _opening(self._limits, wire.encode({"kind": "probe", "name": name}))
        await conversation.hold(_SocketConnection(child), opening, child.ended)
        end = await child.finish()
        if conversation.closing is not None:
            return conversation.closing.get("denied") is True
        return end.signal is signal.SIGSYS

    def _required_missing(self) -> list[str]:
        return [name for name in self._facts["missing"] if name not in OPTIONAL_LAYERS]


class _SocketConnection:
    """A child's socket as a Connection."""

    def __init__(self, child: Child) -> None:
        self._socket = child.connection

    async def send(self, data: bytes) -> None:
        try:
            await asyncio.get_running_loop().sock_sendall(self._socket, data)
        except OSError as error:
            raise GuestGone from error

    async def receive(self) -> bytes:
        try:
            return await asyncio.get_running_loop().sock_recv(self._socket, RECEIVE_BYTES)
        except OSError as error:
            raise GuestGone from error


def opening_of(job: Job) -> bytes:
    """What a parked child is sent: the header that it sets its limits by, and the job."""
    message = {
        "kind": "run",
        "code": job.code.decode("ascii"),
        "entry": job.entry,
        "input": dict(job.input),
        "test": job.test,
        "output_bytes": job.limits.output_bytes,
        "log_bytes": job.limits.log_bytes,
        "frame_bytes": job.limits.frame_bytes,
    }
    return _opening(job.limits, wire.encode(message))


def _opening(limits: Limits, frame: bytes) -> bytes:
    return wire.HEADER.pack(limits.wall_seconds, limits.cpu_seconds, limits.memory_bytes) + frame


def _weight(checked: Checked) -> int:
    return 4096 + len(checked.code) + len(json.dumps(checked.input_schema))


def _own_fault(conversation: Conversation, end: Exit) -> bool:
    """Whether a check that says nothing ended by what its source is, and would again. Else the machine was at fault."""
    if conversation.verdict is not None:
        return conversation.verdict.code != "wall_time_exceeded"
    return end.signal not in (signal.SIGKILL, signal.SIGALRM, signal.SIGTERM)


async def _no_calls(_: object) -> Reply:
    raise wire.WireError("a check makes no calls")
