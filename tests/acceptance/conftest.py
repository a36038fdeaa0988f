"""One host for the tests that only ask it things, on each way into a database; and clients of two users who do not
trust each other."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from tests.docs.hosted import Hosted, started_host
from tests.peers.supabase import Project

ADA = "00000000-0000-7000-8000-00000000ada0"
BOB = "00000000-0000-7000-8000-00000000b0b0"


@dataclass(frozen=True, slots=True)
class HostedOn(Hosted):
    """A host on a project, whose users bring the project's tokens."""

    project: Project

    def token(self, *arguments: str) -> str:
        return self.project.token(UUID(arguments[-1]))


@pytest.fixture(scope="session", params=["embedded", "supabase"])
def hosted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """Short limits, so that running into one takes little time."""
    directory: Path = tmp_path_factory.mktemp("acceptance")
    limits = {"AGENTHOST_LIMIT_CPU_SECONDS": "1", "AGENTHOST_LIMIT_WALL_SECONDS": "6"}
    if request.param == "supabase":
        with started_on(request.getfixturevalue("project"), directory, **limits) as host:
            yield host
        return
    with started_host(directory, **limits) as host:
        yield host


@contextmanager
def started_on(project: Project, directory: Path, **settings: str) -> Iterator[HostedOn]:
    with started_host(directory, **project.settings, **settings) as host:
        yield HostedOn(host.address, host.environment, host.directory, host.process, project)


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
