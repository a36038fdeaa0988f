"""One host for the tests that only ask it things; and clients of two users who do not trust each other."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.docs.hosted import Hosted, started_host

ADA = "00000000-0000-7000-8000-00000000ada0"
BOB = "00000000-0000-7000-8000-00000000b0b0"


@pytest.fixture(scope="session")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """Short limits, so that running into one takes little time."""
    directory: Path = tmp_path_factory.mktemp("acceptance")
    with started_host(directory, AGENTHOST_LIMIT_CPU_SECONDS="1", AGENTHOST_LIMIT_WALL_SECONDS="3") as host:
        yield host


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ada(hosted: Hosted) -> AsyncIterator[httpx.AsyncClient]:
    async with client(hosted, ADA) as http:
        yield http


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bob(hosted: Hosted) -> AsyncIterator[httpx.AsyncClient]:
    async with client(hosted, BOB) as http:
        yield http


def client(hosted: Hosted, user: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {hosted.token('--user', user)}"}
    return httpx.AsyncClient(base_url=hosted.address, headers=headers, timeout=30)
