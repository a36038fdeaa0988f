"""Rows of sealed secrets: replaced by name, bounded per user, names and sizes held by the table itself."""

import asyncio
from typing import Any

import pytest

from service.auth import Caller
from service.database.gateway import Conflict, Database, Forbidden, Invalid, Row
from tests.postgres import Addresses, someone

HOSTS = ["api.example.com"]


async def put(database: Database, caller: Caller, name: str = "KEY", **arguments: Any) -> Any:
    standard = {"p_name": name, "p_hosts": HOSTS, "p_ciphertext": "k:sealed"}
    return await database.call(caller, "put_secret", **{**standard, **arguments})


async def kept(database: Database, caller: Caller) -> list[Row]:
    return await database.select(caller, "user_secrets", order="name")


async def test_a_secret_is_replaced_by_its_name(database: Database) -> None:
    ada, bob = someone(), someone()
    assert await put(database, ada, "KEY") == {"stored": True}
    await put(database, bob, "KEY", p_ciphertext="k:of bob")
    [first] = await kept(database, ada)
    assert await put(database, ada, "KEY", p_hosts=["*.example.org"], p_ciphertext="k:again") == {"stored": True}
    [second] = await kept(database, ada)
    assert (second["hosts"], second["ciphertext"]) == (["*.example.org"], "k:again")
    assert second["created_at"] == first["created_at"]
    assert second["updated_at"] > first["updated_at"]
    assert [row["ciphertext"] for row in await kept(database, bob)] == ["k:of bob"]


async def test_a_user_keeps_so_many_and_may_still_replace(database: Database) -> None:
    ada = someone()
    for name in ("A", "B"):
        assert await put(database, ada, name, p_max_secrets=2) == {"stored": True}
    full = {"stored": False, "reason": "too_many_secrets"}
    assert await put(database, ada, "C", p_max_secrets=2) == full
    assert await put(database, ada, "C", p_max_secrets=None) == full
    assert await put(database, ada, "B", p_max_secrets=2) == {"stored": True}
    await database.delete(ada, "user_secrets", where={"name": "A"})
    assert await put(database, ada, "C", p_max_secrets=2) == {"stored": True}


async def test_the_table_itself_bounds_what_is_written_past_the_host(database: Database, cloned: Addresses) -> None:
    ada = someone()
    rows = [{"name": f"N{number}", "hosts": HOSTS, "ciphertext": "k:x"} for number in range(1001)]
    with pytest.raises(Invalid) as refused:
        await database.insert(ada, "user_secrets", rows)
    assert refused.value.constraint == "user_secrets_rows_check"
    await database.insert(ada, "user_secrets", rows[:1000])
    assert (await put(database, ada, "ONE_MORE"))["stored"] is False
    await database.delete(ada, "user_secrets", where={"name": {"neq": "N1"}})
    async with await cloned.owner() as owner:
        query = "select rows_kept from agenthost_private.kept_rows where table_name = 'user_secrets'"
        assert await (await owner.execute(query)).fetchall() == [(1,)]


async def test_one_name_put_many_times_at_once_is_one_row(database: Database) -> None:
    ada = someone()
    answers = await asyncio.gather(*(put(database, ada, "KEY", p_ciphertext=f"k:{n}") for n in range(20)))
    assert answers == [{"stored": True}] * 20
    assert len(await kept(database, ada)) == 1


WRONG: dict[str, tuple[Any, ...]] = {
    "p_name": ("", "key", "1KEY", "_KEY", "KEY-2", "KEY\n", "É", "K" * 64, None),
    "p_hosts": ({}, "api.example.com", None, 7, ["x" * 20_000]),
    "p_ciphertext": (None, "x" * 131_073),
}


@pytest.mark.parametrize("argument", WRONG)
async def test_what_is_no_secret_is_invalid(database: Database, argument: str) -> None:
    ada = someone()
    for value in WRONG[argument]:
        with pytest.raises(Invalid):
            await put(database, ada, **{argument: value})
    assert await kept(database, ada) == []


async def test_neither_a_name_nor_its_first_time_changes(database: Database) -> None:
    ada = someone()
    await put(database, ada, "KEY")
    for change in ({"name": "OTHER"}, {"created_at": "2020-01-01"}):
        with pytest.raises(Forbidden):
            await database.update(ada, "user_secrets", change, where={"name": "KEY"})
    with pytest.raises(Conflict):
        await database.insert(ada, "user_secrets", [{"name": "KEY", "hosts": HOSTS, "ciphertext": "k:x"}])
