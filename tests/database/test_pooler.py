"""Behind a pooler that lends connections for a transaction: who a connection was, it no longer is for the next."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest

from service.database.migrations import migrate, newest_migration
from service.database.postgres import PostgresDatabase
from service.database.transactions import becoming, claims_of
from tests.database.runs import STANDARD, begin, finish
from tests.peers.pgbouncer import CONNECTIONS
from tests.postgres import Addresses, Server, someone
from tests.service.conftest import User
from tests.service.everything import Everything, everything

USERS = 20
ROUNDS = 3
STATE = (
    "select current_user::text, current_setting('role'), coalesce(current_setting('request.jwt.claims', true), ''), "
    "coalesce(current_setting('agenthost.guest', true), ''), current_setting('statement_timeout'), "
    "current_setting('search_path')"
)
CLEAN = ("agenthost_api", "none", "", "", "0", '"$user", public')

WORK = """\
def run(services, name):
    db, kv = services.db, services.kv
    db.insert("leads", {"name": name})
    kv.set("name", name)
    kv.increment("runs")
    services.notify.send(title=name)
    rows = db.select("leads", columns=["name", "user_id"])
    return {"rows": rows, "name": kv.get("name")}
"""


@pytest.fixture
async def pooled(pooled_server: Server) -> AsyncIterator[Addresses]:
    addresses = await pooled_server.clone()
    yield addresses
    await pooled_server.drop(addresses)


@asynccontextmanager
async def strangers(addresses: Addresses) -> AsyncIterator[list[psycopg.AsyncConnection[tuple[object, ...]]]]:
    """Clients of the same login that take no role: they see what others have left."""
    connect = psycopg.AsyncConnection.connect
    clients = [
        await connect(addresses.serving_dsn, autocommit=True, prepare_threshold=None) for _ in range(2 * CONNECTIONS)
    ]
    try:
        yield clients
    finally:
        for client in clients:
            await client.close()


async def looks(client: psycopg.AsyncConnection[tuple[object, ...]], ended: asyncio.Event) -> int:
    """How often it looked, until the rest has ended. Everything was as a new connection has it."""
    times = 0
    while not ended.is_set():
        assert await (await client.execute(STATE.encode())).fetchone() == CLEAN
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await client.execute("select from agenthost.agents")
        times += 1
    return times


async def sessions(addresses: Addresses) -> int:
    """How many connections there are to this database for the serving login."""
    async with await addresses.owner() as owner:
        found = await owner.execute(
            "select count(*) from pg_stat_activity where usename = 'agenthost_api' and datname = current_database()"
        )
        [(number,)] = await found.fetchall()
        assert isinstance(number, int)
        return number


async def test_the_pooler_does_share_its_connections(pooled: Addresses) -> None:
    """What is set for a session is seen by others: so these tests would see a role or claims that stay."""
    async with strangers(pooled) as clients:
        for client in clients:
            await client.execute("select set_config('test.left', 'behind', false)")
        # Those that are lent at once are different ones.
        looked = await asyncio.gather(
            *(client.execute("select current_setting('test.left', true), pg_sleep(0.05)") for client in clients)
        )
        assert ("behind",) in [(row or ("",))[:1] for row in [await each.fetchone() for each in looked]]
        assert 1 < await sessions(pooled) <= CONNECTIONS


async def test_nobodys_role_or_claims_are_left_under_load(pooled: Addresses) -> None:
    database = PostgresDatabase(pooled.serving_dsn, pool_size=2 * CONNECTIONS)
    await database.start()

    async def user() -> None:
        caller = someone()
        await database.insert(caller, "agents", [STANDARD])
        for _ in range(10):
            with pytest.raises(Exception, match="23505"):
                await database.insert(caller, "agents", [STANDARD])
            started = await begin(database, caller)
            assert {row["user_id"] for row in await database.select(caller, "runs")} == {str(caller.user_id)}
            await finish(database, caller, started)

    try:
        async with strangers(pooled) as clients:
            ended = asyncio.Event()
            watching = [asyncio.create_task(looks(client, ended)) for client in clients]
            await asyncio.gather(*(user() for _ in range(USERS)))
            ended.set()
            assert sum(await asyncio.gather(*watching)) > len(clients)
        assert await sessions(pooled) <= CONNECTIONS
    finally:
        await database.stop()


@pytest.mark.parametrize("ending", ["an_error", "a_lost_client"])
async def test_a_transaction_that_breaks_off_leaves_nothing(pooled: Addresses, ending: str) -> None:
    for _ in range(2 * CONNECTIONS):
        raw = await psycopg.AsyncConnection.connect(pooled.serving_dsn, autocommit=True, prepare_threshold=None)
        await raw.execute("begin")
        await raw.execute(becoming(), (claims_of(someone()),))
        if ending == "an_error":
            with pytest.raises(psycopg.errors.DivisionByZero):
                await raw.execute("select 1 / 0")
            await raw.execute("rollback")
        await raw.close()
    async with strangers(pooled) as clients:
        for client in clients:
            assert await (await client.execute(STATE.encode())).fetchone() == CLEAN


async def test_the_owner_migrates_through_it(pooled_server: Server) -> None:
    empty = await pooled_server.empty()
    through = urlsplit(empty.owner_dsn)._replace(query=urlsplit(empty.serving_dsn).query)
    assert newest_migration() in await migrate(urlunsplit(through))
    database = PostgresDatabase(empty.serving_dsn)
    await database.start()
    assert (await database.status()).ready
    await database.stop()
    await pooled_server.drop(empty)


@pytest.fixture(scope="module")
async def there(pooled_server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Everything]:
    async with everything(pooled_server, tmp_path_factory.mktemp("host")) as made:
        yield made


async def test_a_host_serves_users_side_by_side_live_and_dry(there: Everything) -> None:
    """Everything that a host asks a database for: records, values, the users' own tables, rehearsed and for good."""

    async def works(number: int) -> None:
        name = f"user{number}"
        async with there.host.user() as user:
            await user.define("work", WORK, capabilities={key: there.grants[key] for key in ("db", "kv", "notify")})
            for round_ in range(ROUNDS):
                for test in (True, False):
                    check(user, name, round_, test, await run(user, name, test))
            assert len(await user.listed(at_least=2 * ROUNDS)) == 2 * ROUNDS

    await asyncio.gather(*(works(number) for number in range(USERS)))
    found = await there.owner.execute("select user_id, min(name), max(name), count(*) from public.leads group by 1")
    rows = [row for row in await found.fetchall() if str(row[1]).startswith("user")]
    assert len(rows) == USERS
    assert all(least == most and count == ROUNDS for _, least, most, count in rows)
    assert await sessions(there.addresses) <= CONNECTIONS


async def run(user: User, name: str, test: bool) -> httpx.Response:
    return await user.http.post(user.url("work"), params={"test": json.dumps(test)}, json={"name": name})


def check(user: User, name: str, round_: int, test: bool, answer: httpx.Response) -> None:
    """A dry run sees its own rows too, which are gone when the live one comes."""
    assert answer.status_code == 200, answer.text
    output = answer.json()["output"]
    assert output["name"] == name
    assert len(output["rows"]) == round_ + 1
    assert {row["user_id"] for row in output["rows"]} == {str(user.user_id)}
