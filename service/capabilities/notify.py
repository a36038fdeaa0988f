"""notify: notifications to the agent's owner. Live it is a row in `agent_notifications`; a dry run only records it."""

from typing import Annotated, Any, Final, Literal
from uuid import uuid4

from pydantic import AfterValidator, Field

from service.capabilities.capability import Arguments, Capability, DryContext, LiveContext
from service.capabilities.plain_json import canonical, plain

MAX_TITLE_LENGTH: Final = 200
MAX_CONTENT_LENGTH: Final = 10_000
MAX_ACTIONS: Final = 10
MAX_ACTIONS_BYTES: Final = 8 * 1024


def _small(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(canonical(plain(actions))) > MAX_ACTIONS_BYTES:
        raise ValueError(f"has more than {MAX_ACTIONS_BYTES} bytes as JSON")
    return actions


Actions = Annotated[list[dict[str, Any]], Field(max_length=MAX_ACTIONS, fail_fast=True), AfterValidator(_small)]


class Send(Arguments):
    title: Annotated[str, Field(min_length=1, max_length=MAX_TITLE_LENGTH), AfterValidator(plain)]
    content: Annotated[str, Field(max_length=MAX_CONTENT_LENGTH), AfterValidator(plain)] = ""
    type: Literal["info", "success", "warning", "error"] = "info"
    priority: Literal["low", "normal", "high", "urgent"] = "normal"
    actions: Actions | None = None


class LiveNotify:
    """A row that the owner's own clients read."""

    def __init__(self, context: LiveContext) -> None:
        self._run = context

    async def send(self, arguments: Send) -> Any:
        row = {
            "user_id": str(self._run.caller.user_id),
            "agent_id": self._run.agent_id,
            "run_id": self._run.run_id,
            "title": arguments.title,
            "content": arguments.content,
            "type": arguments.type,
            "priority": arguments.priority,
            "actionable": bool(arguments.actions),
            "actions": arguments.actions or [],
        }
        [stored] = await self._run.database.insert(self._run.caller, "agent_notifications", [row])
        return {"id": stored["id"]}


class DryNotify:
    """Nobody is told; the effect says what would have been."""

    def __init__(self, context: DryContext) -> None:
        self._run = context

    async def send(self, arguments: Send) -> Any:
        return {"id": str(uuid4())}


NOTIFY: Final = Capability(name="notify", arguments={"send": Send}, live=LiveNotify, dry_run=DryNotify)
