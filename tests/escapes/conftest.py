"""Flags planted before any engine starts, and two engines for all attacks: with the language policy, and without."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.escapes.harness import Arena, arena
from tests.escapes.world import Planted


@pytest.fixture(scope="session")
def planted() -> Iterator[Planted]:
    planted = Planted.new()
    yield planted
    planted.remove()


@pytest_asyncio.fixture(scope="module")
async def guarded(planted: Planted) -> AsyncIterator[Arena]:
    async with arena("restricted", planted) as ready:
        yield ready


@pytest_asyncio.fixture(scope="module")
async def bare(planted: Planted) -> AsyncIterator[Arena]:
    async with arena("plain", planted) as ready:
        yield ready
