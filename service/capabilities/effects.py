"""One effect per call, written by the broker and never by the guest: what was asked, granted, done, and answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from typing import Any, Final, Literal, get_args

from service.capabilities.plain_json import canonical, cleaned, cleaned_text

MAX_TEXT: Final = 500
MAX_CHARACTERS: Final = 4000
MAX_ITEMS: Final = 50
MAX_PARTS: Final = 100
MAX_SHOWN_BITS: Final = 1024
MAX_NESTING: Final = 8
MAX_NAME_BYTES: Final = 63

Source = Literal["live", "fixture", "recorded", "made_up", "simulated"]
"""Where an answer comes from: the world; the agent's fixtures; its last live call; nowhere; a stand-in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One call. `performed` says whether something real was done or read, `source` where the answer comes from (None
    when there is none); `recording` is what would answer it again."""

    seq: int
    service: str
    action: str
    args: Any
    granted: bool
    performed: bool
    source: Source | None
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
            "source": self.source,
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
            source=row["source"] if row.get("source") in get_args(Source) else None,
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


@lru_cache(maxsize=256)
def name_shown(name: str) -> str:
    """A service or action as a guest named it, fit for a row."""
    return cleaned_text(name).encode()[:MAX_NAME_BYTES].decode(errors="ignore")


@dataclass(slots=True)
class _Room:
    """What is left to show of one value."""

    parts: int = MAX_PARTS
    characters: int = MAX_CHARACTERS

    def text(self, text: str) -> str:
        kept = cleaned_text(text[: min(MAX_TEXT, self.characters)])
        self.characters -= len(kept)
        return kept if len(kept) == len(text) else f"{kept}… ({len(text)} characters)"


def shortened(value: Any) -> Any:
    """`value` cut to what is worth showing: long texts, many items, deep nesting; a cut says how much there was. What
    is kept is made plain; what is not is never looked at, since a call may hold megabytes."""
    return _shortened(value, MAX_NESTING, _Room())


def _shortened(value: Any, nesting: int, room: _Room) -> Any:
    room.parts -= 1
    if isinstance(value, str):
        return room.text(value)
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > MAX_SHOWN_BITS:
        return f"… (a number of {value.bit_length()} bits)"
    if not isinstance(value, dict | list):
        return cleaned(value)
    if value and (nesting == 0 or room.parts <= 0):
        return f"… ({len(value)} items)"
    short: list[Any] = []
    fields: dict[str, Any] = {}
    for item in islice(value, MAX_ITEMS):
        if room.parts <= 0:
            break
        if isinstance(value, dict):
            fields[room.text(str(item))] = _shortened(value[item], nesting - 1, room)
        else:
            short.append(_shortened(item, nesting - 1, room))
    cut = len(value) > max(len(short), len(fields))
    if isinstance(value, dict):
        return fields | ({"…": f"({len(value)} items)"} if cut else {})
    return [*short, f"… ({len(value)} items)"] if cut else short
