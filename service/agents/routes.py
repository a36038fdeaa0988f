"""The /agents routes: define, change, check, list, roll back. Running one is in `service/runs`."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from service.agents import documents
from service.agents.check import Definition, examine, require_lower
from service.agents.line import TooManyChecks
from service.agents.models import (
    MAX_DESCRIPTION_LENGTH,
    NAME_PATTERN,
    AgentChange,
    AgentConfig,
    AgentDefinition,
    CheckRequest,
    Wanted,
    body_with_config,
    config_object,
    parsed,
    parsed_config,
)
from service.agents.store import AgentStore, StoredAgent
from service.auth import Caller, CallerDep
from service.body import read_json
from service.capabilities.plain_json import cleaned_text
from service.errors import ApiError
from service.generation.answer import answer
from service.generation.writing import draft_agent, rewrite_agent, write_agent
from service.host import Host, HostDep

router = APIRouter(prefix="/agents", tags=["agents"])
ATTEMPTS: Final = 3


async def _store_of(caller: CallerDep, host: HostDep) -> AgentStore:
    return AgentStore(database=host.database, caller=caller, files=host.files)


StoreDep = Annotated[AgentStore, Depends(_store_of)]


class Page(BaseModel):
    """Which part of a list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100, description="At most this many.")] = 50
    cursor: Annotated[str | None, Field(max_length=64, description="The `next_cursor` of the page before.")] = None


class AgentPage(Page):
    name: Annotated[str | None, Field(pattern=NAME_PATTERN, description="Only the agent of this name.")] = None


@router.post("", operation_id="define_agent", summary="Define an agent", status_code=201, **documents.DEFINE)
async def define_agent(request: Request, caller: CallerDep, host: HostDep, store: StoreDep) -> Response:
    """Define an agent. The code is checked now: what is refused, is refused here and not when it first runs. Without
    code a model writes it from the description."""
    body = body_with_config(AgentDefinition, await _body(request, host))
    if body.agent_config is None:
        return await answer(request, partial(write_agent, host, caller, body), status=201)
    definition = await _defined(host, store, body.agent_config)
    row = await store.create(
        body.agent_name,
        definition.checked.description[:MAX_DESCRIPTION_LENGTH] if body.description is None else body.description,
        body.agent_config.stored(),
        {"how": "created"},
    )
    agent = StoredAgent.from_row(row)
    return _answer(201, documents.agent(agent, caller.user_id, definition), agent, location=True)


@router.get("", operation_id="list_agents", summary="List your agents", **documents.LIST)
async def list_agents(caller: CallerDep, store: StoreDep, page: Annotated[AgentPage, Query()]) -> Response:
    """Your agents, newest first."""
    agents = await store.list(name=page.name, limit=page.limit, cursor=_uuid(page.cursor))
    more = len(agents) > page.limit
    shown = agents[: page.limit]
    data = [documents.summary(agent, caller.user_id) for agent in shown]
    return JSONResponse({"data": data, "next_cursor": shown[-1].id if more else None})


@router.post(
    "/generate", operation_id="generate_agent", summary="Write an agent without storing it", **documents.GENERATE
)
async def generate_agent(request: Request, caller: CallerDep, host: HostDep) -> Response:
    """Write an agent from a description, without storing it."""
    body = parsed(Wanted, await _body(request, host))
    return await answer(request, partial(draft_agent, host, caller, body.description))


@router.post("/check", operation_id="check_agent", summary="Check code without storing it", **documents.CHECK)
async def check_agent(request: Request, caller: CallerDep, host: HostDep, store: StoreDep) -> Response:
    """Check code without storing it. Refused code answers 200 too, with `ok` false and every reason in `errors`."""
    body = body_with_config(CheckRequest, await _body(request, host))
    await store.take_check(host.settings.limit_checks_per_day)
    try:
        definition = await examine(host, caller.user_id, body.agent_config)
        require_lower(host.settings, definition)
    except TooManyChecks:
        raise
    except ApiError as error:
        return JSONResponse(documents.refused_check(error, body.agent_config))
    return JSONResponse(documents.passed_check(definition))


@router.get("/{agent_name}", operation_id="get_agent", summary="Read an agent", **documents.GET)
async def get_agent(agent_name: str, request: Request, caller: CallerDep, host: HostDep, store: StoreDep) -> Response:
    """One of your agents, with its code, input schema and capabilities."""
    if request.url.query:
        hint = f"Leave it out. To run the agent: /agents/{caller.user_id}/{cleaned_text(agent_name)[:80]}."
        raise ApiError("validation_failed", "Reading an agent takes no query.", hint=hint)
    agent = await store.get(agent_name)
    return _answer(200, documents.agent(agent, caller.user_id, await _examined(host, caller, agent)), agent)


@router.patch("/{agent_name}", operation_id="change_agent", summary="Change an agent", **documents.CHANGE)
async def change_agent(
    agent_name: str, request: Request, caller: CallerDep, host: HostDep, store: StoreDep
) -> Response:
    """Change an agent. Keys of `agent_config` that are given replace, null removes, absent ones stay. An `instruction`
    is carried out by a model."""
    change = body_with_config(AgentChange, await _body(request, host))
    if change.instruction is not None:
        return await _rewrite(change, agent_name, request, caller, host, store)
    if change.description is None and change.agent_config is None and not change.accept_capabilities:
        raise ApiError(
            "validation_failed",
            "There is nothing to change: give description, agent_config, instruction or accept_capabilities.",
        )
    for _ in range(ATTEMPTS):
        agent = await store.get(agent_name)
        _require_match(request, agent)
        values: dict[str, Any] = {} if change.description is None else {"description": change.description}
        definition = await _examined(host, caller, agent)
        before = definition
        given = _accepted(change, definition) | (change.agent_config or {})
        if given or change.agent_config is not None:
            # A model's code with a comment added is still a model's: only accepting it ends the proposing.
            proposes = agent.proposes and not ("code" in given and change.accept_capabilities)
            config = parsed_config(_merged(agent.config, given))
            definition = await _defined(host, store, config, proposes=proposes)
            values |= {"agent_config": config.stored(), "origin": _origin("changed", proposes)}
        changed = await store.change(agent, values) if values else agent
        if changed is not None:
            added = documents.added(before, definition)
            return _answer(200, documents.agent(changed, caller.user_id, definition, added=added), changed)
    raise ApiError("conflict", "The agent is being changed by somebody else at the same time.")


async def _rewrite(
    change: AgentChange, agent_name: str, request: Request, caller: Caller, host: Host, store: AgentStore
) -> Response:
    if change.agent_config is not None:
        errors = [{"pointer": "/instruction", "message": "cannot be given together with agent_config"}]
        detail = "An instruction has a model change the code, agent_config is the change itself: give one of them."
        raise ApiError("validation_failed", detail, errors=errors)
    agent = await store.get(agent_name)
    _require_match(request, agent)
    return await answer(request, partial(rewrite_agent, host, caller, agent, change))


@router.delete(
    "/{agent_name}", operation_id="delete_agent", summary="Delete an agent", status_code=204, **documents.DELETE
)
async def delete_agent(agent_name: str, request: Request, store: StoreDep) -> Response:
    """Delete an agent with its versions and what it kept in kv. Its runs stay, under its name."""
    agent = await store.get(agent_name)
    _require_match(request, agent)
    conditional = "if-match" in request.headers
    if not await store.delete(agent, if_unchanged=conditional) and conditional:
        raise _stale()
    return Response(status_code=204)


@router.get(
    "/{agent_name}/versions",
    operation_id="list_agent_versions",
    summary="List the versions of an agent",
    **documents.VERSIONS,
)
async def list_agent_versions(agent_name: str, store: StoreDep, page: Annotated[Page, Query()]) -> Response:
    """The versions of an agent, newest first."""
    before = page.cursor
    if before is not None and not (before.isascii() and before.isdigit() and len(before) < 10):
        raise _bad_cursor()
    agent = await store.get(agent_name)
    rows = await store.versions(agent, limit=page.limit, before=None if before is None else int(before))
    more = len(rows) > page.limit
    data = [documents.version_summary(row) for row in rows[: page.limit]]
    return JSONResponse({"data": data, "next_cursor": str(data[-1]["version"]) if more else None})


@router.get(
    "/{agent_name}/versions/{version}",
    operation_id="get_agent_version",
    summary="Read a version of an agent",
    **documents.VERSION,
)
async def get_agent_version(agent_name: str, version: str, store: StoreDep) -> Response:
    """One version of an agent, as it was."""
    row = await store.version(await store.get(agent_name), version)
    return JSONResponse(documents.version(row))


@router.post(
    "/{agent_name}/versions/{version}/restore",
    operation_id="restore_agent_version",
    summary="Restore a version of an agent",
    status_code=201,
    **documents.RESTORE,
)
async def restore_agent_version(
    agent_name: str, version: str, request: Request, caller: CallerDep, host: HostDep, store: StoreDep
) -> Response:
    """Make an old version the newest one: a new version with its description and config."""
    for _ in range(ATTEMPTS):
        agent = await store.get(agent_name)
        _require_match(request, agent)
        row = await store.version(agent, version)
        config = parsed_config(row["agent_config"])
        proposes = isinstance(row["origin"], dict) and row["origin"].get("proposes") is True
        definition = await _defined(host, store, config, proposes=proposes)
        values = {
            "description": row["description"],
            "agent_config": config.stored(),
            "origin": _origin("restored", proposes, version=row["version"]),
        }
        restored = await store.change(agent, values)
        if restored is not None:
            added = documents.added(await _examined(host, caller, agent), definition)
            document = documents.agent(restored, caller.user_id, definition, added=added)
            return _answer(201, document, restored, location=True)
    raise ApiError("conflict", "The agent is being changed by somebody else at the same time.")


async def _body(request: Request, host: Host) -> Any:
    settings = host.settings
    return await read_json(request, settings.limit_body_bytes, seconds=settings.limit_body_seconds)


async def _defined(host: Host, store: AgentStore, config: AgentConfig, *, proposes: bool = False) -> Definition:
    """A config that may be stored."""
    await store.take_check(host.settings.limit_checks_per_day)
    definition = await examine(host, store.caller.user_id, config, proposes=proposes)
    require_lower(host.settings, definition)
    return definition


async def _examined(host: Host, caller: Caller, agent: StoredAgent) -> Definition | ApiError:
    """What is in force of a stored agent, or why it may not run."""
    try:
        return await examine(host, caller.user_id, parsed_config(agent.config), proposes=agent.proposes)
    except TooManyChecks:
        raise
    except ApiError as error:
        return error


def _origin(how: str, proposes: bool, **more: Any) -> dict[str, Any]:
    """Where a version comes from, and whether its code still only proposes, because a model wrote it or what it was."""
    return {"how": how, **more} | ({"proposes": True} if proposes else {})


def _accepted(change: AgentChange, definition: Definition | ApiError) -> dict[str, Any]:
    """What accepting puts into the config: all that is proposed, and nothing for code that comes with the change.
    Raises ApiError for an agent that does not pass its check, of which nobody knows what it proposes."""
    if not change.accept_capabilities or "code" in (change.agent_config or {}):
        return {}
    if isinstance(definition, ApiError):
        raise definition
    accepted = definition.manifest.extended_by(definition.proposed)
    return {"capabilities": accepted.shown()} if definition.proposed.shown() else {}


def _merged(stored: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The stored config with the given keys in place; a given null removes its key."""
    try:
        kept = config_object(stored)
    except ApiError:
        kept = None
    merged = {**(kept if isinstance(kept, Mapping) else {}), **given}
    return {key: value for key, value in merged.items() if value is not None}


def _require_match(request: Request, agent: StoredAgent) -> None:
    """If-Match: one of the tags must be the agent's; weak ones never are (RFC 9110, 13.1.1)."""
    wanted = request.headers.getlist("if-match")
    tags = [tag.strip() for value in wanted for tag in value.split(",")]
    if tags and "*" not in tags and agent.tag not in tags:
        raise _stale()


def _stale() -> ApiError:
    return ApiError("precondition_failed", "The agent is not in the revision that If-Match names.")


def _answer(status: int, document: Mapping[str, Any], agent: StoredAgent, *, location: bool = False) -> Response:
    headers = {"ETag": agent.tag}
    if location:
        headers["Location"] = f"/agents/{agent.agent_name}"
    return JSONResponse(document, status_code=status, headers=headers)


def _uuid(cursor: str | None) -> UUID | None:
    try:
        return None if cursor is None else UUID(cursor)
    except ValueError:
        raise _bad_cursor() from None


def _bad_cursor() -> ApiError:
    return ApiError("validation_failed", "The cursor is not one that this host gave.", errors=[{"pointer": "/cursor"}])
