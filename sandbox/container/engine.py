"""The container engine: all of Python, one Docker container a job, used once. Implements the port of sandbox/job.py.

What holds an agent is the container; what it asks for goes through the same wire and the same broker as elsewhere.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Any

from sandbox.checks import Checks, run_job
from sandbox.container import image
from sandbox.container.daemon import Daemon, DaemonError
from sandbox.container.ending import End, read_end
from sandbox.container.inside.layers import LAYERS
from sandbox.container.inside.warden import EXIT_REPORTED
from sandbox.container.instance import Instance
from sandbox.container.pool import Container, Pool
from sandbox.conversation import Conversation, Verdict
from sandbox.job import Checked, EngineStatus, Job, OnCall, OnLog, Outcome, SandboxUnavailable
from sandbox.limits import MIB, Limits

REPORT_SECONDS = 5.0
HEADROOM_BYTES = 64 * MIB
"""Memory of the container beyond that of a run: the warden, the interpreter, and files in /tmp."""

SCRATCH_BYTES = 32 * MIB
PROCESSES = 128
PROCESSES_OF_OWN_KERNEL = 1024
"""gVisor's own threads are counted with the guest's processes, several for each."""

DESCRIPTORS = 256

ENDED_FROM_OUTSIDE = frozenset({0, 137, 143})
"""Exit codes of a container that was killed, and of a warden that the host has left. A guest that has more processes
than gVisor can hold makes it exit with another."""

GVISOR = "runsc"
"""A runtime whose name begins so has a kernel of its own. Any other is taken for one that has not."""

OWN_KERNEL_LAYERS = frozenset({"seccomp", "memory", "processes"})
"""What a runtime with a kernel of its own does from outside, where it cannot be seen from inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSettings:
    """`runtime` is one that the daemon knows, such as runsc; None for its default. `instance`: a file for a name.
    `start_seconds`: how long a start waits for the first container before it goes on without."""

    docker_host: str
    certificates: Path | None = None
    pool: int = 4
    runtime: str | None = None
    base_image: str
    instance: Path
    start_seconds: float = 10.0


Say = Callable[[str, str], None]
"""Told of each change: a state (`ready`, `unavailable`, `building`), and a line about it."""


class ContainerEngine:
    """`start` never refuses for a daemon that is away: the engine is unavailable until it is back."""

    name = "container"

    def __init__(
        self,
        settings: ContainerSettings,
        *,
        limits: Limits,
        say: Say = lambda state, line: None,
        allow_weaker: bool = False,
    ) -> None:
        self._settings = settings
        self._own_kernel = (settings.runtime or "").startswith(GVISOR)
        self._limits = limits
        self._say = say
        self._allow_weaker = allow_weaker
        self._daemon = Daemon(settings.docker_host, settings.certificates)
        self._instance = Instance(settings.instance)
        self._context = image.context()
        self._tag = image.tag(self._context, settings.base_image)
        self._pool: Pool | None = None
        self._building: str | None = None
        self._steps_told: set[str] = set()
        self._layers: Mapping[str, Any] = {}
        self._checks = Checks(limits, self._converse)

    async def start(self) -> None:
        """Begin to build the image and fill the pool. Raises SandboxUnavailable only for another host of this name."""
        self._pool = Pool(
            self._daemon,
            size=self._settings.pool,
            instance=self._instance.hold(),
            options=self._options,
            examine=self._examine,
            changed=self._tell,
        )
        await self._pool.start(self._settings.start_seconds)

    async def stop(self) -> None:
        """Runs still in flight end as their containers do."""
        if self._pool is not None:
            await self._pool.stop()
        self._daemon.stop()
        self._instance.release()

    def status(self) -> EngineStatus:
        runtime = () if self._settings.runtime is None else (f"runtime:{self._settings.runtime}",)
        return EngineStatus(
            name=self.name,
            ready=self._pool is not None and self._pool.ready,
            detail=self._building or self._trouble() or "ready",
            isolation=(*runtime, *(name for name, held in self._layers.items() if held is True)),
            missing=tuple(self._missing(self._layers)) if self._layers else (),
        )

    def known(self, source: str) -> Checked | None:
        """As the port says."""
        return self._checks.known(source)

    async def check(self, source: str) -> Checked:
        """As the port says; in a container as well, by the Python that will run it."""
        return await self._checks.of(source)

    async def run(self, job: Job, *, on_call: OnCall, on_log: OnLog | None = None) -> Outcome:
        """As the port says."""
        return await run_job(job, on_call, on_log, engine=self.name, converse=self._converse)

    async def _converse(self, conversation: Conversation, opening: Iterable[bytes]) -> End:
        """Take a container, hold the conversation, learn how it ended. SandboxUnavailable when it was lost."""
        pool = self._pool
        if pool is None:
            raise SandboxUnavailable("the container engine is not started")
        container = await pool.take()
        try:
            await conversation.hold(container.streams, opening, container.streams.ended)
            if conversation.late:
                await self._require_daemon()
            end = await self._end_of(container, conversation)
        except BaseException:
            await asyncio.shield(pool.destroy(container))
            raise
        pool.dismiss(container)
        return end

    async def _end_of(self, container: Container, conversation: Conversation) -> End:
        """What the warden reports. A guest against which the host has found is not asked after: it is killed."""
        if conversation.verdict is not None:
            return End()
        with suppress(TimeoutError):
            async with asyncio.timeout(REPORT_SECONDS):
                await asyncio.shield(container.streams.ended)
        end = read_end(container.streams.ended.result() if container.streams.ended.done() else None)
        if conversation.closing is not None:
            late = not container.streams.ended.done()
            if late:
                await self._require_daemon()
            silent = conversation.silent and container.streams.silent
            if late or not silent or (end is None and await self._was_garbled(container)):
                conversation.verdict = Verdict("sandbox_violation", "the guest went on after its closing frame")
            return end or End()
        if end is None:
            conversation.verdict = await self._why_lost(container, conversation.limits)
        elif end.out_of_memory:
            conversation.verdict = out_of_memory(conversation.limits)
        elif end.signal is Signals.SIGKILL and end.cpu_ms < conversation.limits.cpu_seconds * 1000:
            conversation.verdict = Verdict("sandbox_violation", "the guest killed itself")
        return end or End()

    async def _require_daemon(self) -> None:
        """No guest is blamed for the silence of a daemon that is stuck: SandboxUnavailable."""
        try:
            await self._daemon.version()
        except DaemonError as error:
            raise SandboxUnavailable(f"the container was lost during the run: {error}") from error

    async def _was_garbled(self, container: Container) -> bool:
        """Whether the warden did report, of a container without a report."""
        try:
            return (await self._daemon.death_of(container.name))[1] == EXIT_REPORTED
        except DaemonError:
            return False

    async def _why_lost(self, container: Container, limits: Limits) -> Verdict:
        """Of a container without a report. SandboxUnavailable when it is not the guest that ended it."""
        try:
            short_of_memory, code = await self._daemon.death_of(container.name)
        except DaemonError as error:
            raise SandboxUnavailable(f"the container was lost during the run: {error}") from error
        if short_of_memory:
            return out_of_memory(limits)
        if code in ENDED_FROM_OUTSIDE:
            raise SandboxUnavailable("the container was lost during the run")
        return Verdict("sandbox_violation", "the guest brought its container down")

    def _trouble(self) -> str | None:
        return "not started" if self._pool is None else self._pool.trouble

    def _tell(self) -> None:
        trouble = self._trouble()
        self._say("ready" if trouble is None else "unavailable", trouble or f"containers run {self._tag}")

    async def _require_image(self) -> None:
        """The image of this very guest, built if the daemon has none."""
        if await self._daemon.has_image(self._tag):
            return

        def say(step: str) -> None:
            self._building = f"the image {self._tag} is being built: {step}"
            if step not in self._steps_told:  # which a build that fails again and again repeats
                self._steps_told.add(step)
                self._say("building", step)

        say(f"it stands on {self._settings.base_image}")
        try:
            arguments = {image.BASE_ARGUMENT: self._settings.base_image}
            await self._daemon.build(self._context, tag=self._tag, target=image.TARGET, arguments=arguments, say=say)
        except DaemonError as error:
            raise DaemonError(f"the image of the containers cannot be built: {error}") from error
        finally:
            self._building = None
        self._steps_told.clear()
        self._say("building", "it is built")

    async def _options(self) -> Mapping[str, Any]:
        """What a container is made of, once there is an image."""
        await self._require_image()
        memory_bytes = self._limits.memory_bytes + HEADROOM_BYTES
        return {
            "image": self._tag,
            "stdin_open": True,
            "stop_signal": "SIGKILL",  # a daemon that ends need not wait for it
            "hostname": "agent",
            "network_disabled": True,  # with it, no network is even prepared: half the work of a start
            "host": {
                "network_mode": "none",
                "ipc_mode": "private",
                "cgroupns": "private",
                "dns": ["127.0.0.1"],
                "dns_search": ["."],
                "read_only": True,
                "tmpfs": {"/tmp": f"rw,noexec,nosuid,nodev,size={SCRATCH_BYTES},mode=1777"},
                "shm_size": SCRATCH_BYTES,
                "cap_drop": ["ALL"],
                "security_opt": ["no-new-privileges"],
                "mem_limit": memory_bytes,
                "memswap_limit": memory_bytes,
                "nano_cpus": 1_000_000_000,
                "pids_limit": PROCESSES_OF_OWN_KERNEL if self._own_kernel else PROCESSES,
                "ulimits": [
                    {"Name": "nofile", "Soft": DESCRIPTORS, "Hard": DESCRIPTORS},
                    {"Name": "core", "Soft": 0, "Hard": 0},
                ],
                "oom_score_adj": 500,
                "log_config": {"Type": "none"},
                "runtime": self._settings.runtime,
            },
        }

    def _examine(self, layers: Mapping[str, Any]) -> None:
        """Refuses a container that lacks a layer, unless the operator allowed less."""
        self._layers = layers
        missing = self._missing(layers)
        if missing and not self._allow_weaker:
            raise SandboxUnavailable(f"the container does not hold: without {', '.join(missing)}")

    def _missing(self, layers: Mapping[str, Any]) -> list[str]:
        waived = OWN_KERNEL_LAYERS if self._own_kernel else frozenset()
        return [name for name in LAYERS if layers.get(name) is not True and name not in waived]


def out_of_memory(limits: Limits) -> Verdict:
    return Verdict("memory_exceeded", f"the run needed more than {limits.memory_bytes} bytes of memory")
