"""The ways into a database, for tests that must hold on all of them: Postgres, the oldest Postgres, a pooler, and a
Supabase project. `way` runs a test once on each, `database` is the port on it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from service.database.postgres import PostgresDatabase
from service.database.supabase import SupabaseDatabase
from tests.peers.pgbouncer import Pooled
from tests.peers.supabase import Project
from tests.postgres import DEBIAN, EMBEDDED, Addresses


@dataclass(frozen=True, slots=True)
class Way:
    """A migrated database, and how the host reaches it: through a project, a pooler, or as it is."""

    addresses: Addresses
    project: Project | None = None
    pooled_dsn: str | None = None

    def database(self, **options: Any) -> PostgresDatabase | SupabaseDatabase:
        if self.project is None:
            return PostgresDatabase(self.pooled_dsn or self.addresses.serving_dsn, **options)
        return SupabaseDatabase(self.project.url, self.project.publishable_key, **options)


@pytest.fixture(params=[EMBEDDED, DEBIAN, "pooled", "supabase"])
def way(request: pytest.FixtureRequest) -> Way:
    """On the first a test has a database of its own, on the others it shares one, and comes with users of its own."""
    if request.param == "supabase":
        project: Project = request.getfixturevalue("project")
        return Way(project.addresses, project)
    if request.param == "pooled":
        pooled: Pooled = request.getfixturevalue("pooled_database")
        return Way(pooled.direct, pooled_dsn=pooled.through.serving_dsn)
    return Way(request.getfixturevalue("cloned" if request.param == EMBEDDED else "debian_database"))


@pytest.fixture
async def database(way: Way) -> AsyncIterator[PostgresDatabase | SupabaseDatabase]:
    started = way.database()
    await started.start()
    yield started
    await started.stop()
