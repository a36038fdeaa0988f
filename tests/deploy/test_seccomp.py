"""deploy/seccomp.json: enough for the whole jail in a container without privileges, and for nothing more."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from sandbox.restricted.jail import LAYERS
from tests.deploy.engine import HARDENED, PROFILE, docker

JAIL: Final = frozenset({"chroot", "mount", "pivot_root", "umount2", "unshare"})
DOCKERS: Final = Path("/usr/share/gocode/src/github.com/docker/docker/profiles/seccomp/default.json")

ISOLATION: Final = """
import asyncio
from sandbox.job import SandboxUnavailable
from sandbox.limits import Limits
from sandbox.restricted.engine import RestrictedEngine

async def main():
    engine = RestrictedEngine(limits=Limits())
    try:
        await engine.start()
    except SandboxUnavailable as error:
        return f"refused: {error}"
    await engine.stop()
    return " ".join((*engine.status().isolation, *(f"no-{name}" for name in engine.status().missing)))

print(asyncio.run(main()))
"""

FAMILIES: Final = """
import errno, socket
for family in range(46):
    try:
        socket.socket(family, socket.SOCK_STREAM).close()
    except OSError as error:
        if error.errno == errno.EPERM:
            continue
    print(socket.AddressFamily(family).name)
"""


def profile() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(PROFILE.read_text())
    return found


def allowed(entries: list[dict[str, Any]]) -> set[str]:
    """What a process without capabilities may call under a profile, whatever the arguments on x86-64."""
    names: set[str] = set()
    for entry in entries:
        needs = entry.get("includes") or {}
        fits = not needs.get("caps") and "amd64" in needs.get("arches", ["amd64"])
        if entry["action"] == "SCMP_ACT_ALLOW" and fits:
            names.update(entry["names"])
    return names


def run(service: str, program: str, *options: str) -> str:
    flags = ["--network=none", *HARDENED.split(), *options, "--entrypoint=python3"]
    return docker("run", "--rm", *flags, service, "-c", program)


def isolation(service: str, *options: str) -> str:
    return run(service, ISOLATION, *options)


def test_the_profile_allows_less_than_docker_does_and_five_calls_more() -> None:
    if not DOCKERS.exists():
        pytest.skip("Docker's own profile is not here: on Debian, apt-get install golang-github-docker-docker-dev")
    dockers = json.loads(DOCKERS.read_text())
    assert allowed(profile()["syscalls"]) - allowed(dockers["syscalls"]) == JAIL
    assert profile()["defaultAction"] == dockers["defaultAction"] == "SCMP_ACT_ERRNO"


def test_the_jail_is_whole(service: str) -> None:
    layers = isolation(service, f"--security-opt=seccomp={PROFILE}").split()
    assert {layer.partition(":")[0] for layer in layers} == set(LAYERS)
    assert "root:pivot" in layers


@pytest.mark.parametrize(
    ("without", "expected"),
    [
        ({"unshare"}, "refused: the jail's layer 'namespaces'"),
        ({"mount"}, "root:chroot"),
        ({"pivot_root"}, "refused: the jail's layer 'root'"),
        ({"umount2"}, "refused: the jail's layer 'root'"),
        ({"mount", "chroot"}, "refused: the jail's layer 'root'"),
    ],
    ids=lambda value: "-".join(sorted(value)) if isinstance(value, set) else "",
)
def test_without_a_call_of_the_jail_the_engine_says_what_is_missing(
    service: str, tmp_path: Path, without: set[str], expected: str
) -> None:
    less = profile()
    for entry in less["syscalls"]:
        entry["names"] = [name for name in entry["names"] if name not in without]
    (tmp_path / "less.json").write_text(json.dumps(less))
    assert expected in isolation(service, f"--security-opt=seccomp={tmp_path / 'less.json'}")


def test_by_dockers_own_profile_the_engine_refuses(service: str) -> None:
    assert isolation(service).startswith("refused: the jail's layer 'namespaces'")


def test_no_sockets_but_those_of_the_internet_and_of_this_machine(service: str) -> None:
    found = run(service, FAMILIES, f"--security-opt=seccomp={PROFILE}")
    assert set(found.split()) == {"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"}
