"""One run of an agent, from the caller's question to the recorded answer.

Two round trips to the database stand around it; no connection is held while guest code runs, and every run that was
begun is recorded before it is answered, however it ended.
"""

import math
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import structlog

from sandbox.job import TAKE_SECONDS, Job, Outcome, SandboxUnavailable
from sandbox.limits import Limits
from service.agents.check import DEFAULT_ENGINE, Definition, examine
from service.agents.line import TooManyChecks
from service.agents.models import parsed_config
from service.auth import Caller, refused
from service.capabilities.broker import Broker
from service.capabilities.capability import Budget, DryContext, LiveContext, Reads
from service.capabilities.effects import Effect
from service.capabilities.plain_json import cleaned, cleaned_text
from service.database.gateway import DatabaseUnavailable
from service.errors import ApiError
from service.host import Host
from service.logs import frames_of
from service.runs.asked import Asked
from service.runs.children import ChildRuns, Parent, Shared
from service.runs.inputs import fit
from service.runs.models import Ending, RunRecord
from service.runs.observer import UNOBSERVED, Observer
from service.runs.stop import Stop, Stopped
from service.runs.store import STARTING_SECONDS, Begun, RunStore

log = structlog.get_logger("agenthost.runs")

LEAST_SECONDS: Final = 0.01
"""Wall time that a child run gets when its root has none left: enough to be ended by it."""

MAX_MESSAGE: Final = 4000
MAX_TRACEBACK: Final = 8000


async def run_agent(
    host: Host,
    caller: Caller,
    asked: Asked,
    stop: Stop,
    observer: Observer = UNOBSERVED,
    *,
    parent: Parent | None = None,
) -> RunRecord:
    """Run one of the caller's agents, within `parent` if there is one. Raises ApiError when it cannot begin, or
    `run_not_recorded` with all of it."""
    if parent is None and host.database.ends_with_token and caller.seconds_left() <= 0:
        raise refused("The token expires before a run could end: get a new one.")
    store = RunStore(database=host.database, caller=caller, signer=host.signer, limits=host.settings)
    begun = await store.begin(asked, parent_run_id=None if parent is None else parent.run_id)
    if isinstance(begun, RunRecord):
        return begun
    run = _Run(host=host, caller=caller, asked=asked, begun=begun, parent=parent, observer=observer)
    ending = await run.end(stop)
    record = _record(run, ending)
    recorded = await store.finish(begun, record)
    _log_line(record, recorded)
    if not recorded:
        raise record.problem("run_not_recorded")
    return record


@dataclass(slots=True, kw_only=True)
class _Run:
    """A run that has begun: what is known of it so far, for whichever way it ends."""

    host: Host
    caller: Caller
    asked: Asked
    begun: Begun
    parent: Parent | None = None
    observer: Observer = UNOBSERVED
    started: float = field(default_factory=time.monotonic)
    engine: str = DEFAULT_ENGINE
    input: Any = None
    logs: list[str] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    budget: Budget | None = None
    tokens_before: tuple[int, int] = (0, 0)

    async def end(self, stop: Stop) -> Ending:
        """Check, fit, run. The guest's failures are endings, and so are the host's: then every run is recorded."""
        self.input = cleaned(self.asked.input.raw())
        try:
            with stop.interruptible():
                return await self._outcome()
        except Stopped as stopped:
            return self._ending("cancelled", "cancelled", f"The run was cancelled: {stopped.reason}.")
        except SandboxUnavailable as error:
            log.error("engine_unavailable", run_id=self.begun.run_id, reason=str(error))
            return self._ending("failed", "engine_unavailable", "The engine cannot run agents at the moment.")
        except DatabaseUnavailable as error:
            log.error("database_unavailable", run_id=self.begun.run_id, reason=str(error))
            return self._ending("failed", "database_unavailable", "The database did not answer a call of the agent.")
        except Exception as error:
            log.error("internal_error", run_id=self.begun.run_id, error=type(error).__name__, at=frames_of(error))
            return self._ending("failed", "internal_error", "The run failed because of a mistake of the host.")

    async def _outcome(self) -> Ending:
        try:
            agent = self.begun.agent
            config = parsed_config(agent.config)
            definition = await examine(self.host, self.caller.user_id, config, proposes=agent.proposes)
        except TooManyChecks as error:
            return self._ending("failed", error.code, f"The agent was not run. {error.detail}")
        except ApiError as error:
            message = f"The stored agent does not pass its check: {error.detail}"
            return self._ending("failed", "agent_invalid", message, errors=[dict(each) for each in error.errors])
        self.engine = definition.engine.name
        fitted = fit(self.asked.input, definition.checked.input_schema)
        if fitted.problems:
            first = fitted.problems[0]
            message = f"{first['pointer'].removeprefix('/') or 'The input'} {first['message']}."
            return self._ending("failed", "invalid_input", message, errors=fitted.problems)
        self.input = fitted.value
        return await self._guest(definition, fitted.value)

    async def _guest(self, definition: Definition, value: Mapping[str, Any]) -> Ending:
        async with AsyncExitStack() as at_end:
            limits = self._limits(definition.limits)
            shared = self._shared(limits, at_end) if self.parent is None else self.parent.shared
            self.budget, self.tokens_before = shared.budget, shared.budget.tokens
            broker = Broker(
                self.host.capabilities,
                self._context(definition, shared, at_end),
                max_effects=limits.effects,
                proposed=definition.proposed,
                on_effect=self.observer.effect,
            )
            self.effects = broker.effects
            self.observer.started(self.begun, self.asked)
            job = self._job(definition, limits, value, shared.budget)
            outcome = await definition.engine.run(job, on_call=broker.handle, on_log=self._log)
        if broker.host_failure is not None:
            raise broker.host_failure
        self.logs = list(outcome.logs)
        return self._of(outcome)

    def _shared(self, limits: Limits, at_end: AsyncExitStack) -> Shared:
        """What this run will share with its child runs. They end before it: what it opened is closed at its own end."""
        rehearsal = None
        if self.asked.test and self.host.rehearsals is not None:
            rehearsal = self.host.rehearsals.of(self.caller)
            at_end.push_async_callback(rehearsal.close)
        budget = Budget(deadline=time.monotonic() + limits.wall_seconds, max_effects=limits.effects)
        return Shared(budget=budget, rehearsal=rehearsal)

    def _limits(self, limits: Limits) -> Limits:
        """A run must still be recorded: it begins in time to end before its row reads as interrupted, and ends before
        its caller's token where the database asks for one."""
        if self.parent is None and time.monotonic() - self.started > STARTING_SECONDS - TAKE_SECONDS:
            raise SandboxUnavailable("the check of the agent took too long")
        if not self.host.database.ends_with_token:
            return limits
        left = max(self.caller.seconds_left(), LEAST_SECONDS)
        return replace(limits, wall_seconds=min(limits.wall_seconds, left))

    def _token_has_ended(self) -> bool:
        return self.host.database.ends_with_token and self.caller.seconds_left() <= 0

    def _job(self, definition: Definition, limits: Limits, value: Mapping[str, Any], budget: Budget) -> Job:
        """A child run gets no more time than its root has left."""
        if self.parent is not None:
            # Rounded up: what is ended by the time of the root is not to end before it.
            left = math.ceil(max(budget.remaining_seconds(), LEAST_SECONDS) * 1000) / 1000
            limits = replace(limits, wall_seconds=min(limits.wall_seconds, left))
        return Job(
            code=definition.checked.code,
            entry=definition.checked.entry,
            input=value,
            test=self.asked.test,
            limits=limits,
            source=definition.config.code,
        )

    def _log(self, line: str) -> None:
        self.logs.append(line)
        self.observer.log(line)

    def _context(self, definition: Definition, shared: Shared, at_end: AsyncExitStack) -> LiveContext | DryContext:
        """What the services answer with: a dry run's has no way to act."""
        host, agent = self.host, self.begun.agent
        depth = 0 if self.parent is None else self.parent.depth + 1
        this = Parent(run_id=self.begun.run_id, depth=depth, shared=shared)
        common: dict[str, Any] = {
            "caller": self.caller,
            "agent_id": agent.id,
            "agent_name": agent.agent_name,
            "run_id": self.begun.run_id,
            "limits": host.settings,
            "manifest": definition.manifest,
            "budget": shared.budget,
            "at_end": at_end,
            "reads": Reads(host.database, self.caller),
            "run_child": ChildRuns(self._run_child, this, test=self.asked.test, limits=host.settings),
        }
        if self.asked.test:
            return DryContext(
                **common, fixtures=definition.fixtures, rehearsal=shared.rehearsal, overlays=shared.overlays
            )
        return LiveContext(**common, database=host.database, outside=host.outside)

    async def _run_child(self, asked: Asked, stop: Stop, parent: Parent) -> RunRecord:
        return await run_agent(self.host, self.caller, asked, stop, parent=parent)

    def _of(self, outcome: Outcome) -> Ending:
        error: dict[str, Any] | None = None
        if (failure := outcome.failure) is not None:
            message = failure.message[:MAX_MESSAGE]
            if failure.code == "wall_time_exceeded" and self._token_has_ended():
                message = f"{message}: the token that it was asked for with is about to expire"
            error = {
                "code": failure.code,
                "message": cleaned_text(message),
                "type": None if failure.type is None else cleaned_text(failure.type[:200]),
                "traceback": None if failure.traceback is None else cleaned_text(failure.traceback[-MAX_TRACEBACK:]),
            }
        return Ending(
            status=outcome.status,
            input=self.input,
            output=outcome.output if outcome.status == "succeeded" else None,
            error=error,
            logs=tuple(map(cleaned_text, outcome.logs)),
            usage=asdict(outcome.usage) | self._tokens(),
        )

    def _ending(self, status: Any, code: str, message: str, *, errors: list[dict[str, Any]] | None = None) -> Ending:
        """An ending that no guest reported: what is known up to here."""
        wall_ms = round((time.monotonic() - self.started) * 1000, 3)
        return Ending(
            status=status,
            input=self.input,
            error={"code": code, "message": cleaned_text(message)} | ({"errors": cleaned(errors)} if errors else {}),
            logs=tuple(map(cleaned_text, self.logs)),
            usage={"engine": self.engine, "wall_ms": wall_ms, "cpu_ms": 0.0, "max_rss_bytes": 0} | self._tokens(),
        )

    def _tokens(self) -> dict[str, int]:
        """What the run and its child runs have asked of the model."""
        now = (0, 0) if self.budget is None else self.budget.tokens
        used = [after - before for after, before in zip(now, self.tokens_before, strict=True)]
        return {"input_tokens": used[0], "output_tokens": used[1]}


def _record(run: _Run, ending: Ending) -> RunRecord:
    agent = run.begun.agent
    return RunRecord(
        run_id=run.begun.run_id,
        user_id=str(run.caller.user_id),
        agent_name=agent.agent_name,
        version=agent.version,
        test=run.asked.test,
        status=ending.status,
        input=ending.input,
        output=ending.output,
        error=ending.error,
        logs=ending.logs,
        usage=ending.usage,
        effects=tuple(run.effects),
    )


def _log_line(record: RunRecord, recorded: bool) -> None:
    """One line a run: ids, names and numbers, nothing that a tenant wrote."""
    log.info(
        "run",
        run_id=record.run_id,
        user_id=record.user_id,
        agent_name=record.agent_name,
        version=record.version,
        test=record.test,
        status=record.status,
        code=record.code,
        effects=len(record.effects),
        recorded=recorded,
        **record.usage,
    )
