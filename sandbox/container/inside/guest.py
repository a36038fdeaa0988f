"""The guest's process: prepared while it waits, told its limits by the warden, and then the one job."""

import builtins
import ctypes
import io
import os
import resource
import signal
import sys
from collections.abc import Buffer
from contextlib import suppress
from typing import Any, NoReturn

from sandbox import wire
from sandbox.guest.channel import Channel
from sandbox.guest.language import Log, PlainLanguage, agent_module
from sandbox.guest.rehearsal import rehearsal
from sandbox.guest.serve import Guest

EXIT_BROKEN = 95
"""The guest ends so when its own trusted code fails."""

NICE = 5
"""However many processes a guest has at work: the warden, at 0, goes first."""

_PR_SET_DUMPABLE = 4
_M_ARENA_MAX = -8


class LogFile(io.RawIOBase):
    """What is written here goes to the log, whole lines at a time."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._pending = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        written = bytes(data)
        lines, end, self._pending = (self._pending + written).rpartition(b"\n")
        if end:
            self._log(lines.decode("utf-8", "replace"))
        return len(written)

    def finish(self) -> None:
        """Log the line that was begun and never ended."""
        if self._pending:
            self._log(self._pending.decode("utf-8", "replace"))
            self._pending = b""


class WholeLanguage(PlainLanguage):
    """All of Python, and its own `print`: the standard streams are the log."""

    def globals(self, *, log: Log, test: bool) -> dict[str, Any]:
        self._files = LogFile(log), LogFile(log)
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(file, "utf-8", "backslashreplace", write_through=True)  # type: ignore[type-var]
            for file in self._files
        )
        return agent_module({"__builtins__": vars(builtins)}, test=test)

    def _finish(self, namespace: dict[str, Any]) -> None:
        for file in self._files:
            file.finish()

    finish_log = _finish


def live(header: int, done: int) -> NoReturn:
    """`header`: where the warden says which limits hold. `done`: where one byte says that the job is."""
    try:
        _live(header)
        os.write(done, b".")
        while True:
            signal.pause()  # the warden ends everything here
    finally:
        os._exit(EXIT_BROKEN)


def _live(header: int) -> None:
    channel = Channel(os.dup(0), os.dup(1))
    null = os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)
    _be_ordinary()
    language = WholeLanguage()
    rehearsal(language)()
    guest = Guest(channel, language)
    with open("/proc/self/statm") as statm:
        base_bytes = int(statm.read().split()[0]) * os.sysconf("SC_PAGESIZE")
    told = os.read(header, wire.HEADER.size)
    os.close(header)
    _, cpu_seconds, memory_bytes = wire.HEADER.unpack(told)
    resource.setrlimit(resource.RLIMIT_AS, (base_bytes + memory_bytes,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    guest.serve()


def _be_ordinary() -> None:
    """A process like any other, which the warden is not: it may look at itself, and goes first when memory is short."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    os.setsid()  # a signal to its group is for itself
    os.nice(NICE)
    sys.argv[:] = [""]
    with suppress(AttributeError):  # another libc
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)  # each further one reserves 64 MiB of what is limited
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")
