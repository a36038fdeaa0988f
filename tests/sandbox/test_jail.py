"""The jail as a thing that is built, fails closed, is killed at every point, and leaves nothing behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import pytest

from sandbox.guest.probe import PROBES
from sandbox.job import Call, Job, Outcome, Reply, SandboxUnavailable
from sandbox.limits import Limits
from sandbox.restricted.child import Child
from sandbox.restricted.engine import RestrictedEngine
from sandbox.restricted.jail import LAYERS, OPTIONAL_LAYERS

LIMITS = Limits(wall_seconds=20, cpu_seconds=2)
SLEEPER = "import time\ndef run(seconds: float = 30):\n    time.sleep(seconds)\n    return 'slept'\n"


@asynccontextmanager
async def started(
    language: Literal["restricted", "plain"] = "restricted", **options: Any
) -> AsyncIterator[RestrictedEngine]:
    engine = RestrictedEngine(limits=LIMITS, parked=2, language=language, **options)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


async def run(engine: RestrictedEngine, source: str, **arguments: Any) -> Outcome:
    async def on_call(call: Call) -> Reply:
        return Reply()

    checked = await engine.check(source)
    job = Job(code=checked.code, entry=checked.entry, input=arguments, test=False, limits=LIMITS, source=source)
    return await engine.run(job, on_call=on_call)


async def answers(engine: RestrictedEngine) -> bool:
    return bool((await run(engine, "def run():\n    return 42\n")).output == 42)


def processes_below(pid: int) -> list[int]:
    """All descendants, by what /proc says now."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


async def eventually(true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become true in time"
        await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]) != "Z"
    except OSError:
        return False


async def test_every_layer_is_in_force() -> None:
    async with started() as engine:
        in_force = {layer.partition(":")[0] for layer in engine.status().isolation}
        assert in_force | OPTIONAL_LAYERS == set(LAYERS)
        assert engine.status().ready
        assert not set(engine.status().missing) - OPTIONAL_LAYERS


async def test_the_kernel_ends_guests_before_anybody_else_when_memory_is_short() -> None:
    async with started() as engine:
        assert engine.nursery.current is not None
        for pid in processes_below(engine.nursery.current.process.pid):
            score = await asyncio.to_thread(Path(f"/proc/{pid}/oom_score_adj").read_text)
            assert score.strip() == "1000"


@pytest.mark.parametrize("layer", [layer for layer in LAYERS if layer not in OPTIONAL_LAYERS])
async def test_without_a_layer_it_refuses_to_start_and_says_which(layer: str) -> None:
    engine = RestrictedEngine(limits=LIMITS, parked=1, without=frozenset({layer}))
    # Without namespaces there is no right to change the root either, and that is noticed first.
    with pytest.raises(SandboxUnavailable, match="root" if layer == "namespaces" else layer):
        await engine.start()
    assert not engine.status().ready


async def test_the_operator_may_allow_less_and_it_shows() -> None:
    async with started(without=frozenset({"seccomp"}), allow_weaker=True) as engine:
        assert "seccomp" in engine.status().missing
        assert engine.status().detail == "weaker than required"
        assert await answers(engine)


async def test_a_missing_optional_layer_is_reported_only() -> None:
    async with started(without=frozenset({"landlock"})) as engine:
        assert "landlock" in engine.status().missing
        assert await answers(engine)


async def test_a_zygote_is_replaced_after_so_many_runs() -> None:
    async with started(recycle_runs=5) as engine:
        first = engine.nursery.current
        for _ in range(30):
            assert await answers(engine)
        assert first is not None
        await eventually(lambda: engine.nursery.current is not first and first.dead)
        assert await answers(engine)


async def test_a_run_outlives_the_replacement_of_its_zygote() -> None:
    async with started(recycle_runs=20) as engine:
        first = engine.nursery.current
        assert first is not None
        await engine.check(SLEEPER)
        slow = asyncio.create_task(run(engine, SLEEPER, seconds=2))
        while engine.nursery.current is first:
            assert await answers(engine)
        assert not first.dead
        assert (await slow).output == "slept"
        await eventually(lambda: first.dead)


async def test_killing_the_stub_or_the_zygote_leaves_no_process_and_it_answers_again() -> None:
    async with started() as engine:
        for who in ("stub", "zygote"):
            zygote = engine.nursery.current
            assert zygote is not None
            below = [zygote.process.pid, *processes_below(zygote.process.pid)]
            assert len(below) >= 3
            os.kill(below[0] if who == "stub" else below[1], signal.SIGKILL)
            await eventually(lambda below=below: not any(alive(pid) for pid in below))  # type: ignore[misc]
            assert await answers(engine)


async def test_runs_in_flight_on_a_killed_zygote_are_the_hosts_failure() -> None:
    async with started() as engine:
        await engine.check(SLEEPER)
        runs = [asyncio.create_task(run(engine, SLEEPER)) for _ in range(4)]
        await asyncio.sleep(0.5)
        assert engine.nursery.current is not None
        engine.nursery.current.kill()
        results = await asyncio.gather(*runs, return_exceptions=True)
        assert all(isinstance(result, SandboxUnavailable) for result in results), results
        assert await answers(engine)


async def test_a_killed_parked_child_is_not_handed_out() -> None:
    async with started() as engine:
        zygote = engine.nursery.current
        assert zygote is not None
        await eventually(lambda: len(zygote.children) == 2)
        doomed = list(zygote.children.values())
        for pid in processes_below(zygote.process.pid)[1:]:
            os.kill(pid, signal.SIGKILL)
        await eventually(lambda: all(child.ended.done() for child in doomed))
        assert await answers(engine)


async def test_a_killed_running_child_is_a_failed_run() -> None:
    async with started() as engine:
        await engine.check(SLEEPER)
        assert engine.nursery.current is not None
        running = asyncio.create_task(run(engine, SLEEPER))
        await asyncio.sleep(0.5)
        doomed = list(engine.nursery.current.children.values())
        for pid in processes_below(engine.nursery.current.process.pid)[1:]:
            os.kill(pid, signal.SIGKILL)
        outcome = await running
        assert outcome.status in ("failed", "timed_out")
        await eventually(lambda: all(child.ended.done() for child in doomed))
        assert await answers(engine)


async def test_a_check_that_is_killed_is_nobodys_verdict() -> None:
    source = "x = " + "+".join(["1"] * 3000) + "\n" + "y = [0]\n" * 12000 + "def run():\n    return 1\n"
    async with started() as engine:
        zygote = engine.nursery.current
        assert zygote is not None
        checking = asyncio.create_task(engine.check(source))
        await eventually(lambda: zygote.handed_out > len(PROBES))
        killed = list(zygote.children.values())
        for pid in processes_below(zygote.process.pid)[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with pytest.raises(SandboxUnavailable):
            await checking
        await eventually(lambda: not any(child in killed for child in zygote.children.values()))
        again = await engine.check(source)
        assert "cut off" not in str(again.problems)
        assert not [problem for problem in again.problems if problem.code == "source_refused"]


async def taken_once(engine: RestrictedEngine, source: str) -> tuple[asyncio.Task[Outcome], Child]:
    """A run, and the child that it was handed; what it uses cannot be seen, as where /proc hides others' processes."""
    await engine.check(source)
    zygote = engine.nursery.current
    assert zygote is not None
    await eventually(lambda: [child.parked for child in zygote.children.values()] == [True, True])
    children = list(zygote.children.values())
    for child in children:
        child.host_pid = None
    running = asyncio.create_task(run(engine, source))
    await eventually(lambda: any(not child.parked for child in children))
    return running, next(child for child in children if not child.parked)


async def test_a_guest_whose_usage_cannot_be_seen_ends_by_itself() -> None:
    async with started() as engine:
        running, child = await taken_once(engine, "def run():\n    return sum(range(1000000))\n")
        outcome = await running
        assert (outcome.status, child.ended.result().status) == ("succeeded", 0)
        assert outcome.usage.cpu_ms > 0


async def test_a_zygote_that_hangs_holds_up_no_run_for_ever() -> None:
    source = "import time\ndef run():\n    time.sleep(1)\n    return 'slept'\n"
    async with started() as engine:
        running, child = await taken_once(engine, source)
        os.kill(processes_below(child.zygote.process.pid)[0], signal.SIGSTOP)
        async with asyncio.timeout(15):
            assert (await running).output == "slept"
        assert await answers(engine)


async def test_cancelling_leaves_no_process() -> None:
    async with started() as engine:
        await engine.check(SLEEPER)
        zygote = engine.nursery.current
        assert zygote is not None
        await eventually(lambda: len(zygote.children) == 2)
        runs = [asyncio.create_task(run(engine, SLEEPER)) for _ in range(6)]
        await asyncio.sleep(0.5)
        for task in runs:
            task.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
        assert len(zygote.children) == 2


async def test_stopping_leaves_no_process_and_no_descriptor() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    async with started():
        pass  # whatever the loop itself opens once
    before = descriptors()
    async with started() as engine:
        assert await answers(engine)
        assert engine.nursery.current is not None
        below = processes_below(engine.nursery.current.process.pid)
    await eventually(lambda: not any(alive(pid) for pid in below), seconds=1)
    assert descriptors() == before


HOST = """
import asyncio, sys
from sandbox.limits import Limits
from sandbox.restricted.child import Child
from sandbox.restricted.engine import RestrictedEngine
async def main():
    engine = RestrictedEngine(limits=Limits(), parked=3)
    await engine.start()
    print("ready", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_kill_nine_of_the_host_leaves_no_process() -> None:
    host = await asyncio.create_subprocess_exec(sys.executable, "-c", HOST, stdout=subprocess.PIPE)
    assert host.stdout is not None
    assert await host.stdout.readline() == b"ready\n"
    await eventually(lambda: len(processes_below(host.pid)) >= 5)
    below = processes_below(host.pid)
    host.kill()
    await host.wait()
    await eventually(lambda: not any(alive(pid) for pid in below))
