"""Every attack once in a container, as plain Python: no flag comes out, and nothing is left of it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.escapes.attack import Attack
from tests.escapes.containers import MAY_SUCCEED, SETTLE_SECONDS, ContainerArena, container_arena
from tests.escapes.corpus import BY_ID, FAMILIES
from tests.escapes.world import Planted, descriptors

TOGETHER = 20
COMPANIES = {
    f"{family}-{first}": attacks[first : first + TOGETHER]
    for family, attacks in FAMILIES.items()
    for first in range(0, len(attacks), TOGETHER)
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def contained(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ContainerArena]:
    tasks, open_ones = len(asyncio.all_tasks()), descriptors()
    async with container_arena(tmp_path_factory.mktemp("escapes"), planted) as arena:
        yield arena
    async with asyncio.timeout(SETTLE_SECONDS):
        while len(asyncio.all_tasks()) > tasks or descriptors() > open_ones:  # noqa: ASYNC110 - neither has events
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("attacks", COMPANIES.values(), ids=COMPANIES.keys())
async def test_the_container_holds(attacks: list[Attack], contained: ContainerArena) -> None:
    wrong = await contained.trial(attacks)
    assert not wrong, "\n".join(wrong)


def test_what_may_succeed_in_a_container_is_in_the_corpus() -> None:
    assert BY_ID.keys() >= MAY_SUCCEED


async def test_what_gets_through_is_seen(contained: ContainerArena, planted: Planted) -> None:
    leak = "def run(hint: dict, services=None):\n    return {{'text': '{}'[::-1]}}\n".format(planted.flags["file"])
    unexpected = replace(BY_ID["os-mkdir"], id="not-expected")
    wrong = await contained.trial([replace(BY_ID["os-environment"], program=leak), unexpected])
    assert "os-environment: the flag 'file' was captured" in wrong
    assert any(found.startswith("not-expected: the container was overcome") for found in wrong)
    assert len(wrong) == 2
