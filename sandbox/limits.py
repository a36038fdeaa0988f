"""What one job in a sandbox may use. Units are in the names; these are the defaults that a host starts from."""

from dataclasses import dataclass, fields, replace
from typing import Any

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one run or check. An agent may lower those in `LOWERABLE`, never raise one."""

    wall_seconds: float = 30.0
    cpu_seconds: int = 5
    memory_bytes: int = 256 * MIB
    source_bytes: int = 256 * 1024
    input_bytes: int = 1 * MIB
    output_bytes: int = 1 * MIB
    log_bytes: int = 256 * 1024
    frame_bytes: int = 2 * MIB
    effects: int = 200

    def lowered(self, wanted: dict[str, Any]) -> "Limits":
        """These limits with those of `wanted` that are smaller; unknown, larger or senseless values change nothing."""
        smaller = {
            name: type(getattr(self, name))(value)
            for name, value in wanted.items()
            if name in LOWERABLE and type(value) in (int, float) and 0 < value < getattr(self, name)
        }
        return replace(self, **{name: value for name, value in smaller.items() if value})


LOWERABLE = frozenset({"wall_seconds", "cpu_seconds", "memory_bytes", "output_bytes", "log_bytes", "effects"})
assert {field.name for field in fields(Limits)} >= LOWERABLE
