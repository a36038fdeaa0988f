"""Starting and ending a program of Postgres, as the user and with the view of the files that its place asks for."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from service.database.launch import NO_NAMESPACES

_LAUNCH: Final = Path(__file__).with_name("launch.py")
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where Postgres runs from: the paths as it sees them, and how the launcher makes them so."""

    program: Path
    data: Path
    uid: int | None = None
    mount_point: str = ""
    binds: tuple[tuple[str, str], ...] = ()
    passwd: str = ""

    def plan(self, command: list[str]) -> str:
        program = str(self.program / "pginstall" / "bin" / command[0])
        return json.dumps(
            {
                "parent": os.getpid(),
                "uid": self.uid,
                "mount_point": self.mount_point,
                "binds": self.binds,
                "passwd": self.passwd,
                "command": [program, *command[1:]],
                "environment": _ENVIRONMENT,
            }
        )


async def spawn(place: Place, command: list[str], **streams: Any) -> asyncio.subprocess.Process:
    # In a session of its own: a Ctrl-C in the terminal is for the host, which stops Postgres last.
    streams = {"stdin": asyncio.subprocess.DEVNULL, "stdout": asyncio.subprocess.DEVNULL, **streams}
    arguments = (sys.executable, "-I", "-S", str(_LAUNCH), place.plan(command))
    return await asyncio.create_subprocess_exec(*arguments, start_new_session=True, env=_ENVIRONMENT, **streams)


async def end(process: asyncio.subprocess.Process) -> None:
    """Politely, then firmly, then surely."""
    for how, patience_seconds in ((signal.SIGINT, 20), (signal.SIGQUIT, 5), (signal.SIGKILL, 60)):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), patience_seconds)


def last_words(text: str, code: int | None, place: Place) -> str:
    """What a program that failed said, and what to do where the reason is who it had to run as."""
    words = " | ".join(text.strip().splitlines()[-3:])
    if code == NO_NAMESPACES:
        words = "the kernel does not allow a mount namespace here"
    if place.uid is not None and (code == NO_NAMESPACES or "launch:" in words):
        words += (
            ". As root, Postgres runs as another user, who must be able to reach its data and the installed program: "
            "put both where others may walk to (AGENTHOST_DATA_DIR), run as an ordinary user, or set DATABASE_URL"
        )
    return words or "it said nothing"
