"""A Docker engine of a test's own, to be stopped, stopped short, killed and filled up. Needs root and `dockerd`."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from sandbox.container.engine import ContainerSettings
from tests.containers import DOCKER_HOST
from tests.deploy.engine import base_image

ANSWER_SECONDS = 60


class OwnDaemon:
    """Everything of it is in `directory`, whose path is short, since sockets are in it."""

    def __init__(self, directory: Path, *flags: str) -> None:
        self.directory = directory
        self.address = f"unix://{directory}/docker.sock"
        self._flags = flags
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        own = f"--data-root={self.directory}/data --exec-root={self.directory}/exec --pidfile={self.directory}/pid"
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["dockerd", f"--host={self.address}", *own.split(), "--bridge=none", "--iptables=false", *self._flags],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + ANSWER_SECONDS
        while wait and not self.answers():
            assert time.monotonic() < deadline, (self.directory / "log").read_text()[-3000:]
            time.sleep(0.1)

    def stop(self) -> None:
        """As an operator does it: containers end with it."""
        self.signal(signal.SIGTERM)
        assert self._process is not None
        self._process.wait(ANSWER_SECONDS)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(ANSWER_SECONDS)
        # Its containerd dies with it; where nobody buries that one, the next daemon takes it for alive.
        (self.directory / "exec/containerd/containerd.pid").unlink(missing_ok=True)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def answers(self) -> bool:
        return subprocess.run(self._command("version"), capture_output=True).returncode == 0

    def docker(self, *arguments: str) -> str:
        done = subprocess.run(self._command(*arguments), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def load(self, image: str) -> None:
        """An image of the machine's own engine."""
        with subprocess.Popen(["docker", "--host", DOCKER_HOST, "save", image], stdout=subprocess.PIPE) as saving:
            subprocess.run(self._command("load", "--quiet"), stdin=saving.stdout, check=True, capture_output=True)

    def containers(self) -> list[str]:
        """The ids of all, running or not."""
        return self.docker("ps", "--all", "--quiet", "--no-trunc").split()

    def processes(self) -> list[int]:
        """The first process of each running container, as this machine numbers them."""
        running = self.docker("ps", "--quiet").split()
        if not running:
            return []
        return [int(pid) for pid in self.docker("inspect", "--format", "{{.State.Pid}}", *running).split()]

    def settings(self, directory: Path, **changes: Any) -> ContainerSettings:
        own = {"docker_host": self.address, "instance": directory / "instance", "pool": 2, "start_seconds": 120.0}
        return ContainerSettings(**{"base_image": base_image(), **own, **changes})

    def _command(self, *arguments: str) -> list[str]:
        return ["docker", "--host", self.address, *arguments]


@contextmanager
def own_daemon(*flags: str, data_bytes: int | None = None, started: bool = True) -> Iterator[OwnDaemon]:
    """`data_bytes`: images and containers are on a file system of that size. Skips where there can be no daemon."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("a Docker engine of one's own needs root and dockerd (Debian: docker.io)")
    directory = Path(tempfile.mkdtemp(prefix="ahd", dir="/tmp"))
    data = directory / "data"
    data.mkdir()
    if data_bytes is not None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={data_bytes}", "none", str(data)], check=True)
    daemon = OwnDaemon(directory, *flags)
    try:
        if started:
            daemon.start()
        yield daemon
    finally:
        if not daemon.answers():
            daemon.start()  # to clean up after the one that was killed
        daemon.stop()
        _clear(directory)
        shutil.rmtree(directory)


def _clear(directory: Path) -> None:
    """What a daemon that was killed in the middle of a start leaves even after the next: shims, and mounts."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{directory}/".encode() in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed([mount for mount in mounts if Path(mount).is_relative_to(directory)]):
        subprocess.run(["umount", "--lazy", mount], check=True)


def alive(pid: int) -> bool:
    """Not dead, nor a zombie that nobody has buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
