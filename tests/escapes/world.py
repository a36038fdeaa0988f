"""What an attack could have changed on this machine: processes, descriptors, files. Looked at from outside the jail."""

import asyncio
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Self

from tests.escapes.flags import new_flag

ROOT = Path(__file__).parents[2]
VARIABLE = "AGENTHOST_TEST_FLAG"
WATCHED = tuple(Path(place) for place in ("/tmp", "/dev/shm", "/var/tmp", "/run", "/mnt", "/", ROOT))
SETTLE_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Process:
    parent: int
    state: str


@dataclass(frozen=True, slots=True)
class Planted:
    """Flags in the host: its environment, its memory, a file that everybody may read; and two for each victim."""

    flags: dict[str, str]
    file: Path
    mark: str
    """Part of every name that an attack gives to something, so that it can be found again."""

    @classmethod
    def new(cls) -> Self:
        directory = Path(tempfile.mkdtemp(prefix="agenthost-flag-"))
        directory.chmod(0o755)
        places = ("environment", "memory", "file", "input", "reply")
        planted = cls({place: new_flag(place) for place in places}, directory / "flag", f"mark{token_hex(8)}")
        planted.file.write_text(planted.flags["file"])
        planted.file.chmod(0o644)
        os.environ[VARIABLE] = planted.flags["environment"]
        return planted

    def remove(self) -> None:
        os.environ.pop(VARIABLE, None)
        shutil.rmtree(self.file.parent)

    def hint(self) -> dict[str, object]:
        """What an attacker may be assumed to know: where the flags are, never what they say."""
        return {
            "file": str(self.file),
            "variable": VARIABLE,
            "host_pid": os.getpid(),
            "mark": self.mark,
            "prefix": "FLAG",
            "root": str(ROOT),
            "earlier": [],
        }

    def sweep(self) -> None:
        """Remove what an attack could make because a layer was taken away on purpose."""
        for trace in (place / self.mark for place in WATCHED):
            if trace.is_dir():
                trace.rmdir()
            trace.unlink(missing_ok=True)

    def traces(self) -> list[str]:
        """Files that an attack left, and the flag's file if it is not what it was."""
        found = [
            str(place / name) for place in (*WATCHED, self.file.parent) for name in names(place) if self.mark in name
        ]
        if names(self.file.parent) != ["flag"] or self.file.read_text() != self.flags["file"]:
            found.append(f"{self.file} was changed")
        return found


def names(directory: Path) -> list[str]:
    return os.listdir(directory) if os.access(directory, os.R_OK) else []


def processes() -> dict[int, Process]:
    found = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                text = Path("/proc", name, "stat").read_text()
            except OSError:
                continue
            state, parent = text.rpartition(")")[2].split()[:2]
            found[int(name)] = Process(int(parent), state)
    return found


def children_of(pid: int) -> set[int]:
    return {child for child, process in processes().items() if process.parent == pid}


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def steady_descriptors() -> int:
    """How many there are once their number no longer changes: a child's socket comes a little later than the child."""
    seen = [descriptors()]
    while len(seen) < 20 or len(set(seen[-20:])) > 1:
        await asyncio.sleep(0.01)
        seen.append(descriptors())
    return seen[-1]


@dataclass(slots=True)
class Watch:
    """One engine's processes. The host started `stub`; the zygote is its child, the guests are the zygote's."""

    stub: int
    zygote: int = 0
    parked: int = 0
    descriptors: int = 0
    dead: set[int] = field(default_factory=set)
    """Zombies that a self-test left in a jail without limits, where its probes can fork."""

    async def begin(self, parked: int) -> None:
        """Wait until the engine has all its parked children; what is there then is what must be there afterwards."""
        self.parked = parked
        self.dead = {pid for pid, process in processes().items() if process.state == "Z"}
        async with asyncio.timeout(SETTLE_SECONDS):
            while [len(pids) for pids in self._generations()] != [1, 1, parked]:  # noqa: ASYNC110 - /proc has no events
                await asyncio.sleep(0.01)
        (self.zygote,) = self._generations()[1]
        self.descriptors = await steady_descriptors()

    async def remains(self) -> list[str]:
        """What is left of an attack once the engine had time to clear up; nothing, as it should be."""
        wrong: list[str] = []
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SETTLE_SECONDS
        while loop.time() < deadline:
            wrong = self._wrong()
            if not wrong:
                return []
            await asyncio.sleep(0.01)
        return wrong

    def _wrong(self) -> list[str]:
        generations = self._generations()
        wrong, counts = [], [len(pids) for pids in generations]
        if counts != [1, 1, self.parked]:
            wrong.append(f"processes by generation are {counts} instead of {[1, 1, self.parked]}")
        elif generations[1] != {self.zygote}:
            wrong.append("the zygote is not the one that was there before")
        if descriptors() > self.descriptors:
            wrong.append(f"the host has {descriptors()} descriptors instead of {self.descriptors}")
        return wrong

    def _generations(self) -> list[set[int]]:
        """The processes of each generation, the stub's first."""
        everybody = {pid: process for pid, process in processes().items() if pid not in self.dead}
        generation, found = {self.stub} & everybody.keys(), []
        while generation:
            found.append(generation)
            generation = {pid for pid, process in everybody.items() if process.parent in generation}
        return found
