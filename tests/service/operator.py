"""An operator at a shell: the command line in processes of its own, with a data directory and settings."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

AGENTHOST: Final = Path(sys.executable).with_name("agenthost")
START_SECONDS: Final = 60


@dataclass
class Operator:
    """Somebody with a shell, and a data directory."""

    data_dir: Path
    port: int = 0
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        own = {"AGENTHOST_DATA_DIR": str(self.data_dir), "AGENTHOST_PORT": str(self.port)}
        return {"PATH": os.environ["PATH"], "HOME": str(self.data_dir), **own, **self.settings}

    def types(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [AGENTHOST, *arguments],
            input=stdin,
            env=self.environment,
            cwd=self.data_dir,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )

    @contextmanager
    def up(self) -> Iterator["Up"]:
        self.data_dir.mkdir(exist_ok=True)
        process = subprocess.Popen(
            [AGENTHOST, "up"],
            env=self.environment,
            cwd=self.data_dir,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        host = Up(process)
        try:
            host.wait_until_ready()
            self.port = int(host.url.rpartition(":")[2])
            yield host
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(START_SECONDS)
            host.reader.join(START_SECONDS)
            assert process.stdout is not None
            process.stdout.close()


class Up:
    """A started host: what it printed and what it logs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.printed = ""
        self.log: list[str] = []
        self.reader = threading.Thread(target=self._read_log)
        self.reader.start()

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            self.log.extend(stderr)

    def wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed += line
            if len(self.curl_lines) == 4:
                return
        raise AssertionError(f"it did not start:\n{self.printed}\n{''.join(self.log)}")

    @property
    def url(self) -> str:
        found = re.search(r"http://127\.0\.0\.1:\d+", self.printed)
        assert found
        return found[0]

    @property
    def variables(self) -> list[str]:
        """The lines that the curl lines come after."""
        return re.findall(r"^[A-Z]+=.*$", self.printed, re.MULTILINE)

    @property
    def curl_lines(self) -> list[str]:
        return re.findall(r"^curl .*$", self.printed, re.MULTILINE)


def define(host: Up, token: str, name: str, code: str) -> None:
    answer = httpx.post(
        f"{host.url}/agents",
        json={"agent_name": name, "agent_config": code},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    assert answer.status_code in (201, 409), answer.text
