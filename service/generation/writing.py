"""Agents that a model writes, stored as those that users write, and with where they came from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from service.agents import documents
from service.agents.check import Definition, examine
from service.agents.models import AgentChange, AgentConfig, AgentDefinition, parsed_config
from service.agents.store import AgentStore, StoredAgent
from service.auth import Caller
from service.capabilities.effects import shortened
from service.capabilities.manifest import Manifest
from service.errors import ApiError
from service.generation.generate import Generated, Wish, generate, model_of
from service.generation.progress import Progress
from service.host import Host


@dataclass(frozen=True, slots=True)
class Written:
    """What is answered: the document, and the agent if it was stored."""

    document: Mapping[str, Any]
    agent: StoredAgent | None = None


async def write_agent(host: Host, caller: Caller, body: AgentDefinition, progress: Progress) -> Written:
    """A new agent from its description. Raises ApiError; then nothing is stored."""
    store = AgentStore(database=host.database, caller=caller, files=host.files)
    if body.description is None or not body.description.strip():
        errors = [{"pointer": "/description", "message": "should say what the agent does"}]
        raise ApiError("validation_failed", "Give agent_config (code), or a description for a model.", errors=errors)
    model_of(host)
    if await store.list(name=body.agent_name, limit=1, cursor=None):
        raise ApiError("agent_exists", f"You already have an agent named {body.agent_name!r}.")
    generated = await _generated(host, store, Wish(description=body.description), progress)
    config, definition = _accepted(generated) if body.accept_capabilities else _proposing(generated)
    row = await store.create(body.agent_name, body.description, config.stored(), _origin(generated, "generated"))
    agent = StoredAgent.from_row(row)
    return Written({**documents.agent(agent, caller.user_id, definition), **_told(generated)}, agent)


async def draft_agent(host: Host, caller: Caller, description: str, progress: Progress) -> Written:
    """The same without storing anything."""
    store = AgentStore(database=host.database, caller=caller)
    generated = await _generated(host, store, Wish(description=description), progress)
    config, definition = _proposing(generated)
    return Written({"agent_config": config.stored(), **documents.in_force(definition), **_told(generated)})


async def rewrite_agent(
    host: Host, caller: Caller, agent: StoredAgent, change: AgentChange, progress: Progress
) -> Written:
    """A new version of an agent, changed as its instruction says. Raises ApiError, `conflict` when somebody else has
    changed it meanwhile; then nothing is stored."""
    store = AgentStore(database=host.database, caller=caller, files=host.files)
    config = parsed_config(agent.config)
    before = await _examined(host, caller, config, proposes=agent.proposes)
    wish = Wish(
        description=agent.description if change.description is None else change.description,
        instruction=change.instruction,
        config=config.model_copy(update={"capabilities": None}).stored(),
    )
    generated = await _generated(host, store, wish, progress)
    if change.accept_capabilities:
        config, definition = _accepted(generated)
    elif isinstance(before, Definition) and before.manifest.covers(_asked_for(generated.definition)):
        config, definition = _given(generated.definition, before.manifest)
    else:
        config, definition = _proposing(generated)
    values: dict[str, Any] = {
        "description": wish.description,
        "agent_config": config.stored(),
        "origin": {**_origin(generated, "edited"), "instruction": shortened(change.instruction)},
    }
    changed = await store.change(agent, values)
    if changed is None:
        raise ApiError("conflict", "The agent was changed while the model wrote; nothing was stored.")
    added = documents.added(before, generated.definition)
    document = documents.agent(changed, caller.user_id, definition, added=added)
    return Written({**document, **_told(generated)}, changed)


async def _generated(host: Host, store: AgentStore, wish: Wish, progress: Progress) -> Generated:
    """What the model wrote, counted against the user's day. Raises ApiError."""
    model_of(host)
    with host.drafts.generation(store.caller.user_id):
        await store.take_generation(host.settings.limit_generations_per_day)
        return await generate(host, store.caller, wish, progress)


async def _examined(host: Host, caller: Caller, config: AgentConfig, *, proposes: bool) -> Definition | ApiError:
    """What is in force before the change, or why the code may not run. Raises ApiError when other code would not
    help."""
    try:
        return await examine(host, caller.user_id, config, proposes=proposes)
    except ApiError as error:
        if error.code not in ("code_refused", "code_too_large"):
            raise
        return error


def _proposing(generated: Generated) -> tuple[AgentConfig, Definition]:
    """What to store of code whose owner has accepted nothing yet."""
    return generated.definition.config, generated.definition


def _accepted(generated: Generated) -> tuple[AgentConfig, Definition]:
    """The same, with all that the code asks for in force."""
    return _given(generated.definition, _asked_for(generated.definition))


def _given(definition: Definition, manifest: Manifest) -> tuple[AgentConfig, Definition]:
    config = definition.config.model_copy(update={"capabilities": manifest})
    return config, replace(
        definition, config=config, manifest=manifest, proposed=Manifest(), capabilities_source="given"
    )


def _asked_for(definition: Definition) -> Manifest:
    return definition.manifest.extended_by(definition.proposed)


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
        "summary": generated.draft.summary,
        "generation": dict(generated.provenance),
        "dry_run": {
            "input": generated.draft.example_input,
            "output": generated.output,
            "effects": [effect.shown() for effect in generated.effects],
        },
    }
