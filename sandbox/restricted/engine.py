"""The restricted engine: one forked, jailed, once-used process a job. Implements the port of sandbox/job.py."""

import asyncio
import signal
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from sandbox import wire
from sandbox.checks import Checks, header, no_calls, run_job
from sandbox.conversation import Conversation, GuestGone
from sandbox.guest.probe import PROBES, WITHOUT_FILTER
from sandbox.job import Checked, EngineStatus, Job, OnCall, OnLog, Outcome, SandboxUnavailable
from sandbox.limits import Limits
from sandbox.restricted.child import Child, Exit
from sandbox.restricted.jail import OPTIONAL_LAYERS
from sandbox.restricted.nursery import Nursery

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
        self._checks = Checks(limits, self._converse)

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

    def known(self, source: str) -> Checked | None:
        """As the port says."""
        return self._checks.known(source)

    async def check(self, source: str) -> Checked:
        """As the port says."""
        return await self._checks.of(source)

    async def run(self, job: Job, *, on_call: OnCall, on_log: OnLog | None = None) -> Outcome:
        """As the port says."""
        return await run_job(job, on_call, on_log, engine=self.name, converse=self._converse)

    async def _converse(self, conversation: Conversation, opening: Iterable[bytes]) -> Exit:
        """Take a child, hold the conversation, learn what it used. SandboxUnavailable when the zygote was lost.

        A guest that has said its last word, and waits to be hung up on, is asked the kernel about and dismissed: its
        end need not be waited for. Any other's is; who has not said it is killed.
        """
        child = await self.nursery.take()
        try:
            await conversation.hold(_SocketConnection(child), opening, child.ended)
            if conversation.silent and child.waits_to_be_hung_up_on() and (used := child.used()) is not None:
                self.nursery.dismiss(child)
                return used
            if conversation.closing is None:
                child.kill()
            end = await asyncio.shield(child.finish())
        except BaseException:
            child.kill()
            await asyncio.shield(child.finish())
            raise
        if end.status is None and conversation.closing is None:
            raise SandboxUnavailable("the sandbox was lost during the run")
        conversation.conclude(unread=end.unread)
        return end

    async def _self_test(self) -> list[str]:
        """What a guest got through with; every probe, with all layers and then with all but the filter."""
        leaks = [f"{name} is possible in the jail" for name in PROBES if not await self._denied(name, filtered=True)]
        for name in WITHOUT_FILTER:
            if not await self._denied(name, filtered=False):
                leaks.append(f"only the system call filter stops {name}")
        return leaks

    async def _denied(self, name: str, *, filtered: bool) -> bool:
        child = await (self.nursery.take() if filtered else self.nursery.take_unfiltered())
        conversation = Conversation(self._limits, no_calls)
        frame = wire.encode({"kind": "probe", "name": name})
        await conversation.hold(_SocketConnection(child), (header(self._limits), frame), child.ended)
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
