"""The quick start, the README and the page of files tell the truth: their commands run, in order, and answer what the pages show.

A `sh` block is typed into a shell, one a page; `make run` is the host that the test has started. A `json` block is
what the command before it answers ("..." stands for any value), a `text` block is among what it prints.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.document import ROOT, blocks, differences
from tests.docs.hosted import Hosted, started_host

PAGES = [ROOT / "README.md", ROOT / "docs" / "quickstart.md", ROOT / "docs" / "files.md"]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Hosted]:
    with started_host(tmp_path) as host:
        yield host


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_runs_and_answers_what_is_shown(page: Path, host: Hosted) -> None:
    pieces = blocks(page)
    commands = [piece for piece in pieces if piece.language == "sh" and "make run" not in piece.text]
    printed = dict(zip(commands, host.type([command.text for command in commands]), strict=True))
    assert commands
    for shown, command in zip(pieces[1:], pieces, strict=False):
        if shown.language == "json":
            assert list(differences(json.loads(shown.text), json.loads(printed[command]))) == [], f"line {shown.line}"
        elif shown.language == "text" and command in printed:
            assert shown.text.strip() in printed[command], f"line {shown.line}"
