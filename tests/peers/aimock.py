"""aimock, a server that speaks the wire format of model providers, as a process of its own on a free port of loopback.

Its fixtures answer by what a prompt contains, so tests share one server: each asks with texts of its own.
"""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

MODULES = Path(__file__).parent / "node_modules"
PROGRAM = MODULES / "@copilotkit/aimock/dist/aimock-cli.js"
START_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Aimock:
    """A running server. Its address as a provider is `url` + "/v1"."""

    url: str

    async def teach(self, *fixtures: dict[str, Any]) -> None:
        """Fixtures {"match", "response"}, asked before those taught later."""
        async with httpx.AsyncClient(base_url=self.url) as http:
            answer = await http.post("/__aimock/fixtures", json={"fixtures": fixtures})
            assert answer.status_code == 200, answer.text

    async def requests(self, containing: str) -> list[dict[str, Any]]:
        """What it was asked in bodies that contain a text: `path`, `headers`, `body` as of Chat Completions."""
        async with httpx.AsyncClient(base_url=self.url) as http:
            journal: list[dict[str, Any]] = (await http.get("/__aimock/journal")).json()
        return [entry for entry in journal if containing in json.dumps(entry["body"])]


def node() -> str | None:
    """A node that is new enough, as far as scripts/peers.sh could see to it."""
    own = next(iter(MODULES.glob("node-linux-*/bin/node")), None)
    return str(own) if own else shutil.which("node")


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Aimock]:
    program = node()
    if program is None or not PROGRAM.exists():
        pytest.skip("the model provider of the tests is not installed: it needs npm, then `sh scripts/peers.sh`")
    fixtures = directory / "fixtures.json"
    fixtures.write_text(
        json.dumps({"fixtures": [{"match": {"userMessage": str(uuid4())}, "response": {"content": ""}}]})
    )
    config = directory / "aimock.json"
    llm = {"fixtures": str(fixtures), "journalMax": 10_000}
    config.write_text(json.dumps({"host": "127.0.0.1", "port": 0, "llm": llm}))
    output = directory / "output"
    with output.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            program, str(PROGRAM), "--config", str(config), stdout=sink, stderr=sink, env={}
        )
    try:
        async with asyncio.timeout(START_SECONDS):
            while not (found := re.search(r"listening on (http://[0-9.:]+)", output.read_text())):
                assert process.returncode is None, output.read_text()
                await asyncio.sleep(0.05)
        yield Aimock(found[1])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture(scope="session")
async def aimock(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aimock]:
    async with serving(tmp_path_factory.mktemp("aimock")) as server:
        yield server
