"""The sample agents, defined for the demo user by `agenthost up`: each of them once in the life of a data directory.

They go the way of every agent, POST /agents, and are checked in a jail. What the user has made of them stays, deleted
ones too; one that cannot be defined is tried again at the next start, and never keeps the host from serving.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import structlog
from fastapi import FastAPI

from service.host import Host
from service.local import DEMO_EMAIL, DEMO_USER_ID

log = structlog.get_logger("agenthost.samples")

_INSTALLED: Final = Path(__file__).parents[1] / "samples"
DIRECTORY: Final = (
    _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[2].joinpath("generated_agents", "samples")
)
DEFINED: Final = "samples"
"""A file of the data directory: the names of the samples that have been defined, a line each."""


async def define_samples(app: FastAPI, directory: Path = DIRECTORY) -> None:
    """Define those that this host's demo user never had. Other users, and hosts without a demo user, get none."""
    host: Host = app.state.host
    if host.identity is None or not host.settings.local_mode:
        return
    defined = host.settings.data_dir / DEFINED
    token = host.identity.mint(DEMO_USER_ID, DEMO_EMAIL)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False),
        base_url="http://agenthost",
        headers={"Authorization": f"Bearer {token}"},
    ) as http:
        try:
            for name, code in _never_defined(directory, defined):
                answer = await http.post("/agents", json={"agent_name": name, "agent_config": {"code": code}})
                if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                    return  # the host is stopping, or cannot at the moment
                if answer.status_code in (httpx.codes.CREATED, httpx.codes.CONFLICT):
                    _note(defined, name)
                else:
                    log.warning("sample_not_defined", agent_name=name, status=answer.status_code)
        except OSError as error:
            log.warning("samples_not_defined", error=type(error).__name__, reason=error.strerror)


def _never_defined(directory: Path, defined: Path) -> Iterator[tuple[str, str]]:
    """Name and code of each."""
    had = defined.read_text().split() if defined.exists() else []
    for path in sorted(directory.glob("*.py")):
        if path.stem not in had:
            yield path.stem, path.read_text()


def _note(defined: Path, name: str) -> None:
    with defined.open("a") as names:
        names.write(f"{name}\n")
