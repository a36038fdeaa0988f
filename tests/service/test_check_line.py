"""Checks wait in line: whoever floods the host with costly code waits for himself."""

import asyncio
import time
from uuid import uuid4

import httpx
import pytest

from sandbox.job import Checked, Engine
from service.agents.line import PLACES, PLACES_OF_A_USER, CheckLine, TooManyChecks
from tests.service.conftest import LocalHost, User
from tests.service.test_agents import GREETER, code_of
from tests.service.test_host_failures import LentEngine


def costly(number: int) -> str:
    """A source whose check takes about as long as a check may."""
    return f"def run():\n    x = {number}\n" + "    x = [a.b(c, d=1) for a in (1, 2)]\n" * 6000 + "    return x\n"


async def check(user: User, code: str) -> httpx.Response:
    return await user.http.post("/agents/check", json={"agent_config": {"code": code}}, timeout=60)


async def test_a_flood_of_costly_checks_leaves_others_their_checks_and_runs(ada: User, eve: User) -> None:
    await ada.define("greeter", GREETER)
    flood = [asyncio.create_task(check(eve, costly(number))) for number in range(20)]
    await asyncio.sleep(0.5)
    started = time.monotonic()
    assert (await check(ada, f"def run():\n    return '{uuid4()}'\n")).json()["ok"] is True
    assert (await ada.run("greeter", name="Ada")).status_code == 200
    assert time.monotonic() - started < 4
    answers = await asyncio.gather(*flood)
    assert {answer.status_code for answer in answers} == {200, 429}
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {code_of(answer) for answer in refused} == {"too_many_checks"}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)


async def test_an_agent_that_could_not_be_checked_is_not_called_invalid(ada: User, local_host: LocalHost) -> None:
    unknown = {"code": f"def run():\n    return '{uuid4()}'\n"}
    await local_host.host.database.insert(ada.caller, "agents", [{"agent_name": "stored", "agent_config": unknown}])
    line = local_host.host.checks
    engine = _SlowEngine(local_host.host.engines["restricted"])
    held = [asyncio.create_task(line.check(engine, f"{number}", ada.user_id)) for number in range(PLACES_OF_A_USER)]
    try:
        shown, run = await asyncio.gather(ada.http.get("/agents/stored"), ada.run("stored"))
    finally:
        engine.go_on.set()
        await asyncio.gather(*held)
    assert (shown.status_code, code_of(shown)) == (429, "too_many_checks")
    assert (run.status_code, code_of(run)) == (429, "too_many_checks")
    assert (run.json()["run_status"], "retry-after" in run.headers) == ("failed", True)
    kept = await ada.recorded(run.json()["run_id"])
    assert (kept["error"]["code"], kept["verified"]) == ("too_many_checks", True)
    assert (await ada.run("stored")).status_code == 200


class _SlowEngine(LentEngine):
    """Checks nothing until it is told to, and counts what it has in hand."""

    def __init__(self, real: Engine) -> None:
        super().__init__(real)
        self.go_on = asyncio.Event()
        self.in_hand = 0

    async def check(self, source: str) -> Checked:
        self.in_hand += 1
        try:
            await self.go_on.wait()
            return Checked(entry="run")
        finally:
            self.in_hand -= 1


async def test_an_abandoned_check_keeps_its_place_until_it_has_ended(local_host: LocalHost) -> None:
    line, engine, user = CheckLine(patience_seconds=0.2), _SlowEngine(local_host.host.engines["restricted"]), uuid4()
    for number in range(6):
        asked = asyncio.create_task(line.check(engine, str(number), user))
        await asyncio.sleep(0.01)
        asked.cancel()
        await asyncio.wait({asked})
    assert engine.in_hand == PLACES_OF_A_USER
    with pytest.raises(TooManyChecks):
        await line.check(engine, "another", user)
    others = [asyncio.create_task(line.check(engine, f"of {number}", uuid4())) for number in range(PLACES)]
    await asyncio.sleep(0.01)
    assert engine.in_hand == PLACES
    engine.go_on.set()
    await asyncio.gather(*others)
    assert (await line.check(engine, "another", user)).entry == "run"


async def test_only_what_the_engine_remembers_passes_by_the_line(local_host: LocalHost) -> None:
    line, user = CheckLine(patience_seconds=0.2), uuid4()
    engine = _SlowEngine(local_host.host.engines["restricted"])
    engine.go_on.set()
    forgotten, remembered = f"def run():\n    return '{uuid4()}'\n", f"def run():\n    return '{uuid4()}'\n"
    held = await line.check(engine, forgotten, user)
    assert not (await local_host.host.engines["restricted"].check(remembered)).problems
    engine.go_on.clear()
    waiting = [asyncio.create_task(line.check(engine, f"{number}", user)) for number in range(PLACES_OF_A_USER)]
    await asyncio.sleep(0.01)
    assert (await line.check(engine, remembered, user)).entry == "run"
    with pytest.raises(TooManyChecks):
        await line.check(engine, forgotten, user)
    assert held.entry == "run"
    engine.go_on.set()
    await asyncio.gather(*waiting)
