"""From a config to what may run: the source checked in a jail, the manifest in force, limits clamped to the host's.

Nothing about code is believed but what `engine.check` of that very source says.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final
from uuid import UUID

from sandbox.job import Checked, Engine
from sandbox.limits import Limits
from service.agents.models import AgentConfig, AgentLimits, BlockOptions, CapabilitiesSource, parsed
from service.capabilities.fixtures import Fixtures, fixtures_of
from service.capabilities.manifest import Manifest, manifest_of, split_proposal
from service.errors import ApiError
from service.host import Host
from service.settings import Settings

DEFAULT_ENGINE: Final = "restricted"
WHOLE_PYTHON: Final = "container"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """An agent's config that passed its check. `config` is as it was given, the rest is what is in force; `proposed`
    is what its code also asks for and its owner has not accepted."""

    config: AgentConfig
    engine: Engine
    checked: Checked
    manifest: Manifest
    proposed: Manifest
    capabilities_source: CapabilitiesSource
    wanted: AgentLimits | None
    limits: Limits
    fixtures: Fixtures


async def examine(host: Host, user_id: UUID, config: AgentConfig, *, proposes: bool = False) -> Definition:
    """Check a config; with `proposes` a model wrote the code, which then grants itself next to nothing.

    Raises ApiError (`code_too_large`, `code_refused`, `engine_not_supported`, `validation_failed`) when it may not run,
    TooManyChecks or SandboxUnavailable when it cannot be checked now.
    """
    size, allowed = len(config.code.encode()), host.settings.limit_source_bytes
    if size > allowed:
        raise ApiError("code_too_large", f"The code has {size} bytes, the limit is {allowed} bytes.")
    engine = _engine(host.engines, config.engine or DEFAULT_ENGINE)
    checked = await host.checks.check(engine, config.code, user_id)
    options = parsed(BlockOptions, dict(checked.metadata), within=("agent_config", "code", "metadata"))
    if config.engine is None and options.engine not in (None, engine.name):
        engine = _engine(host.engines, options.engine or DEFAULT_ENGINE)
        checked = await host.checks.check(engine, config.code, user_id)
    _require_accepted(checked, engine, host.engines)
    limits = host.settings.sandbox_limits(engine.name)
    given = config.capabilities or (None if proposes else options.capabilities)
    manifest, proposed = given or options.capabilities or manifest_of(checked.inferred), Manifest()
    if proposes and given is None:
        manifest, proposed = split_proposal(manifest)
    wanted = config.limits or options.limits
    return Definition(
        config=config,
        engine=engine,
        checked=checked,
        manifest=manifest,
        proposed=proposed,
        capabilities_source="given" if given else "inferred",
        wanted=wanted,
        limits=limits.lowered(wanted.model_dump(exclude_none=True)) if wanted else limits,
        fixtures=fixtures_of(options.fixtures if config.fixtures is None else config.fixtures),
    )


def require_lower(settings: Settings, definition: Definition) -> None:
    """A new definition may not ask for more than the host allows. (A stored one is clamped: hosts change.)"""
    limits = settings.sandbox_limits(definition.engine.name)
    wanted = definition.wanted
    inside = "" if definition.config.limits else "/code/metadata"
    over = [
        {
            "pointer": f"/agent_config{inside}/limits/{name}",
            "message": f"is more than this host's {getattr(limits, name)}",
        }
        for name, value in (wanted.model_dump(exclude_none=True) if wanted else {}).items()
        if value > getattr(limits, name)
    ]
    if over:
        detail = "An agent may lower the host's limits, not raise them."
        raise ApiError("validation_failed", detail, errors=over, hint="GET /limits lists every limit with its unit.")


def _engine(engines: Mapping[str, Engine], name: str) -> Engine:
    engine = engines.get(name)
    if engine is None:
        offered = ", ".join(sorted(engines)) or "none"
        errors = [{"pointer": "/agent_config/engine", "message": f"should be one of: {offered}"}]
        hint = "Its operator switches it on with AGENTHOST_CONTAINER_POOL." if name == WHOLE_PYTHON else None
        detail = f"This host has no engine {name!r}; it has: {offered}."
        raise ApiError("engine_not_supported", detail, errors=errors, hint=hint)
    return engine


def _require_accepted(checked: Checked, engine: Engine, engines: Mapping[str, Engine]) -> None:
    if not checked.problems:
        return
    first = checked.problems[0]
    where = f"line {first.line}: " if first.line else ""
    errors: list[dict[str, Any]] = [asdict(problem) for problem in checked.problems]
    hint = None
    if engine.name == DEFAULT_ENGINE and WHOLE_PYTHON in engines:
        hint = f'Correct the places listed in errors, or choose the engine "{WHOLE_PYTHON}", which runs all of Python.'
    raise ApiError("code_refused", f"{where}{first.message}", errors=errors, hint=hint)
