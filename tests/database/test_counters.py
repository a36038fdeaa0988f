"""Daily quotas and notifications: bounded per user, whatever the arguments."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from service.database.gateway import Database, Forbidden, Invalid
from tests.postgres import someone
from tests.ways import Way
from tests.ways import database as database
from tests.ways import way as way


async def test_a_quota_is_taken_whole_or_not_at_all(database: Database) -> None:
    ada = someone()

    async def take(amount: int, limit: int = 5) -> Any:
        return await database.call(ada, "take_quota", p_name="checks", p_amount=amount, p_limit=limit)

    first = await take(3)
    assert (first["allowed"], first["used"], first["limit"]) == (True, 3, 5)
    resets = datetime.fromisoformat(first["resets_at"])
    assert 0 < (resets - datetime.now(UTC)).total_seconds() <= 86_400
    assert (await take(3))["used"] == 3
    assert (await take(2))["allowed"] is True
    assert (await take(1))["allowed"] is False
    assert (await take(0))["allowed"] is True
    assert (await take(2**31 - 1, 2**31 - 1))["allowed"] is False
    assert (await database.call(someone(), "take_quota", p_name="checks", p_amount=5, p_limit=5))["allowed"]


async def test_a_quota_holds_when_all_take_at_once(database: Database) -> None:
    ada = someone()
    answers = await asyncio.gather(
        *(database.call(ada, "take_quota", p_name="x", p_amount=1, p_limit=7) for _ in range(30))
    )
    assert sum(answer["allowed"] for answer in answers) == 7


async def test_a_quota_starts_again_the_next_day(database: Database, way: Way) -> None:
    ada = someone()
    await database.call(ada, "take_quota", p_name="x", p_amount=5, p_limit=5)
    async with await way.addresses.owner() as owner:
        await owner.execute("update agenthost_private.daily_quotas set day = day - 1")
    assert (await database.call(ada, "take_quota", p_name="x", p_amount=5, p_limit=5))["used"] == 5


@pytest.mark.parametrize(
    "arguments", [{"p_amount": -1}, {"p_amount": None}, {"p_name": "Not A Name"}, {"p_name": None}]
)
async def test_a_quota_is_never_given_back(database: Database, arguments: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        await database.call(someone(), "take_quota", **{"p_name": "x", "p_amount": 1, "p_limit": 5, **arguments})


async def test_quotas_of_invented_names_are_bounded(database: Database) -> None:
    ada = someone()
    for number in range(100):
        await database.call(ada, "take_quota", p_name=f"n{number}", p_amount=1, p_limit=None)
    with pytest.raises(Invalid):
        await database.call(ada, "take_quota", p_name="one_more", p_amount=1, p_limit=5)


async def test_notifications_keep_the_newest_thousand(database: Database) -> None:
    ada, bob = someone(), someone()
    await database.insert(bob, "agent_notifications", [{"title": "bob's"}])
    await database.insert(ada, "agent_notifications", [{"title": str(n)} for n in range(1003)])
    await database.insert(ada, "agent_notifications", [{"title": "last"}])
    titles = [row["title"] for row in await database.select(ada, "agent_notifications", order="id")]
    assert len(titles) == 1000
    assert (titles[0], titles[-1]) == ("4", "last")
    assert len(await database.select(bob, "agent_notifications")) == 1


async def test_of_a_notification_only_read_may_change(database: Database) -> None:
    ada = someone()
    [row] = await database.insert(ada, "agent_notifications", [{"title": "t", "actions": [{"label": "ok"}]}])
    assert (row["type"], row["priority"], row["read"], row["content"]) == ("info", "normal", False, "")
    [changed] = await database.update(ada, "agent_notifications", {"read": True}, where={"id": row["id"]})
    assert changed["read"] is True
    with pytest.raises(Forbidden):
        await database.update(ada, "agent_notifications", {"title": "x"}, where={"id": row["id"]})
