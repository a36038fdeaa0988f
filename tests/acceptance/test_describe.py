"""From a description to an agent that runs, against a host as it is started and a server of the providers' format."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.docs.document import ROOT
from tests.docs.hosted import Hosted, started_host
from tests.peers.aimock import Aimock
from tests.service.writing import REFUSED, WANTED, written

READY = '{"ready": true}'
AGENT = '''\
"""Counts visits and tells its owner of every tenth."""


def run(name: str = "somebody", services=None):
    visits = services.kv.increment("visits")
    if visits % 10 == 0:
        services.notify.send(f"Visit number {visits}", f"It was {name}.")
    return {"visits": visits}
'''
DESCRIPTION = "Count visits and tell me of every tenth one."


@pytest.fixture
async def hosted(aimock: Aimock, tmp_path: Path) -> AsyncIterator[Hosted]:
    model = f"model-{uuid4()}"
    await aimock.teach({"match": {"userMessage": READY, "model": model}, "response": {"content": READY}})
    for index, code in enumerate((REFUSED, AGENT)):
        match = {"userMessage": DESCRIPTION, "model": model, "sequenceIndex": index}
        await aimock.teach({"match": match, "response": {"content": written(code, {"name": "Ada"})}})
    change = written(AGENT.replace("% 10", "% 5"), {"name": "Ada"})
    await aimock.teach({"match": {"userMessage": "every fifth", "model": model}, "response": {"content": change}})
    settings = {"OPENAI_MODEL": model, "OPENAI_BASE_URL": f"{aimock.url}/v1", "OPENAI_API_KEY": "sk-canary"}
    with started_host(tmp_path, **settings) as host:
        yield host


async def test_a_description_becomes_an_agent_that_is_tried_run_and_changed(hosted: Hosted) -> None:
    headers = {"Authorization": f"Bearer {hosted.token()}"}
    async with httpx.AsyncClient(base_url=hosted.address, headers=headers, timeout=60) as http:
        made = await http.post("/agents", json={"agent_name": "visits", "description": DESCRIPTION})
        assert made.status_code == 201, made.text
        agent = made.json()
        assert (agent["generation"]["attempts"], agent["agent_config"]["code"]) == (2, AGENT)
        assert (agent["capabilities"], agent["proposed"]) == ({"kv": {}, "notify": {}}, {})
        assert agent["dry_run"]["output"] == {"visits": 1}

        file = hosted.directory / "generated_agents" / agent["run_url"].removeprefix("/agents/")
        async with asyncio.timeout(20):
            while not file.with_suffix(".py").exists():  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.05)
        assert AGENT.splitlines()[0] in file.with_suffix(".py").read_text()

        dry = (await http.get(agent["run_url"], params={"test": "true"})).json()
        assert (dry["output"], dry["effects"][0]["performed"]) == ({"visits": 1}, False)
        live = [(await http.get(agent["run_url"])).json()["output"]["visits"] for _ in range(2)]
        assert live == [1, 2]

        async with http.stream(
            "PATCH", "/agents/visits", json={"instruction": "Tell me of every fifth."}, headers=WANTED
        ) as answer:
            names = [line async for line in answer.aiter_lines() if line.startswith("event: ")]
        assert names[-1] == "event: generation.done"
        changed = (await http.get("/agents/visits")).json()
        assert (changed["version"], changed["origin"]["how"]) == (2, "edited")
        assert "% 5" in changed["agent_config"]["code"]
        assert (await http.get(agent["run_url"])).json()["output"] == {"visits": 3}
    assert (await http_of_nobody(hosted)).status_code == 401


async def http_of_nobody(hosted: Hosted) -> httpx.Response:
    async with httpx.AsyncClient(base_url=hosted.address, timeout=60) as http:
        return await http.post("/agents/generate", json={"description": DESCRIPTION})


async def typed(hosted: Hosted, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(
        subprocess.run,
        [str(ROOT / ".venv/bin/agenthost"), *arguments],
        cwd=hosted.directory,
        env=hosted.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_the_command_line_shows_every_step_and_prints_the_code(hosted: Hosted) -> None:
    done = await typed(hosted, "new", DESCRIPTION, "--name", "visits", "--accept")
    assert (done.returncode, done.stdout) == (0, AGENT), done.stderr
    for said in ("attempt   1 of 4", "check     refused", "module 'os' is not available", "attempt   2 of 4"):
        assert said in done.stderr
    for said in ("code      | def run(", "check     passed", "dry run   passed", "summary   ", "version 1"):
        assert said in done.stderr
    assert (await typed(hosted, "run", "visits")).returncode == 0
    again = await typed(hosted, "new", DESCRIPTION, "--name", "visits")
    assert (again.returncode, again.stdout) == (1, "")
    assert "agent_exists" in again.stderr
    assert (await typed(hosted, "new", DESCRIPTION, "--accept")).returncode == 2
    assert (await typed(hosted, "new", DESCRIPTION, "--url", "http://127.0.0.1:9", "--token", "x")).returncode == 4
