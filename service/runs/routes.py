"""Running an agent by its URL, and reading what happened."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from service.accept import prefers
from service.agents.documents import refusals
from service.agents.models import NAME_PATTERN
from service.auth import Caller, CallerDep
from service.errors import ApiError
from service.host import Host, HostDep
from service.runs.asked import Asked, asked_in_body, asked_in_query
from service.runs.models import RunAnswer, RunList, ShownStatus, StoredRunAnswer
from service.runs.requested import RequestedRun
from service.runs.store import RunStore
from service.runs.stream import EXAMPLE, RunStream

router = APIRouter(tags=["runs"])

_RUN_CODES: Final = (
    *("not_your_agent", "agent_not_found", "invalid_request", "invalid_test_flag", "invalid_input", "agent_invalid"),
    *("resume_not_supported", "run_in_progress", "idempotency_key_reused", "conflict"),
    *("too_many_runs", "too_many_checks"),
    *("agent_error", "output_not_json", "output_too_large", "logs_too_large", "too_many_effects", "memory_exceeded"),
    *("sandbox_violation", "wall_time_exceeded", "cpu_time_exceeded", "cancelled", "engine_unavailable"),
    *("run_not_recorded", "method_not_allowed"),
)
_TEST: Final[dict[str, Any]] = {
    "name": "test",
    "in": "query",
    "description": "A dry run: services answer, and nothing is done.",
    "schema": {"type": "string", "enum": ["true", "false", "1", "0"]},
}
_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Within 24 hours a repeat with the same key and input answers the recorded run.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
}
_INPUT: Final[dict[str, Any]] = {
    "name": "input",
    "in": "query",
    "description": "Every other field is an input of the agent, converted by its input_schema.",
    "style": "form",
    "explode": True,
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
}
_BODY: Final[dict[str, Any]] = {
    "required": False,
    "content": {"application/json": {"schema": {"type": "object"}, "example": {"name": "World"}}},
}
_ANSWERS: Final[dict[str, Any]] = {
    "model": RunAnswer,
    "description": "The run succeeded; or, as events, it has begun, and the last event says how it ended.",
    "content": {RunStream.media_type: {"schema": {"type": "string"}, "example": EXAMPLE}},
}


class RunPage(BaseModel):
    """Which part of the list of runs."""

    model_config = ConfigDict(extra="forbid")

    agent: Annotated[str | None, Field(pattern=NAME_PATTERN, description="Only runs of this agent.")] = None
    status: Annotated[ShownStatus | None, Field(description="Only runs in this state.")] = None
    test: Annotated[Literal["true", "false", "1", "0"] | None, Field(description="Only dry, or only live runs.")] = None
    parent_run_id: Annotated[UUID | None, Field(description="Only the child runs of this run.")] = None
    limit: Annotated[int, Field(ge=1, le=100, description="At most this many.")] = 50
    cursor: Annotated[UUID | None, Field(description="The `next_cursor` of the page before.")] = None


@router.get(
    "/agents/{user_id:uuid}/{agent_name}",
    operation_id="run_agent",
    summary="Run an agent",
    responses={200: _ANSWERS, **refusals(*_RUN_CODES)},
    openapi_extra={"parameters": [_TEST, _INPUT, _KEY]},
)
async def run_with_query(
    user_id: UUID, agent_name: str, request: Request, caller: CallerDep, host: HostDep
) -> Response:
    """Run an agent with the query as its input. It acts, unless `test` is true: repeat it with care."""
    _require_owner(user_id, caller)
    return await _answer(request, host, caller, await asked_in_query(request, agent_name))


@router.post(
    "/agents/{user_id:uuid}/{agent_name}",
    operation_id="run_agent_with_body",
    summary="Run an agent with a JSON body",
    responses={
        200: _ANSWERS,
        **refusals(*_RUN_CODES, "not_json", "request_timeout", "body_too_large", "unsupported_media_type"),
    },
    openapi_extra={"parameters": [_TEST, _KEY], "requestBody": _BODY},
)
async def run_with_body(user_id: UUID, agent_name: str, request: Request, caller: CallerDep, host: HostDep) -> Response:
    """Run an agent with a JSON object as its input."""
    _require_owner(user_id, caller)
    return await _answer(request, host, caller, await asked_in_body(request, agent_name, host.settings))


@router.get(
    "/runs",
    operation_id="list_runs",
    summary="List your runs",
    responses={200: {"model": RunList}, **refusals("validation_failed")},
)
async def list_runs(caller: CallerDep, host: HostDep, page: Annotated[RunPage, Query()]) -> Response:
    """Your runs, newest first. Input, output, logs and effects are in each run's own document."""
    runs = await _store(host, caller).page(
        agent=page.agent,
        status=page.status,
        test=None if page.test is None else page.test in ("true", "1"),
        parent_run_id=page.parent_run_id,
        limit=page.limit,
        cursor=page.cursor,
    )
    shown = runs[: page.limit]
    cursor = shown[-1].record.run_id if len(runs) > page.limit else None
    return JSONResponse({"data": [run.summary() for run in shown], "next_cursor": cursor})


@router.get(
    "/runs/{run_id}",
    operation_id="get_run",
    summary="Read a run",
    responses={200: {"model": StoredRunAnswer}, **refusals("run_not_found")},
)
async def get_run(run_id: str, caller: CallerDep, host: HostDep) -> Response:
    """One run with everything that is kept of it."""
    stored = await _store(host, caller).get(run_id)
    return JSONResponse(stored.shown())


def _store(host: Host, caller: Caller) -> RunStore:
    return RunStore(database=host.database, caller=caller, signer=host.signer, limits=host.settings)


def _require_owner(user_id: UUID, caller: Caller) -> None:
    """Before anything is looked up: the answer must not tell whether somebody else's agent exists."""
    if user_id != caller.user_id:
        raise ApiError("not_your_agent", "The user id in the URL is not that of your token.")


async def _answer(request: Request, host: Host, caller: Caller, asked: Asked) -> Response:
    if prefers(request.headers.getlist("accept"), RunStream.media_type, to="application/json"):
        return RunStream(request, host, caller, asked)
    record = await RequestedRun(request, host, caller, asked).record()
    if record.status != "succeeded":
        raise record.problem()
    return JSONResponse(record.shown(), headers=record.headers())
