"""A replica that is killed or stopped under load: nothing that was acknowledged is lost, and the other one goes on."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from service.runs.store import RECORDING_SECONDS, STARTING_SECONDS
from tests.acceptance.replicas import Replicas, User, define, replica, replicated, settings_of
from tests.docs.hosted import Hosted
from tests.postgres import Addresses

WORKERS = 4
LOAD_SECONDS = 1.5
RECOVERY_SECONDS = 20
DRAIN_SECONDS = 4
"""More than the balancer takes to notice: two checks, a second apart."""

PAST_WALL_SECONDS = STARTING_SECONDS + RECORDING_SECONDS
LEASE_SECONDS = 10

COUNTER = "def run(n: int, services):\n    services.kv.set(f'n{n}', n)\n    return n\n"
SLEEPER = "import time\ndef run(seconds: float):\n    time.sleep(seconds)\n    return seconds\n"


class Load:
    """A user's requests through the balancer: some on kept connections, some on one each. What was acknowledged, and
    what was answered otherwise or not at all."""

    def __init__(self, user: User, replicas: Replicas) -> None:
        self.user = user
        self.replicas = replicas
        self.runs: list[str] = []
        self.agents: list[str] = []
        self.lost: list[str] = []
        self.stopping = False

    async def work(self, worker: int) -> None:
        number = worker * 1_000_000
        async with self.user.at(self.replicas.balancer) as kept:
            while not self.stopping:
                number += 1
                try:
                    if number % 2:
                        await self.ask(kept, number)
                    else:
                        async with self.user.at(self.replicas.balancer) as fresh:
                            await self.ask(fresh, number)
                except httpx.HTTPError as error:
                    self.lost.append(repr(error))

    async def ask(self, http: httpx.AsyncClient, number: int) -> None:
        if number % 10 == 0:
            name = f"made-{number}"
            if self.acknowledged(await http.post("/agents", json={"agent_name": name, "agent_config": COUNTER}), 201):
                self.agents.append(name)
        answer = await http.get(f"/agents/{self.user.id}/counter?n={number}")
        if self.acknowledged(answer, 200):
            assert answer.json()["output"] == number
            self.runs.append(answer.json()["run_id"])

    def acknowledged(self, answer: httpx.Response, status: int) -> bool:
        if answer.status_code != status:
            self.lost.append(answer.text)
        return answer.status_code == status

    async def goes_on(self) -> None:
        """Whether requests are answered again, and go on to be."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        least = len(self.runs) + 10 * WORKERS
        while len(self.runs) < least:
            assert time.monotonic() < deadline, self.lost[-3:]
            await asyncio.sleep(0.1)

    async def is_kept_by(self, host: Hosted) -> None:
        assert self.runs
        assert self.agents
        async with self.user.at(host) as http:
            for run_id in self.runs:
                run = (await http.get(f"/runs/{run_id}")).json()
                assert (run["status"], run["verified"]) == ("succeeded", True), run
            for name in self.agents:
                assert (await http.get(f"/agents/{name}")).status_code == 200


@asynccontextmanager
async def loaded(replicas: Replicas) -> AsyncIterator[Load]:
    load = Load(User(), replicas)
    async with load.user.at(replicas.balancer) as http:
        await define(http, "counter", COUNTER)
    workers = [asyncio.create_task(load.work(worker)) for worker in range(WORKERS)]
    try:
        await asyncio.sleep(LOAD_SECONDS)
        yield load
    finally:
        load.stopping = True
        await asyncio.gather(*workers)


async def ended(host: Hosted) -> int:
    return await asyncio.to_thread(host.process.wait, 30)


async def test_a_killed_replica_takes_nothing_with_it_and_joins_again(cloned: Addresses, tmp_path: Path) -> None:
    settings = settings_of(cloned.serving_dsn)
    async with replicated(tmp_path, settings) as replicas, loaded(replicas) as load:
        replicas.one.process.kill()
        await ended(replicas.one)
        await load.goes_on()
        with replica(tmp_path / "one", replicas.one.port, settings) as again:
            await load.goes_on()
            replicas.two.process.kill()
            await ended(replicas.two)
            await load.goes_on()
            load.stopping = True
            await load.is_kept_by(again)


async def test_what_a_killed_replica_was_running_is_interrupted_and_its_place_is_free_again(
    cloned: Addresses, tmp_path: Path
) -> None:
    """In time, by the clock of the database: nobody has to notice, and nothing is cleaned up by hand."""
    settings = settings_of(cloned.serving_dsn, AGENTHOST_LIMIT_WALL_SECONDS="1", AGENTHOST_LIMIT_RUNS_PER_USER="1")
    async with replicated(tmp_path, settings) as replicas:
        user = User()
        path = f"/agents/{user.id}/sleeper"
        async with user.at(replicas.one) as one, user.at(replicas.two) as two:
            await define(one, "sleeper", SLEEPER)
            running = asyncio.create_task(one.get(path, params={"seconds": 0.9}))
            while not (runs := (await two.get("/runs")).json()["data"]):
                assert not running.done()
            killed = time.monotonic()
            replicas.one.process.kill()
            assert isinstance((await asyncio.gather(running, return_exceptions=True))[0], httpx.HTTPError)
            [run] = runs
            assert (await two.get(f"/runs/{run['run_id']}")).json()["status"] == "running"
            answer = await two.get(path, params={"seconds": 0})
            assert (answer.status_code, answer.json()["code"]) == (429, "too_many_runs")
            await asyncio.sleep(killed + 1 + PAST_WALL_SECONDS - time.monotonic())
            assert (await two.get(f"/runs/{run['run_id']}")).json()["status"] == "interrupted"
            await asyncio.sleep(killed + 1 + PAST_WALL_SECONDS + LEASE_SECONDS - time.monotonic())
            assert (await two.get(path, params={"seconds": 0})).status_code == 200


async def test_a_replica_that_is_stopped_under_load_loses_no_request(cloned: Addresses, tmp_path: Path) -> None:
    settings = settings_of(cloned.serving_dsn, AGENTHOST_DRAIN_SECONDS=str(DRAIN_SECONDS))
    async with replicated(tmp_path, settings) as replicas:
        async with loaded(replicas) as load:
            replicas.one.process.send_signal(signal.SIGTERM)
            assert await ended(replicas.one) == 0
            await load.goes_on()
        assert load.lost == []
        await load.is_kept_by(replicas.two)


async def test_a_stopping_replica_answers_that_it_is_not_ready_and_closes_connections(
    cloned: Addresses, tmp_path: Path
) -> None:
    user = User()
    settings = settings_of(cloned.serving_dsn, AGENTHOST_DRAIN_SECONDS="60")
    with replica(tmp_path / "one", 0, settings) as host:
        async with user.at(host) as http:
            await define(http, "counter", COUNTER)
            ready = await http.get("/ready")
            assert (ready.status_code, ready.headers.get("Connection")) == (200, None)
            os.kill(host.process.pid, signal.SIGTERM)
            await asyncio.sleep(1)
            ready = await http.get("/ready")
            assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
            assert (ready.json()["ready"], ready.json()["database"]["state"]) == (False, "ready")
            assert "it is stopping" in ready.json()["detail"]
            ran = await http.get(f"/agents/{user.id}/counter?n=1")
            assert (ran.status_code, ran.headers["Connection"]) == (200, "close")
        os.kill(host.process.pid, signal.SIGTERM)
        assert await ended(host) == 0
