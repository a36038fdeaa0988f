"""The ways into a database, for tests that must hold on all of them: Postgres, the oldest Postgres, a pooler, and a
Supabase project. `way` runs a test once on each, `database` is the port on it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from service.database.postgres import PostgresDatabase
from service.database.supabase import SupabaseDatabase
from tests.peers.supabase import Project
from tests.postgres import DEBIAN, EMBEDDED, Addresses, Server

_FIXTURES = {EMBEDDED: "embedded_server", DEBIAN: "debian_server", "pooled": "pooled_server", "supabase": "project"}


@dataclass(frozen=True, slots=True)
class Way:
    """A migrated database, a clone or that of the project, and how the host reaches it."""

    addresses: Addresses
    project: Project | None = None

    def database(self, **options: Any) -> PostgresDatabase | SupabaseDatabase:
        if self.project is None:
            return PostgresDatabase(self.addresses.serving_dsn, **options)
        return SupabaseDatabase(self.project.url, self.project.publishable_key, **options)


@pytest.fixture(params=list(_FIXTURES))
def reached(request: pytest.FixtureRequest) -> Server | Project:
    found: Server | Project = request.getfixturevalue(_FIXTURES[request.param])
    return found


@pytest.fixture
async def way(reached: Server | Project) -> AsyncIterator[Way]:
    if isinstance(reached, Project):
        yield Way(reached.addresses, reached)
        return
    addresses = await reached.clone()
    yield Way(addresses)
    await reached.drop(addresses)


@pytest.fixture
async def database(way: Way) -> AsyncIterator[PostgresDatabase | SupabaseDatabase]:
    started = way.database()
    await started.start()
    yield started
    await started.stop()
