"""A run over HTTP against a route that only authenticates, and a dry run against a live one, with a client bare enough
not to be what is measured."""

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Final

from benchmarks.host import Host
from benchmarks.measure import Samples

IN_FLIGHT: Final = (1, 8, 32)
ROUNDS: Final = 5


@dataclass(slots=True)
class Load:
    """What one route did with so many requests in flight."""

    path: str
    samples: Samples
    took_seconds: float = 0.0

    @property
    def per_second(self) -> float:
        return len(self.samples.seconds) / self.took_seconds


@dataclass(frozen=True, slots=True)
class Pair:
    """A run and what it is held against, measured in turns, so that both saw the same machine."""

    in_flight: int
    run: Load
    against: Load


class Connection:
    """One kept connection that sends the same request again and again."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
        self._reader = reader
        self._writer = writer
        self._head = f"HTTP/1.1\r\nHost: benchmark\r\nAuthorization: Bearer {token}\r\n\r\n"

    async def get(self, path: str) -> None:
        """Raises for anything but 200."""
        self._writer.write(f"GET {path} {self._head}".encode())
        answered = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", answered)
        if length is None or not answered.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"{path} answered {answered.decode()}")
        await self._reader.readexactly(int(length[1]))

    async def repeat(self, path: str, times: int, samples: Samples) -> None:
        for _ in range(times):
            began = time.perf_counter()
            await self.get(path)
            samples.seconds.append(time.perf_counter() - began)

    def close(self) -> None:
        self._writer.close()


async def measure(host: Host, requests: int) -> list[Pair]:
    """A run against GET /limits, at each number of requests in flight."""
    pairs = []
    for in_flight in IN_FLIGHT:
        run = Load(f"{host.run_path}?name=Ada", Samples(f"run an agent, {in_flight} in flight"))
        pair = Pair(in_flight, run, Load("/limits", Samples(f"GET /limits, {in_flight} in flight")))
        await _in_turns(host, pair, requests)
        pairs.append(pair)
    return pairs


async def measure_dry(host: Host, requests: int) -> Pair:
    """A dry run against a live one of the same agent, one in flight."""
    dry = Load(f"{host.caller_path}?test=true", Samples("dry run of four calls"))
    pair = Pair(1, dry, Load(host.caller_path, Samples("live run of four calls")))
    await _in_turns(host, pair, requests)
    return pair


async def _in_turns(host: Host, pair: Pair, requests: int) -> None:
    """Both loads, after a warm-up that does not count."""
    opened = [await asyncio.open_connection("127.0.0.1", host.port) for _ in range(pair.in_flight)]
    connections = [Connection(reader, writer, host.token) for reader, writer in opened]
    share = max(requests // ROUNDS // pair.in_flight, 1)
    for path in (pair.run.path, pair.against.path):
        await asyncio.gather(*(each.repeat(path, share, Samples("warm-up")) for each in connections))
    for _ in range(ROUNDS):
        for load in (pair.run, pair.against):
            began = time.perf_counter()
            await asyncio.gather(*(each.repeat(load.path, share, load.samples) for each in connections))
            load.took_seconds += time.perf_counter() - began
    for each in connections:
        each.close()
