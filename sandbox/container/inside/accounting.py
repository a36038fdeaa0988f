"""What all processes of this container used, as its control group says (version 1 or 2), else /proc."""

import os
import re

_LIMITS = {
    "memory": ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    "processes": ("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"),
}
_NO_LIMIT = 1 << 60
"""What version 1 says instead of "max" is a little less than 2 ** 63."""


def limit_of(kind: str) -> int | None:
    """The limit of `memory` in bytes, or the number of `processes`; None when there is none."""
    found = _number(*_LIMITS[kind])
    return None if found is None or found >= _NO_LIMIT else found


def cpu_seconds() -> float:
    """Processor time of every process that is or was here."""
    micro = _number("/sys/fs/cgroup/cpu.stat")
    if micro is not None:
        return micro / 1e6
    nano = _number("/sys/fs/cgroup/cpuacct/cpuacct.usage", "/sys/fs/cgroup/cpu,cpuacct/cpuacct.usage")
    return _cpu_seconds_of_processes() if nano is None else nano / 1e9


def peak_memory_bytes() -> int | None:
    """The most memory that was in use at once, files and pages shared with the image included; None: not known."""
    return _number("/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes")


def ran_out_of_memory() -> bool:
    """Whether the kernel killed a process here because the container's memory was used up."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        kills = re.search(r"^oom_kill (\d+)$", _text(path), re.MULTILINE)
        if kills:
            return int(kills[1]) > 0
    return False


def _cpu_seconds_of_processes() -> float:
    """Of those that are here, and those they have buried. What the kernel itself has buried is in nobody's account."""
    ticks = 0
    for name in os.listdir("/proc"):
        if name.isdecimal():
            fields = _text(f"/proc/{name}/stat").rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])  # its own time and its children's, user and system
    return ticks / os.sysconf("SC_CLK_TCK")


def _number(*paths: str) -> int | None:
    """The first number in the first of these files that has one."""
    for path in paths:
        found = re.search(r"\d+", _text(path))
        if found:
            return int(found[0])
    return None


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read(4096)
    except OSError:
        return ""
