"""One effect per call, written by the broker and never by the guest: what was asked, granted, done, and answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from service.capabilities.plain_json import canonical, cleaned, cleaned_text

MAX_TEXT: Final = 500
MAX_ITEMS: Final = 50
MAX_PARTS: Final = 200
MAX_NESTING: Final = 8
MAX_NAME_BYTES: Final = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One call. `performed` says whether something real was done or read; `recording` is what would answer it again."""

    seq: int
    service: str
    action: str
    args: Any
    granted: bool
    performed: bool
    result: Any
    at_ms: float
    took_ms: float
    call_hash: str
    recording: Any

    def shown(self) -> dict[str, Any]:
        """What a run's answer shows of it."""
        return {
            "seq": self.seq,
            "service": self.service,
            "action": self.action,
            "args": self.args,
            "granted": self.granted,
            "performed": self.performed,
            "result": self.result,
            "at_ms": self.at_ms,
            "took_ms": self.took_ms,
        }

    def row(self) -> dict[str, Any]:
        """The columns of `run_effects` that the host gives."""
        return {**self.shown(), "call_hash": self.call_hash, "recording": self.recording}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Effect":
        """An effect as it was stored, or written past the host: every field has its type, whatever the row held."""
        return cls(
            seq=row["seq"] if isinstance(row.get("seq"), int) else 0,
            service=cleaned_text(str(row.get("service", ""))),
            action=cleaned_text(str(row.get("action", ""))),
            args=cleaned(row.get("args")),
            granted=row.get("granted") is True,
            performed=row.get("performed") is True,
            result=cleaned(row.get("result")),
            at_ms=_milliseconds(row.get("at_ms")),
            took_ms=_milliseconds(row.get("took_ms")),
            call_hash=str(row.get("call_hash") or ""),
            recording=cleaned(row.get("recording")),
        )


def _milliseconds(value: Any) -> float:
    return float(cleaned(float(value)) or 0.0) if isinstance(value, int | float) else 0.0


def call_hash(service: str, action: str, args: Mapping[str, Any]) -> str:
    """The same for the same call, whatever the order of its arguments."""
    return sha256(canonical([service, action, args])).hexdigest()


def name_shown(name: str) -> str:
    """A service or action as a guest named it, fit for a row."""
    return cleaned_text(name).encode()[:MAX_NAME_BYTES].decode(errors="ignore")


def shortened(value: Any) -> Any:
    """`value` cut to what is worth showing: long texts, many items, deep nesting; a cut says how much there was."""
    return _shortened(cleaned(value), MAX_NESTING, [MAX_PARTS])


def _shortened(value: Any, nesting: int, parts: list[int]) -> Any:
    parts[0] -= 1
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else f"{value[:MAX_TEXT]}… ({len(value)} characters)"
    if not isinstance(value, dict | list):
        return value
    if nesting == 0 or (value and parts[0] <= 0):
        return f"… ({len(value)} items)"
    if isinstance(value, list):
        kept = _while_parts_last(value, parts)
        short = [_shortened(item, nesting - 1, parts) for item in kept]
        return short if len(value) <= len(short) else [*short, f"… ({len(value)} items)"]
    fields = {}
    for key in _while_parts_last(list(value), parts):
        fields[key if len(key) <= MAX_TEXT else f"{key[:MAX_TEXT]}…"] = _shortened(value[key], nesting - 1, parts)
    if len(fields) < len(value):
        fields["…"] = f"({len(value)} items)"
    return fields


def _while_parts_last(items: list[Any], parts: list[int]) -> Any:
    for item in items[:MAX_ITEMS]:
        if parts[0] <= 0:
            return
        yield item
