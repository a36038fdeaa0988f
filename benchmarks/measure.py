"""Figures from samples, and the machine they were taken on."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


@dataclass(slots=True)
class Samples:
    """How long the same thing took, again and again, in seconds."""

    name: str
    seconds: list[float] = field(default_factory=list)

    def at(self, quantile: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * quantile))]

    @property
    def p50(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p99(self) -> float:
        return self.at(0.99)

    def row(self) -> tuple[str, ...]:
        return (self.name, f"{self.p50 * 1000:.3f}", f"{self.p99 * 1000:.3f}", f"{len(self.seconds)}")


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio of two figures of the same run, and the most it may be."""

    text: str
    ratio: float
    at_most: float

    @property
    def met(self) -> bool:
        return self.ratio <= self.at_most

    def row(self) -> tuple[str, ...]:
        return (self.text, f"{self.ratio:.3f}", f"{self.at_most:.3f}", "met" if self.met else "**missed**")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def machine() -> str:
    """The date, the machine and the versions, as a Markdown list."""
    described = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_first('/proc/cpuinfo', 'model name') or platform.machine()}, {os.cpu_count()} cores",
        "memory": _first("/proc/meminfo", "MemTotal") or "unknown",
        "kernel": platform.release(),
        "user": "root" if os.geteuid() == 0 else "an ordinary user",
        "Python": platform.python_version(),
        "packages": ", ".join(
            f"{name} {version(name)}" for name in ("agenthost", "restrictedpython", "fastapi", "uvicorn")
        ),
        "load before": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }
    return "".join(f"- {name}: {value}\n" for name, value in described.items())


def _first(path: str, key: str) -> str | None:
    """The value of the first line of a file of /proc that begins with `key`."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), None)
