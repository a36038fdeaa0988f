"""Child runs: an agent runs another agent of its owner, inside of its own run.

A child is a run like any other - its own guest, manifest and record - but for what it shares with its root: the
deadline, the budget, the dry-run flag, and in a dry run what was pretended so far. It ends with its parent or before.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.job import EndRun
from service.capabilities.capability import Budget, ChildEnd, GuestError, Overlays
from service.capabilities.plain_json import canonical
from service.database.gateway import DatabaseUnavailable
from service.database.user_tables import Rehearsal
from service.errors import ApiError
from service.limit_settings import LimitSettings
from service.runs.asked import Asked, may_mean_test
from service.runs.inputs import BodyInput
from service.runs.models import RunRecord
from service.runs.stop import Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What a run and all of its child runs have together."""

    budget: Budget
    rehearsal: Rehearsal | None = None
    overlays: Overlays = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The run that a child run belongs to. `depth` is how deep that is itself; 0 for one that a caller asked for."""

    run_id: str
    depth: int
    shared: Shared


RunAsked = Callable[[Asked, Stop, Parent], Awaitable[RunRecord]]


class ChildRuns:
    """The child runs of one run, one at a time. See RunChild."""

    def __init__(self, run: RunAsked, parent: Parent, *, test: bool, limits: LimitSettings) -> None:
        self._run = run
        self._parent = parent
        self._test = test
        self._limits = limits

    async def __call__(self, name: str, input: Mapping[str, Any]) -> ChildEnd:
        """Raises EndRun when the time of the whole run is over, DatabaseUnavailable when there is no record of it."""
        self._require_shallow(name)
        self._require_plain(input)
        asked = Asked(agent_name=name, input=BodyInput(input), test=self._test, trigger="agent")
        try:
            record = await self._recorded(asked)
        except ApiError as error:
            if error.code == "agent_not_found":
                raise GuestError("ServiceError", f"agents.run: you have no agent {name!r}") from None
            raise DatabaseUnavailable(f"a child run ended as {error.code}") from None
        if record.code == "wall_time_exceeded" and self._parent.shared.budget.remaining_seconds() <= 0:
            raise EndRun("wall_time_exceeded", f"the time of the run was over when its child run of {name} was ended")
        return _end(record)

    async def _recorded(self, asked: Asked) -> RunRecord:
        """The child's record. Whoever cancels this waits until it is stopped and recorded."""
        stop = Stop()
        running = asyncio.ensure_future(self._run(asked, stop, self._parent))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            # When the time of all is over the child's own timer is about to say so.
            if self._parent.shared.budget.remaining_seconds() > 0:
                stop.ask("the run that it belongs to ended")
            await asyncio.wait({running})
            raise

    def _require_shallow(self, name: str) -> None:
        most = self._limits.limit_child_depth
        if self._parent.depth >= most:
            raise GuestError(
                "ServiceError",
                f"agents.run: {name} would be a child run {self._parent.depth + 1} deep, and {most} is the limit of "
                f"this host; do the agents run each other in a circle?",
            )

    def _require_plain(self, input: Mapping[str, Any]) -> None:
        """What a request's body may not be, this input may not be either."""
        size, most = len(canonical(input)), self._limits.limit_input_bytes
        if size > most:
            raise GuestError("ValueError", f"agents.run: the input has {size} bytes as JSON, the limit is {most} bytes")
        if flag := next((key for key in input if may_mean_test(key)), None):
            raise GuestError(
                "ValueError",
                f"agents.run: the input has a key {flag[:80]!r}; a child run is a dry run if its parent is",
            )


def _end(record: RunRecord) -> ChildEnd:
    if record.status == "succeeded":
        return ChildEnd(run_id=record.run_id, status=record.status, output=record.output)
    error = record.error or {}
    code, message = str(error.get("code")), str(error.get("message"))
    return ChildEnd(run_id=record.run_id, status=record.status, output=None, code=code, message=message)
