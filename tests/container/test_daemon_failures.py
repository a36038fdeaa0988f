"""What a daemon may do to its hosts: be away, hang, restart, die, run full. Each is told, and heals by itself."""

import asyncio
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.container.engine import ContainerEngine
from sandbox.job import Outcome, SandboxUnavailable
from sandbox.limits import Limits
from tests.container.own_daemon import OwnDaemon, alive, own_daemon
from tests.container.running import HELLO, LIMITS, SLEEP, News, run, running, until
from tests.deploy.engine import base_image

BOUND_SECONDS = 60
"""Within this everybody has an answer: the wall time of a run, and some time-outs."""


PATIENT = replace(LIMITS, wall_seconds=15)
"""For a run that must not have ended by itself when its daemon is killed, on a busy machine too."""


async def outcome_or_unavailable(
    engine: ContainerEngine, source: str = HELLO, *, limits: Limits = LIMITS
) -> Outcome | SandboxUnavailable:
    try:
        return await run(engine, source, limits=limits)
    except SandboxUnavailable as error:
        return error


async def test_a_daemon_that_is_absent_at_the_start_is_used_once_it_is_there(tmp_path: Path) -> None:
    news = News()
    with own_daemon(started=False) as daemon:
        started = time.monotonic()
        async with running(daemon.settings(tmp_path), say=news) as engine:
            assert time.monotonic() - started < BOUND_SECONDS
            status = engine.status()
            assert (status.ready, status.detail) == (
                False,
                "the Docker daemon cannot be reached: No such file or directory",
            )
            with pytest.raises(SandboxUnavailable, match="there is no container to run in: the Docker daemon cannot"):
                await run(engine)
            await asyncio.to_thread(daemon.start)
            await asyncio.to_thread(daemon.load, base_image())
            await until(lambda: engine.status().ready)
            assert (await run(engine)).status == "succeeded"
        assert daemon.containers() == []
    states = news.states()
    assert states[0] == "unavailable"
    assert "building" in states
    assert states[-2:] == ["ready", "unavailable"]
    assert news.lines[-1][1] == "stopped"
    assert any(line.startswith("Step 1") for _, line in news.lines)
    assert len(set(news.lines)) == len(news.lines), "told again what had not changed"


async def test_a_daemon_that_hangs_costs_nobody_more_than_the_bound(daemon: OwnDaemon, tmp_path: Path) -> None:
    async with running(daemon.settings(tmp_path)) as engine:
        await run(engine, SLEEP)
        longest_pause = 0.0

        async def tick() -> None:
            nonlocal longest_pause
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.05)
                longest_pause = max(longest_pause, time.monotonic() - before)

        ticking = asyncio.create_task(tick())
        in_flight = [asyncio.create_task(outcome_or_unavailable(engine, SLEEP)) for _ in range(2)]
        await asyncio.sleep(1)
        daemon.signal(signal.SIGSTOP)
        try:
            async with asyncio.timeout(BOUND_SECONDS + LIMITS.wall_seconds):
                ends = await asyncio.gather(*in_flight, *(outcome_or_unavailable(engine) for _ in range(6)))
            assert all(isinstance(end, SandboxUnavailable) for end in ends), ends
            await until(lambda: not engine.status().ready)
            before = time.monotonic()
            with pytest.raises(SandboxUnavailable):
                await run(engine)
            assert time.monotonic() - before < 10, "an engine that is known not to be ready was asked"
        finally:
            daemon.signal(signal.SIGCONT)
        await until(lambda: engine.status().ready)
        assert (await run(engine)).status == "succeeded"
        ticking.cancel()
        assert longest_pause < 5, "the event loop waited for the daemon"
        await until(lambda: len(daemon.containers()) == 2, told=lambda: daemon.docker("ps", "--all"))


async def test_a_restart_under_load_is_unavailability_and_nothing_else(daemon: OwnDaemon, tmp_path: Path) -> None:
    ends: list[Outcome | SandboxUnavailable] = []
    over = asyncio.Event()

    async with running(daemon.settings(tmp_path, pool=3)) as engine:

        async def load() -> None:
            while not over.is_set():
                ends.append(await outcome_or_unavailable(engine, "import time\ndef run():\n    time.sleep(0.3)\n"))
                await asyncio.sleep(0.2)

        loads = [asyncio.create_task(load()) for _ in range(4)]
        for restart in (daemon.stop, daemon.kill):
            await asyncio.sleep(3)
            await asyncio.to_thread(restart)
            await asyncio.to_thread(daemon.start)
            await until(lambda: engine.status().ready)
        await asyncio.sleep(3)
        over.set()
        await asyncio.gather(*loads)
        assert {end.status for end in ends if isinstance(end, Outcome)} == {"succeeded"}
        assert any(isinstance(end, SandboxUnavailable) for end in ends)
        assert isinstance(ends[-1], Outcome)
        await until(lambda: len(daemon.containers()) == 3)


async def test_a_run_of_a_killed_daemon_still_ends_at_its_limit(daemon: OwnDaemon, tmp_path: Path) -> None:
    async with running(daemon.settings(tmp_path, pool=1), limits=PATIENT) as engine:
        forever = "import time\ndef run():\n    time.sleep(60)\n"
        await engine.check(forever)
        await until(lambda: len(daemon.containers()) == 1)
        running_forever = asyncio.create_task(outcome_or_unavailable(engine, forever, limits=PATIENT))
        await until(lambda: len(daemon.processes()) == 2)
        pids = daemon.processes()
        daemon.kill()
        assert isinstance(await running_forever, SandboxUnavailable)
        await until(lambda: not all(alive(pid) for pid in pids), seconds=PATIENT.wall_seconds + 10)
        await asyncio.to_thread(daemon.start)
        await until(lambda: engine.status().ready)
        assert (await run(engine)).status == "succeeded"
        await until(lambda: not any(alive(pid) for pid in pids))


async def test_a_full_disk_is_told_and_room_on_it_is_used_at_once(tmp_path: Path) -> None:
    with own_daemon(data_bytes=700 * 1024 * 1024) as daemon:
        await asyncio.to_thread(daemon.load, base_image())
        async with running(daemon.settings(tmp_path, pool=1)) as engine:
            assert (await run(engine)).status == "succeeded"
            await asyncio.sleep(2)
            filler = daemon.directory / "data/filler"
            with pytest.raises(OSError, match="No space left"):
                filler.write_bytes(bytes(1024 * 1024 * 1024))
            for _ in range(4):
                await outcome_or_unavailable(engine)
            await until(lambda: not engine.status().ready)
            with pytest.raises(SandboxUnavailable, match="no space left on device"):
                await run(engine)
            filler.unlink()
            await until(lambda: engine.status().ready)
            assert (await run(engine)).status == "succeeded"
        assert daemon.containers() == []
