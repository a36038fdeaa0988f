"""What the /agents routes answer: documents built from what was stored and examined, and their OpenAPI."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from service.agents.check import DEFAULT_ENGINE, Definition
from service.agents.models import (
    AgentAnswer,
    AgentChange,
    AgentConfig,
    AgentDefinition,
    AgentList,
    CheckAnswer,
    CheckRequest,
    DraftAnswer,
    VersionAnswer,
    VersionList,
    Wanted,
    config_object,
)
from service.agents.store import StoredAgent
from service.capabilities.plain_json import cleaned, cleaned_text
from service.database.gateway import Row
from service.errors import ApiError
from service.event_stream import EventStream
from service.generation.progress import EXAMPLE as EVENTS
from service.problem_docs import problems


def summary(agent: StoredAgent, user_id: UUID) -> dict[str, Any]:
    return {
        "agent_name": agent.agent_name,
        "description": agent.description,
        "version": agent.version,
        "revision": agent.revision,
        "run_url": f"/agents/{user_id}/{agent.agent_name}",
        "created_at": agent.created_at,
        "updated_at": agent.updated_at,
    }


def agent(
    agent: StoredAgent, user_id: UUID, definition: Definition | ApiError, *, added: list[str] | None = None
) -> dict[str, Any]:
    """One agent: the config as it is stored, and what is in force of it."""
    if isinstance(definition, ApiError):
        config = cleaned(agent.config)
        found = _nothing_in_force(definition, config.get("engine") if isinstance(config, dict) else None)
    else:
        found = in_force(definition)
        config = definition.config.model_dump(mode="json", exclude_none=True)
    return {
        **summary(agent, user_id),
        "origin": cleaned(dict(agent.origin)),
        "agent_config": config,
        **found,
        "capabilities_added": added or [],
    }


def added(before: Definition | ApiError, after: Definition | ApiError) -> list[str]:
    """The services that inferring again has added to an inferred manifest."""
    if isinstance(after, ApiError) or after.capabilities_source != "inferred":
        return []
    had = set() if isinstance(before, ApiError) else _asked_for(before)
    return sorted(_asked_for(after) - had)


def _asked_for(definition: Definition) -> set[str]:
    return {*definition.manifest.shown(), *definition.proposed.shown()}


def passed_check(definition: Definition) -> dict[str, Any]:
    found = in_force(definition)
    ok = found.pop("valid")
    del found["proposed"]  # code that is only checked was written by whoever sent it
    return {"ok": ok, **found, "description": definition.checked.description}


def refused_check(error: ApiError, config: AgentConfig) -> dict[str, Any]:
    found = _nothing_in_force(error, config.engine)
    ok = found.pop("valid")
    del found["proposed"]
    return {"ok": ok, **found, "description": ""}


def version_summary(row: Row) -> dict[str, Any]:
    return {
        "version": row["version"],
        "description": cleaned_text(str(row["description"] or "")),
        "origin": cleaned(row["origin"]) if isinstance(row["origin"], dict) else {},
        "code_hash": str(row["code_hash"] or ""),
        "created_at": str(row["created_at"]),
    }


def version(row: Row) -> dict[str, Any]:
    try:
        config = config_object(row["agent_config"])
    except ApiError:  # an old or foreign row: shown as it is
        config = row["agent_config"]
    return {**version_summary(row), "agent_name": row["agent_name"], "agent_config": cleaned(config)}


def in_force(definition: Definition) -> dict[str, Any]:
    """What a config comes to on this host."""
    return {
        "engine": definition.engine.name,
        "entry": definition.checked.entry,
        "input_schema": definition.checked.input_schema,
        "capabilities": definition.manifest.shown(),
        "capabilities_source": definition.capabilities_source,
        "proposed": definition.proposed.shown(),
        "valid": True,
        "errors": [],
    }


def _nothing_in_force(error: ApiError, engine: Any) -> dict[str, Any]:
    errors = [dict(each) for each in error.errors] or [{"code": error.code, "message": error.detail}]
    return {
        "engine": engine if isinstance(engine, str) else DEFAULT_ENGINE,
        "entry": "",
        "input_schema": {},
        "capabilities": {},
        "capabilities_source": "inferred",
        "proposed": {},
        "valid": False,
        "errors": errors,
    }


def request_body(model: Any, examples: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAPI of a JSON body that the route reads itself, bounded and strictly."""
    schema = _inlined(model.model_json_schema(), {})
    shown = {name: {"value": value} for name, value in examples.items()}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "examples": shown}}}}


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """A JSON schema without references, so that it stands anywhere in a document."""
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    definitions = schema.get("$defs", definitions)
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items() if key != "$defs"}


def refusals(*codes: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI of the problem documents that a route of a signed-in user answers with."""
    return problems("invalid_token", "forbidden", "database_unavailable", "internal_error", *codes)


_BODY: Final = ("invalid_request", "not_json", "request_timeout", "body_too_large", "unsupported_media_type")
_CODE: Final = (
    *("validation_failed", "kind_not_supported", "engine_not_supported", "code_refused", "code_too_large"),
    *("quota_exceeded", "too_many_checks", "engine_unavailable"),
)
_GENERATION: Final = ("model_not_configured", "model_unavailable", "generation_failed", "too_many_generations")
_GREETER: Final = 'def run(name: str = "World"):\n    return {"message": f"Hello, {name}"}\n'
_WISH: Final = "Remind me every Monday of my open tasks, which are in the table tasks."
_COUNTER: Final = 'def run(services):\n    return {"visits": services.kv.increment("visits")}\n'

_EVENTS: Final[dict[str, Any]] = {
    "description": "What a model is asked to write, told as events while it is written.",
    "content": {EventStream.media_type: {"schema": {"type": "string"}, "example": EVENTS}},
}
DEFINE: Final[dict[str, Any]] = {
    "responses": {
        200: _EVENTS,
        201: {"model": AgentAnswer},
        **refusals(*_BODY, *_CODE, *_GENERATION, "agent_exists"),
    },
    "openapi_extra": request_body(
        AgentDefinition,
        {
            "code": {"agent_name": "greeter", "description": "Greets.", "agent_config": {"code": _GREETER}},
            "string": {"agent_name": "hello", "agent_config": _GREETER},
            "description": {"agent_name": "reminder", "description": _WISH, "accept_capabilities": False},
            "capabilities": {
                "agent_name": "counter",
                "description": "Counts its runs.",
                "agent_config": {"code": _COUNTER, "capabilities": {"kv": {}}, "limits": {"wall_seconds": 5}},
            },
        },
    ),
}
LIST: Final[dict[str, Any]] = {"responses": {200: {"model": AgentList}, **refusals("validation_failed")}}
GENERATE: Final[dict[str, Any]] = {
    "responses": {
        200: {"model": DraftAnswer, **_EVENTS},
        **refusals(
            *_BODY, *_GENERATION, "validation_failed", "quota_exceeded", "too_many_checks", "engine_unavailable"
        ),
    },
    "openapi_extra": request_body(Wanted, {"description": {"description": _WISH}}),
}
CHECK: Final[dict[str, Any]] = {
    "responses": {200: {"model": CheckAnswer}, **refusals(*_BODY, *_CODE)},
    "openapi_extra": request_body(CheckRequest, {"code": {"agent_config": {"code": _GREETER}}}),
}
GET: Final[dict[str, Any]] = {
    "responses": {
        200: {"model": AgentAnswer},
        **refusals("agent_not_found", "validation_failed", "too_many_checks", "engine_unavailable"),
    }
}
CHANGE: Final[dict[str, Any]] = {
    "responses": {
        200: {"model": AgentAnswer, **_EVENTS},
        **refusals(*_BODY, *_CODE, *_GENERATION, "agent_not_found", "precondition_failed", "conflict"),
    },
    "openapi_extra": request_body(
        AgentChange,
        {
            "description": {"description": "Greets politely."},
            "instruction": {"instruction": "Greet in French."},
            "accept": {"accept_capabilities": True},
        },
    ),
}
DELETE: Final[dict[str, Any]] = {"responses": refusals("agent_not_found", "precondition_failed")}
VERSIONS: Final[dict[str, Any]] = {
    "responses": {200: {"model": VersionList}, **refusals("agent_not_found", "validation_failed")}
}
VERSION: Final[dict[str, Any]] = {
    "responses": {200: {"model": VersionAnswer}, **refusals("agent_not_found", "version_not_found")}
}
RESTORE: Final[dict[str, Any]] = {
    "responses": {
        201: {"model": AgentAnswer},
        **refusals(*_CODE, "agent_not_found", "version_not_found", "precondition_failed", "conflict"),
    }
}
