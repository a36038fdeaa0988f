import pytest

from tests.deploy.engine import build


@pytest.fixture(scope="session")
def service() -> str:
    """The image of the host."""
    return build("service")


@pytest.fixture(scope="session")
def runner() -> str:
    """The image that agents run in."""
    return build("runner")
