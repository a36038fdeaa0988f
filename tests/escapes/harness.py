"""Runs one attack in one engine, beside a victim, and says all that is wrong afterwards: nothing means survival."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from sandbox.job import Call, Checked, EndRun, Engine, FailureCode, Job, Outcome, Problem, Reply
from sandbox.limits import MIB, Limits
from sandbox.restricted.engine import RestrictedEngine
from tests.escapes.attack import Attack, program
from tests.escapes.flags import captured
from tests.escapes.world import ROOT, Planted, Watch, children_of

PARKED = 3
LIMITS = Limits(wall_seconds=6.0, cpu_seconds=2, memory_bytes=128 * MIB)
VICTIM_LIMITS = Limits(wall_seconds=30.0, cpu_seconds=2, memory_bytes=64 * MIB)
CHECK_SECONDS = 15.0
LATE_SECONDS = 1.5
"""By then the kernel has ended a run; the host itself would wait a little longer, should the kernel's timer fail."""

SLACK_SECONDS = 4.0
"""How much longer than its wall limit a run may take to be over and told."""

VICTIM = program("""
    def run(secret: str, services=None):
        reply = services.kv.get(key="reply")
        services.kv.get(key="wait")
        return secret + reply
    """)
HONEST = program("""
    import json
    import re
    def run(name: str, services=None):
        print("hello", name)
        services.kv.set(key="name", value=name)
        words = re.findall("[a-z]+", json.dumps({"name": name}))
        return {"words": words, "sum": sum(range(10))}
    """)
HONEST_OUTPUT = {"words": ["name", "ada"], "sum": 45}


@dataclass(slots=True)
class Broker:
    """Stands where the service's broker stands: counts, records, grants `kv` alone."""

    limit: int
    calls: list[Call] = field(default_factory=list)

    async def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        if len(self.calls) > self.limit:
            raise EndRun("too_many_effects", f"a run may have at most {self.limit} effects")
        match call:
            case Call("kv", "get", {"key": "forbidden"}):
                return Reply(error={"type": "SystemExit", "message": "denied"})
            case Call("kv", "get", _):
                return Reply(result={"found": True, "value": "a value"})
            case Call("kv", "set", _):
                return Reply(result={"stored": True})
        return Reply(
            error={"type": "CapabilityDenied", "message": f"{call.service}.{call.action} is not granted"[:200]}
        )


@dataclass(slots=True)
class Victim:
    """Another tenant, in the middle of a run while the attack goes on: its input and its replies are secrets."""

    planted: Planted
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[Call] = field(default_factory=list)

    async def on_call(self, call: Call) -> Reply:
        self.calls.append(call)
        if len(self.calls) == 1:
            return Reply(result={"found": True, "value": self.planted.flags["reply"]})
        self.ready.set()
        await self.release.wait()
        return Reply(result={"found": True, "value": None})

    def wrong(self, outcome: Outcome) -> list[str]:
        if outcome.output != self.planted.flags["input"] + self.planted.flags["reply"] or outcome.logs:
            return [f"the victim was disturbed: {outcome}"]
        expected = [Call("kv", "get", {"key": key}) for key in ("reply", "wait")]
        return [] if self.calls == expected else [f"calls were forged in the victim's name: {self.calls}"]


@dataclass(frozen=True, slots=True)
class Told:
    """All that an attack brought out, by whatever way."""

    end: str
    outcome: Outcome | None
    calls: tuple[Call, ...]
    streamed: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def everything(self) -> list[Any]:
        seen: list[Any] = [[call.service, call.action, dict(call.args)] for call in self.calls]
        seen += [*self.streamed, *(problem.message for problem in self.problems)]
        if self.outcome is not None:
            failure = self.outcome.failure
            seen += [self.outcome.output, list(self.outcome.logs)]
            seen += [failure.message, failure.type, failure.traceback] if failure else []
        return seen

    def said(self, word: str) -> bool:
        """Whether the program itself said a word, in its output or its logs: a traceback quotes the source."""
        return self.outcome is not None and word in json.dumps([self.outcome.output, self.outcome.logs])


@dataclass(slots=True)
class Arena:
    """One engine under attack. `bare`: the language policy is off, the jail stands alone."""

    engine: Engine
    bare: bool
    planted: Planted
    watch: Watch
    honest: Checked
    victim: Checked

    async def trial(self, attack: Attack) -> list[str]:
        """Everything that is wrong during and after one attack."""
        wrong: list[str] = []
        hint = self.planted.hint()
        for _ in range(attack.rounds):
            told = await self._strike(attack, hint, wrong)
            wrong += self._judge(attack, told)
            if told.outcome is not None and isinstance(told.outcome.output, list):
                hint["earlier"] = told.outcome.output
        wrong += await self.watch.remains()
        wrong += [f"left behind: {trace}" for trace in self.planted.traces()]
        return wrong + await self.honest_run()

    async def strike(self, attack: Attack, wrong: list[str]) -> None:
        """One attack, without the look around afterwards: other runs may be going on."""
        wrong += self._judge(attack, await self._strike(attack, self.planted.hint(), wrong))

    async def _strike(self, attack: Attack, hint: dict[str, Any], wrong: list[str]) -> Told:
        source, limits = attack.text(bare=self.bare), attack.under(LIMITS)
        async with asyncio.timeout(CHECK_SECONDS):
            checked = await self.engine.check(source)
        if checked.problems:
            if not self.bare and any(problem.line > attack.own_lines() for problem in checked.problems):
                wrong.append(f"refused for lines that are not the attack's: {checked.problems}")
            return Told("refused", None, (), problems=checked.problems)
        wanted = {"hint": hint} if "hint" in checked.input_schema.get("properties", {}) else {}
        job = Job(code=checked.code, entry=checked.entry, input=wanted, test=True, limits=limits, source=source)
        broker, streamed = Broker(limits.effects), list[str]()
        async with self._beside_victim(wrong), asyncio.timeout(limits.wall_seconds + SLACK_SECONDS):
            outcome = await self.engine.run(job, on_call=broker, on_log=streamed.append)
        end = outcome.failure.code if outcome.failure is not None else outcome.status
        return Told(end, outcome, tuple(broker.calls), tuple(streamed))

    @asynccontextmanager
    async def _beside_victim(self, wrong: list[str]) -> AsyncIterator[None]:
        victim, flags = Victim(self.planted), self.planted.flags
        job = Job(
            code=self.victim.code, entry="run", input={"secret": flags["input"]}, test=False, limits=VICTIM_LIMITS
        )
        run = asyncio.ensure_future(self.engine.run(job, on_call=victim.on_call))
        try:
            async with asyncio.timeout(SLACK_SECONDS):
                await victim.ready.wait()
            yield
        finally:
            victim.release.set()
            wrong += victim.wrong(await run)

    def _judge(self, attack: Attack, told: Told) -> list[str]:
        acceptable = attack.bare if self.bare else attack.guarded
        wrong = []
        if told.end not in acceptable:
            wrong.append(f"ended as {told.end!r}, not as one of {sorted(acceptable)}: {shortened(told)}")
        wrong += [
            f"the flag {place!r} was captured" for place in sorted(captured(self.planted.flags, told.everything()))
        ]
        if told.said("ESCAPED"):
            wrong.append(f"the jail was overcome: {shortened(told)}")
        if not self.bare and told.said("REACHED"):
            wrong.append(f"the language was overcome: {shortened(told)}")
        forged = {f"{call.service}.{call.action}" for call in told.calls} - attack.calls
        if forged:
            wrong.append(f"the broker was asked for {sorted(forged)}")
        if told.outcome is not None:
            wrong += consistent(told.outcome, guarded=not self.bare)
            if told.outcome.usage.wall_ms > (attack.under(LIMITS).wall_seconds + LATE_SECONDS) * 1000:
                wrong.append(f"over only after {told.outcome.usage.wall_ms:.0f} ms: nothing but the host ended it")
        return wrong

    async def honest_run(self) -> list[str]:
        """Whether the engine still serves ordinary people."""
        broker, limits = Broker(5), VICTIM_LIMITS
        job = Job(code=self.honest.code, entry="run", input={"name": "ada"}, test=False, limits=limits)
        async with asyncio.timeout(SLACK_SECONDS):
            outcome = await self.engine.run(job, on_call=broker)
        served = outcome.output == HONEST_OUTPUT and outcome.logs == ("hello ada",) and len(broker.calls) == 1
        return [] if served else [f"an honest run was not served: {outcome}"]


def consistent(outcome: Outcome, *, guarded: bool) -> list[str]:
    """What every outcome must be, however it ended; and no path of the host in what it says."""
    wrong, failure = [], outcome.failure
    timed_out = failure is not None and failure.code in ("wall_time_exceeded", "cpu_time_exceeded")
    expected = "succeeded" if failure is None else "timed_out" if timed_out else "failed"
    if outcome.status != expected or (failure is not None and outcome.output is not None):
        wrong.append(f"status and failure disagree: {shortened(outcome)}")
    if failure is not None and failure.code not in get_args(FailureCode):
        wrong.append(f"there is no failure code {failure.code!r}")
    text = json.dumps([failure.message, failure.type, failure.traceback]) if failure is not None else ""
    if len(text) > 100_000:
        wrong.append(f"a failure of {len(text)} characters")
    if guarded and (str(ROOT) in text or "site-packages" in text):
        wrong.append(f"a failure names the host's files: {text[:1000]}")
    json.dumps([outcome.output, outcome.logs], allow_nan=False).encode()
    return wrong


def shortened(told: Told | Outcome) -> str:
    return repr(told)[:1500]


@asynccontextmanager
async def arena(
    language: Literal["restricted", "plain"], planted: Planted, *, without: frozenset[str] = frozenset()
) -> AsyncIterator[Arena]:
    """An engine that is started, watched and stopped; `without` layers of the jail, for the proof that each counts."""
    engine = RestrictedEngine(
        limits=LIMITS, parked=PARKED, recycle_runs=10**9, language=language, without=without, allow_weaker=bool(without)
    )
    before = children_of(os.getpid())
    await engine.start()
    try:
        (stub,) = children_of(os.getpid()) - before
        watch = Watch(stub)
        await watch.begin(PARKED)
        honest, victim = await engine.check(HONEST), await engine.check(VICTIM)
        assert (honest.problems, victim.problems) == ((), ())
        yield Arena(engine, language == "plain", planted, watch, honest, victim)
    finally:
        await engine.stop()
        assert children_of(os.getpid()) <= before, "the engine left processes behind"
