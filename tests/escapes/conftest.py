"""Flags planted before any engine starts, and two engines for all attacks: with the language policy, and without."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.escapes.harness import PARKED, Arena, arena
from tests.escapes.world import Planted


@pytest.fixture(scope="session")
def planted() -> Iterator[Planted]:
    planted = Planted.new()
    yield planted
    planted.remove()


@pytest_asyncio.fixture(scope="module")
async def arenas(planted: Planted) -> AsyncIterator[tuple[Arena, Arena]]:
    """Both are there before either is watched: each one's descriptors are the host's."""
    async with arena("restricted", planted) as guarded, arena("plain", planted) as bare:
        for each in (guarded, bare, guarded):
            await each.watch.begin(PARKED)
        yield guarded, bare


@pytest.fixture
def guarded(arenas: tuple[Arena, Arena]) -> Arena:
    return arenas[0]


@pytest.fixture
def bare(arenas: tuple[Arena, Arena]) -> Arena:
    return arenas[1]
