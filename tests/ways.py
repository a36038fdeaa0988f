"""The two ways into a database, for tests that must hold on both. `way` runs a test once on each."""

from dataclasses import dataclass
from typing import Any

import pytest

from service.database.postgres import PostgresDatabase
from service.database.supabase import SupabaseDatabase
from tests.peers.supabase import Project
from tests.postgres import Addresses


@dataclass(frozen=True, slots=True)
class Way:
    """A migrated database, a clone or that of the project, and how the host reaches it."""

    addresses: Addresses
    project: Project | None = None

    def database(self, **options: Any) -> PostgresDatabase | SupabaseDatabase:
        if self.project is None:
            return PostgresDatabase(self.addresses.serving_dsn, **options)
        return SupabaseDatabase(self.project.url, self.project.publishable_key, **options)


@pytest.fixture(params=["postgres", "supabase"])
def way(request: pytest.FixtureRequest) -> Way:
    if request.param == "postgres":
        return Way(request.getfixturevalue("cloned"))
    project: Project = request.getfixturevalue("project")
    return Way(project.addresses, project)
