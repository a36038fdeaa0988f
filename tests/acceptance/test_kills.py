"""kill -9 of everything that can be killed, under load: no acknowledged agent or run is lost, no process is left, and
the host answers again by itself."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import ADA, BOB, client
from tests.docs.hosted import Hosted, started_host
from tests.sandbox.test_jail import alive, processes_below

COUNTER = "def run(n: int, services):\n    services.kv.set(f'n{n}', n)\n    return n\n"
RECOVERY_SECONDS = 20
LOAD_SECONDS = 1.0


@dataclass
class Load:
    """What the host acknowledged while it was under load: run ids by user, and names of agents."""

    runs: list[str] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    refused: int = 0
    stopping: bool = False

    async def keep_running(self, http: httpx.AsyncClient, user: str, worker: int) -> None:
        number = worker * 1_000_000
        while not self.stopping:
            number += 1
            try:
                if number % 10 == 0:
                    name = f"made-{number}"
                    body = {"agent_name": name, "description": "x", "agent_config": "def run():\n    return 1\n"}
                    if (await http.post("/agents", json=body)).status_code == 201:
                        self.agents.append(name)
                answer = await http.get(f"/agents/{user}/counter?n={number}")
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code == 200:
                assert answer.json()["output"] == number
                self.runs.append(answer.json()["run_id"])
            else:
                assert answer.status_code in (502, 503), answer.text
                self.refused += 1
                await asyncio.sleep(0.05)


@asynccontextmanager
async def loaded(hosted: Hosted) -> AsyncIterator[Load]:
    load = Load()
    async with client(hosted, ADA) as http:
        workers = [asyncio.create_task(load.keep_running(http, ADA, worker)) for worker in range(4)]
        await asyncio.sleep(LOAD_SECONDS)
        try:
            yield load
        finally:
            load.stopping = True
            results = await asyncio.gather(*workers, return_exceptions=True)
        assert not [result for result in results if result is not None], results


@pytest.fixture
def own_host(tmp_path: Path) -> Iterator[Hosted]:
    with started_host(tmp_path) as host:
        yield host


async def prepare(hosted: Hosted) -> None:
    async with client(hosted, ADA) as http:
        body = {"agent_name": "counter", "description": "x", "agent_config": COUNTER}
        assert (await http.post("/agents", json=body)).status_code == 201


async def nothing_is_lost(hosted: Hosted, load: Load) -> None:
    """Every acknowledged run and agent is there; nothing is `running` for good; another user sees none of it."""
    assert load.runs
    async with client(hosted, ADA) as http, client(hosted, BOB) as other:
        for run_id in load.runs:
            run = (await http.get(f"/runs/{run_id}")).json()
            assert (run["status"], run["verified"]) == ("succeeded", True), run
        for name in load.agents:
            assert (await http.get(f"/agents/{name}")).status_code == 200
        assert (await other.get("/runs")).json()["data"] == []


async def answers_again(hosted: Hosted) -> None:
    deadline = time.monotonic() + RECOVERY_SECONDS
    async with client(hosted, ADA) as http:
        while True:
            try:
                answer = await http.get(f"/agents/{ADA}/counter?n=-1")
                if answer.status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            assert time.monotonic() < deadline, "the host did not recover"
            await asyncio.sleep(0.1)


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def stub(host: int) -> list[int]:
    """The process outside the jail that holds it; below it come the zygote and the children."""
    jails = [pid for pid in processes_below(host) if "sandbox.restricted.zygote" in command_of(pid)]
    return [pid for pid in jails if jails and all(pid not in processes_below(other) for other in jails)]


def zygote(host: int) -> list[int]:
    return [child for pid in stub(host) for child in processes_below(pid)[:1]]


def children(host: int) -> list[int]:
    """Parked and running alike: under load some of them run."""
    return [child for pid in stub(host) for child in processes_below(pid)[1:]]


def postgres(host: int) -> list[int]:
    """The postmaster: its kill -9 takes the backends with it."""
    servers = [pid for pid in processes_below(host) if "-D" in command_of(pid) and "postgres" in command_of(pid)]
    return servers[:1]


def backends(host: int) -> list[int]:
    return [pid for pid in processes_below(host) if command_of(pid).startswith("postgres: agenthost_api")]


@pytest.mark.parametrize("victims", [stub, zygote, children, postgres, backends])
async def test_a_killed_part_comes_back_and_nothing_is_lost(
    own_host: Hosted, victims: Callable[[int], list[int]]
) -> None:
    await prepare(own_host)
    async with loaded(own_host) as load:
        doomed = victims(own_host.process.pid)
        assert doomed, "there is nothing to kill: the test does not find its victims"
        for pid in doomed:
            with suppress(ProcessLookupError):  # it may have ended by itself just now
                os.kill(pid, signal.SIGKILL)
        acknowledged = len(load.runs)
        await answers_again(own_host)
        await asyncio.sleep(LOAD_SECONDS)
        assert len(load.runs) > acknowledged
    await nothing_is_lost(own_host, load)


async def test_a_killed_host_leaves_no_process_and_its_next_start_has_everything(tmp_path: Path) -> None:
    with started_host(tmp_path) as hosted:
        await prepare(hosted)
        async with loaded(hosted) as load:
            below = processes_below(hosted.process.pid)
            assert len(below) > 10
            hosted.process.kill()
            hosted.process.wait()
    deadline = time.monotonic() + 10
    while [pid for pid in below if alive(pid)]:
        assert time.monotonic() < deadline, [command_of(pid) for pid in below if alive(pid)]
        await asyncio.sleep(0.05)
    with started_host(tmp_path) as again:
        await answers_again(again)
        await nothing_is_lost(again, load)


async def test_a_stopped_host_lets_runs_finish_and_leaves_no_process(tmp_path: Path) -> None:
    with started_host(tmp_path) as hosted:
        async with client(hosted, ADA) as http:
            code = "import time\ndef run():\n    time.sleep(1.5)\n    return 'finished'\n"
            body = {"agent_name": "slow", "description": "x", "agent_config": code}
            assert (await http.post("/agents", json=body)).status_code == 201
            running = asyncio.create_task(http.get(f"/agents/{ADA}/slow"))
            await asyncio.sleep(0.5)
            below = processes_below(hosted.process.pid)
            hosted.process.send_signal(signal.SIGTERM)
            assert (await running).json()["output"] == "finished"
    assert hosted.process.returncode == 0
    assert not [pid for pid in below if alive(pid)]
