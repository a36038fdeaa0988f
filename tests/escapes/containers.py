"""The arena of the container engine: attacks as plain Python, several side by side, each in a container of its own.

Where the jail leaves next to nothing a container leaves a small machine of its own: what an attack may reach in it is
said in `OF_ITS_OWN`. Everything else that says ESCAPED has, and so has whoever brings a flag out.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sandbox.container.engine import ContainerEngine
from sandbox.job import Checked, Job
from sandbox.limits import MIB, Limits
from tests.containers import container_settings
from tests.deploy.engine import docker
from tests.escapes.attack import DENIED, Attack, Ends, program
from tests.escapes.flags import captured
from tests.escapes.harness import HONEST, HONEST_OUTPUT, LIMITS, VICTIM, Broker, Told, Victim, consistent, shortened
from tests.escapes.protocol import CHANNEL, CHANNEL_IN_A_CONTAINER
from tests.escapes.world import Planted

POOL = 4
AT_ONCE = 4
SETTLE_SECONDS = 15.0
COMPILE_LIMITS = Limits(wall_seconds=60.0, cpu_seconds=30, memory_bytes=128 * MIB)
VICTIM_LIMITS = Limits(wall_seconds=120.0, cpu_seconds=2, memory_bytes=64 * MIB)
COMPILER = program("""
    from sandbox.guest.language import PlainLanguage
    from sandbox.guest.serve import check_source
    def run(sources: list):
        return [check_source(source, PlainLanguage()) for source in sources]
    """)
"""Many checks in one container, instead of one in each."""

SHORT_OF_TIME: Ends = frozenset({"wall_time_exceeded", "cpu_time_exceeded"})
"""Side by side on few cores: which of the two limits comes first is chance."""

OF_ITS_OWN: dict[str, str] = {
    "files in memory, which go with the container": """
        open-old-number openat openat-proc-mem openat-proc-fd openat-dev-shm openat-tmpfile openat2 creat mkdir
        mkdir-here symlink readlink getcwd chdir memfd-create memfd-secret inotify-init1 fill-disk find-files""",
    "processes, which see each other and no others": """
        fork vfork clone-fork clone-vm kill-zygote tkill tgkill pidfd-open setsid prctl prctl-parent-death
        prctl-subreaper fork-bomb daemon proc-files""",
    "limits and timers beneath those of the warden": """
        prlimit-self setrlimit setitimer timer-create timerfd-create rt-sigaction rt-sigprocmask signalfd4""",
    "memory: all of Python may make code": """
        mmap-executable mmap-read-executable mprotect madvise mlock shmget semget msgget mq-open""",
    "descriptors": """
        dup dup2 fcntl fcntl-flags lseek pipe2 eventfd2 epoll-create1 vmsplice socketpair read-descriptors""",
    "sockets, with no network behind them": """
        socket socket-udp socket-unix socket-netlink""",
    "questions to the kernel": """
        uname arch-prctl landlock-create-ruleset""",
}
"""What of an operating-system attack succeeds in a container, and why it may."""

MAY_SUCCEED = frozenset(f"os-{name}" for names in OF_ITS_OWN.values() for name in names.split())


@dataclass(slots=True)
class ContainerArena:
    """One engine under attack, and what must be there afterwards as before."""

    engine: ContainerEngine
    planted: Planted
    instance: str
    honest: Checked
    victim: Checked
    compiler: Checked
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def trial(self, attacks: Sequence[Attack]) -> list[str]:
        """Everything that is wrong during and after these attacks, which run side by side, beside a victim."""
        wrong: list[str] = []
        compiled = await self._compiled(attacks)
        async with self._beside_victim(wrong), asyncio.TaskGroup() as group:
            for attack, checked in zip(attacks, compiled, strict=True):
                group.create_task(self._strike(attack, checked, wrong))
        wrong += [f"left behind: {trace}" for trace in self.planted.traces()]
        return wrong + await self.remains() + await self.honest_run()

    async def remains(self) -> list[str]:
        """What is left a moment later beside the containers that wait."""
        found: list[str] = []
        for _ in range(int(SETTLE_SECONDS / 0.25)):
            found = (await asyncio.to_thread(containers_of, self.instance)).split()
            if len(found) <= POOL:
                return []
            await asyncio.sleep(0.25)
        return [f"{len(found)} containers instead of {POOL} that wait"]

    async def honest_run(self) -> list[str]:
        """Whether the engine still serves ordinary people."""
        broker = Broker(5)
        job = Job(code=self.honest.code, entry="run", input={"name": "ada"}, test=False, limits=VICTIM_LIMITS)
        outcome = await self.engine.run(job, on_call=broker)
        served = outcome.output == HONEST_OUTPUT and outcome.logs == ("hello ada",) and len(broker.calls) == 1
        return [] if served else [f"an honest run was not served: {outcome}"]

    async def _compiled(self, attacks: Sequence[Attack]) -> list[Checked | None]:
        """Code of each attack, of one container; None where the check itself is under attack."""
        job = Job(
            code=self.compiler.code,
            entry="run",
            input={"sources": [text_of(attack) for attack in attacks if attack.layer != "check"]},
            test=True,
            limits=COMPILE_LIMITS,
        )
        outcome = await self.engine.run(job, on_call=Broker(0))
        assert outcome.failure is None, outcome
        answers = iter(outcome.output)
        return [None if attack.layer == "check" else as_checked(next(answers)) for attack in attacks]

    async def _strike(self, attack: Attack, checked: Checked | None, wrong: list[str]) -> None:
        hint, limits = self.planted.hint(), attack.under(LIMITS)
        if "wall_time_exceeded" not in acceptable(attack):  # what ends by itself has time to, beside the others
            limits = replace(limits, wall_seconds=LIMITS.wall_seconds)
        async with self.slots:
            for _ in range(attack.rounds):
                checked = checked or await self.engine.check(text_of(attack))
                told = await self._run(attack, checked, hint, limits)
                wrong += [f"{attack.id}: {found}" for found in self._judge(attack, told)]
                if told.outcome is not None and isinstance(told.outcome.output, list):
                    hint["earlier"] = told.outcome.output

    async def _run(self, attack: Attack, checked: Checked, hint: dict[str, Any], limits: Limits) -> Told:
        if checked.problems or not checked.code:
            return Told("refused", None, (), problems=checked.problems)
        wanted = {"hint": hint} if "hint" in checked.input_schema.get("properties", {}) else {}
        source = text_of(attack)
        job = Job(code=checked.code, entry=checked.entry, input=wanted, test=True, limits=limits, source=source)
        broker, streamed = Broker(limits.effects), list[str]()
        outcome = await self.engine.run(job, on_call=broker, on_log=streamed.append)
        end = outcome.failure.code if outcome.failure is not None else outcome.status
        return Told(end, outcome, tuple(broker.calls), tuple(streamed))

    @asynccontextmanager
    async def _beside_victim(self, wrong: list[str]) -> AsyncIterator[None]:
        victim = Victim(self.planted)
        secret = {"secret": self.planted.flags["input"]}
        job = Job(code=self.victim.code, entry="run", input=secret, test=False, limits=VICTIM_LIMITS)
        run = asyncio.ensure_future(self.engine.run(job, on_call=victim.on_call))
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await victim.ready.wait()
            yield
        finally:
            victim.release.set()
            wrong += victim.wrong(await run)

    def _judge(self, attack: Attack, told: Told) -> list[str]:
        wrong = []
        if told.end not in acceptable(attack):
            wrong.append(f"ended as {told.end!r}, not as one of {sorted(acceptable(attack))}: {shortened(told)}")
        places = sorted(captured(self.planted.flags, told.everything()))
        wrong += [f"the flag {place!r} was captured" for place in places]
        if told.said("ESCAPED") and attack.id not in MAY_SUCCEED:
            wrong.append(f"the container was overcome: {shortened(told)}")
        forged = {f"{call.service}.{call.action}" for call in told.calls} - attack.calls
        if forged:
            wrong.append(f"the broker was asked for {sorted(forged)}")
        return wrong if told.outcome is None else wrong + consistent(told.outcome, guarded=False)


def acceptable(attack: Attack) -> Ends:
    """As in the jail; but native code that dies there may live here, or meet its limits, with as little to gain."""
    ends = attack.bare | DENIED | SHORT_OF_TIME | {"memory_exceeded"} if attack.layer == "jail" else attack.bare
    return ends | SHORT_OF_TIME if ends & SHORT_OF_TIME else ends


def text_of(attack: Attack) -> str:
    return attack.text(bare=True).replace(CHANNEL, CHANNEL_IN_A_CONTAINER)


def as_checked(answer: dict[str, Any]) -> Checked:
    """The parts of a check that a run needs."""
    found = answer["checked"]
    if not answer["code"]:
        return Checked()
    return Checked(code=answer["code"].encode("ascii"), entry=found["entry"], input_schema=found["input_schema"])


def containers_of(instance: str) -> str:
    return docker("ps", "--all", "--quiet", "--filter", f"label=agenthost.instance={instance}")


@asynccontextmanager
async def container_arena(directory: Path, planted: Planted, **changes: Any) -> AsyncIterator[ContainerArena]:
    """An engine that is started and stopped; after it there is no container."""
    settings = container_settings(directory, pool=POOL, **changes)
    engine = ContainerEngine(settings, limits=LIMITS)
    await engine.start()
    instance = settings.instance.read_text()
    try:
        assert engine.status().ready, engine.status()
        honest, victim, compiler = [await engine.check(source) for source in (HONEST, VICTIM, COMPILER)]
        assert not (*honest.problems, *victim.problems, *compiler.problems)
        yield ContainerArena(engine, planted, instance, honest, victim, compiler)
    finally:
        await engine.stop()
    assert containers_of(instance) == "", "the engine left containers behind"
