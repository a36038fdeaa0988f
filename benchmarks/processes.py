"""Memory of a zygote and its parked children, as /proc tells it. Needs the right to look: root, as a rule."""

import os
import statistics
from pathlib import Path
from typing import NamedTuple


class Footprint(NamedTuple):
    """In KiB: what the zygote holds, and what a parked child holds that it shares with nobody."""

    zygote_rss: int
    child_private: float
    children: int


def footprint() -> Footprint | None:
    """Of the one zygote that this process has started; None where /proc does not tell."""
    stub = next((pid for pid in _children(os.getpid()) if b"zygote" in _read(pid, "cmdline")), None)
    if stub is None:
        return None
    try:
        [zygote] = _children(stub)
        parked = [_rollup(pid) for pid in _children(zygote)]
        private = statistics.median(each["Private_Dirty"] + each["Private_Clean"] for each in parked)
        return Footprint(_rollup(zygote)["Rss"], private, len(parked))
    except (OSError, KeyError, ValueError):
        return None


def _children(pid: int) -> list[int]:
    return [child for child in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent(child) == pid]


def _parent(pid: int) -> int | None:
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else None


def _read(pid: int, name: str) -> bytes:
    try:
        return Path("/proc", str(pid), name).read_bytes()
    except OSError:
        return b""


def _rollup(pid: int) -> dict[str, int]:
    lines = Path("/proc", str(pid), "smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}
