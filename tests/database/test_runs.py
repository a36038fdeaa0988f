"""A run is begin_run and finish_run: leases, keys, the record, and its keeping."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from service.auth import Caller
from service.database.gateway import Conflict, Database, Forbidden, Invalid, Row
from tests.database.runs import STANDARD, begin, finish
from tests.postgres import someone
from tests.ways import Way
from tests.ways import database as database
from tests.ways import way as way


@pytest.fixture
async def ada(database: Database) -> Caller:
    caller = someone()
    await database.insert(caller, "agents", [STANDARD])
    return caller


def effect(seq: int, **more: Any) -> Row:
    row = {"seq": seq, "service": "kv", "action": "set", "args": {"key": "a", "value": 1.50}, "result": None}
    return {**row, "granted": True, "performed": True, "at_ms": 3.1, "took_ms": 0.2, "call_hash": "h", **more}


async def test_a_run_begins_with_the_agent_and_ends_in_the_record(database: Database, ada: Caller) -> None:
    started = await begin(database, ada)
    assert started["outcome"] == "started"
    [stored] = await database.select(ada, "agents")
    assert started["agent"] == stored
    [running] = await database.select(ada, "runs")
    assert (running["id"], running["status"], running["finished_at"]) == (started["run_id"], "running", None)
    lasts = datetime.fromisoformat(started["deadline_at"]) - datetime.fromisoformat(started["started_at"])
    assert lasts == timedelta(seconds=30)
    effects = [effect(1), effect(2, recording={"text": "é"}, granted=False, performed=False)]
    assert await finish(database, ada, started, p_effects=effects) == {"recorded": True}
    [run] = await database.select(ada, "runs")
    assert run["status"] == "succeeded"
    assert run["output"] == {"message": "hello"}
    assert run["logs"] == ["one", "two"]
    assert run["signature"] == "k1:abc"
    assert run["finished_at"] >= run["started_at"]
    kept = await database.select(ada, "run_effects", order="seq")
    assert [{key: row[key] for key in sent} for row, sent in zip(kept, effects, strict=True)] == effects
    assert {row["agent_id"] for row in kept} == {stored["id"]}


async def test_what_was_signed_comes_back_byte_for_byte(database: Database, ada: Caller, way: Way) -> None:
    output = {"z": 1.0, "a": [1e300, 10**30, 0.1, -0.0, "é\u2028👋\\u0041"], "z2": {"b": 1, "a": 2}}
    started = await begin(database, ada, p_input=output)
    await finish(database, ada, started, p_output=output, p_effects=[effect(1, args=output)])
    [run] = await database.select(ada, "runs")
    [kept] = await database.select(ada, "run_effects")
    for value in (run["output"], kept["args"]):
        assert repr(value) == repr(output)
    async with await way.addresses.owner() as owner:
        texts = await owner.execute(
            "select output::text, args::text from agenthost.runs join agenthost.run_effects on run_id = id "
            "where runs.user_id = %s",
            (ada.user_id,),
        )
        [[first, second]] = await texts.fetchall()
        assert first == second
        assert '"z":1.0,"a":[1e+300,1000000000000000000000000000000,0.1,-0.0,' in str(first)


async def test_a_missing_or_inactive_agent_is_not_found(database: Database, ada: Caller) -> None:
    assert await begin(database, ada, p_agent_name="other") == {"outcome": "agent_not_found"}
    assert await begin(database, someone()) == {"outcome": "agent_not_found"}
    await database.update(ada, "agents", {"is_active": False}, where={"agent_name": "digest"})
    assert await begin(database, ada) == {"outcome": "agent_not_found"}
    assert await database.select(ada, "runs") == []


async def test_runs_in_flight_are_limited_and_finishing_frees_a_place(database: Database, ada: Caller) -> None:
    started = [await begin(database, ada, p_max_in_flight=2) for _ in range(2)]
    refused = await begin(database, ada, p_max_in_flight=2)
    assert refused["outcome"] == "too_many_runs"
    assert 1 <= refused["retry_after_seconds"] <= 5
    assert len(await database.select(ada, "runs")) == 2
    await finish(database, ada, started[0])
    assert (await begin(database, ada, p_max_in_flight=2))["outcome"] == "started"
    for most in (0, -1, None):
        assert (await begin(database, ada, p_max_in_flight=most))["outcome"] == "too_many_runs"


async def test_the_limit_holds_when_all_begin_at_once(database: Database, ada: Caller) -> None:
    answers = await asyncio.gather(*(begin(database, ada, p_max_in_flight=3) for _ in range(30)))
    assert [answer["outcome"] for answer in answers].count("started") == 3


async def test_a_lease_ends_by_itself_after_the_deadline(database: Database, ada: Caller, way: Way) -> None:
    await begin(database, ada, p_max_in_flight=1)
    async with await way.addresses.owner() as owner:
        await owner.execute("update agenthost_private.run_leases set expires_at = now()")
    assert (await begin(database, ada, p_max_in_flight=1))["outcome"] == "started"


async def test_releasing_needs_the_lease(database: Database, ada: Caller) -> None:
    started = await begin(database, ada, p_max_in_flight=1)
    await finish(database, ada, {**started, "lease_id": str(uuid4())})
    assert (await begin(database, ada, p_max_in_flight=1))["outcome"] == "too_many_runs"
    assert await finish(database, ada, started, p_signature="other") == {"recorded": False}
    assert (await begin(database, ada, p_max_in_flight=1))["outcome"] == "started"


async def test_a_finished_run_cannot_be_changed(database: Database, ada: Caller) -> None:
    started = await begin(database, ada)
    where = {"id": started["run_id"]}
    assert len(await database.update(ada, "runs", {"output": 1}, where=where)) == 1
    await finish(database, ada, started)
    [before] = await database.select(ada, "runs")
    assert await database.update(ada, "runs", {"status": "failed"}, where=where) == []
    with pytest.raises(Forbidden):
        await database.delete(ada, "runs", where=where)
    with pytest.raises(Forbidden):
        await database.insert(ada, "run_effects", [{**effect(1), "run_id": started["run_id"]}])
    assert await finish(database, ada, started, p_signature="k1:x", p_effects=[effect(1)]) == {"recorded": False}
    assert await database.select(ada, "runs") == [before]
    assert await database.select(ada, "run_effects") == []


async def test_a_record_whose_answer_was_lost_may_be_sent_again(database: Database, ada: Caller) -> None:
    started = await begin(database, ada)
    for _ in range(2):
        assert await finish(database, ada, started, p_effects=[effect(1)]) == {"recorded": True}
    assert len(await database.select(ada, "run_effects")) == 1


async def test_a_key_answers_the_recorded_run(database: Database, ada: Caller) -> None:
    key = {"p_idempotency_key": "key-1", "p_request_hash": "hash-1"}
    started = await begin(database, ada, **key)
    again = await begin(database, ada, **key)
    assert again == {"outcome": "run_in_progress", "run_id": started["run_id"]}
    await finish(database, ada, started, p_effects=[effect(1)])
    recorded = await begin(database, ada, **key)
    assert recorded["outcome"] == "recorded"
    assert recorded["run"] == (await database.select(ada, "runs"))[0]
    assert recorded["run"]["idempotency_key"] == "key-1"
    assert recorded["effects"] == await database.select(ada, "run_effects")
    assert await begin(database, ada, **{**key, "p_request_hash": "other"}) == {"outcome": "key_reused"}
    assert (await begin(database, ada, p_idempotency_key="key-2", p_request_hash="h"))["outcome"] == "started"


async def test_a_key_is_the_users_and_the_agents_own(database: Database, ada: Caller) -> None:
    key = {"p_idempotency_key": "key", "p_request_hash": "hash"}
    await begin(database, ada, **key)
    await database.insert(ada, "agents", [{**STANDARD, "agent_name": "second"}])
    assert (await begin(database, ada, p_agent_name="second", **key))["outcome"] == "started"
    bob = someone()
    await database.insert(bob, "agents", [STANDARD])
    assert (await begin(database, bob, **key))["outcome"] == "started"


async def test_a_key_at_once_starts_one_run(database: Database, ada: Caller) -> None:
    key = {"p_idempotency_key": "key", "p_request_hash": "hash"}
    answers = await asyncio.gather(*(begin(database, ada, **key) for _ in range(10)))
    outcomes = [answer["outcome"] for answer in answers]
    assert outcomes.count("started") == 1
    assert outcomes.count("run_in_progress") == 9


async def test_a_key_is_free_again_after_a_day_and_after_its_runs_deadline_tells_what_is_known(
    database: Database, ada: Caller, way: Way
) -> None:
    key = {"p_idempotency_key": "key", "p_request_hash": "hash"}
    started = await begin(database, ada, **key)
    async with await way.addresses.owner() as owner:
        await owner.execute("update agenthost.runs set deadline_at = now() - interval '1 minute'")
        answer = await begin(database, ada, **key)
        assert (answer["outcome"], answer["run"]["status"]) == ("recorded", "running")
        await owner.execute("update agenthost_private.run_keys set expires_at = now()")
    assert (await begin(database, ada, **key))["run_id"] != started["run_id"]


async def test_only_a_run_with_a_key_waits_for_the_disk_when_it_begins(way: Way, database: Database) -> None:
    ada = someone()
    await database.insert(ada, "agents", [STANDARD])
    async with await psycopg.AsyncConnection.connect(way.addresses.serving_dsn, autocommit=True) as raw:
        for key, setting in ((None, "off"), ("key", "on")):
            async with raw.transaction():
                await raw.execute("set local role authenticated")
                await raw.execute("select set_config('request.jwt.claims', %s, true)", (f'{{"sub": "{ada.user_id}"}}',))
                await raw.execute("select agenthost.begin_run('digest', '{}', false, 'http', 1, 8, %s, 'h')", (key,))
                assert await (await raw.execute("show synchronous_commit")).fetchone() == (setting,)


async def test_a_child_shares_its_parents_lease_and_deadline(database: Database, ada: Caller) -> None:
    parent = await begin(database, ada, p_max_in_flight=1, p_wall_seconds=5.0)
    child = await begin(database, ada, p_max_in_flight=1, p_wall_seconds=60.0, p_parent_run_id=parent["run_id"])
    assert child["outcome"] == "started"
    assert child["lease_id"] is None
    assert child["deadline_at"] == parent["deadline_at"]
    assert await finish(database, ada, child) == {"recorded": True}
    await finish(database, ada, parent)
    with pytest.raises(Invalid):
        await begin(database, ada, p_parent_run_id=parent["run_id"])


@pytest.mark.parametrize("seconds", [None, -5.0, float("nan"), float("inf"), 1e300])
async def test_no_wall_time_makes_a_run_that_never_ends(database: Database, ada: Caller, seconds: float) -> None:
    try:
        started = await begin(database, ada, p_wall_seconds=seconds)
    except Invalid:  # over REST, where every argument is JSON
        return
    lasts = datetime.fromisoformat(started["deadline_at"]) - datetime.fromisoformat(started["started_at"])
    assert timedelta(0) <= lasts <= timedelta(hours=25)


@pytest.mark.parametrize(
    "arguments",
    [
        {"p_status": "running"},
        {"p_status": "great"},
        {"p_status": None},
        {"p_output": "x" * 17_000_000},
        {"p_signature": "x" * 2000},
        {"p_effects": [effect(-1)]},
        {"p_effects": [effect(1), effect(1)]},
        {"p_effects": [effect(1, service=None)]},
        {"p_effects": [effect(1, recording="x" * 3_000_000)]},
    ],
)
async def test_a_record_that_does_not_fit_changes_nothing(
    database: Database, ada: Caller, arguments: dict[str, Any]
) -> None:
    started = await begin(database, ada)
    with pytest.raises((Invalid, Conflict)):
        await finish(database, ada, started, **arguments)
    [run] = await database.select(ada, "runs")
    assert run["status"] == "running"
    assert await finish(database, ada, started) == {"recorded": True}


@pytest.mark.parametrize(
    ("arguments", "constraint"),
    [
        ({"p_status": "great"}, "runs_status_check"),
        ({"p_status": "running"}, "runs_finished_check"),
        ({"p_signature": "x" * 2000}, "runs_names_check"),
        ({"p_output": "x" * 17_000_000}, "runs_output_check"),
        ({"p_output": json.loads("[" * 300 + "]" * 300)}, "runs_output_check"),
        ({"p_error": {"code": "x" * 140_000}}, "runs_error_check"),
        ({"p_usage": {"n": "x" * 70_000}}, "runs_usage_check"),
    ],
)
async def test_what_does_not_fit_is_named(
    database: Database, ada: Caller, arguments: dict[str, Any], constraint: str
) -> None:
    started = await begin(database, ada)
    with pytest.raises(Invalid) as refused:
        await finish(database, ada, started, **arguments)
    assert refused.value.constraint == constraint


async def test_runs_that_follow_each_other_take_the_same_place(database: Database, ada: Caller, way: Way) -> None:
    for _ in range(5):
        await finish(database, ada, await begin(database, ada))
    async with await way.addresses.owner() as owner:
        places = await owner.execute(
            "select place, expires_at < now() from agenthost_private.run_leases where user_id = %s", (ada.user_id,)
        )
        assert await places.fetchall() == [(1, True)]


async def test_old_runs_go_a_few_at_a_time(database: Database, ada: Caller, way: Way) -> None:
    async with await way.addresses.owner() as owner:
        await owner.execute(
            "insert into agenthost.runs (user_id, agent_name, status, finished_at) "
            "select %s, 'digest', 'succeeded', now() from generate_series(1, 200)",
            (ada.user_id,),
        )
        # The oldest by time: 40 days ago, as their ids say.
        await owner.execute(
            "insert into agenthost.runs (id, user_id, agent_name, status, finished_at) select "
            "overlay(agenthost_private.first_id_at(now() - interval '40 days')::text placing lpad(n::text, 12, '0') "
            "from 25)::uuid, %s, 'digest', 'succeeded', now() from generate_series(1, 50) n",
            (ada.user_id,),
        )
    running = await begin(database, ada)
    await finish(database, ada, await begin(database, ada))
    assert len(await database.select(ada, "runs", columns=["id"])) == 212
    await finish(database, ada, await begin(database, ada), p_keep_runs=1)
    left = await database.select(ada, "runs", columns=["id", "status"], order="id desc")
    assert len(left) == 173
    assert running["run_id"] in {row["id"] for row in left}
    for _ in range(10):
        await finish(database, ada, await begin(database, ada), p_keep_runs=1, p_keep_days=-5)
    assert 100 <= len(await database.select(ada, "runs", columns=["id"])) <= 130


async def test_a_few_runs_too_many_stay_and_are_not_looked_for_by_every_run(
    database: Database, ada: Caller, way: Way
) -> None:
    async with await way.addresses.owner() as owner:
        await owner.execute(
            "insert into agenthost.runs (user_id, agent_name, status, finished_at) "
            "select %s, 'digest', 'succeeded', now() from generate_series(1, 110)",
            (ada.user_id,),
        )
        await finish(database, ada, await begin(database, ada), p_keep_runs=100)
        assert len(await database.select(ada, "runs", columns=["id"])) == 111
        looked = await owner.execute(
            "select none_before > now() - interval '31 days' from agenthost_private.kept_rows "
            "where user_id = %s and table_name = 'runs'",
            (ada.user_id,),
        )
        assert await looked.fetchone() == (True,)


async def test_a_laxer_call_past_the_host_puts_off_no_deletion(database: Database, ada: Caller, way: Way) -> None:
    async with await way.addresses.owner() as owner:
        await owner.execute(
            "insert into agenthost.runs (id, user_id, agent_name, status, finished_at) select "
            "overlay(agenthost_private.first_id_at(now() - interval '40 days')::text placing lpad(n::text, 12, '0') "
            "from 25)::uuid, %s, 'digest', 'succeeded', now() from generate_series(1, 5) n",
            (ada.user_id,),
        )
    await finish(database, ada, await begin(database, ada), p_keep_days=36500, p_keep_runs=2**31 - 1)
    assert len(await database.select(ada, "runs", columns=["id"])) == 6
    await finish(database, ada, await begin(database, ada))
    assert len(await database.select(ada, "runs", columns=["id"])) == 2


async def test_whoever_comes_past_the_host_is_bounded_too(database: Database, ada: Caller, way: Way) -> None:
    rows = [{"agent_name": "x", "status": "succeeded", "finished_at": "2026-01-01"}] * 5
    first = await database.insert(ada, "runs", rows)
    async with await way.addresses.owner() as owner:
        await owner.execute("update agenthost_private.kept_rows set rows_kept = 999998 where table_name = 'runs'")
    await database.insert(ada, "runs", rows)
    left = {row["id"] for row in await database.select(ada, "runs", columns=["id"])}
    assert not left & {row["id"] for row in first[:3]}
    assert len(left) == 7
