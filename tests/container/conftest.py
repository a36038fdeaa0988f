"""One Docker engine of the tests' own, with the base image and no other."""

from collections.abc import Iterator

import pytest

from tests.container.own_daemon import OwnDaemon, own_daemon
from tests.deploy.engine import base_image


@pytest.fixture(scope="session")
def shared_daemon() -> Iterator[OwnDaemon]:
    base = base_image()
    with own_daemon() as own:
        own.load(base)
        yield own


@pytest.fixture
def daemon(shared_daemon: OwnDaemon) -> Iterator[OwnDaemon]:
    """Running and without containers, before a test and after it."""
    assert shared_daemon.containers() == []
    yield shared_daemon
    if not shared_daemon.answers():
        shared_daemon.start()
    assert shared_daemon.containers() == [], "left behind"
