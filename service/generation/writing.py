"""Agents that a model writes, stored as those that users write, and with where they came from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from service.agents import documents
from service.agents.check import Definition
from service.agents.models import AgentConfig, AgentDefinition, parsed_config
from service.agents.store import AgentStore, StoredAgent
from service.auth import Caller
from service.capabilities.effects import shortened
from service.capabilities.manifest import Manifest
from service.errors import ApiError
from service.generation.generate import Generated, Progress, Wish, generate
from service.host import Host


@dataclass(frozen=True, slots=True)
class Written:
    """What is answered: the document, and the agent if it was stored."""

    document: Mapping[str, Any]
    agent: StoredAgent | None = None


async def write_agent(host: Host, caller: Caller, body: AgentDefinition, progress: Progress) -> Written:
    """A new agent from its description. Raises ApiError; then nothing is stored."""
    store = AgentStore(database=host.database, caller=caller)
    wish = Wish(description=_described(body))
    if await store.list(name=body.agent_name, limit=1, cursor=None):
        raise ApiError("agent_exists", f"You have an agent named {body.agent_name!r} already.")
    await store.take_generation(host.settings.limit_generations_per_day)
    generated = await generate(host, caller, wish, progress)
    config, definition = _accepted(generated, accept=body.accept_capabilities)
    origin = _origin(generated, "generated")
    row = await store.create(body.agent_name, wish.description, _stored(config), origin)
    agent = StoredAgent.from_row(row)
    return Written({**documents.agent(agent, caller.user_id, definition), **_told(generated)}, agent)


async def draft_agent(host: Host, caller: Caller, body: AgentDefinition, progress: Progress) -> Written:
    """The same without storing anything."""
    store = AgentStore(database=host.database, caller=caller)
    wish = Wish(description=_described(body))
    await store.take_generation(host.settings.limit_generations_per_day)
    generated = await generate(host, caller, wish, progress)
    config = _stored(generated.definition.config)
    return Written({"agent_config": config, **documents.in_force(generated.definition), **_told(generated)})


async def rewrite_agent(
    host: Host, caller: Caller, agent: StoredAgent, instruction: str, *, accept: bool, progress: Progress
) -> Written:
    """A new version of an agent, changed as an instruction says. Raises ApiError, `conflict` when somebody else has
    changed it meanwhile; then nothing is stored."""
    store = AgentStore(database=host.database, caller=caller)
    kept = parsed_config(agent.config)
    await store.take_generation(host.settings.limit_generations_per_day)
    wish = Wish(description=agent.description, instruction=instruction, config=_stored(kept))
    generated = await generate(host, caller, wish, progress)
    config, definition = _accepted(generated, accept=accept)
    origin = {**_origin(generated, "edited"), "instruction": shortened(instruction)}
    changed = await store.change(agent, {"agent_config": _stored(config), "origin": origin})
    if changed is None:
        raise ApiError("conflict", "The agent was changed while the model wrote; nothing was stored.")
    return Written({**documents.agent(changed, caller.user_id, definition), **_told(generated)}, changed)


def _described(body: AgentDefinition) -> str:
    if body.description is None or not body.description.strip():
        errors = [{"pointer": "/description", "message": "should say what the agent does"}]
        raise ApiError("validation_failed", "Without agent_config the description says what to write.", errors=errors)
    return body.description


def _accepted(generated: Generated, *, accept: bool) -> tuple[AgentConfig, Definition]:
    """What to store: the code, and what it may do only where its owner said so."""
    definition = generated.definition
    if not accept:
        return definition.config, definition
    manifest = definition.manifest.extended_by(definition.proposed)
    config = definition.config.model_copy(update={"capabilities": manifest})
    return config, replace(
        definition, config=config, manifest=manifest, proposed=Manifest(), capabilities_source="given"
    )


def _stored(config: AgentConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude_none=True)


def _origin(generated: Generated, how: str) -> dict[str, Any]:
    """Where the version came from: kept with it, and shown."""
    calls = [f"{effect.service}.{effect.action}" for effect in generated.effects]
    dry_run = {"input": generated.draft.example_input, "output": generated.output, "calls": calls}
    return {
        "how": how,
        "proposes": True,
        **generated.provenance,
        "summary": shortened(generated.draft.summary),
        "dry_run": shortened(dry_run),
    }


def _told(generated: Generated) -> dict[str, Any]:
    """What the answer says beside the agent."""
    return {
        "summary": generated.draft.summary[:2000],
        "generation": dict(generated.provenance),
        "dry_run": {
            "input": generated.draft.example_input,
            "output": generated.output,
            "effects": [effect.shown() for effect in generated.effects],
        },
    }
