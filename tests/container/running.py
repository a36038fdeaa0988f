"""Container engines of tests, and runs on them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sandbox.container.engine import ContainerEngine, ContainerSettings
from sandbox.job import Call, Job, Outcome, Reply
from sandbox.limits import Limits

LIMITS = Limits(wall_seconds=5, cpu_seconds=2)
HELLO = "import os\ndef run():\n    return os.getpid()\n"
SLEEP = "import time\ndef run():\n    time.sleep(4)\n    return 'slept'\n"


@dataclass
class News:
    """What an engine said, oldest first."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, state: str, line: str) -> None:
        self.lines.append((state, line))

    def states(self) -> list[str]:
        return [state for state, _ in self.lines]


@asynccontextmanager
async def running(
    settings: ContainerSettings, *, limits: Limits = LIMITS, **options: Any
) -> AsyncIterator[ContainerEngine]:
    engine = ContainerEngine(settings, limits=limits, **options)
    try:
        await engine.start()
        yield engine
    finally:
        await engine.stop()


async def no_calls(call: Call) -> Reply:
    raise AssertionError(f"unexpected {call}")


async def run(engine: ContainerEngine, source: str = HELLO, *, limits: Limits = LIMITS) -> Outcome:
    checked = await engine.check(source)
    assert not checked.problems, checked.problems
    job = Job(code=checked.code, entry=checked.entry, input={}, test=False, limits=limits, source=source)
    return await engine.run(job, on_call=no_calls)


async def until(condition: Callable[[], bool], seconds: float = 120, told: Callable[[], str] = str) -> None:
    """Asked in a thread: it may block. `told`: what to say when it does not come to be."""

    def wait() -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"it never came to be: {told()}"
            time.sleep(0.1)

    await asyncio.to_thread(wait)
