"""What a stranger writes does not reach the log, and what does cannot steer the terminal that shows it."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from service.app import create_app
from service.local import DEMO_USER_ID
from service.settings import Settings
from tests.service.served import AbsentDatabase, client, served

HOSTILE = "\x1b]0;pwned\x07\x9b2J\r\n\u202e\x7f\ud800"
LOGS_HOSTILE = f"""
import logging
import structlog
from service.logs import configure_logs

class Odd:
    def __repr__(self):
        return {HOSTILE!r}

configure_logs(terminal=True)
hostile = {HOSTILE!r}
structlog.get_logger("a").error("event", reason=hostile, many=[hostile], odd=Odd(), exc=ValueError(hostile))
logging.getLogger("uvicorn.error").warning("broken: %s", hostile)
try:
    raise ValueError(hostile)
except ValueError:
    logging.getLogger("asyncio").exception("failed: %s", hostile)
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return create_app(Settings(data_dir=tmp_path_factory.mktemp("logs")), database=AbsentDatabase(), engines={})


@pytest.fixture(scope="module")
async def anyone(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with served(app) as url, client(url) as http:
        yield http


@pytest.mark.parametrize(
    ("method", "path", "logged"),
    [
        ("GET", f"/agents/{DEMO_USER_ID}/echo", f"/agents/{DEMO_USER_ID}/echo"),
        ("GET", "/agents/echo/versions/7", "/agents/echo/versions/7"),
        ("GET", f"/runs/{UUID(int=7)}", f"/runs/{UUID(int=7)}"),
        ("PUT", "/secrets/CRM_TOKEN", "/secrets/CRM_TOKEN"),
        ("PATCH", f"/agents/{DEMO_USER_ID}/echo", f"/agents/{DEMO_USER_ID}/echo"),
        ("GET", f"/agents/{DEMO_USER_ID}/%1b]0;pwned%07", f"/agents/{DEMO_USER_ID}/{{agent_name}}"),
        ("GET", f"/agents/{DEMO_USER_ID}/Sekret.Token", f"/agents/{DEMO_USER_ID}/{{agent_name}}"),
        ("GET", f"/agents/{DEMO_USER_ID}/echo%0a", f"/agents/{DEMO_USER_ID}/{{agent_name}}"),
        ("GET", f"/agents/echo/versions/{'7' * 4000}", "/agents/echo/versions/{version}"),
        ("GET", "/runs/%E2%80%AE", "/runs/{run_id}"),
        ("GET", "/agents/not-a-uuid/sekret", None),
        ("GET", "/sekret", None),
    ],
)
async def test_a_path_is_logged_with_its_ids_and_names_and_nothing_else(
    app: FastAPI, anyone: httpx.AsyncClient, method: str, path: str, logged: str | None
) -> None:
    with capture_logs() as logs:
        await anyone.request(method, path)
        assert await app.state.in_flight.wait(5)
    assert [line["path"] for line in logs if line["event"] == "request"] == [logged]


def test_no_value_of_a_line_steers_a_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOGS_HOSTILE], cwd=Path(__file__).parents[2], capture_output=True, check=True, timeout=60
    )
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 3
    for line in lines:
        assert "pwned" in line
        assert r"\x1b]0;pwned\x07\x9b2J\r\n\u202e\x7f\ud800" in line
        own = line.replace("\x1b[", "")  # the colours are the renderer's
        assert own.isprintable(), ascii(own)
