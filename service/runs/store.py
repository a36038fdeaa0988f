"""Runs as rows: one function begins a run, one finishes it, and what they wrote is believed only if it verifies."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import structlog

from service.agents.store import StoredAgent, is_name, not_found
from service.auth import Caller
from service.capabilities.effects import Effect
from service.capabilities.plain_json import cleaned
from service.database.gateway import Database, DatabaseError, DatabaseUnavailable, Row
from service.errors import ApiError
from service.limit_settings import LimitSettings
from service.runs.asked import Asked
from service.runs.models import FINISHED, RunRecord, ShownStatus, StoredRun
from service.runs.signature import RecordSigner

log = structlog.get_logger("agenthost.runs")

STARTING_SECONDS: Final = 30.0
"""How long a run may wait for its check and for a sandbox before its wall time begins."""

RECORDING_SECONDS: Final = 5.0
"""How long past that and its wall time a run may take to be recorded before its row reads as interrupted."""

FINISH_DELAYS: Final = (0.0, 0.1, 0.3, 0.6, 1.0)
FINISH_SECONDS: Final = 8.0
"""Of all tries together, also with a database that hangs: one whole try, and a short one after it."""

SUMMARY_COLUMNS: Final = (
    *("id", "user_id", "agent_name", "version", "test", "status", "error", "usage", "trigger"),
    *("started_at", "deadline_at", "finished_at", "parent_run_id"),
)


EFFECT_COLUMNS: Final = (
    *("seq", "service", "action", "args", "granted", "performed", "source", "result"),
    *("at_ms", "took_ms"),
    *("call_hash", "recording"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A run that has its row, and its lease or that of its root."""

    run_id: str
    lease_id: str | None
    started_at: str
    agent: StoredAgent


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStore:
    """The caller's runs."""

    database: Database
    caller: Caller
    signer: RecordSigner
    limits: LimitSettings

    async def begin(self, asked: Asked, *, parent_run_id: str | None = None) -> Begun | RunRecord:
        """Load the agent, take a lease and write the `running` row: one round trip. A child run needs no lease: it has
        its root's, and its deadline. A repeated idempotency key gives the recorded run instead. Raises ApiError when
        there is no such agent or it may not start now."""
        if not is_name(asked.agent_name):
            raise not_found(asked.agent_name)
        answer = await self.database.call(
            self.caller,
            "begin_run",
            p_agent_name=asked.agent_name,
            p_input=cleaned(asked.input.raw()),
            p_test=asked.test,
            p_trigger=asked.trigger,
            p_wall_seconds=STARTING_SECONDS + self.limits.limit_wall_seconds + RECORDING_SECONDS,
            p_max_in_flight=self.limits.limit_runs_per_user,
            p_idempotency_key=asked.idempotency_key,
            p_request_hash=None if asked.idempotency_key is None else asked.fingerprint(),
            p_parent_run_id=parent_run_id,
        )
        match answer["outcome"]:
            case "started":
                return Begun(
                    run_id=str(answer["run_id"]),
                    lease_id=answer["lease_id"],
                    started_at=str(answer["started_at"]),
                    agent=StoredAgent.from_row(answer["agent"]),
                )
            case "recorded":
                return self._replayed(answer["run"], answer["effects"])
            case "agent_not_found":
                raise not_found(asked.agent_name)
            case "too_many_runs":
                most = self.limits.limit_runs_per_user
                raise ApiError(
                    "too_many_runs",
                    f"You have {most} runs in flight, the limit of a user.",
                    headers={"Retry-After": str(int(answer["retry_after_seconds"]))},
                )
            case "run_in_progress":
                extra = {"run_id": str(answer["run_id"])}
                raise ApiError("run_in_progress", "The run of this Idempotency-Key has not ended yet.", extra=extra)
            case "key_reused":
                raise ApiError("idempotency_key_reused", "The Idempotency-Key was used with another input or flag.")
            case outcome:
                raise DatabaseError(f"begin_run answered {outcome!r}")

    def _replayed(self, row: Row, effects: list[Row]) -> RunRecord:
        stored = self._stored(row, effects)
        if not stored.record.verified:
            raise ApiError(
                "conflict",
                "The run of this Idempotency-Key was interrupted, or its record was not written by this host.",
                hint="GET /runs/{run_id} shows what is known; use a new Idempotency-Key to run again.",
                extra={"run_id": stored.record.run_id},
            )
        return replace(stored.record, replayed=True)

    async def finish(self, begun: Begun, record: RunRecord) -> bool:
        """Record how a run ended, trying a few times within seconds. Whether it is recorded; does not raise."""
        signature = self.signer.sign(record.signed_part())
        try:
            async with asyncio.timeout(FINISH_SECONDS):
                return await self._finish_in_some_try(begun, record, signature)
        except TimeoutError:
            log.warning("finish_run_failed", run_id=record.run_id, reason="TimeoutError")
            return False

    async def _finish_in_some_try(self, begun: Begun, record: RunRecord, signature: str) -> bool:
        for delay in FINISH_DELAYS:
            await asyncio.sleep(delay)
            try:
                return await self._finish(begun, record, signature)
            except DatabaseUnavailable as error:
                log.warning("finish_run_failed", run_id=record.run_id, reason=type(error).__name__)
            except DatabaseError as error:
                log.error("finish_run_refused", run_id=record.run_id, reason=str(error))
                return False
        return False

    async def _finish(self, begun: Begun, record: RunRecord, signature: str) -> bool:
        answer = await self.database.call(
            self.caller,
            "finish_run",
            p_run_id=record.run_id,
            p_lease_id=begun.lease_id,
            p_status=record.status,
            p_input=record.input,
            p_output=record.output,
            p_error=None if record.error is None else dict(record.error),
            p_logs=list(record.logs),
            p_usage=dict(record.usage),
            p_signature=signature,
            p_effects=[effect.row() for effect in record.effects],
            p_keep_days=self.limits.limit_runs_kept_days,
            p_keep_runs=self.limits.limit_runs_kept,
        )
        return bool(answer["recorded"])  # also when an earlier attempt was committed and its answer lost

    async def get(self, run_id: str) -> StoredRun:
        """Raises ApiError `run_not_found`, also for what could not be an id."""
        try:
            known = str(UUID(run_id))
        except ValueError:
            raise _no_such_run() from None
        rows = await self.database.select(self.caller, "runs", where={"id": known})
        if not rows:
            raise _no_such_run()
        effects = await self.database.select(self.caller, "run_effects", where={"run_id": known}, order="seq")
        return self._stored(rows[0], effects)

    async def page(
        self,
        *,
        agent: str | None,
        status: ShownStatus | None,
        test: bool | None,
        parent_run_id: UUID | None = None,
        limit: int,
        cursor: UUID | None,
    ) -> list[StoredRun]:
        """One more than `limit`, if there are, newest first."""
        where: dict[str, Any] = {}
        if agent is not None:
            where["agent_name"] = agent
        if test is not None:
            where["test"] = test
        if parent_run_id is not None:
            where["parent_run_id"] = str(parent_run_id)
        if cursor is not None:
            where["id"] = {"lt": str(cursor)}
        if status in ("running", "interrupted"):
            now = datetime.now(UTC).isoformat()
            where |= {"status": "running", "deadline_at": {"gte" if status == "running" else "lt": now}}
        elif status is not None:
            where["status"] = status
        rows = await self.database.select(
            self.caller, "runs", columns=SUMMARY_COLUMNS, where=where, order="id desc", limit=limit + 1
        )
        return [StoredRun.from_row(row, status=_status(row), effects=(), verified=False) for row in rows]

    def _stored(self, row: Row, effect_rows: list[Row]) -> StoredRun:
        effects = tuple(Effect.from_row(effect) for effect in effect_rows)
        stored = StoredRun.from_row(row, status=_status(row), effects=effects, verified=True)
        signed = {
            **stored.record.signed_part(),
            **_as_it_came(row),
            "effects": [_effect_as_signed(each) for each in effect_rows],
        }
        if stored.record.status in FINISHED and self.signer.verify(signed, row.get("signature")):
            return stored
        return StoredRun.from_row(row, status=_status(row), effects=effects, verified=False)


def _as_it_came(row: Row) -> dict[str, Any]:
    """The signed fields as the row has them, not as they are shown: making them plain must not make them verify."""
    return {name: row.get(name) for name in ("input", "output", "error", "logs", "usage", "version", "test", "status")}


def _effect_as_signed(row: Row) -> dict[str, Any]:
    """The signed columns of an effect's row, as they came; a float8 of 3.0 comes as 3."""
    times = {name: float(row[name]) for name in ("at_ms", "took_ms")}
    return {**{name: row.get(name) for name in EFFECT_COLUMNS}, **times}


def _status(row: Mapping[str, Any]) -> ShownStatus:
    """A `running` row past its deadline belongs to a host that died: it reads as interrupted."""
    if row["status"] == "running" and _moment(row["deadline_at"]) < datetime.now(UTC):
        return "interrupted"
    return row["status"]  # type: ignore[no-any-return]


def _moment(text: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:  # "infinity", or a year that Python does not have: a row written past the host
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _no_such_run() -> ApiError:
    return ApiError("run_not_found", "You have no such run.")
