"""The commands of docs/deploy.md that back Postgres up, and bring it back."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.database.embedded_directory import program_directory
from tests.acceptance.replicas import User, define, replica, settings_of
from tests.docs.document import ROOT, blocks
from tests.postgres import Addresses, Server

BINARIES = program_directory() / "pginstall" / "bin"


@pytest.fixture
async def empty(postgres: Server) -> AsyncIterator[Addresses]:
    addresses = await postgres.empty()
    yield addresses
    await postgres.drop(addresses)


def typed(command: str, directory: Path, **environment: str) -> None:
    path = f"{BINARIES}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-ec", command],
        cwd=directory,
        env={"PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


async def test_what_was_backed_up_is_served_again_from_an_empty_database(
    cloned: Addresses, empty: Addresses, tmp_path: Path
) -> None:
    dump, restore = (block.text for block in blocks(ROOT / "docs" / "deploy.md") if "pg_" in block.text)
    user = User()
    with replica(tmp_path / "before", 0, settings_of(cloned.serving_dsn)) as host:
        async with user.at(host) as http:
            await define(http, "agent", "def run(services):\n    return services.kv.increment('n')\n")
            run_id = (await http.get(f"/agents/{user.id}/agent")).json()["run_id"]
    typed(dump, tmp_path, AGENTHOST_MIGRATE_URL=cloned.owner_dsn)
    typed(restore, tmp_path, AGENTHOST_MIGRATE_URL=empty.owner_dsn)
    with replica(tmp_path / "after", 0, settings_of(empty.serving_dsn)) as host:
        async with user.at(host) as http:
            assert (await http.get(f"/runs/{run_id}")).json()["verified"] is True
            assert (await http.get(f"/agents/{user.id}/agent")).json()["output"] == 2
    async with await empty.owner() as owner:
        forced = await owner.execute(
            "select bool_and(relrowsecurity and relforcerowsecurity) from pg_class "
            "where relkind = 'r' and relnamespace in ('agenthost'::regnamespace, 'agenthost_private'::regnamespace)"
        )
        assert await forced.fetchone() == (True,)
