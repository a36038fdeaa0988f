"""How a guest in a container ended: what its warden reports, read as a claim that makes sense or none."""

from collections.abc import Mapping
from dataclasses import dataclass
from signal import Signals, valid_signals
from typing import Any


@dataclass(frozen=True, slots=True)
class End:
    """How a guest ended, as its warden or the daemon says."""

    signal: Signals | None = None
    cpu_ms: float = 0.0
    max_rss_bytes: int = 0
    out_of_memory: bool = False


def read_end(report: Mapping[str, Any] | None) -> End | None:
    """The warden's report; None when there is none."""
    match report:
        case {
            "signal": int() | None as number,
            "cpu_ms": int() | float() as cpu_ms,
            "max_rss_bytes": int(peak),
            "out_of_memory": bool(out_of_memory),
        }:
            return End(None if number is None else _signal(number), float(cpu_ms), peak, out_of_memory)
    return None


def _signal(number: int) -> Signals:
    """Real-time signals have no names of their own: one stands for all."""
    return Signals(number) if number in valid_signals() and number <= Signals.SIGRTMIN else Signals.SIGRTMIN
