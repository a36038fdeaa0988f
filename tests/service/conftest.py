"""One host for the tests of agents and runs: its real Postgres and jail, over HTTP; a new user for each test."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.auth import Caller
from service.host import Host
from service.local import LocalIdentity
from service.settings import Settings
from tests.service.served import bearer, served


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a token."""

    user_id: UUID
    http: httpx.AsyncClient
    caller: Caller

    async def define(self, name: str, code: str, **config: Any) -> dict[str, Any]:
        body = {"agent_name": name, "agent_config": {"code": code, **config}}
        answer = await self.http.post("/agents", json=body)
        assert answer.status_code == 201, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def url(self, name: str) -> str:
        return f"/agents/{self.user_id}/{name}"

    async def run(self, name: str, /, **query: str) -> httpx.Response:
        return await self.http.get(self.url(name), params=query)

    async def listed(self, *, at_least: int = 1, **query: str) -> list[dict[str, Any]]:
        """The user's runs, once there are so many."""
        while True:
            runs: list[dict[str, Any]] = (await self.http.get("/runs", params=query)).json()["data"]
            if len(runs) >= at_least:
                return runs
            await asyncio.sleep(0.02)

    async def recorded(self, run_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"/runs/{run_id}")
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document


@dataclass(frozen=True, slots=True)
class LocalHost:
    """A host in local mode, and who signs its tokens."""

    url: str
    app: FastAPI
    identity: LocalIdentity

    @property
    def host(self) -> Host:
        found: Host = self.app.state.host
        return found

    @asynccontextmanager
    async def user(
        self, user_id: UUID | None = None, *, url: str | None = None, email: str | None = None
    ) -> AsyncIterator[User]:
        user_id = user_id or uuid4()
        token = self.identity.mint(user_id, email)
        caller = await self.host.verifier.verify(token)
        async with httpx.AsyncClient(base_url=url or self.url, headers=bearer(token), timeout=30) as http:
            yield User(user_id, http, caller)


@pytest.fixture(scope="session")
async def local_host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalHost]:
    data_dir = tmp_path_factory.mktemp("host")
    limits: Mapping[str, Any] = {
        "limit_wall_seconds": 5.0,
        "limit_cpu_seconds": 2,
        "limit_output_bytes": 100_000,
        "limit_log_bytes": 20_000,
        "limit_effects": 20,
        "limit_runs_per_user": 4,
    }
    settings = Settings(data_dir=data_dir, **limits)
    app = create_app(settings)
    async with served(app, settings) as url:
        yield LocalHost(url, app, LocalIdentity.in_directory(data_dir))


@pytest.fixture
async def ada(local_host: LocalHost) -> AsyncIterator[User]:
    async with local_host.user() as user:
        yield user


@pytest.fixture
async def eve(local_host: LocalHost) -> AsyncIterator[User]:
    async with local_host.user() as user:
        yield user
