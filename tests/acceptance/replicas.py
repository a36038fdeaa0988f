"""Two replicas on one Postgres, behind the balancer that docs/deploy.md shows: `agenthost up` twice, each with a data
directory of its own."""

import base64
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import jwt

from tests.docs.hosted import Hosted, started_host
from tests.peers.haproxy import Balancer, balancing, free_port

TOKEN_SECRET = "s" * 32
SECRET_KEYS = f"k1:{base64.b64encode(b'1' * 32).decode()}"


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a token that every replica takes."""

    id: str = field(default_factory=lambda: str(uuid4()))

    @property
    def headers(self) -> dict[str, str]:
        claims = {"sub": self.id, "role": "authenticated", "aud": "authenticated", "exp": int(time.time()) + 3600}
        return {"Authorization": f"Bearer {jwt.encode(claims, TOKEN_SECRET, algorithm='HS256')}"}

    def at(self, place: Hosted | Balancer) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=place.address, headers=self.headers, timeout=30, verify=False)


@dataclass(frozen=True, slots=True)
class Replicas:
    one: Hosted
    two: Hosted
    balancer: Balancer


def settings_of(serving_dsn: str, **changes: str) -> dict[str, str]:
    """What is the same on every replica."""
    shared = {"DATABASE_URL": serving_dsn, "SUPABASE_JWT_SECRET": TOKEN_SECRET, "AGENTHOST_SECRET_KEYS": SECRET_KEYS}
    return shared | changes


@asynccontextmanager
async def replicated(directory: Path, settings: dict[str, str]) -> AsyncIterator[Replicas]:
    with ExitStack() as stack:
        ports = free_port(), free_port()
        one, two = (
            stack.enter_context(replica(directory / name, port, settings))
            for name, port in zip(("one", "two"), ports, strict=True)
        )
        async with balancing(directory, *(f"127.0.0.1:{port}" for port in ports)) as balancer:
            yield Replicas(one, two, balancer)


def replica(directory: Path, port: int, settings: dict[str, str]) -> AbstractContextManager[Hosted]:
    """One replica on a port that is known before, so that it comes back where the balancer looks for it."""
    directory.mkdir(exist_ok=True)
    return started_host(directory, AGENTHOST_PORT=str(port), **settings)


async def define(http: httpx.AsyncClient, name: str, code: str, **config: object) -> None:
    answer = await http.post("/agents", json={"agent_name": name, "agent_config": {"code": code, **config}})
    assert answer.status_code == 201, answer.text
