"""A real Postgres for tests: one embedded server a session, and for each test that asks a clone of a migrated database.

`postgres` is the server, `cloned` the addresses of a clone, `database` the port on it, `someone()` a new caller.
With AGENTHOST_TEST_OWNER_URL=postgresql://owner:password@/agenthost?host=... the server is that one: Postgres 15 or
later, with passwords; the owner may create roles and databases, and owns the empty database `agenthost`.
Modules marked `both_postgres` run on Debian's Postgres 15 as well.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import jwt
import psycopg
import pytest

from service.auth import Caller
from service.database.embedded import Connections, EmbeddedPostgres
from service.database.migrations import migrate
from service.database.postgres import PostgresDatabase
from tests.debian_postgres import debian_postgres

EMBEDDED, DEBIAN = "pg18", "pg15"
GIVEN = os.environ.get("AGENTHOST_TEST_OWNER_URL")
TOKEN_SECRET = "a secret that the tokens of tests are signed with"


_numbers = count()


@dataclass(frozen=True, slots=True)
class Addresses:
    """Two ways into one database: as the owner of its tables, and as the login that serves."""

    owner_dsn: str
    serving_dsn: str

    async def owner(self) -> psycopg.AsyncConnection[tuple[object, ...]]:
        return await psycopg.AsyncConnection.connect(self.owner_dsn, autocommit=True)


@dataclass(slots=True)
class Server:
    """The session's Postgres. Its own database is the migrated template and nobody connects to it."""

    addresses: Addresses
    data_dir: Path | None = None
    authenticator_password: str = field(default_factory=lambda: uuid4().hex)

    async def clone(self) -> Addresses:
        return await self._create(f"clone_{next(_numbers)}", "agenthost")

    async def empty(self) -> Addresses:
        """A database with nothing in it."""
        return await self._create(f"empty_{next(_numbers)}", "template1")

    async def drop(self, addresses: Addresses) -> None:
        for _ in range(50):
            try:
                return await self._maintain(f"drop database {_name(addresses.owner_dsn)} with (force)")
            except psycopg.errors.InsufficientPrivilege:
                # Before Postgres 16 an owner cannot end another login's session: it has just been closed, and goes.
                await asyncio.sleep(0.05)
        raise TimeoutError("somebody is still in a test's database")

    async def _create(self, name: str, template: str) -> Addresses:
        await self._maintain(f"create database {name} template {template}")
        return Addresses(_renamed(self.addresses.owner_dsn, name), _renamed(self.addresses.serving_dsn, name))

    async def _maintain(self, command: str) -> None:
        dsn = _renamed(self.addresses.owner_dsn, "postgres")
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            await connection.execute(command.encode())


@asynccontextmanager
async def superuser(
    server: Server, database: str = "postgres"
) -> AsyncIterator[psycopg.AsyncConnection[tuple[object, ...]]]:
    """A connection as the superuser, who cannot log in: the rules let it, in this test, for as long as it takes."""
    if server.data_dir is None:
        pytest.skip("the server is not ours")
    data = server.data_dir / "postgres" / "data"
    rules = data / "pg_hba.conf"
    before = rules.read_text()
    postmaster = int((data / "postmaster.pid").read_text().split()[0])
    rules.write_text("local all postgres trust\n" + before)
    os.kill(postmaster, signal.SIGHUP)
    try:
        dsn = _renamed(server.addresses.owner_dsn, database)
        async with await _connect_soon(dsn.replace(dsn.partition("//")[2].partition("@")[0], "postgres")) as connection:
            yield connection
    finally:
        rules.write_text(before)
        os.kill(postmaster, signal.SIGHUP)


async def _connect_soon(dsn: str) -> psycopg.AsyncConnection[tuple[object, ...]]:
    for _ in range(100):
        try:
            return await psycopg.AsyncConnection.connect(dsn, autocommit=True)
        except psycopg.OperationalError:
            await asyncio.sleep(0.05)
    raise TimeoutError("the rules were not read again")


def _renamed(dsn: str, name: str) -> str:
    return dsn.replace("@/agenthost?", f"@/{name}?")


def _name(dsn: str) -> str:
    return dsn.partition("@/")[2].partition("?")[0]


def someone(user_id: UUID | None = None, **claims: object) -> Caller:
    """A caller as a verified token would say, with the token: somebody new, unless told who."""
    user = user_id or uuid4()
    expires_at = int(time.time()) + 3600
    said = {"sub": str(user), "role": "authenticated", "aud": "authenticated", "exp": expires_at, **claims}
    token = jwt.encode(said, TOKEN_SECRET, algorithm="HS256")
    return Caller(user_id=user, claims=said, token=token, expires_at=expires_at)


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Server:
    """The embedded Postgres, or Debian's, for tests that `pytest.mark.both_postgres` runs on each."""
    name = "debian_server" if getattr(request, "param", EMBEDDED) == DEBIAN else "embedded_server"
    server: Server = request.getfixturevalue(name)
    return server


@pytest.fixture(scope="session")
async def embedded_server() -> AsyncIterator[Server]:
    if GIVEN:
        password = uuid4().hex
        await migrate(GIVEN, serving_password=password)
        yield Server(Addresses(GIVEN, f"postgresql://agenthost_api:{password}@{GIVEN.partition('@')[2]}"))
        return
    # A short path: that of a socket is bounded, and other processes are given this one.
    with TemporaryDirectory(prefix="ah") as directory:
        data_dir = Path(directory)
        embedded = EmbeddedPostgres(data_dir)
        yield await _migrated(await embedded.start(), data_dir)
        await embedded.stop()


@pytest.fixture(scope="session")
async def debian_server() -> AsyncIterator[Server]:
    async with debian_postgres() as (data_dir, connections):
        yield await _migrated(connections, data_dir)


@pytest.fixture(scope="session")
async def debian_database(debian_server: Server) -> AsyncIterator[Addresses]:
    """One for all tests of a process."""
    addresses = await debian_server.clone()
    yield addresses
    await debian_server.drop(addresses)


async def _migrated(connections: Connections, data_dir: Path) -> Server:
    await migrate(connections.owner_dsn, serving_password=connections.serving_password)
    return Server(Addresses(connections.owner_dsn, connections.serving_dsn), data_dir)


@pytest.fixture
async def cloned(postgres: Server) -> AsyncIterator[Addresses]:
    addresses = await postgres.clone()
    yield addresses
    await postgres.drop(addresses)


@pytest.fixture
async def database(cloned: Addresses) -> AsyncIterator[PostgresDatabase]:
    started = PostgresDatabase(cloned.serving_dsn)
    await started.start()
    yield started
    await started.stop()
