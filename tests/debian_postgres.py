"""Debian's Postgres 15, the oldest that the host serves on: a throwaway cluster, for tests that run on both ends of
what is supported. It looks to them as the embedded one does, and it ends with its process as that one does."""

import asyncio
import os
import pwd
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from service.database.embedded import DATABASE, OWNER, Connections
from service.database.embedded_process import Place, end, spawn

INSTALLED = Path("/usr/lib/postgresql/15")
START_SECONDS = 60
_RULES = "local all postgres {method}\nlocal all all scram-sha-256\n"
_OPTIONS = ("listen_addresses=", "unix_socket_directories=.", "max_connections=60", "fsync=off", "timezone=UTC")


@asynccontextmanager
async def debian_postgres() -> AsyncIterator[tuple[Path, Connections]]:
    """A cluster with the owner and their empty database: where its data is (<path>/postgres/data), how to reach it."""
    if not (INSTALLED / "bin" / "initdb").exists():
        pytest.skip("Postgres 15 is not installed: `apt-get install postgresql-15` (Debian 12)")
    with TemporaryDirectory(prefix="ah") as directory:
        uid = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        data = _furnished(Path(directory), uid)
        place = Place(Path(directory), data, uid)
        arguments = ["initdb", f"--pgdata={data}", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"]
        assert await (await spawn(place, [*arguments, "--auth=reject", "--no-sync"])).wait() == 0
        rules = data / "pg_hba.conf"
        rules.write_text(_RULES.format(method="trust"))
        options = [text for option in _OPTIONS for text in ("-c", option)]
        process = await spawn(place, ["postgres", "-D", str(data), *options])
        try:
            connections = await _set_up(str(data))
            rules.write_text(_RULES.format(method="reject"))
            yield Path(directory), connections
        finally:
            await end(process)


def _furnished(directory: Path, uid: int | None) -> Path:
    """The empty directory for the data; and the programs, where `Place` looks for them."""
    directory.chmod(0o755)
    (directory / "pginstall").symlink_to(INSTALLED)
    data = directory / "postgres" / "data"
    data.mkdir(parents=True)
    if uid is not None:
        os.chown(data, uid, -1)
    return data


async def _set_up(socket: str) -> Connections:
    """As `EmbeddedPostgres` does: an owner without power, and a database of theirs."""
    owner, serving = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
    async with await _connected(f"postgresql://postgres@/postgres?host={socket}") as superuser:
        await superuser.execute(f"create role {OWNER} login createrole createdb password '{owner}'".encode())
        await superuser.execute(f"create database {DATABASE} owner {OWNER}".encode())
    at = f"@/{DATABASE}?host={socket}"
    return Connections(f"postgresql://{OWNER}:{owner}{at}", f"postgresql://agenthost_api:{serving}{at}", serving)


async def _connected(dsn: str) -> psycopg.AsyncConnection[tuple[object, ...]]:
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                return await psycopg.AsyncConnection.connect(dsn, autocommit=True)
            except psycopg.OperationalError:
                await asyncio.sleep(0.05)
