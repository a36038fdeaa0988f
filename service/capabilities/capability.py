"""What a capability is: a service's actions, the arguments of each, who may call them, and the two twins that answer.

A twin is made once a run from its context and has one coroutine method an action, which takes the validated arguments
and returns JSON. The live one acts; the dry one pretends, and answers in the same shape. What the live one acts with
stands in a context that the dry one never sees.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from service.auth import Caller
from service.capabilities.effects import Source, call_hash
from service.capabilities.fixtures import Fixtures
from service.capabilities.manifest import Manifest
from service.database.gateway import Database, Row, Where
from service.database.user_tables import Rehearsal
from service.limit_settings import LimitSettings
from service.outside.outside import Outside

GuestErrorType = Literal["TypeError", "ValueError", "ServiceError", "CapabilityDenied"]


class GuestError(Exception):
    """A call fails with this exception in the guest. The message is for the agent's author: nothing of the host's.

    `performed`: something real was done all the same, such as a request that was sent and not answered.
    """

    def __init__(self, type_name: GuestErrorType, message: str, *, performed: bool = False) -> None:
        super().__init__(message)
        self.type_name: GuestErrorType = type_name
        self.message = message
        self.performed = performed


def denied(message: str) -> GuestError:
    """The manifest does not allow it; `message` says what to add."""
    return GuestError("CapabilityDenied", message)


class Arguments(BaseModel):
    """The arguments of one action. Strict, and closed: what is not declared is a TypeError in the guest."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """A result, and where it comes from when that is not plain from the run being live or dry."""

    result: Any
    source: Source


SECONDS_TO_ANSWER: Final = 0.25
"""A call that waits for the world ends so long before its run, for the agent to hear of it."""


@dataclass(slots=True, kw_only=True)
class Budget:
    """What a run and its child runs may use together, and have used. `deadline` is on the clock of time.monotonic."""

    deadline: float
    max_effects: int
    effects: int = 0
    recipients: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    tokens_estimated: bool = False

    @property
    def tokens(self) -> tuple[int, int]:
        """Into the model, and out of it."""
        return self.input_tokens, self.output_tokens

    def remaining_seconds(self) -> float:
        return max(0.0, self.deadline - time.monotonic())

    @property
    def call_deadline(self) -> float:
        """When a call has to end; on the clock of `deadline`."""
        return self.deadline - SECONDS_TO_ANSWER

    def call_seconds(self) -> float:
        """How long a call may take that begins now."""
        return max(0.0, self.call_deadline - time.monotonic())


READING_FUNCTIONS: Final = frozenset({"kv_get", "kv_list"})


class Reads:
    """What a dry run may see of the database: rows and reading functions, under the caller's policies."""

    __slots__ = ("_caller", "_database")

    def __init__(self, database: Database, caller: Caller) -> None:
        self._database = database
        self._caller = caller

    async def select(
        self,
        table: str,
        *,
        columns: list[str] | None = None,
        where: Where | None = None,
        order: str | None = None,
        limit: int | None = None,
    ) -> list[Row]:
        return await self._database.select(self._caller, table, columns=columns, where=where, order=order, limit=limit)

    async def call(self, function: str, **arguments: Any) -> Any:
        if function not in READING_FUNCTIONS:
            raise ValueError(f"{function} does more than read")
        return await self._database.call(self._caller, function, **arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildEnd:
    """How a child run ended. `code` and `message` are its error's, None when it succeeded."""

    run_id: str
    status: str
    output: Any
    code: str | None = None
    message: str | None = None


Overlays = dict[str, dict[str, Any]]
"""What a dry run and its child runs wrote to kv: by agent, by key."""


class RunChild(Protocol):
    """Runs another agent of the caller within this run, in a dry run as a dry run. Raises GuestError when it cannot
    begin. Cancelling stops and records it first."""

    async def __call__(self, name: str, input: Mapping[str, Any]) -> ChildEnd: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """On whose behalf a twin answers, and within what. What a twin opens for the run it pushes on `at_end`."""

    caller: Caller
    agent_id: str
    agent_name: str
    run_id: str
    limits: LimitSettings
    manifest: Manifest
    budget: Budget
    at_end: AsyncExitStack
    reads: Reads
    run_child: RunChild


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveContext(RunContext):
    """With what a live twin acts."""

    database: Database
    outside: Outside


@dataclass(frozen=True, slots=True, kw_only=True)
class DryContext(RunContext):
    """With what a dry twin pretends."""

    fixtures: Fixtures
    rehearsal: Rehearsal | None = None
    overlays: Overlays = field(default_factory=dict)

    async def recorded(self, service: str, action: str, arguments: Arguments) -> Any:
        """What the agent's last live call with these arguments was answered, or None. Rows are the user's input: the
        shape is the caller's to check."""
        rows = await self.reads.select(
            "run_effects",
            columns=["recording"],
            where={
                "agent_id": self.agent_id,
                "call_hash": call_hash(service, action, arguments.model_dump(mode="json")),
                "source": "live",
            },
            order="run_id desc",
            limit=1,
        )
        recording = rows[0]["recording"] if rows else None
        return recording.get("result") if isinstance(recording, dict) else None


Permit = Callable[[Manifest, str, Any, RunContext], None]
"""(manifest, action, arguments, context): raises GuestError when the grant does not cover these arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """One service. `reads` are the actions that a dry run performs too, because they change nothing."""

    name: str
    arguments: Mapping[str, type[Arguments]]
    live: Callable[[LiveContext], Any]
    dry_run: Callable[[DryContext], Any]
    permit: Permit | None = None
    reads: frozenset[str] = frozenset()
