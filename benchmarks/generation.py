"""Runs while agents are generated: what somebody who runs an agent notices of others who have some written."""

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import Final

from benchmarks.host import Host
from benchmarks.http import Connection
from benchmarks.measure import Samples
from benchmarks.provider import THINKS_SECONDS, Provider

GENERATIONS: Final = 20
ROUNDS: Final = 5
SETTLE_SECONDS: Final = THINKS_SECONDS
"""Until the first drafts are there, before anything counts."""


@dataclass(slots=True)
class Beside:
    """Runs alone, and beside generations, in turns."""

    alone: Samples = field(default_factory=lambda: Samples("run an agent"))
    beside: Samples = field(default_factory=lambda: Samples(f"run an agent, {GENERATIONS} generations going on"))
    generated: int = 0
    seconds: float = 0.0

    @property
    def generations_per_second(self) -> float:
        return self.generated / self.seconds


def settings(provider: Provider) -> dict[str, str]:
    """What a host is started with to be measured."""
    return {
        "OPENAI_MODEL": "writer",
        "OPENAI_BASE_URL": provider.url,
        "AGENTHOST_LIMIT_GENERATIONS_PER_DAY": "1000000",
        "AGENTHOST_LIMIT_TOKENS_PER_DAY": "2000000000",
    }


async def measure(host: Host, provider: Provider, requests: int) -> Beside:
    """One run in flight, again and again. Raises RuntimeError when a run or a generation fails."""
    found = Beside()
    answering = await provider.serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
    runs = Connection(reader, writer, host.token)
    path = f"{host.run_path}?name=Ada"
    share = max(requests // ROUNDS, 1)
    await runs.repeat(path, share, Samples("warm-up"))
    tokens = [host.token_of_another() for _ in range(GENERATIONS)]
    for _ in range(ROUNDS):
        await runs.repeat(path, share, found.alone)
        async with asyncio.TaskGroup() as group:
            over = asyncio.Event()
            going = [group.create_task(_generate(host, token, over)) for token in tokens]
            await asyncio.sleep(SETTLE_SECONDS)
            began = time.perf_counter()
            await runs.repeat(path, share, found.beside)
            over.set()
            found.seconds += SETTLE_SECONDS + time.perf_counter() - began
        found.generated += sum(task.result() for task in going)
    runs.close()
    answering.close()
    return found


async def _generate(host: Host, token: str, over: asyncio.Event) -> int:
    """Generations of one user, one after the other, until it is over: how many."""
    body = json.dumps({"description": "Counts its runs."}).encode()
    head = (
        f"POST /agents/generate HTTP/1.1\r\nHost: benchmark\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
    number = 0
    while not over.is_set():
        writer.write(head + body)
        answered = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", answered)
        document = await reader.readexactly(int(length[1])) if length else b""
        if not answered.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"a generation was answered {document.decode()}")
        number += 1
    writer.close()
    return number
