"""Supabase's own CLI and `agenthost migrate`: the same files, the same database, whoever comes first."""

import shutil
from collections.abc import AsyncIterator

import psycopg
import pytest

from service.database.migrations import SUPABASE_DIRECTORY, migrate, newest_migration, scripts
from service.database.postgres import PostgresDatabase
from tests.database.catalogue import catalogue
from tests.database.like_supabase import supabase_postgres
from tests.database.runs import STANDARD, begin, finish
from tests.docs.document import ROOT, blocks
from tests.peers.supabase_cli import SupabaseCli, over_tcp
from tests.peers.supabase_cli import supabase_cli as supabase_cli
from tests.policies import migration
from tests.policies.test_catalogue import RULES
from tests.postgres import DEBIAN, EMBEDDED, Addresses, Server, someone

[LOGIN] = [block.text for block in blocks(ROOT / "docs" / "supabase.md") if "create role" in block.text]


@pytest.fixture(scope="module", params=[EMBEDDED, DEBIAN])
async def hosted(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    async with supabase_postgres(request.param) as server:
        yield server


@pytest.fixture
async def project(hosted: Server) -> AsyncIterator[Addresses]:
    """A new project's database."""
    addresses = await hosted.empty()
    yield addresses
    await hosted.drop(addresses)


async def snapshot(addresses: Addresses) -> dict[str, list[tuple[object, ...]]]:
    async with await addresses.owner() as owner:
        return await catalogue(owner)


async def pushed(cli: SupabaseCli, addresses: Addresses) -> list[str]:
    """What the next push would apply."""
    said = await cli.push(addresses.owner_dsn, "--dry-run")
    return [line.removeprefix(" • ").removesuffix(".sql") for line in said.splitlines() if line.startswith(" • ")]


@pytest.mark.both_postgres
async def test_on_an_empty_postgres_both_make_the_same(
    postgres: Server, cloned: Addresses, supabase_cli: SupabaseCli
) -> None:
    empty = await postgres.empty()
    async with await empty.owner() as owner:
        await owner.execute((SUPABASE_DIRECTORY / "shim.sql").read_bytes())
    async with over_tcp(empty.owner_dsn) as url:
        code, said = await supabase_cli("db", "push", "--db-url", url)
    assert code == 0, said
    made, expected = await snapshot(empty), await snapshot(cloned)
    for part, rows in expected.items():
        assert made[part] == rows, part
    assert {"agenthost.agents", "agenthost_private.run_leases"} <= {row[0] for row in expected["relations"]}
    assert all(expected[part] for part in ("columns", "constraints", "indexes", "functions", "triggers", "policies"))
    await postgres.drop(empty)


async def test_on_a_supabase_project_both_make_the_same(
    hosted: Server, project: Addresses, supabase_cli: SupabaseCli
) -> None:
    other = await hosted.empty()
    await supabase_cli.push(project.owner_dsn)
    assert await migrate(other.owner_dsn) == tuple(script.name for script in scripts())
    made, expected = await snapshot(project), await snapshot(other)
    for part, rows in expected.items():
        assert made[part] == rows, part
    await hosted.drop(other)


@pytest.mark.parametrize("rule", RULES)
async def test_on_a_supabase_project_too_the_catalogue_says_that(migrated: Addresses, rule: str) -> None:
    """There the owner of all is no superuser either, but BYPASSRLS."""
    async with await migrated.owner() as owner:
        found = await owner.execute(RULES[rule].replace(" or rolbypassrls", "").encode())
        assert await found.fetchall() == []


@pytest.fixture(scope="module")
async def migrated(hosted: Server) -> AsyncIterator[Addresses]:
    addresses = await hosted.empty()
    await migrate(addresses.owner_dsn)
    yield addresses
    await hosted.drop(addresses)


@pytest.mark.parametrize("by_hand", [False, True], ids=["by_migrate", "by_hand"])
async def test_a_pushed_project_serves_once_it_has_the_login(
    project: Addresses, supabase_cli: SupabaseCli, by_hand: bool
) -> None:
    """Runs under the owner that Supabase has, one whom no policy binds; and only of users whom it knows."""
    password = project.serving_dsn.partition("agenthost_api:")[2].partition("@")[0]
    await supabase_cli.push(project.owner_dsn)
    async with await project.owner() as owner:
        await owner.execute("drop role if exists agenthost_api")
        if by_hand:
            await owner.execute(LOGIN.replace("<password>", password).encode())
        else:
            assert await migrate(project.owner_dsn, serving_password=password) == ()
        ada, bob = someone(), someone()
        await owner.execute("insert into auth.users (id) values (%s)", (ada.user_id,))
    database = PostgresDatabase(project.serving_dsn)
    await database.start()
    try:
        assert (await database.status()).detail == f"migration {newest_migration()}"
        await database.insert(ada, "agents", [STANDARD])
        await finish(database, ada, await begin(database, ada))
        assert len(await database.select(ada, "runs")) == 1
        assert await database.select(bob, "runs") == []
        with pytest.raises(Exception, match="23503"):
            await database.insert(bob, "agents", [STANDARD])
    finally:
        await database.stop()


async def test_what_a_push_left_undone_migrate_does(project: Addresses, supabase_cli: SupabaseCli) -> None:
    files = sorted((supabase_cli.directory / "migrations").glob("*.sql"))
    undone = tuple(file.stem for file in files[3:])
    for file in files[3:]:
        file.unlink()
    await supabase_cli.push(project.owner_dsn)
    assert await migrate(project.owner_dsn) == undone
    assert await migrate(project.owner_dsn) == ()
    shutil.copytree(SUPABASE_DIRECTORY, supabase_cli.directory, dirs_exist_ok=True)
    assert await pushed(supabase_cli, project) == []


async def test_they_take_turns(project: Addresses, supabase_cli: SupabaseCli) -> None:
    """Pushed, then migrated to a later version, then pushed to one later still."""
    await supabase_cli.push(project.owner_dsn)
    for again in ("migrate", "push", "migrate"):
        policy = supabase_cli.directory / "policies" / "runs.sql"
        policy.write_text(policy.read_text() + f"\n-- {again}\n")
        later = migration.write(again=False, directory=supabase_cli.directory).stem
        if again == "push":
            assert later in await supabase_cli.push(project.owner_dsn)
        else:
            assert await migrate(project.owner_dsn, directory=supabase_cli.directory) == (later,)
        assert await migrate(project.owner_dsn, directory=supabase_cli.directory) == ()
        assert await pushed(supabase_cli, project) == []


async def test_a_migrated_database_is_pushed_to_once_the_cli_is_told(
    project: Addresses, supabase_cli: SupabaseCli
) -> None:
    await migrate(project.owner_dsn)
    before = await snapshot(project)
    async with over_tcp(project.owner_dsn) as url:
        code, said = await supabase_cli("db", "push", f"--remote={url}")
        assert code != 0
        assert "already exists" in said
        assert await snapshot(project) == before
        code, said = await supabase_cli("migration", "repair", "--status=applied", f"--remote={url}")
        assert code == 0, said
    assert await pushed(supabase_cli, project) == []
    assert await snapshot(project) == before


async def test_migrate_leaves_the_history_of_the_users_own_migrations(
    project: Addresses, supabase_cli: SupabaseCli
) -> None:
    """The CLI refuses to push to a database whose history has what the folder has not."""
    migrations = supabase_cli.directory / "migrations"
    shutil.rmtree(migrations)
    migrations.mkdir()
    (migrations / "20250101000000_todos.sql").write_text("create table public.todos (id int primary key);")
    await supabase_cli.push(project.owner_dsn)
    await migrate(project.owner_dsn)
    (migrations / "20990101000000_more.sql").write_text("alter table public.todos add column title text;")
    assert await pushed(supabase_cli, project) == ["20990101000000_more"]
    await supabase_cli.push(project.owner_dsn)
    assert await migrate(project.owner_dsn) == ()


async def test_the_cli_knows_every_word_of_the_config(project: Addresses, supabase_cli: SupabaseCli) -> None:
    assert "does not recognize" not in await supabase_cli.push(project.owner_dsn, "--include-seed")
    config = supabase_cli.directory / "config.toml"
    config.write_text(config.read_text().replace("max_rows", "most_rows"))
    assert "api.most_rows" in await supabase_cli.push(project.owner_dsn, "--dry-run")


async def test_a_postgres_without_the_shim_is_refused_and_left_empty(
    postgres: Server, supabase_cli: SupabaseCli
) -> None:
    empty = await postgres.empty()
    async with over_tcp(empty.owner_dsn) as url:
        code, said = await supabase_cli("db", "push", f"--remote={url}")
    assert code != 0
    assert "auth.users" in said
    async with await psycopg.AsyncConnection.connect(empty.owner_dsn) as owner:
        found = await owner.execute("select from pg_namespace where nspname like 'agenthost%'")
        assert found.rowcount == 0
    await postgres.drop(empty)
