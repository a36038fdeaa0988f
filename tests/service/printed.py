"""What a command printed, told from the log of a host that is in the same process and may write between its lines."""

import json
from typing import Any

import pytest


def printed_json(capsys: pytest.CaptureFixture[str]) -> Any:
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return json.loads(line)


def printed_line(capsys: pytest.CaptureFixture[str], start: str) -> str:
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith(start)]
    return line
