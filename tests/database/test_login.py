"""Who the host is to the database: a login without power, or it does not serve."""

import psycopg
import pytest

from service.database.gateway import DatabaseUnfit
from service.database.postgres import PostgresDatabase
from tests.postgres import Addresses, Server, someone, superuser

pytestmark = pytest.mark.both_postgres


def as_login(addresses: Addresses, name: str) -> str:
    return addresses.serving_dsn.replace("agenthost_api:", f"{name}:")


@pytest.mark.parametrize(
    ("attributes", "grants", "complaint"),
    [
        ("superuser", "", "row-level security"),
        ("bypassrls", "", "row-level security"),
        ("", "grant service_role to {name}", "row-level security"),
        ("", "grant agenthost_owner to {name}", "owns agenthost's tables"),
        ("", "alter role {name} inherit; grant authenticated to {name}", "without taking a role"),
        ("", "", "not a member"),
    ],
    ids=["superuser", "bypassrls", "becomes_service_role", "becomes_owner", "inherits", "no_member"],
)
async def test_a_login_with_power_is_refused(
    postgres: Server, cloned: Addresses, attributes: str, grants: str, complaint: str
) -> None:
    password = cloned.serving_dsn.partition("agenthost_api:")[2].partition("@")[0]
    async with superuser(postgres) as root:
        await root.execute("alter role service_role bypassrls")
        await root.execute(f"create role test_login login noinherit {attributes} password '{password}'".encode())
        try:
            if grants:
                await root.execute(grants.format(name="test_login").encode())
            with pytest.raises(DatabaseUnfit, match=complaint) as caught:
                await PostgresDatabase(as_login(cloned, "test_login")).start()
            assert "agenthost_api" in str(caught.value)
        finally:
            await root.execute("drop role test_login")
            await root.execute("alter role service_role nobypassrls")


async def test_the_owner_is_refused(cloned: Addresses) -> None:
    with pytest.raises(DatabaseUnfit, match="owns agenthost's tables"):
        await PostgresDatabase(cloned.owner_dsn).start()


@pytest.mark.parametrize(
    "query",
    [
        "select * from agenthost.agents",
        "select * from agenthost_private.run_leases",
        "insert into agenthost.agents (agent_name, agent_config) values ('a', '{}')",
        "select agenthost.begin_run('a', '{}', true, 'http', 1, 1)",
        "select * from auth.users",
        "set role agenthost_owner",
        "set role postgres",
        "set role service_role",
        "set role anon",
    ],
)
async def test_a_query_that_forgot_its_role_fails(cloned: Addresses, query: str) -> None:
    async with await psycopg.AsyncConnection.connect(cloned.serving_dsn, autocommit=True) as raw:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await raw.execute(query.encode())


async def test_a_role_without_a_user_sees_nothing(cloned: Addresses) -> None:
    async with await psycopg.AsyncConnection.connect(cloned.serving_dsn, autocommit=True) as raw:
        await raw.execute("set role authenticated")
        for table in ("agents", "runs", "agent_kv"):
            assert await (await raw.execute(f"select * from agenthost.{table}".encode())).fetchall() == []
        for call in ("begin_run('a', '{}', true, 'http', 1, 1)", "take_quota('x', 1, 1)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await raw.execute(f"select agenthost.{call}".encode())


async def test_role_and_claims_end_with_the_transaction(cloned: Addresses) -> None:
    one = PostgresDatabase(cloned.serving_dsn, pool_size=1)
    await one.start()
    try:
        await one.select(someone(), "agents")
        pool = one._transactions._pool
        assert pool is not None
        async with pool.connection() as raw:
            settings = "select current_user, current_setting('request.jwt.claims', true), current_setting('role')"
            user, claims, role = await (await raw.execute(settings)).fetchone() or ()
            assert (user, claims or "", role) == ("agenthost_api", "", "none")
    finally:
        await one.stop()
