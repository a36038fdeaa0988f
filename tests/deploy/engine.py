"""The Docker engine of this machine: its command line, images of this checkout on it, and containers that go away.

AGENTHOST_TEST_BASE_IMAGE names the base of the images, where that of the Dockerfile cannot be had.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

ROOT: Final = Path(__file__).parents[2]
PROFILE: Final = ROOT / "deploy/seccomp.json"
BUILD_SECONDS: Final = 900
START_SECONDS: Final = 90

HARDENED: Final = (
    "--security-opt no-new-privileges --cap-drop ALL --read-only --tmpfs /tmp --pids-limit 1024 --memory 4g"
)
"""As docs/deploy.md has it."""


def docker(*arguments: str, timeout_seconds: float = 120, **options: Any) -> str:
    """What `docker ARGUMENTS` prints; its complaint is the error when it fails."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=False, timeout=timeout_seconds, **options
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr[-3000:]}{done.stdout[-3000:]}"
    return str(done.stdout).strip()


def base_image() -> str:
    """The base of the images of the tests; skips where there is none, or no engine."""
    if shutil.which("docker") is None or subprocess.run(["docker", "version"], capture_output=True).returncode != 0:
        pytest.skip("no Docker engine answers: install one (Debian: docker.io), or set DOCKER_HOST")
    named = re.search(r"^ARG BASE_IMAGE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert named is not None
    base = os.environ.get("AGENTHOST_TEST_BASE_IMAGE", named[1])
    for get in (["inspect", base], ["pull", "--quiet", base]):
        if subprocess.run(["docker", "image", *get], capture_output=True).returncode == 0:
            return base
    pytest.skip(f"no image {base}: make one with scripts/base-image.sh NAME, and set AGENTHOST_TEST_BASE_IMAGE=NAME")


def build(target: str) -> str:
    """The image of a target of the Dockerfile. Processes that ask at once wait for the first, and find its layers."""
    base, tag = base_image(), f"agenthost-test-{target}"
    with locked():
        network = "none" if target == "runner" else "host"
        arguments = ["--target", target, "--tag", tag, "--build-arg", f"BASE_IMAGE={base}", str(ROOT)]
        docker("build", "--quiet", f"--network={network}", *arguments, timeout_seconds=BUILD_SECONDS)
    return tag


def build_postgres(service: str) -> str:
    tag = "agenthost-test-postgres"
    with locked():
        arguments = ["--tag", tag, "--build-arg", f"SERVICE={service}", str(Path(__file__).with_name("postgres"))]
        docker("build", "--quiet", *arguments, timeout_seconds=BUILD_SECONDS)
    return tag


@contextmanager
def locked() -> Iterator[None]:
    with open(Path(tempfile.gettempdir(), f"agenthost-test-images-{os.getuid()}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True, slots=True)
class Container:
    """A running host in a container."""

    id: str

    def execute(self, *command: str) -> str:
        return docker("exec", self.id, *command)

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(docker("inspect", "--format", "{{json .State}}", self.id))
        return found

    def logs(self) -> str:
        done = subprocess.run(["docker", "logs", self.id], capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    def ended(self) -> int:
        """Its exit code, when it has ended by itself."""
        return int(docker("wait", self.id, timeout_seconds=START_SECONDS))

    def client(self) -> httpx.Client:
        """See `client_of`. The address changes with each start."""
        return client_of(docker("port", self.id, "8000"), lambda: self.execute("agenthost", "token"), self.logs)


def client_of(address: str, token: Callable[[], str], logs: Callable[[], str]) -> httpx.Client:
    """A client of the demo user, once the host at `address` can run agents."""
    url = f"http://{address}"
    deadline = time.monotonic() + START_SECONDS
    while not _ready(url):
        assert time.monotonic() < deadline, logs()
        time.sleep(0.2)
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token()}"}, timeout=30)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def network() -> Iterator[str]:
    name = f"agenthost-test-{uuid4().hex[:12]}"
    docker("network", "create", name)
    try:
        yield name
    finally:
        docker("network", "rm", name)


@contextmanager
def container(image: str, *flags: str) -> Iterator[Container]:
    """A container of a network of its own, hardened as compose.yaml has it; removed afterwards, its volumes too."""
    with network() as name:
        started = Container(
            docker(
                "run", "--detach", f"--network={name}", "--publish=127.0.0.1::8000", *HARDENED.split(), *flags, image
            )
        )
        try:
            yield started
        finally:
            docker("rm", "--force", "--volumes", started.id)
