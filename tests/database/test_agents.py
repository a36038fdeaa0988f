"""Versions, revisions and hashes are the trigger's; deleting an agent takes versions and keys, and leaves its runs."""

from hashlib import sha256
from typing import Any

import pytest

from service.database.gateway import Database, Forbidden, Invalid, Row
from tests.database.runs import begin, finish
from tests.postgres import Addresses, someone


def agent(code: Any = "def run(): pass", name: str = "digest") -> Row:
    return {"agent_name": name, "agent_config": code if isinstance(code, dict | list) else {"code": code}}


async def test_every_change_of_config_is_a_version_and_every_change_a_revision(database: Database) -> None:
    ada = someone()
    [row] = await database.insert(ada, "agents", [agent("one")])
    where = {"id": row["id"]}
    await database.update(ada, "agents", {"description": "told"}, where=where)
    origin = {"how": "changed"}
    [row] = await database.update(
        ada, "agents", {"agent_config": {"code": "two"}, "origin": origin, "description": "again"}, where=where
    )
    assert (row["version"], row["revision"]) == (2, 3)
    [row] = await database.update(ada, "agents", {"agent_config": {"code": "two"}, "origin": {"how": "x"}}, where=where)
    assert (row["version"], row["revision"], row["origin"]) == (2, 4, origin)
    versions = await database.select(ada, "agent_versions", order="version")
    assert [(v["version"], v["agent_config"], v["origin"], v["description"], v["code_hash"]) for v in versions] == [
        (1, {"code": "one"}, {"how": "created"}, "", sha256(b"one").hexdigest()),
        (2, {"code": "two"}, origin, "again", sha256(b"two").hexdigest()),
    ]
    assert {v["agent_id"] for v in versions} == {row["id"]}
    assert row["code_hash"] == versions[-1]["code_hash"]


@pytest.mark.parametrize("column", ["version", "revision", "code_hash", "id", "created_at", "updated_at", "agent_name"])
async def test_what_the_trigger_sets_cannot_be_changed(database: Database, column: str) -> None:
    ada = someone()
    [row] = await database.insert(ada, "agents", [agent()])
    with pytest.raises(Forbidden):
        await database.update(ada, "agents", {column: row[column]}, where={"id": row["id"]})
    if column != "agent_name":
        with pytest.raises(Forbidden):
            await database.insert(ada, "agents", [{**agent(name="other"), column: row[column]}])


async def test_versions_are_written_by_the_trigger_alone(database: Database) -> None:
    ada = someone()
    [row] = await database.insert(ada, "agents", [agent()])
    [version] = await database.select(ada, "agent_versions")
    with pytest.raises(Forbidden):
        await database.insert(ada, "agent_versions", [{**version, "version": 2}])
    with pytest.raises(Forbidden):
        await database.update(ada, "agent_versions", {"agent_config": {}}, where={"agent_id": row["id"]})
    with pytest.raises(Forbidden):
        await database.delete(ada, "agent_versions", where={"agent_id": row["id"]})
    assert await database.select(ada, "agent_versions") == [version]


async def test_a_config_may_be_any_json_and_only_code_is_hashed(database: Database) -> None:
    ada = someone()
    rows = [
        {"agent_name": f"a{number}", "agent_config": config}
        for number, config in enumerate(["text", {"code": "text"}, {"code": {"x": 1}}, [1], 7, {}])
    ]
    hashes = [row["code_hash"] for row in await database.insert(ada, "agents", rows)]
    assert hashes[0] == hashes[1] == sha256(b"text").hexdigest()
    assert hashes[3:] == [None, None, None]


async def test_deleting_an_agent_takes_versions_and_keys_and_leaves_its_runs(database: Database) -> None:
    ada = someone()
    [row] = await database.insert(ada, "agents", [agent()])
    await database.call(ada, "kv_set", p_agent_id=row["id"], p_key="k", p_value=1)
    await database.insert(ada, "agent_notifications", [{"agent_id": row["id"], "title": "hello"}])
    started = await begin(database, ada)
    await finish(database, ada, started)
    running = await begin(database, ada, p_idempotency_key="key", p_request_hash="hash")
    await database.delete(ada, "agents", where={"id": row["id"]})
    assert await database.select(ada, "agent_versions") == []
    assert await database.select(ada, "agent_kv") == []
    [notification] = await database.select(ada, "agent_notifications")
    assert notification["agent_id"] is None
    runs = await database.select(ada, "runs", order="id")
    assert [(run["agent_id"], run["agent_name"]) for run in runs] == [(None, "digest"), (None, "digest")]
    assert (await finish(database, ada, running)) == {"recorded": True}


async def test_old_versions_are_bounded(database: Database, cloned: Addresses) -> None:
    ada = someone()
    [row] = await database.insert(ada, "agents", [agent()])
    async with await cloned.owner() as owner:
        await owner.execute("alter table agenthost.agents disable trigger number_version")
        await owner.execute(
            "do $$ begin for n in 2..1005 loop update agenthost.agents set version = n; end loop; end $$"
        )
    assert len(await database.select(ada, "agent_versions", where={"agent_id": row["id"]})) == 1000


async def test_deleting_a_user_leaves_nothing_of_theirs(database: Database, cloned: Addresses) -> None:
    ada, bob = someone(), someone()
    for caller in (ada, bob):
        [row] = await database.insert(caller, "agents", [agent()])
        await database.call(caller, "kv_set", p_agent_id=row["id"], p_key="k", p_value=1)
        await finish(database, caller, await begin(database, caller), p_effects=[])
        await begin(database, caller, p_idempotency_key="k", p_request_hash="h")
        await database.call(caller, "take_quota", p_name="x", p_amount=1, p_limit=5)
        await database.insert(caller, "agent_notifications", [{"title": "hello"}])
    async with await cloned.owner() as owner:
        await owner.execute("delete from auth.users where id = %s", (ada.user_id,))
        tables = await owner.execute(
            "select table_schema, table_name from information_schema.columns "
            "where table_schema like 'agenthost%' and column_name = 'user_id'"
        )
        for schema, table in await tables.fetchall():
            left = await owner.execute(f"select distinct user_id from {schema}.{table}".encode())
            assert {user for (user,) in await left.fetchall()} <= {bob.user_id}, table


async def test_agents_are_bounded(database: Database, cloned: Addresses) -> None:
    ada = someone()
    await database.insert(ada, "agents", [agent()])
    async with await cloned.owner() as owner:
        await owner.execute("update agenthost_private.kept_rows set rows_kept = 10000 where table_name = 'agents'")
    with pytest.raises(Invalid) as caught:
        await database.insert(ada, "agents", [agent(name="more")])
    assert caught.value.constraint == "agents_rows_check"
