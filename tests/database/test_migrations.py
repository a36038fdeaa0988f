"""From empty, twice, at once, by an owner with little power; and what is refused."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from secrets import token_hex

import psycopg
import pytest

from service.database.gateway import DatabaseUnavailable, DatabaseUnfit
from service.database.migrations import SUPABASE_DIRECTORY, Script, migrate, newest_migration, scripts
from service.database.postgres import PostgresDatabase
from tests.database.runs import STANDARD, begin, finish
from tests.policies import migration
from tests.postgres import Addresses, Server, someone

pytestmark = pytest.mark.both_postgres


@pytest.fixture
async def empty(postgres: Server) -> AsyncIterator[Addresses]:
    addresses = await postgres.empty()
    yield addresses
    await postgres.drop(addresses)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the SQL that a test may change."""
    return shutil.copytree(SUPABASE_DIRECTORY, tmp_path / "supabase")


def names(found: list[Script]) -> tuple[str, ...]:
    return tuple(script.name for script in found)


def earlier(directory: Path, kept: int) -> Path:
    """The directory as it was when there were so many migrations."""
    made = shutil.copytree(directory, directory.with_name(f"earlier{kept}"))
    for file in sorted((made / "migrations").glob("*.sql"))[kept:]:
        file.unlink()
    return made


async def test_an_empty_database_gets_everything_once(empty: Addresses) -> None:
    assert await migrate(empty.owner_dsn) == names(scripts())
    assert await migrate(empty.owner_dsn) == ()
    async with await empty.owner() as owner:
        recorded = await owner.execute("select name, checksum from agenthost_private.migrations")
        assert set(await recorded.fetchall()) == {(each.name, each.checksum) for each in scripts()}


async def test_replicas_may_migrate_at_once(empty: Addresses) -> None:
    applied = await asyncio.gather(*(migrate(empty.owner_dsn) for _ in range(5)))
    assert sorted(map(bool, applied)) == [False, False, False, False, True]


async def test_the_owner_needs_no_power_and_the_result_serves(postgres: Server, empty: Addresses) -> None:
    """The embedded owner is one: no superuser, no BYPASSRLS. Its own forced policies hide nothing from it."""
    await migrate(empty.owner_dsn)
    async with await empty.owner() as owner:
        role = await owner.execute("select rolsuper, rolbypassrls from pg_roles where rolname = current_user")
        assert await role.fetchone() == (False, False)
        database = PostgresDatabase(empty.serving_dsn)
        await database.start()
        try:
            ada = someone()
            await database.insert(ada, "agents", [STANDARD])
            await finish(database, ada, await begin(database, ada))
        finally:
            await database.stop()
        for table in ("agents", "agent_versions", "runs"):
            rows = await owner.execute(f"select count(*) from agenthost.{table}".encode())
            assert await rows.fetchone() == (1,), table


async def test_no_transaction_of_a_serving_host_ends_for_a_migration(postgres: Server, directory: Path) -> None:
    """One that has used the table `runs` goes on to `agents`; the migration begins there, and comes to `runs` last."""
    addresses = await postgres.clone()
    later = (directory / "migrations" / f"{newest_migration()}.sql").with_stem("29990101000000_policies")
    later.write_text(
        "alter table agenthost.agents add column later int; alter table agenthost.runs add column later int;"
    )
    async with await addresses.owner() as serving:
        async with serving.transaction():
            await serving.execute("select from agenthost.runs")
            migrating = asyncio.create_task(migrate(addresses.owner_dsn, directory=directory))
            await asyncio.sleep(0.3)
            await serving.execute("select from agenthost.agents")
            await asyncio.sleep(2)
            assert not migrating.done()
        assert await migrating == (later.stem,)
    await postgres.drop(addresses)


async def test_every_earlier_version_comes_up_to_date(postgres: Server, directory: Path) -> None:
    files = sorted((directory / "migrations").glob("*.sql"))
    for kept in range(1, len(files)):
        addresses = await postgres.empty()
        await migrate(addresses.owner_dsn, directory=earlier(directory, kept))
        with pytest.raises(DatabaseUnfit, match="agenthost migrate"):
            await PostgresDatabase(addresses.serving_dsn).start()
        assert await migrate(addresses.owner_dsn, directory=directory) == tuple(file.stem for file in files[kept:])
        await postgres.drop(addresses)


async def test_a_run_in_flight_keeps_its_place(postgres: Server, empty: Addresses, directory: Path) -> None:
    """When it began, its lease was a row that came and went with it."""
    await migrate(empty.owner_dsn, directory=earlier(directory, 8))
    ada = someone()
    async with await psycopg.AsyncConnection.connect(empty.serving_dsn, autocommit=True) as raw:
        await raw.execute("set role authenticated")
        await raw.execute("select set_config('request.jwt.claims', %s, false)", (json.dumps(dict(ada.claims)),))
        await raw.execute("insert into agenthost.agents (agent_name, agent_config) values ('digest', '{}')")
        for _ in range(2):
            began = await raw.execute("select agenthost.begin_run('digest', '{}', false, 'http', 30, 8)")
            [[started]] = await began.fetchall()
    assert isinstance(started, dict)
    await migrate(empty.owner_dsn, directory=directory)
    database = PostgresDatabase(empty.serving_dsn)
    await database.start()
    try:
        assert (await begin(database, ada, p_max_in_flight=2))["outcome"] == "too_many_runs"
        assert await finish(database, ada, started) == {"recorded": True}
        assert (await begin(database, ada, p_max_in_flight=2))["outcome"] == "started"
        assert (await begin(database, ada, p_max_in_flight=2))["outcome"] == "too_many_runs"
    finally:
        await database.stop()


async def test_a_newer_database_is_refused(cloned: Addresses, directory: Path) -> None:
    runs = directory / "policies" / "runs.sql"
    runs.write_text(runs.read_text() + "\n-- changed\n")
    later = migration.write(again=False, directory=directory)
    assert await migrate(cloned.owner_dsn, directory=directory) == (later.stem,)
    with pytest.raises(DatabaseUnfit, match="newer than this agenthost: upgrade"):
        await migrate(cloned.owner_dsn)
    with pytest.raises(DatabaseUnfit, match="newer than this agenthost: upgrade"):
        await PostgresDatabase(cloned.serving_dsn).start()


async def test_an_older_database_is_not_served(empty: Addresses) -> None:
    with pytest.raises(DatabaseUnfit, match="agenthost migrate"):
        await PostgresDatabase(empty.serving_dsn).start()


async def test_an_edited_migration_is_refused(cloned: Addresses, directory: Path) -> None:
    first = min((directory / "migrations").glob("*.sql"))
    first.write_text(first.read_text() + "\nselect 1;\n")
    with pytest.raises(DatabaseUnfit, match="never edit one"):
        await migrate(cloned.owner_dsn, directory=directory)


async def test_a_migration_that_fails_changes_nothing(empty: Addresses, directory: Path) -> None:
    (directory / "migrations" / "29990101000000_broken.sql").write_text("create table agenthost.x (); select 1 / 0;")
    with pytest.raises(DatabaseUnfit, match="division by zero"):
        await migrate(empty.owner_dsn, directory=directory)
    async with await empty.owner() as owner:
        schemas = await owner.execute("select from pg_namespace where nspname like 'agenthost%' or nspname = 'auth'")
        assert schemas.rowcount == 0


async def test_what_supabase_provides_is_left_as_it_is(empty: Addresses) -> None:
    """An auth schema that is there already: nothing of it is replaced, and nobody is added to its users."""
    async with await empty.owner() as owner:
        await owner.execute("create schema auth")
        await owner.execute("create table auth.users (id uuid primary key, instance_id uuid)")
        await owner.execute(
            "create function auth.uid() returns uuid language sql stable as $$ select "
            "coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''), "
            "nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$"
        )
        await owner.execute("grant usage on schema auth to authenticated")
        await migrate(empty.owner_dsn)
        ada, bob = someone(), someone()
        await owner.execute("insert into auth.users (id) values (%s)", (ada.user_id,))
        database = PostgresDatabase(empty.serving_dsn)
        await database.start()
        try:
            await database.insert(ada, "agents", [STANDARD])
            with pytest.raises(Exception, match="23503"):
                await database.insert(bob, "agents", [STANDARD])
        finally:
            await database.stop()
        users = await owner.execute("select id from auth.users")
        assert await users.fetchall() == [(ada.user_id,)]


async def test_the_serving_login_is_made_and_has_nothing_of_its_own(postgres: Server, empty: Addresses) -> None:
    await migrate(empty.owner_dsn)
    async with await empty.owner() as owner:
        login = await owner.execute(
            "select rolcanlogin, rolinherit, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication "
            "from pg_roles where rolname = 'agenthost_api'"
        )
        assert await login.fetchone() == (True, False, False, False, False, False, False)
        member = await owner.execute(
            "select roleid::regrole::text, admin_option, to_jsonb(m) ->> 'inherit_option' from pg_auth_members m "
            "where member = 'agenthost_api'::regrole"
        )
        inherits = "false" if owner.info.server_version >= 160000 else None
        assert await member.fetchall() == [("authenticated", False, inherits)]


async def test_a_given_password_is_set(postgres: Server, empty: Addresses) -> None:
    kept = empty.serving_dsn.partition("agenthost_api:")[2].partition("@")[0]
    other = token_hex(8)
    await migrate(empty.owner_dsn, serving_password=other)
    try:
        with pytest.raises(DatabaseUnavailable, match="password"):
            await PostgresDatabase(empty.serving_dsn).start()
        database = PostgresDatabase(empty.serving_dsn.replace(kept, other))
        await database.start()
        await database.stop()
    finally:
        await migrate(empty.owner_dsn, serving_password=kept)


async def test_a_database_out_of_reach_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable):
        await migrate(f"postgresql://nobody@/none?host={tmp_path}")
    assert newest_migration() == scripts()[-1].name
