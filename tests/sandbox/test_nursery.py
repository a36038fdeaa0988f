"""Children ahead of need on a machine that has no room: who cannot be served waits, and nothing is lost for good."""

import asyncio
import os
import resource
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from sandbox.job import SandboxUnavailable
from sandbox.restricted.child import ZygoteProcess
from sandbox.restricted.engine import RestrictedEngine
from sandbox.restricted.nursery import CHILDREN_AT_ONCE
from tests.sandbox.test_jail import LIMITS, SLEEPER, answers, eventually, processes_below, run, started

NAP = "import time\ndef run(number: int):\n    time.sleep(0.2)\n    return number\n"


@contextmanager
def descriptors(most: int) -> Iterator[None]:
    """This process may have no others than these for a while, nor may what it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def zygote_of(engine: RestrictedEngine) -> ZygoteProcess:
    assert engine.nursery.current is not None
    return engine.nursery.current


async def two_parked(engine: RestrictedEngine) -> None:
    await eventually(lambda: [child.parked for child in zygote_of(engine).children.values()] == [True, True])


async def test_a_host_without_descriptors_forks_again_once_it_has_some() -> None:
    async with started() as engine:
        await engine.check(NAP)
        await two_parked(engine)
        first = zygote_of(engine)
        with descriptors(3):
            naps = [asyncio.create_task(run(engine, NAP, number=number)) for number in range(6)]
            await asyncio.sleep(0.5)
            assert [nap.done() for nap in naps] == [True, True, False, False, False, False]
        assert [nap.output for nap in await asyncio.gather(*naps)] == list(range(6))
        await two_parked(engine)
        assert (zygote_of(engine), first.pending) == (first, 0)
        assert len(processes_below(first.process.pid)) == 3


async def test_a_zygote_that_cannot_fork_lives_on_and_so_do_its_runs() -> None:
    engine = RestrictedEngine(limits=LIMITS, parked=2)
    with descriptors(100):
        await engine.start()
    try:
        await engine.check(SLEEPER)
        first = zygote_of(engine)
        runs = [asyncio.create_task(run(engine, SLEEPER, seconds=2)) for _ in range(150)]
        assert {each.output for each in await asyncio.gather(*runs)} == {"slept"}
        await two_parked(engine)
        assert (zygote_of(engine), first.pending) == (first, 0)
        assert len(processes_below(first.process.pid)) == 3
    finally:
        await engine.stop()


async def test_children_that_end_before_they_are_taken_are_not_forked_without_a_pause() -> None:
    async with started() as engine:
        await two_parked(engine)
        seen: set[int] = set()
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            for pid in processes_below(zygote_of(engine).process.pid)[1:]:
                seen.add(pid)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.001)
        assert 2 < len(seen) < 40
        await eventually(lambda: not seen.intersection(processes_below(zygote_of(engine).process.pid)))
        await asyncio.sleep(0.2)  # until the host has been told of all
        await two_parked(engine)
        assert await answers(engine)


async def test_a_zygote_too_busy_to_be_told_is_told_later() -> None:
    async with started() as engine:
        await two_parked(engine)
        first = zygote_of(engine)
        (pid, *_) = processes_below(first.process.pid)
        os.kill(pid, signal.SIGSTOP)
        for _ in range(2000):
            first.order({"kill": 0})
        several = [asyncio.create_task(run(engine, NAP, number=number)) for number in range(5)]
        await asyncio.sleep(0.3)
        os.kill(pid, signal.SIGCONT)
        assert [each.output for each in await asyncio.gather(*several)] == list(range(5))
        assert (zygote_of(engine), len(first.orders)) == (first, 0)


async def test_a_zygote_that_cannot_be_started_is_tried_again() -> None:
    async with started() as engine:
        zygote = zygote_of(engine)
        await two_parked(engine)
        before = os.listdir("/proc/self/fd")
        with descriptors(3):
            zygote.kill()
            await eventually(lambda: zygote.dead)
            await asyncio.sleep(0.5)
            assert not engine.status().ready
        assert await answers(engine)
        assert engine.status().ready
        await two_parked(engine)
        assert len(os.listdir("/proc/self/fd")) == len(before)


async def test_a_replacement_that_failed_is_tried_again_and_meanwhile_there_are_runs() -> None:
    async with started(recycle_runs=100) as engine:
        await engine.check(SLEEPER)
        await two_parked(engine)
        first = zygote_of(engine)
        first.handed_out = 99
        with descriptors(3):
            assert await answers(engine) is not None
            await asyncio.sleep(0.1)
            assert engine.status().ready
        await eventually(lambda: zygote_of(engine) is not first and first.dead)
        assert await answers(engine)


async def test_a_zygote_that_dies_the_moment_it_is_ready_is_not_adopted() -> None:
    async with started() as engine:
        first = zygote_of(engine)
        first.kill()
        await eventually(lambda: first.dead and len(engine.nursery._zygotes) == 1)
        (second,) = engine.nursery._zygotes
        select.select([second.control], [], [])  # the loop stands still meanwhile
        below = [second.process.pid, *processes_below(second.process.pid)]
        for pid in below:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)  # noqa: ASYNC251
        assert await answers(engine)
        assert second.dead


async def test_there_are_so_many_children_at_once_and_who_comes_then_waits() -> None:
    async with started() as engine:
        await engine.check(SLEEPER)
        runs = [asyncio.create_task(run(engine, SLEEPER)) for _ in range(CHILDREN_AT_ONCE + 10)]
        try:
            await eventually(lambda: len(zygote_of(engine).children) == CHILDREN_AT_ONCE, seconds=60)
            await asyncio.sleep(1)
            assert len(zygote_of(engine).children) == CHILDREN_AT_ONCE
            refused = asyncio.create_task(run(engine, SLEEPER))
            with pytest.raises(SandboxUnavailable, match="none became free"):
                await refused
        finally:
            waiting = asyncio.create_task(answers(engine))
            await asyncio.sleep(0.1)
            for each in runs:
                each.cancel()
            await asyncio.gather(*runs, return_exceptions=True)
        assert await waiting
