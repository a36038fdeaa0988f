"""What an engine found out about sources, kept in memory; a source that many ask for at once is checked once.

The only way into the cache is a check that a guest of this very engine made: never a run, never a stored row.
"""

import asyncio
import hashlib
import json
import sys
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import asdict

from sandbox import wire
from sandbox.conversation import Conversation
from sandbox.job import Call, Checked, Job, OnCall, OnLog, Outcome, Reply, SandboxUnavailable
from sandbox.limits import Limits
from sandbox.verdicts import Ended, outcome_of, own_fault, read_checked

CHECK_WALL_SECONDS = 10.0
CHECK_FRAME_BYTES = 8 * 1024 * 1024
CACHE_BYTES = 64 * 1024 * 1024
VALUE_BYTES = 80
"""What an object of Python needs beside its text, and the cache for its place."""

Converse = Callable[[Conversation, Iterable[bytes]], Awaitable[Ended]]
"""Hold a conversation with a fresh guest: what to open it with. How the guest ended."""


class Checks:
    """Checks of one engine. `limits` are those of its runs; a check has their memory and processor time."""

    def __init__(self, limits: Limits, converse: Converse) -> None:
        self._limits = limits
        self._converse = converse
        self._cache: OrderedDict[bytes, Checked] = OrderedDict()
        self._cache_bytes = 0
        self._checking: dict[bytes, asyncio.Task[Checked]] = {}

    def known(self, source: str) -> Checked | None:
        """As `Engine.known`."""
        return self._remembered(_key(_encoded(source)))

    async def of(self, source: str) -> Checked:
        """As `Engine.check`. Answers are kept by the hash of the source, as long as this engine lives."""
        encoded = _encoded(source)
        if len(encoded) > (allowed := self._limits.source_bytes):
            return read_checked(None, f"the source is {len(encoded)} bytes long; at most {allowed} are allowed")
        key = _key(encoded)
        if (known := self._remembered(key)) is not None:
            return known
        if (checking := self._checking.get(key)) is None:
            checking = self._checking[key] = asyncio.get_running_loop().create_task(self._check_once(key, source))
        return await asyncio.shield(checking)

    async def _check_once(self, key: bytes, source: str) -> Checked:
        """The check that all who ask for this source now wait for."""
        try:
            checked = await self._check(source)
            self._remember(key, checked)
            return checked
        finally:
            del self._checking[key]

    async def _check(self, source: str) -> Checked:
        try:
            frame = wire.encode({"kind": "check", "source": source})
        except ValueError:
            return read_checked(None, "the source holds U+0000 or half of a surrogate pair")
        limits = Limits(
            wall_seconds=CHECK_WALL_SECONDS,
            cpu_seconds=self._limits.cpu_seconds,
            memory_bytes=self._limits.memory_bytes,
            frame_bytes=CHECK_FRAME_BYTES,
        )
        conversation = Conversation(limits, no_calls)
        end = await self._converse(conversation, (header(limits), frame))
        if conversation.closing is None and not own_fault(conversation, end):
            raise SandboxUnavailable("the check of a source was cut off")
        return read_checked(conversation.closing, "the source is too complex to be checked")

    def _remembered(self, key: bytes) -> Checked | None:
        if (known := self._cache.get(key)) is not None:
            self._cache.move_to_end(key)
        return known

    def _remember(self, key: bytes, checked: Checked) -> None:
        self._cache[key] = checked
        self._cache_bytes += _weight(checked)
        while self._cache_bytes > CACHE_BYTES:
            _, dropped = self._cache.popitem(last=False)
            self._cache_bytes -= _weight(dropped)


async def run_job(job: Job, on_call: OnCall, on_log: OnLog | None, *, engine: str, converse: Converse) -> Outcome:
    """As `Engine.run`."""
    conversation = Conversation(job.limits, on_call, on_log)
    started = time.monotonic()
    end = await converse(conversation, opening_of(job))
    wall_ms = (time.monotonic() - started) * 1000
    return outcome_of(conversation, end, source=job.source, engine=engine, wall_ms=wall_ms)


def opening_of(job: Job) -> Iterator[bytes]:
    """What a waiting guest is sent: the header that its limits are set by, and the job, written while the guest
    sets them."""
    yield header(job.limits)
    yield wire.encode(
        {
            "kind": "run",
            "code": job.code.decode("ascii"),
            "entry": job.entry,
            "input": dict(job.input),
            "test": job.test,
            "output_bytes": job.limits.output_bytes,
            "log_bytes": job.limits.log_bytes,
            "frame_bytes": job.limits.frame_bytes,
        }
    )


def header(limits: Limits) -> bytes:
    """What is sent before any frame."""
    return wire.HEADER.pack(limits.wall_seconds, limits.cpu_seconds, limits.memory_bytes)


async def no_calls(_: Call) -> Reply:
    """For conversations in which a guest has nothing to ask for."""
    raise wire.WireError("a check makes no calls")


def _encoded(source: str) -> bytes:
    return source.encode("utf-8", "surrogatepass")


def _key(encoded: bytes) -> bytes:
    return hashlib.sha256(encoded).digest()


def _weight(checked: Checked) -> int:
    """About the bytes of memory that it is kept in, by its text as JSON: quicker than a walk through all of it."""
    parts = (checked.entry, checked.description, checked.input_schema, checked.metadata, checked.inferred)
    separators = "\n", "\t"  # which no text in JSON holds as they are
    text = json.dumps([*parts, *checked.problems], default=asdict, ensure_ascii=False, separators=separators)
    values = sum(map(text.count, "\n\t[{"))
    return VALUE_BYTES * values + sys.getsizeof(text) + len(checked.code)
