"""One source of the policies, however migrations are applied."""

import shutil
from pathlib import Path

import pytest

from service.database.migrations import SUPABASE_DIRECTORY, newest_migration
from tests.policies import migration
from tests.postgres import Addresses


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the SQL that a test may change."""
    return shutil.copytree(SUPABASE_DIRECTORY, tmp_path / "supabase")


def test_the_last_migration_is_what_the_files_of_the_policies_say() -> None:
    assert migration.is_current(), "run `.venv/bin/python -m tests.policies.migration`, or with --again (see there)"


def test_a_changed_policy_asks_for_a_new_migration(directory: Path) -> None:
    released = migration.newest(directory)
    file = directory / "policies" / "runs.sql"
    file.write_text(file.read_text().replace("for select", "for insert"))
    assert not migration.is_current(directory)
    made = migration.write(again=False, directory=directory)
    assert made.name > released.name
    assert released.exists()
    assert migration.write(again=False, directory=directory) == made
    assert migration.is_current(directory)
    file.unlink()
    again = migration.write(again=True, directory=directory)
    assert migration.is_current(directory)
    assert (again.exists(), made.exists(), released.exists()) == (True, False, True)


def test_tables_that_come_later_ask_for_the_policies_again(directory: Path) -> None:
    last = migration.newest(directory)
    later = last.with_name("29990101000000_later.sql")
    later.write_text("select 1;")
    assert not migration.is_current(directory)
    assert migration.write(again=True, directory=directory).stem == "29990101000001_policies"
    assert last.exists()


async def test_the_database_says_which_migration_it_is_at(cloned: Addresses) -> None:
    async with await cloned.owner() as owner:
        assert await (await owner.execute("select agenthost.schema_version()")).fetchone() == (newest_migration(),)
