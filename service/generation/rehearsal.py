"""The dry run of code that is not stored yet: with stand-ins for every service, and none of the user's rows.

What it says goes back to the model's provider, so nothing that it could say may come from anywhere but the model.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import uuid4

from sandbox.job import Job, Outcome
from service.agents.check import Definition
from service.auth import Caller
from service.capabilities.broker import Broker
from service.capabilities.capability import Budget, ChildEnd, DryContext, Reads
from service.capabilities.effects import Effect
from service.database.gateway import Row, Where
from service.host import Host

WALL_SECONDS: Final = 10.0
CPU_SECONDS: Final = 2
DRAFT: Final = "draft"
OWNER: Final = "owner@example.com"
"""Stands for the address of the owner: in here there is nobody."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """How a dry run ended, and what it called."""

    outcome: Outcome
    effects: Sequence[Effect]


async def rehearse(host: Host, definition: Definition, value: Mapping[str, Any]) -> Rehearsed:
    """Run a draft with an input that fits it. Raises SandboxUnavailable."""
    limits = replace(
        definition.limits,
        wall_seconds=min(definition.limits.wall_seconds, WALL_SECONDS),
        cpu_seconds=min(definition.limits.cpu_seconds, CPU_SECONDS),
    )
    job = Job(
        code=definition.checked.code,
        entry=definition.checked.entry,
        input=value,
        test=True,
        limits=limits,
        source=definition.config.code,
    )
    async with AsyncExitStack() as at_end:
        context = DryContext(
            caller=Caller(user_id=uuid4(), claims={"email": OWNER}, token="", expires_at=0.0),
            agent_id=str(uuid4()),
            agent_name=DRAFT,
            run_id=str(uuid4()),
            limits=host.settings,
            manifest=definition.manifest,
            budget=Budget(deadline=time.monotonic() + limits.wall_seconds, max_effects=limits.effects),
            at_end=at_end,
            reads=_NoRows(definition),
            run_child=_made_up_child,
            fixtures=definition.fixtures,
            rehearsal=_NoTables(),
        )
        broker = Broker(host.capabilities, context, proposed=definition.proposed)
        outcome = await definition.engine.run(job, on_call=broker.handle)
    return Rehearsed(outcome, [_pretended(effect) for effect in broker.effects])


def _pretended(effect: Effect) -> Effect:
    """A dry run really reads; here there was nothing to read."""
    return replace(effect, performed=False, source="simulated") if effect.performed else effect


class _NoRows(Reads):
    """Nothing is there but the secrets that the code names: those its owner can make later. There is no database."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition

    async def select(self, table: str, *, where: Where | None = None, **_: Any) -> list[Row]:
        if table != "user_secrets" or not where:
            return []
        asked_for = self._definition.manifest.extended_by(self._definition.proposed)
        hosts = asked_for.http.hosts if asked_for.http else []
        return [{"name": where["name"], "hosts": hosts, "created_at": "", "updated_at": ""}]

    async def call(self, function: str, **arguments: Any) -> Any:
        match function:
            case "kv_get":
                return {"found": False, "value": None}
            case "kv_list":
                return []
            case _:
                raise ValueError(f"{function} does more than read")


class _NoTables:
    """Every table is empty; what is inserted comes back, and is gone."""

    async def select(self, table: str, **_: Any) -> list[Row]:
        return []

    async def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> list[Row]:
        return [{"id": str(uuid4()), **row} for row in rows]

    async def update(self, table: str, values: Mapping[str, Any], *, where: Where) -> list[Row]:
        return []

    async def delete(self, table: str, *, where: Where) -> list[Row]:
        return []

    async def close(self) -> None: ...


async def _made_up_child(name: str, input: Mapping[str, Any]) -> ChildEnd:
    return ChildEnd(run_id=str(uuid4()), status="succeeded", output={})
