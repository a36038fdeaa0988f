"""What happened in a run: the record, how it is shown, and what of it is signed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from sandbox.job import Status
from service.capabilities.effects import Effect, Source
from service.capabilities.plain_json import cleaned, cleaned_text
from service.database.gateway import Row
from service.errors import ERRORS, ApiError

ShownStatus = Literal["running", "succeeded", "failed", "timed_out", "cancelled", "interrupted"]
FINISHED: Final = ("succeeded", "failed", "timed_out", "cancelled")
INTERRUPTED: Final = {
    "code": "interrupted",
    "message": "the host ended in the middle of this run; what the agent had called until then may have happened, "
    "and is not listed",
}
"""Shown as the error of a run that no host finished; its row says nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended. `error` has `code` and `message`, and `type`, `traceback` or `errors` where there are."""

    status: Status
    input: Any
    output: Any = None
    error: Mapping[str, Any] | None = None
    logs: tuple[str, ...] = ()
    usage: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run and everything it did. `verified`: this host signed it, so it may be believed."""

    run_id: str
    user_id: str
    agent_name: str
    version: int
    test: bool
    status: ShownStatus
    input: Any
    output: Any
    error: Mapping[str, Any] | None
    logs: tuple[str, ...]
    usage: Mapping[str, Any]
    effects: tuple[Effect, ...]
    verified: bool = True
    replayed: bool = False

    @property
    def code(self) -> str | None:
        """The error code of a run that did not succeed."""
        found = self.error.get("code") if self.error else None
        return found if isinstance(found, str) and found in ERRORS else None

    def signed_part(self) -> dict[str, Any]:
        """What the host itself knows at the end of a run; the signature is over this."""
        return {
            "run_id": self.run_id,
            "user_id": self.user_id,
            "agent_name": self.agent_name,
            "version": self.version,
            "test": self.test,
            "status": self.status,
            "input": self.input,
            "output": self.output,
            "error": None if self.error is None else dict(self.error),
            "logs": list(self.logs),
            "usage": dict(self.usage),
            "effects": [effect.row() for effect in self.effects],
        }

    def shown(self) -> dict[str, Any]:
        """The answer to a request that ran it."""
        return {
            "run_id": self.run_id,
            "agent": {"user_id": self.user_id, "agent_name": self.agent_name, "version": self.version},
            "test": self.test,
            "status": self.status,
            "output": self.output,
            "effects": [effect.shown() for effect in self.effects],
            "logs": list(self.logs),
            "error": None if self.error is None else dict(self.error),
            "usage": dict(self.usage),
        }

    def headers(self) -> dict[str, str]:
        return {"Cache-Control": "no-store", "Vary": "Accept"} | (
            {"Idempotent-Replayed": "true"} if self.replayed else {}
        )

    def problem(self, code: str | None = None) -> ApiError:
        """The error document of a run that did not succeed, with all that is known of it. `status` is HTTP's there."""
        error = self.error or {}
        extra = self.shown()
        extra["run_status"] = extra.pop("status")
        errors = error.get("errors")
        return ApiError(
            code or self.code or "internal_error",
            str(error.get("message") or "The run did not succeed.")[:2000],
            errors=errors if isinstance(errors, list) else None,
            headers=self.headers(),
            extra=extra,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A row of `runs`, written by this host or past it: every field has its type, whatever the row held."""

    record: RunRecord
    trigger: str
    started_at: str
    deadline_at: str
    finished_at: str | None
    parent_run_id: str | None

    @classmethod
    def from_row(cls, row: Row, *, status: ShownStatus, effects: tuple[Effect, ...], verified: bool) -> "StoredRun":
        return cls(
            record=RunRecord(
                run_id=str(row["id"]),
                user_id=str(row["user_id"]),
                agent_name=str(row["agent_name"]),
                version=row["version"] if isinstance(row["version"], int) else 0,
                test=row["test"] is True,
                status=status,
                input=cleaned(row.get("input")),
                output=cleaned(row.get("output")),
                error=dict(INTERRUPTED) if status == "interrupted" else _object(row.get("error")),
                logs=_texts(row.get("logs")),
                usage=_object(row.get("usage")) or {},
                effects=effects,
                verified=verified,
            ),
            trigger=cleaned_text(str(row["trigger"])),
            started_at=str(row["started_at"]),
            deadline_at=str(row["deadline_at"]),
            finished_at=None if row["finished_at"] is None else str(row["finished_at"]),
            parent_run_id=None if row["parent_run_id"] is None else str(row["parent_run_id"]),
        )

    def summary(self) -> dict[str, Any]:
        """A run in a list."""
        shown = self.record
        return {
            "run_id": shown.run_id,
            "agent": {"user_id": shown.user_id, "agent_name": shown.agent_name, "version": shown.version},
            "test": shown.test,
            "status": shown.status,
            "error": None if shown.error is None else dict(shown.error),
            "usage": dict(shown.usage),
            "trigger": self.trigger,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "parent_run_id": self.parent_run_id,
        }

    def shown(self) -> dict[str, Any]:
        """Everything that is kept of it."""
        return {
            **self.record.shown(),
            "input": self.record.input,
            "trigger": self.trigger,
            "started_at": self.started_at,
            "deadline_at": self.deadline_at,
            "finished_at": self.finished_at,
            "parent_run_id": self.parent_run_id,
            "verified": self.record.verified,
        }


def _object(value: Any) -> dict[str, Any] | None:
    return cleaned(value) if isinstance(value, dict) else None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(cleaned_text(line) for line in value if isinstance(line, str)) if isinstance(value, list) else ()


class RunAgent(BaseModel):
    user_id: str
    agent_name: str
    version: int


class RunEffect(BaseModel):
    """One call to a service, as the host saw it."""

    seq: int
    service: str
    action: str
    args: Any = Field(description="What it was called with; long values are cut.")
    granted: bool = Field(description="Whether the agent's capabilities allow it.")
    performed: bool = Field(description="Whether something real was done or read. Dry runs never write.")
    source: Source | None = Field(description="Where the answer comes from; null when there is none.")
    result: Any
    at_ms: float
    took_ms: float


class RunAnswer(BaseModel):
    """A run that succeeded. One that did not is a problem document with the same members, `status` as `run_status`."""

    run_id: str
    agent: RunAgent
    test: bool
    status: ShownStatus
    output: Any
    effects: list[RunEffect]
    logs: list[str]
    error: dict[str, Any] | None
    usage: dict[str, Any]


class StoredRunAnswer(RunAnswer):
    """A run as it is kept. `verified` false: the record was not written by this host."""

    input: Any
    trigger: str
    started_at: str
    deadline_at: str
    finished_at: str | None
    parent_run_id: str | None
    verified: bool


class RunSummary(BaseModel):
    """A run in a list, as its row says. A list is not verified; GET /runs/{run_id} says whether this host wrote it."""

    run_id: str
    agent: RunAgent
    test: bool
    status: ShownStatus
    error: dict[str, Any] | None
    usage: dict[str, Any]
    trigger: str
    started_at: str
    finished_at: str | None
    parent_run_id: str | None


class RunList(BaseModel):
    data: list[RunSummary]
    next_cursor: str | None
