"""With AGENTHOST_TEST_REQUIRE_ALL set, as in CI, a test that would skip fails: nothing real is left untested unseen."""

import os
from collections.abc import Generator

import pytest

from tests.peers.aimock import aimock as aimock
from tests.peers.pgbouncer import pooled_database as pooled_database
from tests.peers.pgbouncer import pooled_server as pooled_server
from tests.peers.supabase import project as project
from tests.postgres import DEBIAN, EMBEDDED
from tests.postgres import cloned as cloned
from tests.postgres import database as database
from tests.postgres import debian_database as debian_database
from tests.postgres import debian_server as debian_server
from tests.postgres import embedded_server as embedded_server
from tests.postgres import postgres as postgres

REQUIRE_ALL = bool(os.environ.get("AGENTHOST_TEST_REQUIRE_ALL"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("both_postgres") and "postgres" in metafunc.fixturenames:
        metafunc.parametrize("postgres", [EMBEDDED, DEBIAN], indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but AGENTHOST_TEST_REQUIRE_ALL is set: {report.longrepr}"
    return report
