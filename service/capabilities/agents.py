"""agents: an agent runs another agent of its owner, as a child run, and gets its output.

The child has its own manifest and nothing of its parent's; in a dry run it is a dry run too.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator

from service.capabilities.capability import (
    Arguments,
    Capability,
    DryContext,
    GuestError,
    LiveContext,
    RunContext,
    denied,
)
from service.capabilities.manifest import AgentName, Manifest
from service.capabilities.plain_json import plain

MAX_MESSAGE: Final = 1000


class Run(Arguments):
    name: AgentName
    input: Annotated[dict[str, Any], AfterValidator(plain)]


class LiveAgents:
    """A child run that acts as far as its own manifest lets it."""

    def __init__(self, context: LiveContext) -> None:
        self._run = context

    async def run(self, arguments: Run) -> Any:
        return await _outcome(self._run, arguments, acts=True)


class DryAgents:
    """A child run that is a dry run."""

    def __init__(self, context: DryContext) -> None:
        self._run = context

    async def run(self, arguments: Run) -> Any:
        return await _outcome(self._run, arguments, acts=False)


async def _outcome(run: RunContext, arguments: Run, *, acts: bool) -> Mapping[str, Any]:
    """The result of a child run. Raises GuestError when it did not succeed."""
    end = await run.run_child(arguments.name, arguments.input)
    if end.code is None:
        return {"run_id": end.run_id, "status": end.status, "output": end.output}
    began = end.code != "invalid_input"
    message = (end.message or "")[:MAX_MESSAGE]
    raise GuestError(
        "ServiceError" if began else "ValueError",
        f"agents.run: {arguments.name} {end.status} ({end.code}): {message} See run {end.run_id}.",
        performed=acts and began,
    )


def _permit(manifest: Manifest, action: str, arguments: Run, context: RunContext) -> None:
    """The name stands in the grant. Whether there is such an agent is not told to one that may not run it."""
    name = arguments.name
    if manifest.agents is None or name not in manifest.agents.names:
        raise denied(
            f'agents.run: the agent may not run {name}: add "{name}" to names of [capabilities.agents] in its '
            f"'# /// agent' block, or to agents.names of capabilities in its agent_config"
        )


AGENTS: Final = Capability(name="agents", arguments={"run": Run}, live=LiveAgents, dry_run=DryAgents, permit=_permit)
