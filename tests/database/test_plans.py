"""What a run and a list cost does not grow with what is stored: every plan is by index, however many runs there are."""

import json
from typing import Any

import psycopg
import pytest

from service.auth import Caller
from service.database import statements
from service.database.postgres import PostgresDatabase
from tests.database.runs import STANDARD, begin, finish
from tests.postgres import Addresses, someone

RUNS = 100_000
BEGIN = b"select agenthost.begin_run('digest', '{}', false, 'http', 30, 8)"
FINISH = b"select agenthost.finish_run(%s, %s, 'succeeded', '{}', '{}', null, '[]', '{}', 's', '[]', 30, 1000000)"
BUFFERS = 60
"""How many pages a statement may touch. A hundred thousand runs are 2,500 pages and more."""


@pytest.fixture
async def ada(database: PostgresDatabase, cloned: Addresses) -> Caller:
    """Somebody with a hundred thousand runs, a fifth of them failed, and as many keys as one may have."""
    caller = someone()
    [agent] = await database.insert(caller, "agents", [STANDARD])
    async with await cloned.owner() as owner:
        await owner.execute("set synchronous_commit = off")
        await owner.execute(
            "insert into agenthost.runs (user_id, agent_id, agent_name, version, status, finished_at, output) "
            "select %s, %s, 'digest', 1, (array['succeeded', 'failed'])[1 + (n %% 5 = 0)::int], now(), '{}' "
            "from generate_series(1, %s) n",
            (caller.user_id, agent["id"], RUNS),
        )
        await owner.execute(
            "insert into agenthost.agent_kv (user_id, agent_id, key, value) select %s, %s, 'k' || n, '1' "
            "from generate_series(1, 10000) n",
            (caller.user_id, agent["id"]),
        )
        await owner.execute("analyze")
    return caller


async def explain(raw: psycopg.AsyncConnection[tuple[object, ...]], caller: Caller, query: bytes, texts: Any) -> Any:
    """The plan of a statement, executed as the caller in a transaction that is rolled back."""
    async with raw.transaction(force_rollback=True):
        await raw.execute("select set_config('request.jwt.claims', %s, true)", (json.dumps(dict(caller.claims)),))
        await raw.execute("set local role authenticated")
        explained = await raw.execute(b"explain (analyze, buffers, format json) " + query, texts)
        [[plans]] = await explained.fetchall()
        assert isinstance(plans, list)
        return plans[0]["Plan"]


def pages(plan: Any) -> int:
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def nodes(plan: Any) -> list[str]:
    return [plan["Node Type"], *(node for child in plan.get("Plans", ()) for node in nodes(child))]


async def test_lists_and_look_ups_touch_few_pages_from_first_to_last(
    database: PostgresDatabase, cloned: Addresses, ada: Caller
) -> None:
    async with await cloned.owner() as owner:
        middle = await owner.execute(
            "select id::text from agenthost.runs where user_id = %s order by id offset 50000 limit 1", (ada.user_id,)
        )
        [[cursor]] = await middle.fetchall()
        last = await owner.execute("select min(id::text) from agenthost.runs where user_id = %s", (ada.user_id,))
        [[oldest]] = await last.fetchall()
    queries = {
        "first page": statements.select("runs", None, None, "id desc", 51),
        "page in the middle": statements.select("runs", None, {"id": {"lt": cursor}}, "id desc", 51),
        "last page": statements.select("runs", None, {"id": {"lte": oldest}}, "id desc", 51),
        "of an agent": statements.select("runs", None, {"agent_name": "digest"}, "id desc", 51),
        "of an agent without runs": statements.select("runs", None, {"agent_name": "none"}, "id desc", 51),
        "failed": statements.select("runs", None, {"status": "failed"}, "id desc", 11),
        "one": statements.select("runs", None, {"id": cursor}, None, None),
        "its effects": statements.select("run_effects", None, {"run_id": cursor}, "seq", None),
        "agents": statements.select("agents", None, None, "id desc", 51),
        "an agent": statements.select("agents", None, {"agent_name": "digest"}, None, None),
        "versions": statements.select("agent_versions", None, {"agent_id": cursor}, "version desc", 51),
        "notifications": statements.select("agent_notifications", None, None, "id desc", 51),
        "secrets": statements.select("user_secrets", None, {"name": {"gt": "A"}}, "name", 51),
    }
    async with await psycopg.AsyncConnection.connect(cloned.serving_dsn, autocommit=True) as raw:
        for name, statement in queries.items():
            plan = await explain(raw, ada, statement.query, statement.parameters)
            assert pages(plan) < BUFFERS, (name, plan)
            if b'"runs"' in statement.query:
                assert "Seq Scan" not in nodes(plan), (name, plan)


async def test_a_run_touches_few_pages(database: PostgresDatabase, cloned: Addresses, ada: Caller) -> None:
    bob = someone()
    await database.insert(bob, "agents", [STANDARD])
    costs: dict[Any, list[int]] = {ada.user_id: [], bob.user_id: []}
    async with await psycopg.AsyncConnection.connect(cloned.serving_dsn, autocommit=True) as raw:
        for caller in (ada, bob):
            for _ in range(4):
                started = await begin(database, caller)
                first = await explain(raw, caller, BEGIN, ())
                second = await explain(raw, caller, FINISH, (started["run_id"], started["lease_id"]))
                await finish(database, caller, started, p_keep_runs=1_000_000)
                costs[caller.user_id].append(pages(first) + pages(second))
    # The first call of a session also reads the catalogue.
    assert min(costs[ada.user_id]) < 2 * min(costs[bob.user_id]) + 20, costs
    assert min(costs[ada.user_id]) < 250, costs


async def test_a_key_costs_the_same_among_ten_thousand(cloned: Addresses, ada: Caller) -> None:
    async with await cloned.owner() as owner:
        [[agent_id]] = await (await owner.execute("select id from agenthost.agents")).fetchall()
    calls = {
        "get": "select agenthost.kv_get(%s, 'k777')",
        "set": "select agenthost.kv_set(%s, 'k777', '2')",
        "new": "select agenthost.kv_set(%s, 'new', '2', null, 20000)",
        "increment": "select agenthost.kv_increment(%s, 'k777', 1)",
        "list": "select agenthost.kv_list(%s, 'k77', null, 10)",
        "list nothing": "select agenthost.kv_list(%s, 'a', null, 10)",
    }
    async with await psycopg.AsyncConnection.connect(cloned.serving_dsn, autocommit=True) as raw:
        for name, call in calls.items():
            for _ in range(7):  # past the fifth, plpgsql may go over to a plan for any value
                plan = await explain(raw, ada, call.encode(), (agent_id,))
            assert pages(plan) < BUFFERS, (name, plan)
