"""Several replicas are one host: what is true on one is true on the other at once, and limits hold across both."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.replicas import Replicas, User, define, replica, replicated, settings_of
from tests.postgres import Addresses, Server

WALL_SECONDS = 6
RUNS_PER_USER = 3
CHECKS_PER_DAY = 12
LIBFAKETIME = list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))

SLEEPER = "import time\ndef run(seconds: float):\n    time.sleep(seconds)\n    return seconds\n"
COUNTER = "def run(services):\n    return services.kv.increment('n')\n"


@pytest.fixture(scope="module")
async def pair(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replicas]:
    """Short limits, so that running into one takes little time."""
    directory: Path = tmp_path_factory.mktemp("replicas")
    addresses = await postgres.clone()
    limits = {
        "AGENTHOST_LIMIT_WALL_SECONDS": str(WALL_SECONDS),
        "AGENTHOST_LIMIT_RUNS_PER_USER": str(RUNS_PER_USER),
        "AGENTHOST_LIMIT_CHECKS_PER_DAY": str(CHECKS_PER_DAY),
    }
    async with replicated(directory, settings_of(addresses.serving_dsn, **limits)) as replicas:
        yield replicas
    await postgres.drop(addresses)


@pytest.fixture
async def ada(pair: Replicas) -> AsyncIterator["Both"]:
    user = User()
    async with user.at(pair.one) as one, user.at(pair.two) as two, user.at(pair.balancer) as anywhere:
        yield Both(user, one, two, anywhere)


class Both:
    """A new user at either replica, and at the balancer."""

    def __init__(self, user: User, one: httpx.AsyncClient, two: httpx.AsyncClient, anywhere: httpx.AsyncClient) -> None:
        self.user = user
        self.one = one
        self.two = two
        self.anywhere = anywhere

    def agent(self, name: str) -> str:
        return f"/agents/{self.user.id}/{name}"


async def output(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["output"]


async def test_what_is_defined_changed_or_deleted_on_one_is_so_on_the_other_at_once(ada: Both) -> None:
    sides = [ada.one, ada.two]
    await define(ada.one, "agent", "def run():\n    return 0\n")
    for number in range(1, 8):
        here, there = sides[number % 2], sides[1 - number % 2]
        code = f"def run():\n    return {number}\n"
        assert (await here.patch("/agents/agent", json={"agent_config": {"code": code}})).status_code == 200
        assert await output(await there.get(ada.agent("agent"))) == number
        assert await output(await here.get(ada.agent("agent"))) == number
    assert (await ada.two.delete("/agents/agent")).status_code == 204
    assert (await ada.one.get(ada.agent("agent"))).status_code == 404


async def test_a_grant_that_is_taken_away_on_one_is_gone_on_the_other_at_once(ada: Both) -> None:
    await define(ada.one, "counter", COUNTER)
    for number, granted in enumerate([True, False, True, False], start=1):
        here, there = (ada.one, ada.two) if number % 2 else (ada.two, ada.one)
        capabilities: dict[str, Any] = {"kv": {}} if granted else {}
        change = {"agent_config": {"capabilities": capabilities}}
        assert (await here.patch("/agents/counter", json=change)).status_code == 200
        answer = await there.get(ada.agent("counter"))
        assert answer.status_code == (200 if granted else 502), answer.text
        assert granted or answer.json()["error"]["type"] == "CapabilityDenied"


async def test_a_secret_that_is_stored_on_one_opens_on_the_other_and_one_that_is_deleted_does_not(ada: Both) -> None:
    """Nobody is called: the address is nobody's. What is sealed under another key would be told before."""
    code = (
        "def run(services):\n"
        "    return services.http.get('https://nobody.invalid/', headers={'X-Key': services.secrets.ref('KEY')})\n"
    )
    grants = {"http": {"hosts": ["nobody.invalid"]}, "secrets": {"names": ["KEY"]}}
    await define(ada.one, "caller", code, capabilities=grants)
    secret = {"value": "v" * 20, "hosts": ["nobody.invalid"]}
    assert (await ada.one.put("/secrets/KEY", json=secret)).status_code in (200, 201, 204)
    message = (await ada.two.get(ada.agent("caller"))).json()["error"]["message"]
    assert "http.request" in message, message
    assert (await ada.two.delete("/secrets/KEY")).status_code == 204
    message = (await ada.one.get(ada.agent("caller"))).json()["error"]["message"]
    assert "there is no secret KEY" in message, message


async def test_a_user_has_so_many_runs_in_flight_on_all_replicas_together(ada: Both) -> None:
    await define(ada.one, "sleeper", SLEEPER)
    asked = [side.get(ada.agent("sleeper"), params={"seconds": 4}) for side in (ada.one, ada.two, ada.anywhere) * 3]
    answers = await asyncio.gather(*asked)
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200] * RUNS_PER_USER + [429] * (9 - RUNS_PER_USER)
    assert (await ada.two.get(ada.agent("sleeper"), params={"seconds": 0})).status_code == 200


async def test_a_user_has_one_daily_quota_on_all_replicas_together(ada: Both) -> None:
    for number in range(CHECKS_PER_DAY):
        await define((ada.one, ada.two)[number % 2], f"agent-{number}", f"def run():\n    return {number}\n")
    for side in (ada.one, ada.two):
        answer = await side.post("/agents", json={"agent_name": "more", "agent_config": "def run():\n    return 'x'\n"})
        assert (answer.status_code, answer.json()["code"]) == (429, "quota_exceeded")


async def test_an_idempotency_key_makes_one_run_on_all_replicas_together(ada: Both) -> None:
    await define(ada.one, "counter", COUNTER)
    for attempt in range(5):
        headers = {"Idempotency-Key": f"key-{attempt}"}
        sides = (ada.one, ada.two) * 3
        answers = await asyncio.gather(*(side.post(ada.agent("counter"), headers=headers, json={}) for side in sides))
        assert {answer.status_code for answer in answers} <= {200, 409}
        [run_id] = {answer.json()["run_id"] for answer in answers}
        for side in (ada.one, ada.two):
            repeated = await side.post(ada.agent("counter"), headers=headers, json={})
            assert repeated.headers["Idempotent-Replayed"] == "true"
            assert (repeated.json()["run_id"], repeated.json()["output"]) == (run_id, attempt + 1)


async def test_an_agent_runs_one_that_was_defined_on_the_other(ada: Both) -> None:
    await define(ada.two, "child", "def run(n: int):\n    return n + 1\n")
    code = "def run(n: int, services):\n    return services.agents.run('child', {'n': n})\n"
    await define(ada.one, "parent", code, capabilities={"agents": {"names": ["child"]}})
    answer = await ada.one.post(ada.agent("parent"), json={"n": 1})
    assert await output(answer) == 2
    children = (await ada.two.get("/runs", params={"agent": "child"})).json()["data"]
    assert [child["parent_run_id"] for child in children] == [answer.json()["run_id"]]


async def test_a_record_that_one_signed_verifies_on_the_other(ada: Both) -> None:
    await define(ada.one, "agent", "def run():\n    return 1\n")
    run_id = (await ada.one.get(ada.agent("agent"))).json()["run_id"]
    assert (await ada.two.get(f"/runs/{run_id}")).json()["verified"] is True


async def test_a_run_ends_when_its_caller_leaves_the_balancer(ada: Both) -> None:
    await define(ada.one, "sleeper", SLEEPER)
    with pytest.raises(httpx.ReadTimeout):
        await ada.anywhere.get(ada.agent("sleeper"), params={"seconds": WALL_SECONDS}, timeout=0.5)
    for _ in range(WALL_SECONDS * 10):
        [run] = (await ada.one.get("/runs")).json()["data"]
        if run["status"] != "running":
            break
        await asyncio.sleep(0.1)
    assert run["status"] == "cancelled"


async def test_limits_go_by_the_clock_of_the_database_where_that_of_a_replica_is_wrong(
    cloned: Addresses, tmp_path: Path
) -> None:
    """A minute ahead, a replica that went by its own clock would take the other's lease for one that has expired."""
    if not LIBFAKETIME:
        pytest.skip("libfaketime is not installed: apt-get install libfaketime")
    settings = settings_of(
        cloned.serving_dsn, AGENTHOST_LIMIT_WALL_SECONDS=str(WALL_SECONDS), AGENTHOST_LIMIT_RUNS_PER_USER="1"
    )
    ahead = {"LD_PRELOAD": str(LIBFAKETIME[0]), "FAKETIME": "+60s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    user = User()
    path = f"/agents/{user.id}/sleeper"
    with replica(tmp_path / "one", 0, settings) as one, replica(tmp_path / "two", 0, settings | ahead) as two:
        async with user.at(one) as here, user.at(two) as there:
            await define(there, "sleeper", SLEEPER)
            skew = parsedate_to_datetime((await there.get("/health")).headers["Date"]) - datetime.now(UTC)
            assert skew.total_seconds() > 50
            running = asyncio.create_task(here.get(path, params={"seconds": 4}))
            await asyncio.sleep(1)
            assert (await there.get(path, params={"seconds": 0})).status_code == 429
            assert (await running).status_code == 200
            assert (await there.get(path, params={"seconds": 0})).status_code == 200
