"""The host's end of one guest, and of the zygote that it was forked from."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

LINGER_SECONDS = 0.5
"""How long a guest may take to be gone once the host has hung up; then it is killed."""

REAP_SECONDS = 10.0
"""How long the zygote may take to tell of a killed child's end; then it is no zygote any more."""

_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "TZ": "UTC0", "LD_BIND_NOW": "1"}
"""Of a zygote. Symbols of its libraries are bound at once: left for later, each child would bind them anew."""

_CPUCLOCK_SCHED = 2
_PEAK = re.compile(rb"VmHWM:\s+(\d+) kB")


@dataclass(frozen=True, slots=True)
class Exit:
    """How a child ended, as the kernel told the zygote. `status` is a wait status; None when the zygote died first.

    `unread`: it had sent something that nobody took.
    """

    status: int | None
    cpu_ms: float = 0.0
    max_rss_bytes: int = 0
    unread: bool = False

    @property
    def signal(self) -> signal.Signals | None:
        return None if not self.status or self.status & 127 == 0 else signal.Signals(self.status & 127)


@dataclass(eq=False)
class Child:
    """A parked guest: a socket to it, and the future of its end."""

    zygote: "ZygoteProcess"
    pid: int
    connection: socket.socket
    ended: "asyncio.Future[Exit]"
    host_pid: int | None
    parked: bool = True
    cpu_ns_before: int = 0

    def hand_out(self) -> None:
        """From now on what it uses is its job's."""
        self.parked = False
        self.zygote.handed_out += 1
        self.cpu_ns_before = self._cpu_ns() or 0

    def kill(self) -> None:
        self.zygote.order({"kill": self.pid})

    def waits_to_be_hung_up_on(self) -> bool:
        """Whether it is alive and has sent nothing that was not read."""
        return self._waiting() is None

    def _waiting(self) -> bytes | None:
        """The first byte that was sent and not read; none at the end; None when it may still come."""
        try:
            return self.connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def used(self) -> Exit | None:
        """What the kernel says it used so far, if it is alive and can be seen from here."""
        cpu_ns = self._cpu_ns()
        if cpu_ns is None:
            return None
        try:
            with open(f"/proc/{self.host_pid}/status", "rb", buffering=0) as status:
                peak = _PEAK.search(status.read(4096))
        except OSError:
            return None
        return None if peak is None else Exit(0, (cpu_ns - self.cpu_ns_before) / 1e6, int(peak[1]) * 1024)

    def _cpu_ns(self) -> int | None:
        if self.host_pid is None:
            return None
        try:
            return time.clock_gettime_ns(~self.host_pid << 3 | _CPUCLOCK_SCHED)
        except OSError:
            return None

    async def finish(self) -> Exit:
        """Hang up and wait until nothing of the child is left; a child that lingers is killed, then its zygote."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)  # what it has sent can still be seen
        for seconds, drastic in ((LINGER_SECONDS, self.kill), (REAP_SECONDS, self.zygote.kill)):
            done, _ = await asyncio.wait({self.ended}, timeout=seconds)
            if done:
                break
            drastic()
        end = await self.ended
        unread = bool(self._waiting())
        self.connection.close()
        return replace(end, cpu_ms=max(end.cpu_ms - self.cpu_ns_before / 1e6, 0.0), unread=unread)


@dataclass(eq=False)
class ZygoteProcess:
    """One zygote, from start to end. `ready` resolves with what it says of itself, or with why it could not start."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    ready: "asyncio.Future[dict[str, Any]]"
    pending: int = 0
    handed_out: int = 0
    retired: bool = False
    dead: bool = False
    children: dict[int, Child] = field(default_factory=dict)
    bare: "asyncio.Future[None] | None" = None
    orders: deque[bytes] = field(default_factory=deque)

    @classmethod
    def start(cls, options: dict[str, Any]) -> "ZygoteProcess":
        """Raises OSError, and leaves nothing open, when the machine has no room for it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                command = [sys.executable, "-I", "-m", "sandbox.restricted.zygote", str(theirs.fileno())]
                process = subprocess.Popen(  # a vfork: its own start is what takes time
                    [*command, json.dumps(options)],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                    env=_ENVIRONMENT,
                )
        except OSError:
            ours.close()
            raise
        ours.setblocking(False)
        return cls(process, ours, asyncio.get_running_loop().create_future())

    def order(self, message: dict[str, Any]) -> None:
        """Sent at once, or when the zygote, which may be busy, has read what it was sent before."""
        if not self.dead:
            self.orders.append(json.dumps(message).encode())
            if len(self.orders) == 1 and not self._send():
                asyncio.get_running_loop().add_writer(self.control.fileno(), self._catch_up)

    def _catch_up(self) -> None:
        if self._send():
            asyncio.get_running_loop().remove_writer(self.control.fileno())

    def _send(self) -> bool:
        """Whether nothing more can or need be sent."""
        try:
            while self.orders:
                self.control.send(self.orders[0])
                self.orders.popleft()
        except BlockingIOError:
            return False
        except OSError:
            self.kill()
        return True

    def kill(self) -> None:
        """The stub first: its end is the end of every process in the jail."""
        self.process.kill()


def pid_behind(pidfd: int) -> int | None:
    """The process id, as this host counts them, that a pidfd from another namespace stands for; None if not told."""
    try:
        with open(f"/proc/self/fdinfo/{pidfd}", "rb", buffering=0) as info:
            pid = int(info.read(4096).rpartition(b"Pid:")[2].split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if pid > 0 else None
