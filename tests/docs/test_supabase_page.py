"""The page about Supabase tells the truth: its commands run, in order, on a Postgres like Supabase's with the CLI and a
real PostgREST, and answer what it shows; its table quotes what the code says."""

import asyncio
import json
import os
import re
import socket
from collections.abc import Sequence
from inspect import signature
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest

from service.database.postgres import PostgresDatabase
from service.database.tables import PostgresTables
from service.database.user_tables import REHEARSALS_AT_ONCE
from tests.database.like_supabase import supabase_postgres
from tests.docs.document import ROOT, Block, blocks, differences
from tests.peers.supabase import serving
from tests.peers.supabase_cli import PROGRAM, SupabaseCli, over_tcp
from tests.peers.supabase_cli import supabase_cli as supabase_cli
from tests.postgres import DEBIAN

PAGE = ROOT / "docs" / "supabase.md"
PAGE_SECONDS = 120
_MARK = "<<block>>"

# `agenthost up` stays in the foreground, and each time it is started the page means a new one.
_UP = """\
if [ -n "${UP:-}" ]; then kill "$UP"; wait "$UP" || true; fi
agenthost up >up.log 2>&1 & UP=$!
trap 'kill $UP' EXIT
for try in $(seq 300); do
  if curl -fs -o ready "$HOST/ready"; then break; fi
  kill -0 $UP || { cat up.log >&2; exit 1; }
  sleep 0.1
done
"""
# PostgREST reads the schema again when it is told; it takes a moment.
_SQL = """\
psql "$OWNER_URL" -q -v ON_ERROR_STOP=1 <<'END'
{text}END
for try in $(seq 100); do
  curl -fs -X OPTIONS "$SUPABASE_URL/rest/v1/leads" -H "apikey: $SUPABASE_PUBLISHABLE_KEY" \\
    -H "Authorization: Bearer $TOKEN" && break
  sleep 0.1
done
"""


def typed(block: Block, token: str) -> str | None:
    """What the shell gets for a block, if anything."""
    if block.language == "sql":
        return None if "create role" in block.text else _SQL.format(text=block.text)  # by hand, instead of `migrate`
    if block.language != "sh":
        return None
    if "grant_type=password" in block.text:
        return f"TOKEN={token}\n"  # users and their passwords are the project's
    return block.text.replace("agenthost up\n", _UP)


async def run(script: str, directory: Path, port: int) -> list[str]:
    """What each of its parts prints."""
    npx = directory / "bin" / "npx"
    npx.parent.mkdir()
    npx.write_text(f'#!/bin/sh\n[ "$1" = supabase@3 ] || exit 1\nshift\nexec {PROGRAM} --agent=no "$@"\n')
    npx.chmod(0o755)
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        f"set -euo pipefail\nHOST=http://127.0.0.1:{port}\n{script}",
        cwd=directory,
        env={
            "PATH": f"{npx.parent}:{os.environ['PATH']}",
            "HOME": str(directory),
            "SUPABASE_TELEMETRY_DISABLED": "1",
            "AGENTHOST_PORT": str(port),
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PAGE_SECONDS):
        printed, complaints = await process.communicate()
    assert process.returncode == 0, f"{printed.decode()}\n{complaints.decode()}"
    return printed.decode().split(f"\n{_MARK}\n")[:-1]


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


async def test_every_block_runs_and_answers_what_is_shown(supabase_cli: SupabaseCli, tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    user, port, pieces = uuid4(), free_port(), blocks(PAGE)
    async with supabase_postgres(DEBIAN) as server:
        database = await server.empty()
        await supabase_cli.push(database.owner_dsn)  # what PostgREST serves is there when it starts
        async with await database.owner() as owner:
            await owner.execute("insert into auth.users (id) values (%s)", (user,))
        async with serving(server, database, tmp_path) as project, over_tcp(database.owner_dsn) as owner_url:
            commands = [(piece, text) for piece in pieces if (text := typed(piece, project.token(user)))]
            placeholders = {
                "https://<ref>.supabase.co": project.url,
                "sb_publishable_...": project.publishable_key,
                "postgresql://postgres.<ref>:<password>@<pooler>:5432/postgres": owner_url,
                "http://127.0.0.1:8000": f"http://127.0.0.1:{port}",
            }
            script = "".join(f"{text}\nprintf '\\n{_MARK}\\n'\n" for _, text in commands)
            for placeholder, value in placeholders.items():
                assert placeholder in script
                script = script.replace(placeholder, value)
            printed = await run(script, tmp_path, port)
    answered = dict(zip([piece for piece, _ in commands], printed, strict=True))
    assert "\n".join(untrue(pieces, answered)) == ""


def untrue(pieces: Sequence[Block], answered: dict[Block, str]) -> list[str]:
    """Where the answer to a command, its last line, is not what the page shows after it."""
    found: list[str] = []
    for command, shown in pairwise(pieces):
        if shown.language == "json":
            real = json.loads(answered[command].strip().splitlines()[-1])
            wrong = list(differences(json.loads(shown.text), real))
            found += [f"line {shown.line}: {each}" for each in wrong] + (
                [f"It was {json.dumps(real)}"] if wrong else []
            )
    return found


SAID = re.findall(r"\| `([^`|]{20,})` \|$", PAGE.read_text(), re.MULTILINE)


def test_the_table_quotes_errors() -> None:
    assert len(SAID) == 5


@pytest.mark.parametrize("said", SAID)
def test_the_errors_that_the_table_quotes_are_those_of_the_code(said: str) -> None:
    assert any(said in path.read_text() for path in (ROOT / "service").rglob("*.py"))


def test_it_says_how_many_connections_a_host_opens() -> None:
    pools = [signature(part).parameters["pool_size"].default for part in (PostgresDatabase, PostgresTables)]
    assert f"at most {sum(pools) + REHEARSALS_AT_ONCE} connections" in PAGE.read_text()
