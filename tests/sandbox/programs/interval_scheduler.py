"""Merges calendars, finds free slots, and plans tasks greedily."""

import bisect
from dataclasses import dataclass
from typing import Iterable, Iterator


@dataclass(frozen=True, order=True)
class Slot:
    start: int
    end: int

    def __post_init__(self):
        if self.end < self.start:
            raise ValueError(f"{self} ends before it starts")

    @property
    def length(self) -> int:
        return self.end - self.start

    def __and__(self, other: "Slot") -> "Slot | None":
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Slot(start, end) if start < end else None


def merged(slots: Iterable[Slot]) -> Iterator[Slot]:
    current = None
    for slot in sorted(slots):
        if current is None or slot.start > current.end:
            if current:
                yield current
            current = slot
        elif slot.end > current.end:
            current = Slot(current.start, slot.end)
    if current:
        yield current


def free(busy: list[Slot], day: Slot) -> list[Slot]:
    gaps, at = [], day.start
    for slot in busy:
        if slot.start > at:
            gaps.append(Slot(at, slot.start))
        at = max(at, slot.end)
    if at < day.end:
        gaps.append(Slot(at, day.end))
    return gaps


def plan(tasks: dict[str, int], gaps: list[Slot]) -> dict[str, list[int]]:
    placed: dict[str, list[int]] = {}
    left = sorted((gap.length, gap.start) for gap in gaps)
    for name, length in sorted(tasks.items(), key=lambda item: (-item[1], item[0])):
        index = bisect.bisect_left(left, (length, -1))
        if index == len(left):
            continue
        size, start = left.pop(index)
        placed[name] = [start, start + length]
        if size > length:
            bisect.insort(left, (size - length, start + length))
    return placed


def run(busy: list, tasks: dict[str, int], start: int = 9, end: int = 17):
    day = Slot(start, end)
    slots = []
    for entry in busy:
        try:
            slots.append(Slot(*entry))
        except (TypeError, ValueError) as error:
            print("skipped", entry, type(error).__name__, sep=" | ")
    blocks = [part for part in (slot & day for slot in merged(slots)) if part is not None]
    gaps = free(blocks, day)
    placed = plan(tasks, gaps)
    return {
        "busy": [[b.start, b.end] for b in blocks],
        "free": [[g.start, g.end] for g in gaps],
        "placed": placed,
        "unplaced": sorted(tasks.keys() - placed.keys()),
        "hours": sum(g.length for g in gaps),
    }


EXAMPLES = [{"busy": [[10, 11], [10, 12], [8, 9], [15, 14], [16, 20], ["x"]], "tasks": {"mail": 1, "report": 3, "call": 2, "gym": 9}}]
