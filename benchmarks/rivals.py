"""The other ways to run the same program in a container: `docker run`, and llm-sandbox as its users install it."""

import asyncio
import itertools
import json
import os
import subprocess
import sys
from asyncio.subprocess import PIPE
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks.host import AGENT
from sandbox.container.engine import DESCRIPTORS, HEADROOM_BYTES, PROCESSES, SCRATCH_BYTES
from sandbox.container.pool import USERS
from service.settings import Settings

PROGRAM: Final = f"{AGENT}\n\nimport json\n\nprint(json.dumps(run(name='Ada')))\n"
OUTPUT: Final = '{"message": "Hello, Ada"}'

LLM_SANDBOX: Final = "0.3.46"
AT_ONCE: Final = 8
_IMAGE: Final = "agenthost-benchmark-sessions"
_DOCKERFILE: Final = """
FROM {base}
RUN command -v python || ln -s "$(command -v python3)" /usr/bin/python
RUN python -m venv --system-site-packages --without-pip /sandbox/.sandbox-venv
CMD ["python3"]
"""


class Absent(Exception):
    """Something to compare with is not here; the message says what, and what would bring it."""


class Way(Protocol):
    """A way to run the program once, from asking to its answer. Nothing of a run is used for another, unless said."""

    name: str

    async def run(self) -> None: ...


class DockerRun:
    """The command line, with the flags of somebody who is careful: those of the engine, as far as it has them."""

    name = "`docker run --rm`"

    def __init__(self, settings: Settings, image: str) -> None:
        memory = str(settings.limit_container_memory_bytes + HEADROOM_BYTES)
        self._command = [
            *("docker", "run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL"),
            *("--security-opt=no-new-privileges", f"--user={USERS[0]}", f"--pids-limit={PROCESSES}", "--cpus=1"),
            *(f"--memory={memory}", f"--memory-swap={memory}", "--ulimit=core=0", f"--ulimit=nofile={DESCRIPTORS}"),
            *(f"--tmpfs=/tmp:rw,noexec,nosuid,nodev,size={SCRATCH_BYTES},mode=1777", "--log-driver=none"),
            *([f"--runtime={settings.container_runtime}"] if settings.container_runtime else []),
            *("--entrypoint=python3", image, "-I", "-c", PROGRAM),
        ]
        self._environment = docker_environment(settings)

    async def run(self) -> None:
        process = await asyncio.create_subprocess_exec(*self._command, env=self._environment, stdout=PIPE, stderr=PIPE)
        said, complained = await process.communicate()
        if said.decode().strip() != OUTPUT:
            raise RuntimeError(f"docker run: {said.decode()}{complained.decode()}")


class Sessions:
    """A process with llm-sandbox, asked for runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._asking, self._answers = process.stdin, process.stdout
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[None]] = {}

    @classmethod
    async def started(cls, stack: AsyncExitStack, settings: Settings) -> "Sessions":
        """Raises Absent when it cannot be installed."""
        python = await asyncio.to_thread(_installed)
        environment = docker_environment(settings)
        dockerfile = _DOCKERFILE.format(base=settings.container_base_image).encode()
        build = await asyncio.create_subprocess_exec(
            *("docker", "build", "-q", "-t", _IMAGE, "-"), env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        _, complained = await build.communicate(dockerfile)
        if build.returncode != 0:
            raise Absent(f"no image for llm-sandbox can be built: {_last_line(complained)}")
        process = await asyncio.create_subprocess_exec(
            *(python, "-I", Path(__file__).with_name("sessions.py")), env=environment, stdin=PIPE, stdout=PIPE
        )
        sessions = cls(process)
        stack.push_async_callback(process.wait)
        stack.callback(sessions._asking.close)
        sessions._say({"image": _IMAGE, "program": PROGRAM, "output": OUTPUT, "at_once": AT_ONCE})
        listening = asyncio.create_task(sessions._listen())
        stack.callback(listening.cancel)
        return sessions

    async def run(self, *, pooled: bool) -> None:
        number = next(self._numbers)
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._say({"id": number, "pooled": pooled})
        await answered

    def _say(self, message: dict[str, Any]) -> None:
        self._asking.write(json.dumps(message).encode() + b"\n")

    async def _listen(self) -> None:
        async for line in self._answers:
            answer = json.loads(line)
            waiting = self._waiting.pop(answer["id"])
            if "failed" in answer:
                waiting.set_exception(RuntimeError(f"llm-sandbox: {answer['failed']}"))
            else:
                waiting.set_result(None)
        for waiting in self._waiting.values():
            waiting.set_exception(RuntimeError("llm-sandbox has ended"))


class Session:
    """One of its ways: a session, and with it a container, for each run; or its pool, whose containers runs share."""

    def __init__(self, sessions: Sessions, *, pooled: bool) -> None:
        self._sessions = sessions
        self._pooled = pooled
        self.name = "llm-sandbox, its pool: runs share containers" if pooled else "llm-sandbox, a session for each run"

    async def run(self) -> None:
        await self._sessions.run(pooled=self._pooled)


def docker_environment(settings: Settings) -> dict[str, str]:
    return {**os.environ, "DOCKER_HOST": settings.docker_host}


def _installed() -> Path:
    """The Python of an environment that has it, in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = cache / "agenthost" / f"llm-sandbox-{LLM_SANDBOX}"
    python = directory / "bin" / "python"
    installed = directory / "installed"
    if installed.exists():
        return python
    commands: tuple[list[str | Path], ...] = (
        [sys.executable, "-m", "venv", "--clear", directory],
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", f"llm-sandbox[docker]=={LLM_SANDBOX}"],
    )
    for command in commands:
        done = subprocess.run(command, capture_output=True)
        if done.returncode != 0:
            raise Absent(f"llm-sandbox {LLM_SANDBOX} cannot be installed: {_last_line(done.stderr or done.stdout)}")
    installed.touch()
    return python


def _last_line(said: bytes) -> str:
    return (said.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
