"""Containers ahead of need: handed out once, replaced, never too many, and none left behind whoever gives up when."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.container.engine import ContainerEngine
from sandbox.container.pool import TIMES_POOL
from sandbox.job import SandboxUnavailable
from sandbox.limits import Limits
from tests.container.own_daemon import OwnDaemon, alive
from tests.container.running import LIMITS, SLEEP, News, run, running, until

CRASHING = """
import asyncio, sys
from pathlib import Path
from tests.container.running import SLEEP, run, running
from sandbox.container.engine import ContainerSettings

async def main():
    host, base, instance = sys.argv[1:]
    settings = ContainerSettings(docker_host=host, base_image=base, instance=Path(instance), pool=2)
    async with running(settings) as engine:
        await engine.check(SLEEP)
        sleeping = asyncio.create_task(run(engine, SLEEP))
        await asyncio.sleep(1)
        print("running", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def crashing_host(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])


async def test_a_container_that_ends_while_it_waits_is_replaced(daemon: OwnDaemon, tmp_path: Path) -> None:
    async with running(daemon.settings(tmp_path)) as engine:
        await until(lambda: len(daemon.processes()) == 2)
        before = set(daemon.containers())
        daemon.docker("kill", *before)
        await until(lambda: len(after := set(daemon.containers())) == 2 and not after & before)
        assert (await run(engine)).status == "succeeded"


async def test_who_gives_up_waiting_leaves_no_container_behind(daemon: OwnDaemon, tmp_path: Path) -> None:
    async with running(daemon.settings(tmp_path, pool=1)) as engine:
        await run(engine, SLEEP)
        for seconds in (0.0, 0.05, 0.3, 0.6, 0.9, 1.2):
            runs = [asyncio.create_task(run(engine, SLEEP)) for _ in range(4)]
            await asyncio.sleep(seconds)
            for each in runs:
                each.cancel()
            ends = await asyncio.gather(*runs, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends
        await until(lambda: 1 <= len(daemon.containers()) <= 3)
        assert (await run(engine)).status == "succeeded"


async def test_a_stop_in_the_middle_of_a_start_leaves_nothing_behind(daemon: OwnDaemon, tmp_path: Path) -> None:
    for seconds in (0.0, 0.1, 0.3, 0.5, 0.8):
        engine = ContainerEngine(daemon.settings(tmp_path), limits=LIMITS)
        starting = asyncio.create_task(engine.start())
        await asyncio.sleep(seconds)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await engine.stop()
        assert not engine.status().ready
        with pytest.raises(SandboxUnavailable):
            await run(engine)
    async with running(daemon.settings(tmp_path)):
        pass  # takes away what a creation that nobody could wait for has left
    assert daemon.containers() == []


async def test_a_host_has_a_bounded_number_of_containers(daemon: OwnDaemon, tmp_path: Path) -> None:
    async with running(daemon.settings(tmp_path, pool=1)) as engine:
        await run(engine, SLEEP)
        runs = [asyncio.create_task(run(engine, SLEEP)) for _ in range(TIMES_POOL + 6)]
        most = 0
        while not all(each.done() for each in runs):
            most = max(most, len(await asyncio.to_thread(daemon.containers)))
            await asyncio.sleep(0.2)
        assert most <= TIMES_POOL
        assert {end.output for end in await asyncio.gather(*runs)} == {"slept"}


async def test_a_crashed_hosts_containers_end_and_its_next_start_removes_them(
    daemon: OwnDaemon, tmp_path: Path
) -> None:
    settings = daemon.settings(tmp_path)
    command = [sys.executable, "-c", CRASHING, settings.docker_host, settings.base_image, str(settings.instance)]
    with crashing_host(command) as host:
        assert host.stdout is not None
        assert await asyncio.to_thread(host.stdout.readline) == b"running\n"
        await until(lambda: len(daemon.processes()) == 3)
        pids, left = daemon.processes(), set(daemon.containers())
        other = ContainerEngine(settings, limits=LIMITS)
        with pytest.raises(SandboxUnavailable, match="another host runs containers in the name of"):
            await other.start()
        await other.stop()
        assert set(daemon.containers()) >= left, "the other one's are not touched"
        os.kill(host.pid, signal.SIGKILL)
    await until(lambda: not any(alive(pid) for pid in pids), seconds=20)
    async with running(settings) as engine:
        await until(lambda: not left & set(daemon.containers()))
        assert (await run(engine)).status == "succeeded"


async def test_an_image_that_is_removed_is_built_again(daemon: OwnDaemon, tmp_path: Path) -> None:
    news = News()
    async with running(daemon.settings(tmp_path, pool=1), say=news) as engine:
        (tag,) = [line.split()[-1] for state, line in news.lines if state == "ready"]
        daemon.docker("image", "rm", "--force", tag)
        daemon.docker("kill", *daemon.containers())
        await until(lambda: tag in daemon.docker("image", "ls", "--format", LISTED))
        assert (await run(engine)).status == "succeeded"


LISTED = "{{.Repository}}:{{.Tag}}"


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        ({"base_image": "nowhere.invalid/none:1"}, "the image of the containers cannot be built: .*nowhere.invalid"),
        ({"runtime": "nonesuch"}, "the Docker daemon refused: .*nonesuch"),
    ],
)
async def test_what_can_never_start_says_why(
    daemon: OwnDaemon, tmp_path: Path, change: dict[str, str], trouble: str
) -> None:
    async with running(daemon.settings(tmp_path, **change)) as engine:
        assert not engine.status().ready
        with pytest.raises(SandboxUnavailable, match=trouble):
            await run(engine)


async def test_a_container_that_lacks_a_layer_is_not_used_unless_that_is_allowed(
    daemon: OwnDaemon, tmp_path: Path
) -> None:
    class Unconfined(ContainerEngine):
        async def _options(self) -> dict[str, object]:
            options = dict(await super()._options())
            security = ["no-new-privileges", "seccomp=unconfined"]
            return {**options, "host": {**options["host"], "security_opt": security}}

    for allowed in (False, True):
        engine = Unconfined(daemon.settings(tmp_path), limits=Limits(), allow_weaker=allowed)
        try:
            await engine.start()
            status = engine.status()
            assert (status.ready, "seccomp" in status.missing) == (allowed, True)
            assert allowed or "the container does not hold: without seccomp" in status.detail
        finally:
            await engine.stop()
