"""While hostile runs come in from all sides honest ones are served, correctly; afterwards nothing is left of either."""

import asyncio

from tests.escapes.corpus import BY_ID
from tests.escapes.harness import Arena

HOSTILE = (
    "dos-square",
    "dos-list-grows",
    "dos-print-flood",
    "dos-output-flood",
    "dos-call-flood",
    "os-fork-bomb",
    "os-kill-everybody",
    "protocol-noise",
    "protocol-deep-unclosed",
    "protocol-two-answers",
)


async def storm(arena: Arena, over: asyncio.Event) -> int:
    """Attacks, one after another, until told to stop. How many there were."""
    wrong: list[str] = []
    count = 0
    while not over.is_set():
        await arena.strike(BY_ID[HOSTILE[count % len(HOSTILE)]], wrong)
        count += 1
    assert wrong == []
    return count


async def test_honest_runs_are_served_in_a_storm_of_hostile_ones(bare: Arena) -> None:
    over = asyncio.Event()
    storms = [asyncio.ensure_future(storm(bare, over)) for _ in range(3)]
    try:
        for _ in range(30):
            assert await bare.honest_run() == []
            await asyncio.sleep(0.05)
    finally:
        over.set()
        counts = await asyncio.gather(*storms)
    assert sum(counts) >= len(HOSTILE)
    assert await bare.watch.remains() == []
    assert bare.planted.traces() == []
