"""A host in a process of its own, started as an operator would, with nothing but a fresh data directory."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from service.local import LocalIdentity

AGENT: Final = "def run(name: str = 'World'):\n    return {'message': f'Hello, {name}'}\n"
CALLER: Final = """
def run(services, name: str = "World"):
    services.kv.set("last", name)
    count = services.kv.increment("count")
    services.notify.send("Greeted", name)
    return {"count": count, "last": services.kv.get("last")}
"""
"""An agent of four calls, three of which change something when they are live."""

AGENTHOST: Final = Path(sys.executable).with_name("agenthost")
START_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Host:
    """Where it listens, a token of its demo user, and the paths that run the agents."""

    address: str
    token: str
    data_dir: Path
    run_path: str
    caller_path: str

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def token_of_another(self) -> str:
        """A token of a user that nobody has seen."""
        return LocalIdentity.in_directory(self.data_dir).mint(uuid4())


@contextmanager
def running_host(token: str | None = None, **settings: str) -> Iterator[Host]:
    """The host with these variables, with the agents defined; stopped and its data removed afterwards. `token` is of
    the user whose they are, where the host cannot make one."""
    with tempfile.TemporaryDirectory() as directory:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": directory,
            "AGENTHOST_PORT": "0",
            "AGENTHOST_DATA_DIR": f"{directory}/data",
            "AGENTHOST_GENERATED_AGENTS_DIR": "off",
            "AGENTHOST_LIMIT_RUNS_PER_USER": "64",
            **settings,
        }
        said = Path(directory, "output")
        with said.open("wb") as output:
            process = subprocess.Popen(
                [AGENTHOST, "up"], env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            address = _address(said, process)
            token = token or subprocess.check_output([AGENTHOST, "token"], env=environment, text=True).strip()
            paths = [_defined(address, token, *each) for each in (("hello", AGENT), ("caller", CALLER))]
            yield Host(address, token, Path(directory, "data"), *paths)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _address(said: Path, process: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:\d+", said.read_text()):
            return found[0]
        time.sleep(0.05)
    raise RuntimeError(f"the host did not start:\n{said.read_text()}")


def _defined(address: str, token: str, name: str, code: str) -> str:
    """The path that runs it."""
    request = urllib.request.Request(
        f"{address}/agents",
        data=json.dumps({"agent_name": name, "agent_config": code}).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["run_url"])
