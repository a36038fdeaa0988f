"""What a capability is: a service's actions, the arguments of each, and the two twins that carry them out.

A twin is made once a run from its `RunContext` and has one coroutine method an action, which takes the validated
arguments and returns JSON. The live one acts; the dry one pretends, and answers in the same shape.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from service.auth import Caller
from service.database.gateway import Database
from service.limit_settings import LimitSettings

GuestErrorType = Literal["TypeError", "ValueError", "ServiceError", "CapabilityDenied"]


class GuestError(Exception):
    """A call fails with this exception in the guest. The message is for the agent's author: nothing of the host's."""

    def __init__(self, type_name: GuestErrorType, message: str) -> None:
        super().__init__(message)
        self.type_name: GuestErrorType = type_name
        self.message = message


class Arguments(BaseModel):
    """The arguments of one action. Strict, and closed: what is not declared is a TypeError in the guest."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """On whose behalf a twin acts, and with what."""

    caller: Caller
    agent_id: str
    run_id: str
    database: Database
    limits: LimitSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """One service. `reads` are the actions that a dry run performs too, because they change nothing."""

    name: str
    arguments: Mapping[str, type[Arguments]]
    live: Callable[[RunContext], Any]
    dry_run: Callable[[RunContext], Any]
    reads: frozenset[str] = frozenset()
