"""Containers of the engine: warm, cold, removed; and its throughput, against other ways to run the same program in one.

`python -m benchmarks.containers [--quick]` measures this alone, and prints it. Needs a Docker engine and its command
line; DOCKER_HOST and the settings AGENTHOST_CONTAINER_* say which, and on what image.
"""

import asyncio
import json
import shutil
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import uvloop

from benchmarks.host import AGENT
from benchmarks.measure import Samples, Target, machine, table
from benchmarks.rivals import (
    AT_ONCE,
    LLM_SANDBOX,
    OUTPUT,
    Absent,
    DockerRun,
    Session,
    Sessions,
    Way,
    docker_environment,
)
from sandbox.container import image
from sandbox.container.daemon import LABEL
from sandbox.container.engine import ContainerEngine, ContainerSettings
from sandbox.job import Call, Job, Reply
from service.settings import Settings, read_settings

BUILD_SECONDS: Final = 600
PAUSE_SECONDS: Final = 0.4
"""After a container is gone, until the next run: the pool is full again."""

OTHERS_EVERY: Final = 10
POOLS: Final = {1: 4, 4: 4, 8: 8}
"""Runs in flight, and how many containers the engine keeps for them."""

TURNS: Final = 2
LEAD_SECONDS: Final = 2.0
WINDOW_SECONDS: Final = 5.0
SETTLE_SECONDS: Final = 2.0


class Engine:
    """The engine of this project, in this process. `instance` is the file of its containers' name."""

    name = "the engine"

    def __init__(self, engine: ContainerEngine, job: Job, instance: Path) -> None:
        self._engine = engine
        self._instance = instance
        self.job = job

    @property
    def label(self) -> str:
        """What its containers carry."""
        return f"{LABEL}={self._instance.read_text()}"

    async def run(self) -> None:
        outcome = await self._engine.run(self.job, on_call=_no_calls)
        if outcome.output != json.loads(OUTPUT):
            raise RuntimeError(f"the run failed: {outcome}")


@dataclass(slots=True)
class Containers:
    """`others`: the other ways, `docker run` first. `per_second`: runs in flight -> rates of all ways, ours first."""

    warm: Samples = field(default_factory=lambda: Samples("a run, warm: a container waits"))
    cold: Samples = field(default_factory=lambda: Samples("a run, cold: the engine starts, and one container for it"))
    removal: Samples = field(default_factory=lambda: Samples("removal, off the path: from outcome to nothing left"))
    others: list[Samples] = field(default_factory=list)
    per_second: dict[int, list[float]] = field(default_factory=dict)
    remark: str = ""

    def targets(self) -> list[Target]:
        (_, one_by_one, *_), (engine, side_by_side, *_) = self.per_second[1], self.per_second[4]
        return [
            Target("container, warm, of `docker run --rm`", self.warm.p50 / self.others[0].p50, 1 / 20),
            Target("`docker run --rm` a second, one by one, of runs of 4 in flight", one_by_one / engine, 1 / 4),
            Target("`docker run --rm` a second, 4 in flight, of runs of 4 in flight", side_by_side / engine, 1 / 4),
        ]

    def section(self) -> str:
        ways = ["in flight", "the engine", *(way.name for way in self.others)]
        rates = [(str(n), *(f"{rate:.1f}" for rate in each)) for n, each in self.per_second.items()]
        rows = [samples.row() for samples in (self.warm, self.cold, self.removal, *self.others)]
        return "\n".join(
            [_COMPARED, table(("what", "p50", "p99", "samples"), rows), _RATES, table(ways, rates), self.remark]
        )


_COMPARED: Final = (
    "The same program on one Docker engine, one run in flight, in turns, with a pause after each until nothing is "
    "left of it and the pool of 4 is full again. Milliseconds. A run of the engine: from the job to its outcome, in "
    "this process. `docker run`: the command from its start to its end, on the same image, with the user, the limits "
    "and the hardening of the engine as flags (no network, read-only root, no capabilities, no log) and `python3 -I -c "
    f"PROGRAM`. llm-sandbox {LLM_SANDBOX}: a `SandboxSession` from opening to closing, on the same base image, as it "
    "comes: root in a writable container without limits; but without network and without the environment it sets up, "
    "which would be slower, and with a stop signal that spares it ten seconds at each closing. Its pool: "
    f"{AT_ONCE} containers, used again and again, by whoever comes.\n"
)
_RATES: Final = (
    f"Runs per second, in turns: those that ended within {WINDOW_SECONDS:g} s, from {LEAD_SECONDS:g} s after the first "
    f"began, {TURNS} times. The pool of the engine is as large as the number of runs in flight, and at least 4.\n"
)


async def measure(rounds: int, *, turns: int = TURNS) -> Containers | Absent:
    """Absent where there is no Docker engine. Where llm-sandbox cannot be had, a remark says so."""
    found = Containers()
    settings = read_settings()
    async with AsyncExitStack() as stack:
        try:
            ours = await stack.enter_async_context(_engine(settings, pool=4))
        except Absent as absent:
            return absent
        ways: list[Way] = [DockerRun(settings, image.tag(image.context(), settings.container_base_image))]
        try:
            sessions = await Sessions.started(stack, settings)
            ways += [Session(sessions, pooled=False), Session(sessions, pooled=True)]
        except Absent as absent:
            found.remark = f"Without llm-sandbox: {absent}.\n"
        found.others += [Samples(way.name) for way in ways]
        await _latencies(ours, settings, ways, rounds, found)
        for in_flight, pool in POOLS.items():
            async with _engine(settings, pool=pool, job=ours.job) as engine:
                found.per_second[in_flight] = await _throughput([engine, *ways], in_flight, turns)
    return found


@asynccontextmanager
async def _engine(settings: Settings, *, pool: int, job: Job | None = None) -> AsyncIterator[Engine]:
    """Started, with its image. Raises Absent. Without a `job` the one of the agent is made."""
    if shutil.which("docker") is None:
        raise Absent("there is no docker command line here")
    limits = settings.sandbox_limits("container")
    with tempfile.TemporaryDirectory() as directory:
        instance = Path(directory, "instance")
        engine = ContainerEngine(
            ContainerSettings(
                docker_host=settings.docker_host,
                certificates=settings.docker_cert_path,
                pool=pool,
                runtime=settings.container_runtime,
                base_image=settings.container_base_image,
                instance=instance,
                start_seconds=BUILD_SECONDS,
            ),
            limits=limits,
        )
        await engine.start()
        try:
            if not engine.status().ready:
                raise Absent(engine.status().detail)
            if job is None:
                checked = await engine.check(AGENT)
                job = Job(code=checked.code, entry=checked.entry, input={"name": "Ada"}, test=False, limits=limits)
            yield Engine(engine, job, instance)
        finally:
            await engine.stop()


async def _latencies(ours: Engine, settings: Settings, ways: Sequence[Way], rounds: int, found: Containers) -> None:
    async with _removals(ours, settings) as removed:
        for number in range(-max(rounds // 10, 1), rounds):
            into = found if number >= 0 else Containers(others=[Samples(way.name) for way in ways])
            into.warm.seconds.append(await _timed(ours.run()))
            into.removal.seconds.append(await _timed(removed.readline()))
            await asyncio.sleep(PAUSE_SECONDS)
            if number % OTHERS_EVERY == 0:
                into.cold.seconds.append(await _cold(settings, ours.job))
                for way, samples in zip(ways, into.others, strict=True):
                    await asyncio.sleep(PAUSE_SECONDS)
                    samples.seconds.append(await _timed(way.run()))
                await asyncio.sleep(PAUSE_SECONDS)


@asynccontextmanager
async def _removals(ours: Engine, settings: Settings) -> AsyncIterator[asyncio.StreamReader]:
    """A line for each container of the engine that the daemon has done away with."""
    filters = ("--filter", "event=destroy", "--filter", f"label={ours.label}")
    process = await asyncio.create_subprocess_exec(
        *("docker", "events", *filters), env=docker_environment(settings), stdout=PIPE
    )
    assert process.stdout is not None
    try:
        await asyncio.sleep(SETTLE_SECONDS)
        yield process.stdout
    finally:
        process.terminate()
        await process.wait()


async def _cold(settings: Settings, job: Job) -> float:
    began = time.perf_counter()
    async with _engine(settings, pool=1, job=job) as engine:
        await engine.run()
        return time.perf_counter() - began


async def _throughput(ways: Sequence[Way], in_flight: int, turns: int) -> list[float]:
    """Runs per second of each."""
    ended = [0] * len(ways)
    for _ in range(turns):
        for number, way in enumerate(ways):
            await asyncio.sleep(SETTLE_SECONDS)
            ended[number] += await _burst(way, in_flight)
    return [runs / (turns * WINDOW_SECONDS) for runs in ended]


async def _burst(way: Way, in_flight: int) -> int:
    """How many runs end in the window, once those that were prepared for are behind."""
    opens = time.perf_counter() + LEAD_SECONDS
    ends: list[float] = []

    async def again_and_again() -> None:
        while time.perf_counter() < opens + WINDOW_SECONDS:
            await way.run()
            ends.append(time.perf_counter())

    await asyncio.gather(*(again_and_again() for _ in range(in_flight)))
    return sum(opens <= end < opens + WINDOW_SECONDS for end in ends)


async def _timed(work: Awaitable[object]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def _no_calls(_: Call) -> Reply:
    return Reply(error={"type": "RuntimeError", "message": "the benchmark makes no calls"})


def main() -> None:
    quick = "--quick" in sys.argv[1:]
    found = uvloop.run(measure(rounds=10, turns=1) if quick else measure(rounds=200))
    if isinstance(found, Absent):
        sys.exit(f"no containers: {found}")
    print(machine())
    print(table(("ratio", "measured", "at most", ""), [target.row() for target in found.targets()]))
    print(found.section())


if __name__ == "__main__":
    main()
