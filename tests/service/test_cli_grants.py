"""What the command line says of what an agent may do: after a push, after a model has written it, and to accept it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from typer import Exit

from service.commands.client import Connection
from service.commands.console import Output
from service.commands.files import push
from service.commands.grants import accept_agent, grants_in_words
from service.commands.new import write_agent
from tests.service.conftest import LocalHost, User
from tests.service.printed import printed_json, printed_line
from tests.service.test_proposed import CODE, PROPOSED, written_by_a_model
from tests.service.writing import writes, writing_host

IN_WORDS = "http (GET: api.example.com), db (leads: insert), agents (helper), secrets (CRM_KEY)"
ASKER = """\
def run(services):
    services.kv.increment("runs")
    return services.http.get("https://api.example.com/").status
"""


def connection(url: str, user: User) -> Connection:
    return Connection(url, user.http.headers["authorization"].split()[1], 30)


@pytest.mark.parametrize(
    ("capabilities", "said"),
    [
        ({}, "nothing"),
        (PROPOSED, IN_WORDS),
        (
            {"http": {"hosts": ["a.example", "*.b.example"], "methods": ["GET", "POST"], "schemes": ["https", "http"]}},
            "http (GET POST: a.example, *.b.example; also http://)",
        ),
        ({"http": {"hosts": [], "methods": ["GET"], "schemes": ["https"]}}, "http (GET: none)"),
        ({"email": {"to": ["me", "*@acme.com"], "max_per_run": 3}}, "email (me, *@acme.com; at most 3 a run)"),
        ({"kv": {}, "llm": {"max_tokens_per_run": 4000}}, "kv, llm (at most 4000 tokens a run)"),
        ({"db": {"tables": {}}, "llm": {"max_tokens_per_run": None}}, "db (no table), llm"),
    ],
)
def test_grants_are_told_with_what_they_reach(capabilities: dict[str, Any], said: str) -> None:
    assert grants_in_words(capabilities) == said


async def test_a_push_says_what_the_agent_may_do_and_what_it_proposes(
    local_host: LocalHost, ada: User, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await written_by_a_model(ada, local_host, CODE)
    path = tmp_path / "made.py"
    path.write_text(CODE)
    mine = tmp_path / "mine.py"
    mine.write_text(ASKER)
    host = connection(local_host.url, ada)
    await asyncio.to_thread(push, host, [path, mine], force=True, output=Output.TEXT)
    said = capsys.readouterr().err.splitlines()
    assert f"proposed  {IN_WORDS}" in said
    assert any(line.endswith("denied live until you accept it: agenthost accept made") for line in said)
    assert "may use   mine: http (GET: api.example.com), kv" in said
    await asyncio.to_thread(push, host, [path], force=True, output=Output.JSON)
    [told] = printed_json(capsys)["data"]
    assert (told["did"], told["proposed"]) == ("unchanged", PROPOSED)


async def test_accept_puts_in_force_what_is_proposed_and_says_it(
    local_host: LocalHost, ada: User, capsys: pytest.CaptureFixture[str]
) -> None:
    await written_by_a_model(ada, local_host, CODE)
    host = connection(local_host.url, ada)
    await asyncio.to_thread(accept_agent, host, "made", output=Output.TEXT)
    said = printed_line(capsys, "may use   made: ")
    assert all(each in said for each in ("http (GET: api.example.com)", "secrets (CRM_KEY)", "kv"))
    shown = (await ada.http.get("/agents/made")).json()
    assert (shown["proposed"], shown["capabilities"]) == ({}, {"kv": {}, "notify": {}, **PROPOSED})
    await asyncio.to_thread(accept_agent, host, "made", output=Output.JSON)
    assert printed_json(capsys)["capabilities"] == shown["capabilities"]
    with pytest.raises(Exit) as ended:
        await asyncio.to_thread(accept_agent, host, "nobody", output=Output.TEXT)
    assert ended.value.exit_code == 1


@pytest.mark.parametrize(
    ("name", "how"), [("made", "agenthost accept made"), (None, "store it with --name NAME --accept")]
)
async def test_new_says_what_its_code_proposes_and_how_to_accept_it(
    local_host: LocalHost, capsys: pytest.CaptureFixture[str], name: str | None, how: str
) -> None:
    async with writing_host(local_host, writes(ASKER)) as writing:
        host = connection(writing.local_host.url, writing.user)
        await asyncio.to_thread(write_agent, host, "Asks.", name, accept=False, output=Output.TEXT)
    said = capsys.readouterr().err.splitlines()
    assert f"may use   {'made: ' if name else ''}kv" in said
    assert "proposed  http (GET: api.example.com)" in said
    assert f"          denied live until you accept it: {how}" in said
