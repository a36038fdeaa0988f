"""One call of a guest through the broker, against a bare echo over the same wire, in turns on one engine."""

import asyncio
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from benchmarks.measure import Samples
from sandbox.job import Call, Job, OnCall, Reply
from sandbox.limits import Limits
from sandbox.restricted.engine import RestrictedEngine
from service.auth import Caller
from service.capabilities.broker import Broker
from service.capabilities.capability import Budget, DryContext, LiveContext, Reads
from service.capabilities.fixtures import Fixtures
from service.capabilities.manifest import Manifest
from service.capabilities.registry import standard_registry
from service.database.embedded import EmbeddedPostgres
from service.database.migrations import migrate
from service.database.postgres import PostgresDatabase
from service.outside.outside import Outside
from service.outside.vault import Vault
from service.secret_keys import SecretKey
from service.settings import Settings

CALLS: Final = 150
"""Of one run; the first few are not counted."""

WARM_UP: Final = 20
AGENT: Final = f"""
def run(services):
    if IS_TEST_MODE:
        services.kv.set("key", {{"greeting": "Hello", "times": 3}})
    for _ in range({CALLS}):
        services.kv.get("key")
"""
ANSWER: Final = {"found": True, "value": {"greeting": "Hello", "times": 3}}

KEY: Final = SecretKey("benchmark", bytes(32))


@dataclass(slots=True)
class Brokered:
    """What a call took."""

    echo: Samples = field(default_factory=lambda: Samples("echo: the same answer at once"))
    broker: Samples = field(default_factory=lambda: Samples("brokered call: `kv.get` of a dry run's own key"))
    kv_get: Samples = field(default_factory=lambda: Samples("brokered call: `kv.get`, live"))
    database: Samples = field(default_factory=lambda: Samples("`kv_get` of the database alone"))

    def samples(self) -> tuple[Samples, ...]:
        return (self.echo, self.broker, self.kv_get, self.database)


async def measure(rounds: int) -> Brokered:
    """All of it, on an engine and a Postgres of its own."""
    result = Brokered()
    async with AsyncExitStack() as stack:
        database = await _database(stack)
        engine = RestrictedEngine(limits=Limits(), parked=4, recycle_runs=10**9)
        await engine.start()
        stack.push_async_callback(engine.stop)
        checked = await engine.check(AGENT)
        job = Job(code=checked.code, entry=checked.entry, input={}, test=True, limits=Limits())
        for number in range(-1, rounds):
            into = result if number >= 0 else Brokered()
            await _one_round(engine, job, database, into)
    return result


async def _one_round(engine: RestrictedEngine, job: Job, database: PostgresDatabase, into: Brokered) -> None:
    caller = Caller(user_id=uuid4(), claims={}, token="", expires_at=time.time() + 3600)
    await _run(engine, job, _echo, into.echo)
    dry = Broker(standard_registry(), _context(caller, database, test=True))
    await _run(engine, job, dry.handle, into.broker)
    live = Broker(standard_registry(), _context(caller, database, test=False))
    await _run(engine, replace(job, test=False), live.handle, into.kv_get)
    for _ in range(CALLS):
        began = time.perf_counter()
        await database.call(caller, "kv_get", p_agent_id=str(uuid4()), p_key="key")
        into.database.seconds.append(time.perf_counter() - began)


async def _run(engine: RestrictedEngine, job: Job, answer: OnCall, into: Samples) -> None:
    """One run, whose calls are timed from each one to the next."""
    arrived: list[float] = []

    async def timed(call: Call) -> Reply:
        arrived.append(time.perf_counter())
        return await answer(call)

    outcome = await engine.run(job, on_call=timed)
    if outcome.status != "succeeded":
        raise RuntimeError(f"the run failed: {outcome}")
    pairs = zip(arrived[WARM_UP:], arrived[WARM_UP + 1 :], strict=False)
    into.seconds += [after - before for before, after in pairs]


async def _echo(call: Call) -> Reply:
    return Reply(result=ANSWER)


def _context(caller: Caller, database: PostgresDatabase, *, test: bool) -> LiveContext | DryContext:
    common: dict[str, Any] = {
        "caller": caller,
        "agent_id": str(uuid4()),
        "agent_name": "agent",
        "run_id": str(uuid4()),
        "limits": Settings(),
        "manifest": Manifest.model_validate({"kv": {}}),
        "budget": Budget(deadline=time.monotonic() + 30, max_effects=CALLS + 10),
        "at_end": AsyncExitStack(),
        "reads": Reads(database, caller),
        "run_child": _no_child,
    }
    if test:
        return DryContext(**common, fixtures=Fixtures())
    return LiveContext(**common, database=database, outside=Outside(vault=Vault([KEY])))


async def _no_child(name: str, input: Mapping[str, Any]) -> Any:
    raise RuntimeError("the benchmark runs no child")


async def _database(stack: AsyncExitStack) -> PostgresDatabase:
    directory = await asyncio.to_thread(tempfile.TemporaryDirectory)
    stack.callback(directory.cleanup)
    embedded = EmbeddedPostgres(Path(directory.name))
    stack.push_async_callback(embedded.stop)
    connections = await embedded.start()
    await migrate(connections.owner_dsn, serving_password=connections.serving_password)
    database = PostgresDatabase(connections.serving_dsn)
    stack.push_async_callback(database.stop)
    await database.start()
    return database
