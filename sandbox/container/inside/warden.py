"""The container's first process: it hands the guest its limits, watches over them, and reports how the run ended."""

import ctypes
import json
import operator
import os
import resource
import select
import signal
import sys
import time
from contextlib import suppress
from typing import Any, NoReturn

from sandbox import wire
from sandbox.container.inside import accounting
from sandbox.container.inside.guard import guard_warden

STDIN, STDERR = 0, 2
EXIT_REPORTED = 3
"""Not 0: where the guest has garbled the report, this still says that it was not the host that went away."""

SHORTEST_WATCH_SECONDS = 0.05
DYING_SECONDS = 1.0
"""A guest whose pipe is closed may be dying. One that lives on after that has closed it itself."""

_PR_SET_DUMPABLE = 4


def become_warden() -> bool:
    """Get out of the guest's reach: whether that worked. Ends this process when it is not the first of a container,
    whose end would end all."""
    if os.getpid() != 1:
        sys.exit("sandbox.container.inside runs as the first process of a container, and nowhere else")
    if ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        sys.exit("this process cannot be made undumpable")
    return guard_warden()


class Warden:
    """`guest` is the child's id; `header` and `done` are this end's descriptors of its two pipes."""

    def __init__(self, *, guest: int, header: int, done: int) -> None:
        self._guest = guest
        self._header = header
        self._done = done
        self._status: int | None = None
        self._word = os.urandom(16).hex()
        """Tells the host that a line is the warden's: the guest, forked before, has never had it in its memory."""

    def watch(self, layers: dict[str, bool]) -> NoReturn:
        """Say what holds this container, wait for a job, watch it, report. Everything here ends with this process."""
        poll = select.poll()
        poll.register(self._done, select.POLLIN)
        poll.register(STDIN, 0)  # a hang-up is always told
        deaths = deaths_of_children()
        poll.register(deaths, select.POLLIN)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # which the first process does not get
        os.set_blocking(STDIN, True)
        self._tell("parked", layers)
        header = self._read_header()
        used_before = accounting.cpu_seconds()
        os.write(self._header, header)
        wall_seconds, cpu_seconds, _ = wire.HEADER.unpack(header)
        deadline = time.monotonic() + wall_seconds
        cpu_left = float(cpu_seconds)
        verdict: signal.Signals | None = None
        while verdict is None:
            wall_left = deadline - time.monotonic()
            pause = max(min(wall_left, cpu_left), SHORTEST_WATCH_SECONDS)
            events = dict(poll.poll(pause * 1000))
            if deaths in events:
                os.read(deaths, 4096)
            self._reap()
            if self._done in events or self._status is not None:
                break
            if STDIN in events:
                os._exit(0)  # the host is gone, and with this process goes everything
            cpu_left = cpu_seconds - (accounting.cpu_seconds() - used_before)
            if deadline <= time.monotonic():
                verdict = signal.SIGALRM
            elif cpu_left <= 0:
                verdict = signal.SIGXCPU
        self._end(verdict, used_before)

    def _end(self, verdict: signal.Signals | None, used_before: float) -> NoReturn:
        if verdict is None and self._status is None and not os.read(self._done, 1):
            self._let_it_die()
        died_of = (self._status or 0) & 127
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        used = accounting.cpu_seconds()
        peak = accounting.peak_memory_bytes()
        if peak is None:
            self._reap(block=True)
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        report: dict[str, Any] = {
            "signal": verdict or died_of or None,
            "cpu_ms": max(used - used_before, 0.0) * 1000,
            "max_rss_bytes": peak,
            "out_of_memory": accounting.ran_out_of_memory(),
        }
        self._tell("ended", report)
        os._exit(EXIT_REPORTED)

    def _tell(self, what: str, of: dict[str, Any]) -> None:
        """One line to the host, over the stream that is not the guest's."""
        os.write(STDERR, json.dumps({what: of, "word": self._word}).encode() + b"\n")

    def _read_header(self) -> bytes:
        """What the host says first. Without a host there is nothing to do here."""
        header = b""
        while len(header) < wire.HEADER.size:
            part = os.read(STDIN, wire.HEADER.size - len(header))
            if not part:
                os._exit(0)
            header += part
        return header

    def _let_it_die(self) -> None:
        """The guest's descriptors are closed before its status can be read."""
        given_up = time.monotonic() + DYING_SECONDS
        while self._status is None and time.monotonic() < given_up:
            time.sleep(0.002)
            self._reap()

    def _reap(self, block: bool = False) -> None:
        """Bury what died: the guest, and the orphans that it left. `block`: wait for the guest."""
        with suppress(ChildProcessError):
            if block and self._status is None:
                _, self._status = os.waitpid(self._guest, 0)
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == self._guest:
                    self._status = status
                if pid == 0:
                    return


def deaths_of_children() -> int:
    """A descriptor that can be read when a signal has come, as one does when a child dies."""
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    # The handler is one in C, of no effect: one in Python is interrupted by the next, in a flood of them without end.
    signal.signal(signal.SIGCHLD, operator.is_)
    return reading
