"""A dry run on the user's own tables: what it sees, what it undoes, and that it lets go whatever happens."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from service.auth import Caller
from service.database.gateway import DatabaseUnavailable
from service.database.rehearsals import IDLE_SECONDS, PostgresRehearsals
from service.database.transactions import ANSWER_SECONDS
from service.database.user_tables import REHEARSALS_AT_ONCE, Refused, Rehearsal
from tests.database.own_tables import committed, contents, make_tables
from tests.database.test_hanging import frozen
from tests.postgres import Addresses, Server, someone, superuser

PATIENCE_SECONDS = 0.5
SESSIONS = "select pid from pg_stat_activity where usename = 'agenthost_api' and datname = current_database()"


@pytest.fixture
async def own(cloned: Addresses) -> Addresses:
    await make_tables(cloned)
    return cloned


@pytest.fixture
async def rehearsals(own: Addresses) -> AsyncIterator[PostgresRehearsals]:
    made = PostgresRehearsals(own.serving_dsn, most_rows=20, patience_seconds=PATIENCE_SECONDS)
    yield made
    await made.stop()


@pytest.fixture
def ada() -> Caller:
    return someone()


@pytest.fixture
async def stored(own: Addresses, ada: Caller) -> None:
    """A committed lead of hers."""
    async with await own.owner() as owner:
        await owner.execute("insert into public.leads (user_id, name) values (%s, 'a')", (ada.user_id,))


async def names(rehearsal: Rehearsal) -> list[str]:
    return [row["name"] for row in await rehearsal.select("leads", order="id")]


async def sessions_gone(own: Addresses) -> None:
    """Until Postgres has no session of a host any more."""
    async with asyncio.timeout(10):
        while await committed(own, SESSIONS):  # noqa: ASYNC110 - the event is in another process
            await asyncio.sleep(0.05)


async def free(own: Addresses) -> None:
    """Nobody holds a lock on a lead."""
    async with await own.owner() as owner, owner.transaction():
        await owner.execute("lock table public.leads in access exclusive mode nowait")


async def test_it_reads_its_own_writes_and_nothing_of_it_stays(
    rehearsals: PostgresRehearsals, own: Addresses, ada: Caller, stored: None
) -> None:
    before = await contents(own)
    rehearsal = rehearsals.of(ada)
    await rehearsal.insert("leads", [{"name": "b", "email": "b@example.com"}, {"name": "c", "email": None}])
    await rehearsal.update("leads", {"name": "changed"}, where={"name": "a"})
    await rehearsal.delete("leads", where={"name": "c"})
    assert await names(rehearsal) == ["changed", "b"]
    said = [row["said"] for row in await rehearsal.select("journal", order="number")]
    assert said == ["INSERT a", "INSERT b", "INSERT c", "UPDATE changed"]
    assert await contents(own) == before
    await rehearsal.close()
    assert await contents(own) == before
    await free(own)
    await sessions_gone(own)
    again = rehearsals.of(ada)
    assert await names(again) == ["a"]


async def test_an_error_undoes_its_call_alone(rehearsals: PostgresRehearsals, own: Addresses, ada: Caller) -> None:
    rehearsal = rehearsals.of(ada)
    for wrong in (
        {"name": "forbidden"},
        {"name": "x", "score": -1},
        {"name": None},
        {"name": "\0"},
        {"nothing": 1},
    ):
        await rehearsal.insert("leads", [{"name": str(wrong)}])
        with pytest.raises(Refused):
            await rehearsal.insert("leads", [{"name": "before"} | wrong])
    assert len(await names(rehearsal)) == 5
    assert len(await rehearsal.select("journal")) == 5


async def test_deferred_constraints_act_at_once(rehearsals: PostgresRehearsals, ada: Caller) -> None:
    rehearsal = rehearsals.of(ada)
    with pytest.raises(Refused, match="notes_lead_id_fkey"):
        await rehearsal.insert("notes", [{"lead_id": 12345}])
    await rehearsal.insert("traps", [{"does": "set constraints all deferred"}])
    with pytest.raises(Refused, match="notes_lead_id_fkey"):
        await rehearsal.insert("notes", [{"lead_id": 12345}])


async def test_a_sequence_is_not_undone(
    rehearsals: PostgresRehearsals, own: Addresses, ada: Caller, stored: None
) -> None:
    rehearsal = rehearsals.of(ada)
    await rehearsal.insert("leads", [{"name": "b"}, {"name": "c"}])
    await rehearsal.close()
    async with await own.owner() as owner:
        await owner.execute("insert into public.leads (user_id, name) values (%s, 'd')", (ada.user_id,))
    assert await committed(own, "select id from public.leads order by id") == [1, 4]


@pytest.mark.parametrize(
    "does",
    [
        "commit",
        "rollback",
        "call public.commits()",
        "do 'begin commit; end'",
        "prepare transaction 'x'",
        "commit prepared 'x'",
        "vacuum public.leads",
    ],
)
async def test_nothing_a_trigger_does_ends_the_transaction(
    rehearsals: PostgresRehearsals, own: Addresses, ada: Caller, does: str
) -> None:
    async with await own.owner() as owner:
        await owner.execute("create procedure public.commits() language plpgsql as 'begin commit; end'")
    before = await contents(own)
    rehearsal = rehearsals.of(ada)
    await rehearsal.insert("leads", [{"name": "b"}])
    with pytest.raises(Refused):
        await rehearsal.insert("traps", [{"does": does}])
    assert await names(rehearsal) == ["b"]
    await rehearsal.close()
    assert await contents(own) == before


async def test_nothing_of_a_session_outlasts_it(rehearsals: PostgresRehearsals, own: Addresses, ada: Caller) -> None:
    async with await own.owner() as listener, await own.owner() as watcher:
        await listener.execute("listen news")
        rehearsal = rehearsals.of(ada)
        for does in (
            "notify news, 'from a dry run'",
            "listen news",
            "select pg_advisory_lock(4711)",
            "select pg_advisory_xact_lock(4712)",
            "create temporary table kept as select 1 as one",
            "create table public.kept as select 1 as one",
            "select set_config('agenthost.guest', 'off', false)",
        ):
            await rehearsal.insert("traps", [{"does": does}])
        held = "select pg_try_advisory_lock(4711), pg_try_advisory_lock(4712)"
        assert await (await watcher.execute(held)).fetchone() == (False, False)
        await rehearsal.close()
        await sessions_gone(own)
        assert await (await watcher.execute(held)).fetchone() == (True, True)
        assert await (await watcher.execute("select to_regclass('public.kept')")).fetchone() == (None,)
        await watcher.execute("notify news, 'real'")
        async for notice in listener.notifies(timeout=5, stop_after=1):
            assert notice.payload == "real"


async def test_who_a_trigger_says_the_caller_is_ends_with_the_call(
    rehearsals: PostgresRehearsals, own: Addresses, ada: Caller
) -> None:
    bob = someone()
    async with await own.owner() as owner:
        await owner.execute("insert into public.leads (user_id, name) values (%s, 'his')", (bob.user_id,))
    rehearsal = rehearsals.of(ada)
    claims = f'{{"sub": "{bob.user_id}", "role": "authenticated"}}'
    await rehearsal.insert("traps", [{"does": f"select set_config('request.jwt.claims', '{claims}', true)"}])
    assert await names(rehearsal) == []
    await rehearsal.insert("traps", [{"does": "select set_config('agenthost.guest', '', true)"}])
    assert await rehearsal.select("spying") == []


async def test_a_foreign_table_is_refused_because_its_writes_may_not_be_undone(
    rehearsals: PostgresRehearsals, own: Addresses, postgres: Server, ada: Caller
) -> None:
    if postgres.data_dir is None:
        pytest.skip("the server is not ours")
    at = psycopg.conninfo.conninfo_to_dict(own.owner_dsn)
    async with superuser(postgres):
        dsn = psycopg.conninfo.make_conninfo(own.owner_dsn, user="postgres", password="")
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as root:
            await root.execute("create extension postgres_fdw")
            [[directory]] = await (await root.execute("show data_directory")).fetchall()
            await root.execute("grant usage on foreign data wrapper postgres_fdw to agenthost_owner")
    async with await own.owner() as owner:
        await owner.execute(
            f"""
            create table public.elsewhere (id int);
            create server elsewhere foreign data wrapper postgres_fdw
              options (host '{directory}', dbname '{at["dbname"]}');
            create user mapping for public server elsewhere
              options (user '{at["user"]}', password '{at["password"]}');
            create foreign table public.feed (id int) server elsewhere options (table_name 'elsewhere');
            create view public.fed as select * from public.feed;
            grant all on public.feed, public.fed to authenticated;
            """.encode()
        )
        await owner.execute("insert into public.feed values (7)")
    rehearsal = rehearsals.of(ada)
    for attempt in (
        rehearsal.insert("feed", [{"id": 1}]),
        rehearsal.insert("fed", [{"id": 1}]),
        rehearsal.update("feed", {"id": 2}, where={"id": 7}),
        rehearsal.delete("fed", where={"id": 7}),
        rehearsal.select("feed"),
        rehearsal.insert("traps", [{"does": "insert into public.feed values (1)"}]),
    ):
        with pytest.raises(Refused, match=r"foreign table is restricted|SQLSTATE 55000"):
            await attempt
    assert await committed(own, "select id from public.elsewhere") == [7]


async def test_a_second_one_of_the_same_user_waits_and_is_then_told(
    rehearsals: PostgresRehearsals, ada: Caller
) -> None:
    first, second = rehearsals.of(ada), rehearsals.of(ada)
    await first.insert("leads", [{"name": "b"}])
    with pytest.raises(Refused, match="another dry run of yours"):
        await second.select("leads")
    waiting = asyncio.create_task(names(second))
    await asyncio.sleep(PATIENCE_SECONDS / 5)
    await first.close()
    assert await waiting == []


async def test_more_than_there_are_places_for_wait_and_are_then_told(rehearsals: PostgresRehearsals) -> None:
    others = [rehearsals.of(someone()) for _ in range(REHEARSALS_AT_ONCE)]
    await asyncio.gather(*map(names, others))
    with pytest.raises(Refused, match="dry runs of others"):
        await names(rehearsals.of(someone()))
    await others[0].close()
    assert await names(rehearsals.of(someone())) == []


async def test_one_that_pauses_too_long_has_lost_its_rows_and_says_so(
    rehearsals: PostgresRehearsals, own: Addresses, ada: Caller, stored: None
) -> None:
    rehearsal = rehearsals.of(ada)
    await rehearsal.update("leads", {"name": "changed"}, where={"name": "a"})
    await asyncio.sleep(IDLE_SECONDS + 0.5)
    await free(own)
    for _ in range(2):
        with pytest.raises(Refused, match="has lost its rows"):
            await rehearsal.insert("leads", [{"name": "b"}])
    assert await committed(own, "select name from public.leads") == ["a"]


async def test_one_that_never_pauses_loses_its_rows_its_locks_and_its_place_all_the_same(
    own: Addresses, ada: Caller, stored: None
) -> None:
    rehearsals = PostgresRehearsals(own.serving_dsn, most_rows=20, lifetime_seconds=1.0)
    rehearsal = rehearsals.of(ada)
    await rehearsal.update("leads", {"name": "changed"}, where={"name": "a"})
    for _ in range(4):
        await asyncio.sleep(0.15)
        assert await names(rehearsal) == ["changed"]
    await asyncio.sleep(0.6)
    await sessions_gone(own)
    await free(own)
    for _ in range(2):
        with pytest.raises(Refused, match="has lost its rows: a dry run may hold the database for 1 s at most"):
            await rehearsal.insert("leads", [{"name": "b"}])
    another = rehearsals.of(ada)  # although the first one's run goes on
    assert await names(another) == ["a"]
    await another.close()
    await rehearsal.close()
    assert await committed(own, "select name from public.leads") == ["a"]


async def test_one_whose_time_is_over_in_the_middle_of_a_call_is_told_so(
    own: Addresses, ada: Caller, stored: None
) -> None:
    rehearsals = PostgresRehearsals(own.serving_dsn, most_rows=20, lifetime_seconds=1.0)
    rehearsal = rehearsals.of(ada)
    await rehearsal.update("leads", {"name": "changed"}, where={"name": "a"})
    for does in ("select pg_sleep(60)", "select 1"):
        with pytest.raises(Refused, match="may hold the database for 1 s at most"):
            await rehearsal.insert("traps", [{"does": does}])
    await sessions_gone(own)
    await free(own)
    await rehearsal.close()
    assert await committed(own, "select name from public.leads") == ["a"]


async def test_one_that_is_cut_off_lets_go_of_its_locks_and_says_so(
    rehearsals: PostgresRehearsals, own: Addresses, ada: Caller, stored: None
) -> None:
    rehearsal = rehearsals.of(ada)
    await rehearsal.update("leads", {"name": "changed"}, where={"name": "a"})
    slow = asyncio.create_task(rehearsal.insert("traps", [{"does": "select pg_sleep(60)"}]))
    await asyncio.sleep(0.2)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    started = time.monotonic()
    await sessions_gone(own)
    assert time.monotonic() - started < 4
    with pytest.raises(Refused, match="has lost its rows"):
        await rehearsal.select("leads")
    await free(own)
    assert await committed(own, "select name from public.leads") == ["a"]


async def test_one_whose_connection_is_lost_never_begins_anew(
    rehearsals: PostgresRehearsals, own: Addresses, postgres: Server, ada: Caller, stored: None
) -> None:
    if postgres.data_dir is None:
        pytest.skip("the server is not ours")
    rehearsal = rehearsals.of(ada)
    await rehearsal.update("leads", {"name": "changed"}, where={"name": "a"})
    [pid] = await committed(own, SESSIONS)
    async with superuser(postgres) as root:
        await root.execute("select pg_terminate_backend(%s)", (pid,))
    await sessions_gone(own)
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await rehearsal.insert("leads", [{"name": "b"}])
    assert await committed(own, "select name from public.leads") == ["a"]


async def test_one_whose_server_hangs_ends_in_bounded_time(
    rehearsals: PostgresRehearsals, own: Addresses, postgres: Server, ada: Caller, stored: None
) -> None:
    if postgres.data_dir is None:
        pytest.skip("the server is not ours")
    rehearsal = rehearsals.of(ada)
    await rehearsal.update("leads", {"name": "changed"}, where={"name": "a"})
    with frozen(await committed(own, SESSIONS)):
        async with asyncio.timeout(ANSWER_SECONDS + 5):
            with pytest.raises(DatabaseUnavailable):
                await rehearsal.select("leads")
            await rehearsal.close()
    await sessions_gone(own)
    await free(own)
    assert await committed(own, "select name from public.leads") == ["a"]


async def test_a_stop_of_the_host_rolls_back_what_is_open(
    rehearsals: PostgresRehearsals, own: Addresses, ada: Caller, stored: None
) -> None:
    rehearsal = rehearsals.of(ada)
    await rehearsal.update("leads", {"name": "changed"}, where={"name": "a"})
    await rehearsals.stop()
    await free(own)
    await sessions_gone(own)
    assert await committed(own, "select name from public.leads") == ["a"]


async def test_nothing_is_opened_before_the_first_statement_or_after_the_end(
    rehearsals: PostgresRehearsals, own: Addresses, ada: Caller
) -> None:
    rehearsal = rehearsals.of(ada)
    assert await committed(own, SESSIONS) == []
    await rehearsal.close()
    await rehearsal.close()
    with pytest.raises(Refused, match="has ended"):
        await rehearsal.select("leads")
    assert await committed(own, SESSIONS) == []


async def test_a_killed_host_leaves_nothing(own: Addresses, ada: Caller, stored: None) -> None:
    before = await contents(own)
    host = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.database.rehearsing_host", own.serving_dsn, str(ada.user_id)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert host.stdout is not None
    assert await host.stdout.readline() == b"changed\n"
    with pytest.raises(psycopg.errors.LockNotAvailable):
        await free(own)
    host.kill()
    await host.wait()
    await sessions_gone(own)
    await free(own)
    assert await contents(own) == before


async def test_a_rehearsal_is_not_a_way_round_what_agents_may_do(rehearsals: PostgresRehearsals, ada: Caller) -> None:
    rehearsal: Any = rehearsals.of(ada)
    assert {name for name in dir(rehearsal) if not name.startswith("_")} == {
        "select",
        "insert",
        "update",
        "delete",
        "close",
    }
