"""Handing a run to a parked child, against a bare fork-exit-wait of the same zygote and against starting Python.

All are measured in turns and through the same event loop, so that they share whatever else the machine is doing.
"""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Final

from benchmarks.host import AGENT
from benchmarks.measure import Samples
from benchmarks.processes import Footprint, footprint
from sandbox import wire
from sandbox.checks import opening_of
from sandbox.job import Call, Job, Reply
from sandbox.limits import Limits
from sandbox.restricted.engine import RestrictedEngine

PAUSE_SECONDS: Final = 0.003
PYTHON_EVERY: Final = 10
IN_FLIGHT: Final = (1, 4, 16)


@dataclass(slots=True)
class Handover:
    """What it took. `per_second` maps runs in flight to runs of the engine per second."""

    handover: Samples = field(default_factory=lambda: Samples("hand-over: job sent to closing frame received"))
    bare_fork: Samples = field(default_factory=lambda: Samples("bare fork-exit-wait of the same zygote"))
    python: Samples = field(default_factory=lambda: Samples("`python -I -c pass`"))
    engine_run: Samples = field(default_factory=lambda: Samples("`engine.run`: job to outcome"))
    check: Samples = field(default_factory=lambda: Samples("`engine.check` of new code"))
    per_second: dict[int, float] = field(default_factory=dict)
    bare_per_second: float = 0.0
    footprint: Footprint | None = None
    start_ms: float = 0.0

    def samples(self) -> tuple[Samples, ...]:
        return (self.handover, self.bare_fork, self.python, self.engine_run, self.check)


async def measure(rounds: int) -> Handover:
    """All of it, on an engine of its own."""
    result = Handover()
    engine = RestrictedEngine(limits=Limits(), parked=8, recycle_runs=10**9)
    began = time.perf_counter()
    await engine.start()
    result.start_ms = (time.perf_counter() - began) * 1000
    try:
        checked = await engine.check(AGENT)
        job = Job(code=checked.code, entry=checked.entry, input={"name": "Ada"}, test=False, limits=Limits())
        for number in range(-rounds // 10, rounds):
            into = result if number >= 0 else Handover()
            await _one_round(engine, job, into, number)
        await _throughput(engine, job, rounds, result)
        await asyncio.sleep(0.5)
        result.footprint = footprint()
    finally:
        await engine.stop()
    return result


async def _one_round(engine: RestrictedEngine, job: Job, into: Handover, number: int) -> None:
    into.handover.seconds.append(await _hand_over(engine, job))
    await asyncio.sleep(PAUSE_SECONDS)
    into.bare_fork.seconds.append(await _timed(engine.nursery.bare_fork()))
    await asyncio.sleep(PAUSE_SECONDS)
    into.engine_run.seconds.append(await _timed(_run(engine, job)))
    await asyncio.sleep(PAUSE_SECONDS)
    if number % PYTHON_EVERY == 0:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-c", "pass"], check=True)  # noqa: ASYNC221 - it alone is to be measured
        into.python.seconds.append(time.perf_counter() - began)
        into.check.seconds.append(await _timed(engine.check(f"{AGENT}# {number} {into.python.seconds[-1]}\n")))


async def _hand_over(engine: RestrictedEngine, job: Job) -> float:
    """Seconds from the first byte of the job to the last of the closing frame. The child's end is not in it."""
    child = await engine.nursery.take()
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    for part in opening_of(job):
        await loop.sock_sendall(child.connection, part)
    head = await _read_exactly(child.connection, wire.LENGTH.size)
    closing = wire.decode(await _read_exactly(child.connection, wire.LENGTH.unpack(head)[0]))
    took = time.perf_counter() - began
    if "output" not in closing:
        raise RuntimeError(f"the run failed: {closing}")
    await child.finish()
    return took


async def _read_exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = await asyncio.get_running_loop().sock_recv(connection, size - len(data))
        if not part:
            raise RuntimeError("the child ended without an answer")
        data += part
    return data


async def _run(engine: RestrictedEngine, job: Job) -> None:
    outcome = await engine.run(job, on_call=_no_calls)
    if outcome.status != "succeeded":
        raise RuntimeError(f"the run failed: {outcome}")


async def _no_calls(_: Call) -> Reply:
    return Reply(error={"type": "RuntimeError", "message": "the benchmark makes no calls"})


async def _timed(work: Awaitable[object]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def _throughput(engine: RestrictedEngine, job: Job, rounds: int, result: Handover) -> None:
    began = time.perf_counter()
    for _ in range(rounds):
        await engine.nursery.bare_fork()
    result.bare_per_second = rounds / (time.perf_counter() - began)
    for in_flight in IN_FLIGHT:
        began = time.perf_counter()
        await asyncio.gather(*(_runs(engine, job, rounds // in_flight) for _ in range(in_flight)))
        result.per_second[in_flight] = rounds // in_flight * in_flight / (time.perf_counter() - began)


async def _runs(engine: RestrictedEngine, job: Job, times: int) -> None:
    for _ in range(times):
        await _run(engine, job)
