"""What agents keep: values, times to live, counters, lists, bounds."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from service.auth import Caller
from service.database.gateway import Database, Invalid
from tests.database.runs import STANDARD
from tests.postgres import someone
from tests.ways import Way
from tests.ways import database as database
from tests.ways import way as way


class Kv:
    """The kv functions, for one agent of one caller."""

    def __init__(self, database: Database, caller: Caller, agent_id: str) -> None:
        self.database, self.caller, self.agent_id = database, caller, agent_id

    async def __call__(self, verb: str, **arguments: Any) -> Any:
        named = {f"p_{name}": value for name, value in arguments.items()}
        return await self.database.call(self.caller, f"kv_{verb}", p_agent_id=self.agent_id, **named)


@pytest.fixture
async def kv(database: Database) -> Kv:
    caller = someone()
    [row] = await database.insert(caller, "agents", [STANDARD])
    return Kv(database, caller, row["id"])


async def test_a_value_is_kept_replaced_and_deleted(kv: Kv) -> None:
    assert await kv("get", key="k") == {"found": False, "value": None}
    assert await kv("set", key="k", value={"a": [1]}) == {"stored": True}
    assert await kv("set", key="k", value=None) == {"stored": True}
    assert await kv("get", key="k") == {"found": True, "value": None}
    assert await kv("delete", key="k") == {"deleted": True}
    assert await kv("delete", key="k") == {"deleted": False}
    assert await kv("get", key="k") == {"found": False, "value": None}


async def test_an_expired_key_is_absent_everywhere(kv: Kv) -> None:
    await kv("set", key="gone", value=5, ttl_seconds=0.0)
    await kv("set", key="stays", value=5, ttl_seconds=3600.0)
    await kv("set", key="forever", value=5, ttl_seconds=1e300)
    assert (await kv("get", key="gone"))["found"] is False
    assert await kv("list") == ["forever", "stays"]
    assert await kv("delete", key="gone") == {"deleted": False}
    await kv("set", key="gone", value=5, ttl_seconds=0.0)
    assert await kv("increment", key="gone", by=2) == {"value": 2}
    assert await kv("set", key="stays", value=6) == {"stored": True}
    [row] = await kv.database.select(kv.caller, "agent_kv", where={"key": "stays"})
    assert row["expires_at"] is None


async def test_a_counter_is_atomic_and_exact(kv: Kv) -> None:
    answers = await asyncio.gather(*(kv("increment", key="n", by=1) for _ in range(50)))
    assert sorted(answer["value"] for answer in answers) == list(range(1, 51))
    assert await kv("increment", key="n", by=0.1) == {"value": 50.1}
    assert await kv("increment", key="n", by=0.2) == {"value": 50.3}
    await kv("set", key="text", value="1")
    assert await kv("increment", key="text", by=1) == {"stored": False, "reason": "not_a_number"}
    assert (await kv("get", key="text"))["value"] == "1"


async def test_a_counter_keeps_its_time_to_live_unless_a_new_one_is_given(kv: Kv) -> None:
    async def expiry() -> str | None:
        [row] = await kv.database.select(kv.caller, "agent_kv")
        return row["expires_at"]  # type: ignore[no-any-return]

    await kv("increment", key="n", by=1, ttl_seconds=100.0)
    first = await expiry()
    assert first is not None
    await kv("increment", key="n", by=1)
    assert await expiry() == first
    await kv("increment", key="n", by=1, ttl_seconds=500.0)
    assert (await expiry() or "") > first


@pytest.mark.parametrize("by", ["NaN", "Infinity", "-Infinity", "1e400", None])
async def test_a_counter_takes_finite_numbers_only(kv: Kv, by: str | None) -> None:
    with pytest.raises(Invalid):
        await kv("increment", key="n", by=by)
    await kv("increment", key="n", by="9e307")
    with pytest.raises(Invalid):
        await kv("increment", key="n", by="9e307")


async def test_keys_are_listed_in_order_by_prefix_and_page(kv: Kv) -> None:
    for key in ("b/2", "a", "b/1", "b/10", "c", "b", "B", "é", "👋"):
        await kv("set", key=key, value=1)
    assert await kv("list") == ["B", "a", "b", "b/1", "b/10", "b/2", "c", "é", "👋"]
    assert await kv("list", prefix="b/") == ["b/1", "b/10", "b/2"]
    assert await kv("list", prefix="b/", limit=2) == ["b/1", "b/10"]
    assert await kv("list", prefix="b/", after="b/10") == ["b/2"]
    assert await kv("list", prefix="%") == []
    assert await kv("list", limit=0) == []
    assert await kv("list", limit=-5) == []


async def test_keys_are_limited_per_user_and_expired_ones_make_room(kv: Kv) -> None:
    for number in range(3):
        await kv("set", key=f"k{number}", value=1, max_keys=3)
    full = {"stored": False, "reason": "too_many_keys"}
    assert await kv("set", key="k3", value=1, max_keys=3) == full
    assert await kv("increment", key="k3", by=1, max_keys=3) == full
    assert await kv("set", key="k2", value=2, max_keys=3) == {"stored": True}
    assert await kv("increment", key="k2", by=2, max_keys=3) == {"value": 4}
    await kv("set", key="k0", value=1, ttl_seconds=0.0)
    assert await kv("set", key="k3", value=1, max_keys=3) == {"stored": True}
    assert await kv("set", key="k4", value=1, max_keys=None) == full
    await kv("delete", key="k3")
    assert await kv("set", key="k4", value=1, max_keys=3) == {"stored": True}


@pytest.mark.parametrize("key", ["", "x" * 1025, "\x00", "a\U0010ffff"])
async def test_a_key_that_cannot_be_kept_is_invalid(kv: Kv, key: str) -> None:
    with pytest.raises(Invalid):
        await kv("set", key=key, value=1)


async def test_a_value_that_is_too_large_is_invalid(kv: Kv) -> None:
    await kv("set", key="k", value="x" * 65_000)
    with pytest.raises(Invalid):
        await kv("set", key="k", value="x" * 300_000)


async def test_keys_belong_to_an_agent_of_the_caller(kv: Kv) -> None:
    stranger = Kv(kv.database, someone(), kv.agent_id)
    await kv("set", key="k", value=1)
    assert (await stranger("get", key="k"))["found"] is False
    assert await stranger("list") == []
    for attempt in (stranger, Kv(kv.database, kv.caller, str(uuid4()))):
        with pytest.raises(Invalid):
            await attempt("set", key="new", value=2)
    assert (await kv("get", key="k"))["value"] == 1


async def test_the_count_of_keys_follows_every_way_to_change_it(kv: Kv, way: Way) -> None:
    await kv("set", key="a", value=1)
    await kv.database.insert(
        kv.caller, "agent_kv", [{"agent_id": kv.agent_id, "key": key, "value": 1} for key in ("b", "c")]
    )
    await kv.database.delete(kv.caller, "agent_kv", where={"key": {"in": ["a", "b"]}})
    async with await way.addresses.owner() as owner:
        query = "select rows_kept from agenthost_private.kept_rows where table_name = 'agent_kv' and user_id = %s"
        assert await (await owner.execute(query, (kv.caller.user_id,))).fetchall() == [(1,)]
        await kv.database.delete(kv.caller, "agents", where={"id": kv.agent_id})
        assert await (await owner.execute(query, (kv.caller.user_id,))).fetchall() == [(0,)]
