"""One kept client, many callers: under load, with slow answers and cancelled requests among them, no request ever runs
with another's token."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from service.auth import Caller
from service.database.gateway import DatabaseError, DatabaseUnavailable, Forbidden
from service.database.supabase import SupabaseDatabase
from service.database.supabase_tables import SupabaseTables
from tests.database.own_tables import make_tables
from tests.peers.supabase import Project, serving
from tests.postgres import Server

CALLERS = 40
ROUNDS = 8

# Who Postgres takes the caller for, after a while.
WHO = """
create function agenthost.who(p_seconds float8) returns json language plpgsql set search_path = '' as $$
begin
  perform pg_sleep(p_seconds);
  return json_build_object('user', auth.uid(), 'role', current_user);
end $$;
revoke all on function agenthost.who from public, anon;
grant execute on function agenthost.who to authenticated;
"""


@pytest.fixture(scope="module")
async def crowded(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Project]:
    addresses = await postgres.clone()
    await make_tables(addresses)
    async with await addresses.owner() as owner:
        await owner.execute(WHO)
    async with serving(postgres, addresses, tmp_path_factory.mktemp("project")) as running:
        yield running
    await postgres.drop(addresses)


async def test_no_request_runs_with_anothers_token(crowded: Project) -> None:
    """Fewer connections than callers, so that each of them carries everybody's requests in turn."""
    database = SupabaseDatabase(crowded.url, crowded.publishable_key, pool_size=6)
    tables = SupabaseTables(crowded.url, crowded.publishable_key, most_rows=100, pool_size=6, wait_seconds=30)
    await database.start()
    await tables.start()
    dice = random.Random(6)
    answered, cut_off = 0, 0

    async def one(caller: Caller) -> None:
        nonlocal answered, cut_off
        for number in range(ROUNDS):
            mine = f"{caller.user_id}-{number}"
            work: list[Any] = [
                who(caller),
                database.insert(caller, "agents", [{"agent_name": f"a{number}", "agent_config": {"code": mine}}]),
                database.select(caller, "agents", columns=["user_id"]),
                tables.of(caller).insert("leads", [{"name": mine}]),
                tables.of(caller).select("leads", columns=["user_id"]),
            ]
            for each in work:
                task = asyncio.ensure_future(each)
                if dice.random() < 0.25:
                    await asyncio.sleep(dice.random() * 0.02)
                    task.cancel()
                try:
                    answer = await task
                except (asyncio.CancelledError, DatabaseUnavailable):  # the latter on a busy machine
                    cut_off += 1
                    continue
                rows = answer if isinstance(answer, list) else [answer]
                assert {row["user_id"] for row in rows} <= {str(caller.user_id)}
                answered += 1

    async def who(caller: Caller) -> Any:
        said = await database.call(caller, "who", p_seconds=dice.random() * 0.05)
        assert said["role"] == "authenticated"
        return {"user_id": said["user"]}

    async def expired(caller: Caller) -> None:
        for _ in range(ROUNDS):
            with pytest.raises((Forbidden, DatabaseUnavailable)):
                await database.select(caller, "agents")

    callers = [crowded.caller(uuid4(), legacy=dice.random() < 0.5) for _ in range(CALLERS)]
    late = [crowded.caller(uuid4(), seconds=-100) for _ in range(5)]
    await asyncio.gather(*map(one, callers), *map(expired, late))
    assert answered > CALLERS * ROUNDS * 3
    assert cut_off > CALLERS
    await database.stop()
    await tables.stop()
    await every_row_is_its_writers(crowded)


async def every_row_is_its_writers(project: Project) -> None:
    """Also those of requests that were cut off: whose they are was in them."""
    async with await project.addresses.owner() as owner:
        for query in (
            "select user_id, agent_config ->> 'code' from agenthost.agents",
            "select user_id, name from public.leads",
        ):
            rows = await (await owner.execute(query.encode())).fetchall()
            assert len(rows) > CALLERS
            for user_id, said in rows:
                assert isinstance(user_id, UUID)
                assert str(said).startswith(str(user_id))


async def test_nothing_of_a_caller_stays_on_the_client(crowded: Project) -> None:
    database = SupabaseDatabase(crowded.url, crowded.publishable_key)
    await database.start()
    caller = crowded.caller(uuid4())
    await database.select(caller, "agents")
    without = Caller(user_id=caller.user_id, claims=caller.claims, token="", expires_at=caller.expires_at)
    with pytest.raises(ValueError, match="DATABASE_URL"):
        await database.select(without, "agents")
    assert caller.token not in repr(caller)
    with pytest.raises(DatabaseError) as refused:
        await database.insert(caller, "agents", [{"agent_name": "X", "agent_config": {}}])
    shown = f"{refused.value!r} {refused.value.__cause__!r}"
    assert caller.token not in shown
    assert crowded.publishable_key not in shown
    await database.stop()
