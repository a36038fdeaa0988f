"""Debian's PgBouncer in transaction mode, set up as on a small Supabase project: a connection to Postgres is lent for a
transaction, then goes to the next who asks."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg
import pytest

from tests.postgres import Addresses, Server

CONNECTIONS = 15
START_SECONDS = 20

_SETTINGS = f"""\
[databases]
* = host={{postgres}}

[pgbouncer]
pool_mode = transaction
auth_type = scram-sha-256
auth_file = {{directory}}/users
admin_users = agenthost_api
ignore_startup_parameters = extra_float_digits
default_pool_size = {CONNECTIONS}
max_client_conn = 200
listen_addr =
listen_port = 5432
unix_socket_dir = {{directory}}
"""


class PooledServer(Server):
    """A server whose serving login comes through the pooler."""

    async def drop(self, addresses: Addresses) -> None:
        # The pooler keeps its connections when a client has gone.
        parts = urlsplit(addresses.serving_dsn)
        console = urlunsplit(parts._replace(path="/pgbouncer"))
        async with await psycopg.AsyncConnection.connect(console, autocommit=True) as admin:
            await admin.execute(f"kill {parts.path.removeprefix('/')}".encode())
        await Server.drop(self, addresses)


@asynccontextmanager
async def pooling(server: Server) -> AsyncIterator[Server]:
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed: `apt-get install pgbouncer`")
    if server.data_dir is None:
        pytest.skip("the server is not ours")
    # A short path: that of a socket is bounded.
    with TemporaryDirectory(prefix="ah") as directory:
        who = _furnish(Path(directory), server.data_dir, server.addresses)
        process = await asyncio.create_subprocess_exec(program, "-q", f"{directory}/settings", **who)
        try:
            async with asyncio.timeout(START_SECONDS):
                while ".s.PGSQL.5432" not in os.listdir(directory):
                    assert process.returncode is None
                    await asyncio.sleep(0.02)
            pooled = urlunsplit(urlsplit(server.addresses.serving_dsn)._replace(query=f"host={directory}"))
            yield PooledServer(
                Addresses(server.addresses.owner_dsn, pooled), server.data_dir, server.authenticator_password
            )
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def _furnish(directory: Path, data_dir: Path, addresses: Addresses) -> dict[str, Any]:
    """Its settings; and as whom it runs: it refuses to be root, and must get to the socket of Postgres."""
    data = data_dir / "postgres" / "data"
    data_dir.chmod(0o755)
    (directory / "settings").write_text(_SETTINGS.format(postgres=data, directory=directory))
    logins = map(urlsplit, (addresses.owner_dsn, addresses.serving_dsn))
    (directory / "users").write_text(
        "".join(f'"{login.username}" "{unquote(login.password or "")}"\n' for login in logins)
    )
    owner = data.stat()
    for path in (directory, *directory.iterdir()):
        os.chown(path, owner.st_uid, owner.st_gid)
    return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}


@pytest.fixture(scope="session")
async def pooled_server(embedded_server: Server) -> AsyncIterator[Server]:
    async with pooling(embedded_server) as server:
        yield server


@dataclass(frozen=True, slots=True)
class Pooled:
    """One database, with the pooler and without."""

    through: Addresses
    direct: Addresses


@pytest.fixture(scope="session")
async def pooled_database(pooled_server: Server) -> AsyncIterator[Pooled]:
    through = await pooled_server.clone()
    parts, place = urlsplit(through.serving_dsn), urlsplit(through.owner_dsn).query
    yield Pooled(through, Addresses(through.owner_dsn, urlunsplit(parts._replace(query=place))))
    await pooled_server.drop(through)
