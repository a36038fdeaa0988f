"""The two ways into a database, held against each other: a row read under its policies, and whole runs. One Postgres is
behind both; the REST interface is a real PostgREST behind a gateway, on the same machine."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

from benchmarks.host import Host, running_host
from benchmarks.http import Connection, Load
from benchmarks.measure import Samples
from service.auth import Caller
from service.database.embedded import EmbeddedPostgres
from service.database.gateway import Database
from service.database.migrations import migrate
from service.database.postgres import PostgresDatabase
from service.database.supabase import SupabaseDatabase
from tests.peers.supabase import PROGRAM, Project, serving
from tests.postgres import Addresses, Server

ROUNDS: Final = 5
IN_FLIGHT: Final = (1, 8)
ROWS: Final = 30_000
"""Of agents of others, in the table that is read."""

_FILL: Final = """
insert into auth.users (id) select gen_random_uuid() from generate_series(1, 300);
insert into agenthost.agents (user_id, agent_name, agent_config)
  select id, 'agent-' || n, '{"code": "def run(): pass"}' from auth.users, generate_series(1, %s / 300) as n;
analyze agenthost.agents;
"""


@dataclass(frozen=True, slots=True)
class Ways:
    """Loads over Postgres and over REST, in pairs."""

    loads: list[Load] = field(default_factory=list)

    def rows(self) -> list[tuple[str, ...]]:
        return [(*load.samples.row()[:3], f"{load.per_second:.0f}") for load in self.loads]


async def measure(requests: int, *, rows: int = ROWS) -> Ways | None:
    """None where there is no PostgREST: `sh scripts/peers.sh` brings it."""
    if not PROGRAM.exists():
        return None
    ways = Ways()
    async with _project(rows) as project:
        await _reads(project, requests, ways)
        await _runs(project, requests, ways)
    return ways


@asynccontextmanager
async def _project(rows: int) -> AsyncIterator[Project]:
    with tempfile.TemporaryDirectory(prefix="ah") as name:
        directory = Path(name)
        embedded = EmbeddedPostgres(directory)
        connections = await embedded.start()
        try:
            await migrate(connections.owner_dsn, serving_password=connections.serving_password)
            addresses = Addresses(connections.owner_dsn, connections.serving_dsn)
            async with await addresses.owner() as owner:
                for statement in (_FILL.replace("%s", str(rows))).split(";\n"):
                    await owner.execute(statement.encode())
            async with serving(Server(addresses), addresses, directory) as project:
                yield project
        finally:
            await embedded.stop()


async def _reads(project: Project, requests: int, ways: Ways) -> None:
    """One row by its name, one request in flight."""
    caller = project.caller(uuid4())
    databases: list[Database] = [
        PostgresDatabase(project.addresses.serving_dsn),
        SupabaseDatabase(project.url, project.publishable_key),
    ]
    loads = [Load("", Samples(f"read one row of {ROWS:,}, over {over}")) for over in ("Postgres", "REST")]
    for database in databases:
        await database.start()
    await databases[0].insert(caller, "agents", [{"agent_name": "hello", "agent_config": {"code": "x"}}])
    share = max(requests // ROUNDS, 1)
    for database in databases:
        await _read(database, caller, share, Samples("warm-up"))
    for _ in range(ROUNDS):
        for database, load in zip(databases, loads, strict=True):
            began = time.perf_counter()
            await _read(database, caller, share, load.samples)
            load.took_seconds += time.perf_counter() - began
    for database in databases:
        await database.stop()
    ways.loads.extend(loads)


async def _read(database: Database, caller: Caller, times: int, samples: Samples) -> None:
    for _ in range(times):
        began = time.perf_counter()
        rows = await database.select(caller, "agents", where={"agent_name": "hello"})
        samples.seconds.append(time.perf_counter() - began)
        assert len(rows) == 1


async def _runs(project: Project, requests: int, ways: Ways) -> None:
    """The same agent on two hosts that differ in their way alone."""
    over_postgres = {**project.settings, "DATABASE_URL": project.addresses.serving_dsn}
    with (
        running_host(token=project.token(uuid4()), **over_postgres) as direct,
        running_host(token=project.token(uuid4()), **project.settings) as over_rest,
    ):
        for in_flight in IN_FLIGHT:
            hosts = {"Postgres": direct, "REST": over_rest}
            loads = {over: Load("", Samples(f"run an agent, {in_flight} in flight, over {over}")) for over in hosts}
            for host in hosts.values():
                await _run(host, in_flight, requests // ROUNDS, Load("", Samples("warm-up")))
            for _ in range(ROUNDS):
                for over, host in hosts.items():
                    await _run(host, in_flight, requests // ROUNDS, loads[over])
            ways.loads.extend(loads.values())


async def _run(host: Host, in_flight: int, times: int, load: Load) -> None:
    opened = [await asyncio.open_connection("127.0.0.1", host.port) for _ in range(in_flight)]
    connections = [Connection(reader, writer, host.token) for reader, writer in opened]
    share = max(times // in_flight, 1)
    began = time.perf_counter()
    await asyncio.gather(*(each.repeat(f"{host.run_path}?name=Ada", share, load.samples) for each in connections))
    load.took_seconds += time.perf_counter() - began
    for each in connections:
        each.close()
