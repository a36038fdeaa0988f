"""The quick start, the README and the page of files tell the truth: their commands run, in order, and answer what the
pages show.

A `sh` block is typed into a shell, one a page; `make run` is the host that the test has started, whose model is a
server of the tests that writes the one agent of the README. A `json` block is what the command before it answers ("..."
stands for any value), a `text` block is among what it prints.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.docs.document import ROOT, blocks, differences
from tests.docs.hosted import Hosted, started_host
from tests.peers.aimock import Aimock

PAGES = [ROOT / "README.md", ROOT / "docs" / "quickstart.md", ROOT / "docs" / "files.md"]


VISITS = """\
def run(name: str, services=None):
    visits = services.kv.increment(f"visits/{name}")
    if visits % 10 == 0:
        services.notify.send(f"{name}: visit {visits}")
    return {"name": name, "visits": visits}
"""


@pytest.fixture
async def host(aimock: Aimock, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hosted]:
    directory = tmp_path_factory.mktemp("page")  # short: the path of a socket in it has at most 107 bytes
    model, ready = f"model-{uuid4()}", '{"ready": true}'
    agent = {"code": VISITS, "summary": "Counts visits.", "example_input_json": '{"name": "Ada"}'}
    for asked, content in ((ready, ready), ("notify me at every tenth", json.dumps(agent))):
        await aimock.teach({"match": {"userMessage": asked, "model": model}, "response": {"content": content}})
    settings = {"AGENTHOST_DATA_DIR": ".agenthost", "OPENAI_MODEL": model, "OPENAI_BASE_URL": f"{aimock.url}/v1"}
    with started_host(directory, **settings) as host:
        yield host


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
async def test_every_block_runs_and_answers_what_is_shown(page: Path, host: Hosted) -> None:
    pieces = blocks(page)
    commands = [piece for piece in pieces if piece.language == "sh" and "make run" not in piece.text]
    printed = dict(zip(commands, host.type([command.text for command in commands]), strict=True))
    assert commands
    for shown, command in zip(pieces[1:], pieces, strict=False):
        if shown.language == "json":
            assert list(differences(json.loads(shown.text), json.loads(printed[command]))) == [], f"line {shown.line}"
        elif shown.language == "text" and command in printed:
            assert shown.text.strip() in printed[command], f"line {shown.line}"
