"""Every function that a user may call, called past the host with whatever they like: it reaches only what is theirs."""

import itertools
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from service.auth import Caller
from service.database.gateway import Conflict, Database, DatabaseError, Forbidden, Invalid, Row
from tests.database.runs import begin, finish
from tests.policies.tenants import EFFECT, everything, furnish
from tests.postgres import Addresses, someone
from tests.ways import Way
from tests.ways import database as database
from tests.ways import way as way

Raw = psycopg.AsyncConnection[tuple[object, ...]]


@pytest.fixture
async def ada(database: Database) -> Caller:
    caller = someone()
    await furnish(database, caller)
    return caller


@pytest.fixture
async def bob(database: Database) -> Caller:
    caller = someone()
    await furnish(database, caller)
    return caller


@asynccontextmanager
async def rest(addresses: Addresses, caller: Caller) -> AsyncIterator[Raw]:
    """A session as a user's, for any SQL: more than REST would let them."""
    async with await psycopg.AsyncConnection.connect(addresses.serving_dsn, autocommit=True) as raw:
        await raw.execute("set role authenticated")
        await raw.execute("select set_config('request.jwt.claims', %s, false)", (json.dumps(dict(caller.claims)),))
        yield raw


async def hidden(addresses: Addresses, caller: Caller) -> dict[str, list[Any]]:
    """A user's rows in the tables that nobody sees."""
    rows: dict[str, list[Any]] = {}
    async with await addresses.owner() as owner:
        for table in ("kept_rows", "run_leases", "run_keys", "daily_quotas"):
            query = f"select to_jsonb(t) from agenthost_private.{table} t where user_id = %s order by 1"
            rows[table] = await (await owner.execute(query.encode(), (caller.user_id,))).fetchall()
    return rows


async def lease_of(addresses: Addresses, caller: Caller) -> Row:
    async with await addresses.owner() as owner:
        query = "select run_id::text, lease_id::text from agenthost_private.run_leases where user_id = %s"
        [[run_id, lease_id]] = await (await owner.execute(query, (caller.user_id,))).fetchall()
        return {"run_id": run_id, "lease_id": lease_id}


async def test_anothers_run_is_not_finished_even_with_its_lease(
    database: Database, ada: Caller, bob: Caller, way: Way
) -> None:
    before = await everything(database, bob), await hidden(way.addresses, bob)
    lease = await lease_of(way.addresses, bob)
    assert await finish(database, ada, lease, p_effects=[EFFECT]) == {"recorded": False}
    async with rest(way.addresses, ada) as raw:
        await raw.execute("select agenthost_private.end_run(%s, %s, 1, 1)", (lease["run_id"], lease["lease_id"]))
    assert (await everything(database, bob), await hidden(way.addresses, bob)) == before


async def test_anothers_run_gets_no_lease_no_child_and_is_not_told(
    database: Database, ada: Caller, bob: Caller, way: Way
) -> None:
    before = await everything(database, bob), await hidden(way.addresses, bob)
    theirs = await lease_of(way.addresses, bob)
    [agent] = await database.select(bob, "agents")
    with pytest.raises(DatabaseError):
        await begin(database, ada, p_parent_run_id=theirs["run_id"])
    assert await database.call(ada, "recorded_run", p_run_id=theirs["run_id"]) is None
    async with rest(way.addresses, ada) as raw:
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            await raw.execute(
                "select agenthost_private.key_run(%s, %s, 'key', 'hash')", (theirs["run_id"], agent["id"])
            )
        [[answer]] = await (
            await raw.execute(
                "select agenthost_private.admit_run(%s, %s, %s, interval '9 years', 100, 'key', 'hash')",
                (agent["id"], theirs["run_id"], theirs["lease_id"]),
            )
        ).fetchall()
        assert answer is None
    assert (await everything(database, bob), await hidden(way.addresses, bob)) == before


async def test_keys_and_quotas_of_another_are_out_of_reach(
    database: Database, ada: Caller, bob: Caller, way: Way
) -> None:
    await begin(database, bob, p_idempotency_key="shared", p_request_hash="h")
    before = await hidden(way.addresses, bob)
    assert (await begin(database, ada, p_idempotency_key="shared", p_request_hash="other"))["outcome"] == "started"
    await database.call(ada, "take_quota", p_name="checks", p_amount=8, p_limit=9)
    assert await hidden(way.addresses, bob) == before


async def test_a_user_cannot_free_their_own_places_or_quota(database: Database, ada: Caller, way: Way) -> None:
    """Without the lease id, which only the host was told, no function and no verb makes room."""
    [running] = await database.select(ada, "runs", where={"status": "running"})
    await database.update(ada, "runs", {"status": "failed", "finished_at": "2026-01-01"}, where={"id": running["id"]})
    await finish(database, ada, {"run_id": running["id"], "lease_id": str(uuid4())})
    await finish(database, ada, {"run_id": running["id"], "lease_id": None})
    assert (await begin(database, ada, p_max_in_flight=1))["outcome"] == "too_many_runs"
    async with rest(way.addresses, ada) as raw:
        for query in (
            "delete from agenthost_private.run_leases",
            "select lease_id from agenthost_private.run_leases",
            "update agenthost_private.kept_rows set rows_kept = 0",
            "update agenthost_private.daily_quotas set used = 0",
            "truncate agenthost.runs",
            "alter table agenthost.runs disable row level security",
            "create table agenthost.mine (x int)",
            "create function agenthost.mine() returns int language sql as 'select 1'",
            "create table agenthost_private.mine (x int)",
            "select * from auth.users",
            "select agenthost_private.count_rows()",
        ):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)):
                await raw.execute(query.encode())


async def test_pruning_ones_own_runs_frees_no_place(database: Database, ada: Caller, way: Way) -> None:
    """Runs in flight that their user calls finished are pruned like others, and yet count until they end or expire."""
    [running] = await database.select(ada, "runs", where={"status": "running"})
    started = [await begin(database, ada) for _ in range(7)]
    in_flight = [running["id"], *(run["run_id"] for run in started)]
    async with rest(way.addresses, ada) as raw:
        await raw.execute(
            "update agenthost.runs set status = 'succeeded', finished_at = now() where status = 'running'"
        )
        await raw.execute(
            "insert into agenthost.runs (agent_name, status, finished_at) "
            "select 'filler', 'succeeded', now() from generate_series(1, 300)"
        )
    [another] = await database.insert(ada, "runs", [{"agent_name": "another"}])
    await finish(database, ada, {"run_id": another["id"], "lease_id": str(uuid4())}, p_keep_runs=100)
    assert await database.select(ada, "runs", where={"id": {"in": in_flight}}) == []
    assert (await begin(database, ada))["outcome"] == "too_many_runs"
    assert (await finish(database, ada, started[0])) == {"recorded": False}
    assert (await begin(database, ada))["outcome"] == "started"
    assert (await begin(database, ada))["outcome"] == "too_many_runs"


async def test_a_wide_keeping_wipes_little(database: Database, ada: Caller) -> None:
    """Past the host a user may ask to keep nothing; a hundred runs and a day are kept all the same."""
    started = await begin(database, ada)
    await finish(database, ada, started, p_keep_runs=-(2**31), p_keep_days=-(2**31))
    assert len(await database.select(ada, "runs")) == 3


WILD: dict[str, list[Any]] = {
    "text": [None, "", "x" * 100_000, "'; drop table agenthost.agents; --", "k", "digest", "{}", "NaN"],
    "uuid": [None, str(uuid4()), "00000000-0000-0000-0000-000000000000", "bobs_agent", "bobs_run"],
    "integer": [None, 0, -1, 2**31 - 1, -(2**31), 2**40],
    "double precision": [None, "NaN", "Infinity", "-Infinity", 1e308, -1e308, 0],
    "numeric": [None, "NaN", "Infinity", "1e1000", "-1e1000", 0, 1],
    "boolean": [None, True, False],
    "json": [None, {}, [], 0, "x", [{"seq": 1}], [[[]]], {"a": "b"}],
    "jsonb": [None, {}, [], 0, "x", {"a": [1, 2]}],
}


@pytest.mark.parametrize("seed", range(4))
async def test_no_argument_reaches_another_or_breaks_the_database(
    database: Database, ada: Caller, bob: Caller, way: Way, seed: int
) -> None:
    before = await everything(database, bob), await hidden(way.addresses, bob)
    dice = random.Random(seed)
    known = {
        "bobs_agent": before[0]["agents"][0]["id"],
        "bobs_run": (await lease_of(way.addresses, bob))["run_id"],
    }
    async with await way.addresses.owner() as owner:
        found = await owner.execute(
            "select proname, proargnames, array(select format_type(t, null) from unnest(proargtypes) as t) "
            "from pg_proc where pronamespace = 'agenthost'::regnamespace "
            "and has_function_privilege('authenticated', oid, 'execute')"
        )
        functions = await found.fetchall()
    for (name, names, types), _ in itertools.product(functions, range(25)):
        assert isinstance(types, list)
        arguments = {}
        for argument, kind in zip(names or [], types, strict=True):  # type: ignore[call-overload]
            value = dice.choice(WILD[kind])
            arguments[argument] = known.get(value, value) if isinstance(value, str) else value
        try:
            await database.call(ada, str(name), **arguments)
        except (Invalid, Forbidden, Conflict):
            continue
    assert (await everything(database, bob), await hidden(way.addresses, bob)) == before
