"""The contract of the port: what every implementation of `Database` answers. Against the real thing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from service.auth import Caller
from service.database.gateway import Conflict, Database, DatabaseUnavailable, DatabaseUnfit, Forbidden, Invalid, Row
from service.database.migrations import newest_migration
from tests.postgres import someone
from tests.ways import Way
from tests.ways import way as way


@pytest.fixture
async def port(way: Way) -> AsyncIterator[Database]:
    """Every implementation, started."""
    database = way.database(wait_seconds=2.0)
    await database.start()
    yield database
    await database.stop()


@pytest.fixture
def ada() -> Caller:
    return someone()


def agent(name: str = "digest", **more: Any) -> Row:
    return {"agent_name": name, "agent_config": {"code": "def run(): return 1"}, **more}


async def names(port: Database, caller: Caller, **options: Any) -> list[str]:
    return [row["agent_name"] for row in await port.select(caller, "agents", **options)]


async def test_an_inserted_row_comes_back_as_json_with_its_defaults(port: Database, ada: Caller) -> None:
    [row] = await port.insert(ada, "agents", [agent(description="Grüße 👋 '\"; drop table agents; --")])
    assert row["user_id"] == str(ada.user_id)
    assert UUID(row["id"]).version == 7
    assert row["description"] == "Grüße 👋 '\"; drop table agents; --"
    assert row["agent_config"] == {"code": "def run(): return 1"}
    assert (row["version"], row["revision"], row["is_active"]) == (1, 1, True)
    assert datetime.fromisoformat(row["created_at"]).utcoffset() == datetime.now(UTC).utcoffset()
    assert await port.select(ada, "agents") == [row]


async def test_several_rows_go_in_together_or_not_at_all(port: Database, ada: Caller) -> None:
    rows = await port.insert(ada, "agents", [agent("a"), agent("b")])
    assert [row["agent_name"] for row in rows] == ["a", "b"]
    with pytest.raises(Conflict):
        await port.insert(ada, "agents", [agent("c"), agent("a")])
    assert await names(port, ada, order="agent_name") == ["a", "b"]
    assert await port.insert(ada, "agents", []) == []


async def test_rows_of_different_columns_are_refused(port: Database, ada: Caller) -> None:
    with pytest.raises(ValueError, match="same columns"):
        await port.insert(ada, "agents", [agent("a"), {**agent("b"), "description": "x"}])


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({"agent_name": "b"}, ["b"]),
        ({"agent_name": {"neq": "b"}}, ["a", "c", "d"]),
        ({"agent_name": {"in": ["a", "d", "z"]}}, ["a", "d"]),
        ({"agent_name": {"in": []}}, []),
        ({"agent_name": {"like": "b%"}}, ["b"]),
        ({"agent_name": {"gt": "a", "lte": "c"}}, ["b", "c"]),
        ({"agent_name": {"gte": "c"}, "is_active": True}, ["c", "d"]),
        ({"agent_name": {"lt": "c"}, "is_active": {"is": False}}, []),
        ({"code_hash": None}, []),
        ({"version": 1, "created_at": {"lte": datetime(2100, 1, 1, tzinfo=UTC)}}, ["a", "b", "c", "d"]),
        ({"id": uuid4()}, []),
        ({"version": Decimal(2)}, []),
        ({}, ["a", "b", "c", "d"]),
    ],
)
async def test_a_condition_selects_what_it_says(
    port: Database, ada: Caller, where: dict[str, Any], found: list[str]
) -> None:
    await port.insert(ada, "agents", [agent(name) for name in "abcd"])
    assert await names(port, ada, where=where, order="agent_name") == found


async def test_a_list_is_ordered_limited_and_paged_by_id(port: Database, ada: Caller) -> None:
    for name in "abc":
        await port.insert(ada, "agents", [agent(name)])
    first = await port.select(ada, "agents", columns=["id", "agent_name"], order="id desc", limit=2)
    assert [row["agent_name"] for row in first] == ["c", "b"]
    assert set(first[0]) == {"id", "agent_name"}
    rest = await port.select(ada, "agents", where={"id": {"lt": first[-1]["id"]}}, order="id desc", limit=2)
    assert [row["agent_name"] for row in rest] == ["a"]


async def test_an_update_answers_the_rows_as_they_are_now(port: Database, ada: Caller) -> None:
    [row] = await port.insert(ada, "agents", [agent()])
    values = {"description": "new", "agent_config": {"code": "x"}}
    [changed] = await port.update(ada, "agents", values, where={"id": row["id"], "revision": 1})
    assert (changed["description"], changed["revision"], changed["agent_config"]) == ("new", 2, {"code": "x"})
    assert await port.update(ada, "agents", values, where={"id": row["id"], "revision": 1}) == []


async def test_a_delete_answers_the_rows_as_they_were(port: Database, ada: Caller) -> None:
    [row] = await port.insert(ada, "agents", [agent()])
    assert await port.delete(ada, "agents", where={"id": row["id"]}) == [row]
    assert await port.select(ada, "agents") == []
    assert await port.delete(ada, "agents", where={"id": row["id"]}) == []


async def test_changing_every_row_is_never_an_accident(port: Database, ada: Caller) -> None:
    with pytest.raises(ValueError, match="says which"):
        await port.delete(ada, "agents", where={})
    with pytest.raises(ValueError, match="says which"):
        await port.update(ada, "agents", {"description": ""}, where={})
    with pytest.raises(ValueError, match="needs values"):
        await port.update(ada, "agents", {}, where={"agent_name": "a"})


@pytest.mark.parametrize(
    "name", ["Agents", "agents; drop table x", "agents--", 'agents"', "", "a" * 64, "public.agents", "ägents"]
)
async def test_a_name_that_is_not_plain_is_a_mistake_of_the_program(port: Database, ada: Caller, name: str) -> None:
    for attempt in (
        port.select(ada, name),
        port.select(ada, "agents", columns=[name]),
        port.select(ada, "agents", where={name: 1}),
        port.select(ada, "agents", order=name),
        port.insert(ada, "agents", [{name: 1}]),
        port.update(ada, "agents", {name: 1}, where={"id": 1}),
        port.delete(ada, "agents", where={name: 1}),
        port.call(ada, name),
        port.call(ada, "kv_get", **{name: 1}),
    ):
        with pytest.raises(ValueError, match=r"plain name|no such function|no argument|not an order"):
            await attempt


async def test_unknown_operators_orders_and_limits_are_mistakes_of_the_program(port: Database, ada: Caller) -> None:
    for options in (
        {"where": {"id": {"~": "x"}}},
        {"where": {"id": {"is": "x"}}},
        {"where": {"id": [1]}},
        {"order": "id desc; select 1"},
        {"limit": -1},
        {"limit": "1"},
    ):
        with pytest.raises(ValueError, match=r"operator|compares|scalar|order|limit"):
            await port.select(ada, "agents", **options)


async def test_a_taken_name_is_a_conflict_that_says_which(port: Database, ada: Caller) -> None:
    await port.insert(ada, "agents", [agent()])
    with pytest.raises(Conflict) as caught:
        await port.insert(ada, "agents", [agent()])
    assert caught.value.constraint == "agents_agent_name_key"
    await port.insert(someone(), "agents", [agent()])


@pytest.mark.parametrize(
    "row",
    [
        agent("Upper"),
        agent("-dash"),
        agent("a" * 64),
        agent("name\n"),
        agent(""),
        agent("check"),
        agent("generate"),
        agent(str(uuid4())),
        agent(uuid4().hex),
        agent(description="x" * 70_000),
        agent(kind="assistant"),
        agent(origin=[]),
        agent(is_active="maybe"),
        {**agent(), "agent_config": {"code": "x" * 1_100_000}},
        {**agent(), "agent_config": {"x": "y" * 5_000_000}},
        {**agent(), "agent_config": None},
        {**agent(), "agent_name": None},
    ],
)
async def test_a_value_that_does_not_fit_is_invalid(port: Database, ada: Caller, row: Row) -> None:
    with pytest.raises(Invalid):
        await port.insert(ada, "agents", [row])
    assert await port.select(ada, "agents") == []


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), "\x00", "\ud800", nested(300), nested(100_000), 10**400, {1, 2}, object()],
    ids=["nan", "infinity", "nul", "surrogate", "deep", "very_deep", "huge", "set", "object"],
)
async def test_what_is_not_plain_json_is_invalid(port: Database, ada: Caller, value: Any) -> None:
    with pytest.raises(Invalid):
        await port.insert(ada, "agents", [agent(origin={"x": value})])
    with pytest.raises(Invalid):
        await port.select(ada, "agents", where={"agent_name": "\x00"})


async def test_a_row_in_anothers_name_is_forbidden(port: Database, ada: Caller) -> None:
    with pytest.raises(Forbidden):
        await port.insert(ada, "agents", [agent(user_id=str(uuid4()))])


async def test_a_function_is_called_by_named_arguments(port: Database, ada: Caller) -> None:
    [row] = await port.insert(ada, "agents", [agent()])
    for value in (None, True, 0, 1.5, "text", '"quoted"', [1, {"a": None}], {"ä": "👋"}):
        assert await port.call(ada, "kv_set", p_agent_id=row["id"], p_key="k", p_value=value) == {"stored": True}
        assert await port.call(ada, "kv_get", p_agent_id=UUID(row["id"]), p_key="k") == {"found": True, "value": value}
    with pytest.raises(ValueError, match=r"no .*p_nonsense"):
        await port.call(ada, "kv_get", p_nonsense=1)
    with pytest.raises(ValueError, match="no such function"):
        await port.call(ada, "pg_sleep")


async def test_many_callers_at_once_never_see_each_others_rows(port: Database) -> None:
    async def one(number: int) -> None:
        caller = someone()
        for name in ("a", "b", "c"):
            await port.insert(caller, "agents", [agent(name, description=str(number))])
            found = await port.select(caller, "agents")
            assert {(row["user_id"], row["description"]) for row in found} == {(str(caller.user_id), str(number))}

    await asyncio.gather(*(one(number) for number in range(40)))


async def test_a_cancelled_call_leaves_nothing_behind(port: Database, ada: Caller) -> None:
    for delay in (0.0, 0.0005, 0.001, 0.002, 0.004):
        tasks = [asyncio.create_task(port.select(someone(), "agents")) for _ in range(20)]
        await asyncio.sleep(delay)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await port.insert(ada, "agents", [agent()])
    assert await names(port, ada) == ["digest"]


async def test_the_status_says_the_migration(port: Database) -> None:
    status = await port.status()
    assert status.ready
    assert "migration 2" in status.detail


async def test_a_database_that_is_migrated_further_stays_ready_and_no_other_host_starts_on_it(
    way: Way, port: Database
) -> None:
    async with await way.addresses.owner() as owner:
        try:
            await say_version(owner, "29990101000000_later")
            assert (await port.status()).ready
            another = way.database()
            with pytest.raises(DatabaseUnfit, match="newer than this agenthost"):
                await another.start()
            await another.stop()
            await say_version(owner, "20000101000000_earlier")
            assert not (await port.status()).ready
        finally:
            await say_version(owner, newest_migration())


async def say_version(owner: psycopg.AsyncConnection[Any], version: str) -> None:
    await owner.execute(
        "create or replace function agenthost.schema_version() returns text language sql stable set search_path = '' "
        f"as $$ select '{version}' $$".encode()
    )


async def test_a_stopped_database_is_unavailable(port: Database, ada: Caller) -> None:
    await port.stop()
    with pytest.raises(DatabaseUnavailable):
        await port.select(ada, "agents")
    assert not (await port.status()).ready
