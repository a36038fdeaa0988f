"""The locks agree: what the image of the host holds is what the tests ran with, and all that the host needs."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def pins(lock: str) -> dict[str, set[str]]:
    """Name, version and marker of each requirement of a lock -> its hashes."""
    entries = (ROOT / lock).read_text().replace("\\\n", " ").splitlines()
    return {head.strip(): set(hashes) for head, *hashes in (entry.split(" --hash=") for entry in entries)}


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def needed(requirement: str, seen: set[str]) -> Iterator[str]:
    """A requirement and what it needs itself, as installed here, without extras."""
    name = name_of(requirement)
    if name not in seen:
        seen.add(name)
        yield name
        for further in requires(name) or []:
            if ";" not in further:
                yield from needed(further, seen)


@pytest.mark.parametrize("lock", ["requirements-runtime.lock", "scripts/build.lock"])
def test_a_part_pins_what_the_whole_pins(lock: str) -> None:
    whole = {
        name_of(head): (head.partition(";")[0].strip(), hashes) for head, hashes in pins("requirements.lock").items()
    }
    part = {name_of(head): (head.partition(";")[0].strip(), hashes) for head, hashes in pins(lock).items()}
    assert {name: pin for name, pin in part.items() if whole.get(name, pin) != pin} == {}
    assert all(hashes for _, hashes in part.values())


def test_the_host_finds_in_its_lock_all_that_it_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = {name_of(head) for head in pins("requirements-runtime.lock")}
    seen: set[str] = set()
    assert [
        name for text in project["project"]["dependencies"] for name in needed(text, seen) if name not in locked
    ] == []


def test_the_builder_of_the_wheel_is_the_one_that_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(project["build-system"]["requires"]) <= {head.partition(" ")[0] for head in pins("scripts/build.lock")}
