"""A host started as a newcomer would start it, and a shell that types a page's commands at it."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.docs.document import ROOT

DOCUMENTED_ADDRESS: Final = "http://127.0.0.1:8000"
START_SECONDS: Final = 60
PAGE_SECONDS: Final = 120
_OUTPUT: Final = "output"
_MARK: Final = "<<block %d>>"


@dataclass(frozen=True, slots=True)
class Hosted:
    """A running host: its address, and the environment and directory in which its command line finds it."""

    address: str
    environment: dict[str, str]
    directory: Path
    process: "subprocess.Popen[bytes]"

    @property
    def said(self) -> str:
        """What it has printed and logged."""
        return (self.directory / _OUTPUT).read_text()

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def token(self, *arguments: str) -> str:
        """What `agenthost token` prints."""
        command = [str(ROOT / ".venv/bin/agenthost"), "token", *arguments]
        printed = subprocess.check_output(command, cwd=self.directory, env=self.environment, text=True)
        return printed.strip()

    def type(self, commands: Sequence[str]) -> list[str]:
        """What each of the commands prints, all typed into one shell in this order; the first failure raises."""
        script = "set -euo pipefail\n" + "".join(
            f"{text.replace(DOCUMENTED_ADDRESS, self.address)}\nprintf '\\n{_MARK % number}\\n'\n"
            for number, text in enumerate(commands)
        )
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PAGE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return re.split(r"\n<<block \d+>>\n", done.stdout)[:-1]


@contextmanager
def started_host(directory: Path, **settings: str) -> Iterator[Hosted]:
    """`agenthost up` with its data in `directory`, on a free port, with nothing else configured; stopped afterwards.

    Started again on the same directory it goes on with the same data.
    """
    if not (directory / ".venv").exists():
        (directory / ".venv").symlink_to(ROOT / ".venv")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "AGENTHOST_PORT": "0",
        "AGENTHOST_DATA_DIR": str(directory / "data"),
        **settings,
    }
    said = directory / _OUTPUT
    with said.open("wb") as output:
        process = subprocess.Popen(
            [ROOT / ".venv/bin/agenthost", "up"],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        address = _address(said, process)
        environment["AGENTHOST_PORT"] = address.rpartition(":")[2]
        yield Hosted(address, environment, directory, process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)


def _address(said: Path, process: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:\d+", said.read_text()):
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"the host did not start:\n{said.read_text()}")
