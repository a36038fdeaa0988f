"""kill -9 on the way over a project's REST interface: of PostgREST, and of the host. The kills of what is the same on
every way - the jail and its processes - are in test_kills.py."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import HostedOn, started_on
from tests.acceptance.test_kills import LOAD_SECONDS, answers_again, loaded, nothing_is_lost, prepare
from tests.peers.supabase import Project, serving
from tests.postgres import Server


@pytest.fixture
async def own_project(postgres: Server, tmp_path: Path) -> AsyncIterator[Project]:
    addresses = await postgres.clone()
    async with serving(postgres, addresses, tmp_path) as project:
        yield project
    await postgres.drop(addresses)


@pytest.fixture
def own_host(own_project: Project, tmp_path: Path) -> Iterator[HostedOn]:
    with started_on(own_project, tmp_path) as host:
        yield host


async def test_a_killed_postgrest_comes_back_and_nothing_is_lost(own_host: HostedOn) -> None:
    await prepare(own_host)
    async with loaded(own_host) as load:
        await own_host.project.postgrest.kill()
        await asyncio.sleep(LOAD_SECONDS)
        acknowledged = len(load.runs)
        await own_host.project.postgrest.start()
        await answers_again(own_host)
        await asyncio.sleep(LOAD_SECONDS)
        assert len(load.runs) > acknowledged
    await nothing_is_lost(own_host, load)


async def test_the_next_start_of_a_killed_host_has_everything(own_project: Project, tmp_path: Path) -> None:
    with started_on(own_project, tmp_path) as hosted:
        await prepare(hosted)
        async with loaded(hosted) as load:
            hosted.process.kill()
            hosted.process.wait()
    with started_on(own_project, tmp_path) as again:
        await answers_again(again)
        await nothing_is_lost(again, load)
