"""Settings of container engines for tests: the Docker engine of this machine, an instance of the test's own."""

import os
from pathlib import Path
from typing import Any

import pytest

from sandbox.container.engine import ContainerSettings
from tests.deploy.engine import base_image, docker

DOCKER_HOST = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")


def container_settings(directory: Path, **changes: Any) -> ContainerSettings:
    """The test is skipped where there is no Docker engine, or no base image."""
    own = {"docker_host": DOCKER_HOST, "instance": directory / "instance", "start_seconds": 120.0}
    return ContainerSettings(**{"base_image": base_image(), **own, **changes})


def require_runtime(runtime: str | None) -> None:
    """The test is skipped where the engine does not know it."""
    base_image()
    if runtime is not None and runtime not in docker("info", "--format", "{{json .Runtimes}}"):
        pytest.skip(f"the Docker engine knows no runtime {runtime}: install gVisor (Debian: runsc) and register it")
