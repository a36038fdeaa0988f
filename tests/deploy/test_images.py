"""The images of the Dockerfile, on a real engine: what is in them, and the host in one, with a Postgres of its own."""

import time

import pytest

from tests.deploy.agents import count, define
from tests.deploy.engine import HARDENED, PROFILE, ROOT, base_image, container, docker

LARGEST_BYTES = 250_000_000
"""What the host may add to its base."""

INSIDE = r"""
import os, pathlib, site, sys
import sandbox.container.inside, sandbox.guest.serve
top = pathlib.Path("/opt/agenthost")
for path in (top, *top.rglob("*")):
    found = path.stat()
    assert found.st_uid == 0 and not found.st_mode & 0o022 and found.st_mode & 0o004, path
names = {path.relative_to(top).as_posix() for path in top.rglob("*")}
assert not [name for name in names if "restricted" in name or "service/" in name]
assert f"sandbox/__pycache__/wire.cpython-{sys.version_info[0]}{sys.version_info[1]}.pyc" in names
assert (os.getuid(), os.getgid()) == (65532, 65532)
"""


@pytest.fixture(scope="module")
def profiled(service: str) -> tuple[str, ...]:
    return (f"--security-opt=seccomp={PROFILE}", "--health-interval=1s")


def test_the_runner_holds_the_guest_and_nothing_that_its_user_can_change(runner: str) -> None:
    docker("run", "--rm", "--network=none", "--entrypoint=python3", runner, "-I", "-B", "-c", INSIDE)
    assert docker("image", "inspect", "--format", "{{.Config.User}}", runner) == "65532:65532"


def test_the_host_is_small(service: str) -> None:
    size, base = (int(docker("image", "inspect", "--format", "{{.Size}}", image)) for image in (service, base_image()))
    print(f"the image of the host has {size / 1e6:.0f} MB, {base / 1e6:.0f} MB of them its base")
    assert size - base < LARGEST_BYTES


def test_the_host_has_no_installer_and_owns_nothing_of_its_program(service: str) -> None:
    find = "find /opt/agenthost ( -user 10001 -o -perm /022 -o -name pip ) -not -type l"
    assert docker("run", "--rm", "--network=none", "--entrypoint=find", service, *find.split()[1:]) == ""


def test_a_host_runs_agents_without_any_privilege(service: str, profiled: tuple[str, ...]) -> None:
    with container(service, *profiled) as host, host.client() as http:
        engines = http.get("/ready").json()["engines"]
        assert [engine["state"] for engine in engines if engine["name"] == "restricted"] == ["ready"]
        define(http)
        assert count(http) == 1
        status = dict(line.split(":", 1) for line in host.execute("cat", "/proc/1/status").splitlines())
        assert status["Uid"].split() == ["10001"] * 4
        assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {0}
        assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
        deadline = time.monotonic() + 30
        while host.state()["Health"]["Status"] != "healthy":
            assert time.monotonic() < deadline, host.state()
            time.sleep(0.2)


def test_a_stopped_host_ends_cleanly_and_a_killed_one_too_has_its_data_when_it_starts_again(
    service: str, profiled: tuple[str, ...]
) -> None:
    with container(service, *profiled) as host:
        with host.client() as http:
            define(http)
            assert count(http) == 1
        docker("stop", "--time=30", host.id)
        assert host.state()["ExitCode"] == 0, host.logs()
        assert '"stopped"' in host.logs()
        docker("start", host.id)
        with host.client() as http:
            assert count(http) == 2
        docker("kill", host.id)
        docker("start", host.id)
        with host.client() as http:
            assert count(http) == 3


def test_the_flags_of_the_tests_are_those_of_the_docs() -> None:
    page = (ROOT / "docs/deploy.md").read_text().replace(" \\\n   ", "")
    assert f"--security-opt seccomp=deploy/seccomp.json {HARDENED} " in page


def test_a_host_that_may_not_build_jails_does_not_start(service: str) -> None:
    with container(service) as host:
        assert host.ended() == 1
        assert "the jail's layer 'namespaces' cannot be put up" in host.logs()
