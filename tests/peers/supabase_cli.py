"""Supabase's own CLI, and a way for it to a Postgres of the tests: it knows no sockets of the file system."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit, urlunsplit

import pytest

from service.database.migrations import SUPABASE_DIRECTORY

PROGRAM = Path(__file__).parent / "node_modules/@supabase/cli-linux-x64/bin/supabase"
ANSWER_SECONDS = 60


@dataclass(frozen=True, slots=True)
class SupabaseCli:
    """The CLI in a project of its own, whose folder `supabase` is a copy of ours that a test may change."""

    project: Path

    @property
    def directory(self) -> Path:
        return self.project / "supabase"

    async def __call__(self, *arguments: str) -> tuple[int, str]:
        """Its exit code and all it said."""
        process = await asyncio.create_subprocess_exec(
            PROGRAM,
            *arguments,
            f"--workdir={self.project}",
            "--yes",
            "--agent=no",
            env={"HOME": str(self.project), "SUPABASE_TELEMETRY_DISABLED": "1", "DO_NOT_TRACK": "1"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(ANSWER_SECONDS):
            said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    async def push(self, dsn: str, *options: str) -> str:
        """`supabase db push`, which succeeds."""
        async with over_tcp(dsn) as url:
            code, said = await self("db", "push", f"--remote={url}", *options)
        assert code == 0, said
        return said


@asynccontextmanager
async def over_tcp(dsn: str) -> AsyncIterator[str]:
    """The address of a Postgres behind a socket of the file system, on a port of loopback for as long as it takes."""
    parts = urlsplit(dsn)
    socket = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(socket)
        await asyncio.gather(_copy(reader, back), _copy(there, writer))

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        place = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}"
        yield urlunsplit(parts._replace(netloc=place, query="sslmode=disable"))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()


@pytest.fixture
def supabase_cli(tmp_path: Path) -> SupabaseCli:
    if not PROGRAM.exists():
        pytest.skip("the Supabase CLI is not installed: it needs npm on 64-bit x86, then `sh scripts/peers.sh`")
    shutil.copytree(SUPABASE_DIRECTORY, tmp_path / "supabase")
    return SupabaseCli(tmp_path)
