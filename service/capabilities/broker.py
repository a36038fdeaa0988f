"""The broker of one run: every call of a guest ends here, is decided here, and leaves one effect.

Order: is there such an action, is the service granted, do the arguments fit, does the grant cover them, and only then
a twin acts. The guest is hostile: what it sends is a claim, and what it gets back never holds a text of the host's own
failures.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from pydantic import ValidationError

from sandbox.job import Call, EndRun, Reply
from service.capabilities.capability import (
    Answer,
    Arguments,
    Capability,
    DryContext,
    GuestError,
    LiveContext,
    denied,
)
from service.capabilities.effects import Effect, Source, call_hash, name_shown, shortened
from service.capabilities.manifest import Manifest
from service.capabilities.plain_json import canonical, cleaned
from service.capabilities.registry import Registry
from service.database.gateway import DatabaseError, DatabaseUnavailable

log = structlog.get_logger("agenthost.broker")

RECORDING_BYTES: Final = 1024 * 1024
SHOWN_BYTES: Final = 8 * 1024 * 1024
NOT_SHOWN: Final = "… (the effects of this run show enough)"
_CUT_OFF: Final = Reply(error={"type": "ServiceError", "message": "the call was cut off; it may have had its effect"})
_TYPE_PROBLEMS: Final = frozenset({"missing", "extra_forbidden"})


class Broker:
    """Answers the calls of one run and keeps their effects.

    A database that cannot be reached is the host's failure, not the agent's: `handle` raises DatabaseUnavailable, which
    ends the run, so that no agent takes "could not look" for "is not there".
    """

    def __init__(
        self,
        registry: Registry,
        context: LiveContext | DryContext,
        *,
        max_effects: int | None = None,
        proposed: Manifest | None = None,
        on_effect: Callable[[Effect], None] | None = None,
    ) -> None:
        """`max_effects` is this run's own limit; that of the budget it shares with its child runs. `proposed` is what
        a dry run may try before the owner accepts it; a live run gets nothing of it."""
        self._registry = registry
        self._context = context
        self._test = isinstance(context, DryContext)
        self._proposed = proposed or Manifest()
        self._tried = context.manifest.extended_by(self._proposed) if self._test else context.manifest
        self._max_effects = context.budget.max_effects if max_effects is None else max_effects
        self._on_effect = on_effect
        self._twins: dict[str, Any] = {}
        self._recording_bytes = 0
        self._shown_bytes = 0
        self._started = time.monotonic()
        self.effects: list[Effect] = []
        self.host_failure: DatabaseUnavailable | None = None

    async def handle(self, call: Call) -> Reply:
        """The reply to one call. Raises EndRun past the limit of effects, DatabaseUnavailable when the host fails."""
        budget = self._context.budget
        if len(self.effects) >= self._max_effects:
            most = self._max_effects
            raise EndRun("too_many_effects", f"The agent made more than {most} calls, the limit of a run.")
        if budget.effects >= budget.max_effects:
            most = budget.max_effects
            raise EndRun("too_many_effects", f"The run and its child runs made more than {most} calls, the limit.")
        budget.effects += 1
        made = _Made(call)
        try:
            made.reply = Reply(result=await self._answer(made))
        except GuestError as error:
            made.granted = made.granted and error.type_name != "CapabilityDenied"
            made.performed, made.source = error.performed, None
            made.reply = Reply(error={"type": error.type_name, "message": error.message})
        except DatabaseUnavailable as error:
            self.host_failure = error
            raise
        except DatabaseError as error:
            made.performed, made.source = False, None
            log.warning(
                "call_refused", run_id=self._context.run_id, call=f"{call.service}.{call.action}", reason=str(error)
            )
            message = f"{call.service}.{call.action}: the database refused it; does the agent still exist?"
            made.reply = Reply(error={"type": "ServiceError", "message": message})
        finally:
            self._record(made)
        return made.reply

    async def _answer(self, made: "_Made") -> Any:
        call = made.call
        capability = self._known(call)
        self._require_granted(call, self._tried)
        made.granted = self._context.manifest.grant(call.service) is not None
        arguments = _validated(capability, call)
        made.hash = call_hash(call.service, call.action, arguments.model_dump(mode="json"))
        made.granted = self._is_in_force(capability, call, arguments)
        if not made.granted:
            self._require_permitted(capability, call, arguments, self._tried)
        made.performed = not self._test or call.action in capability.reads
        answer = await getattr(self._twin(capability), call.action)(arguments)
        if isinstance(answer, Answer):
            made.source = answer.source
            return answer.result
        made.source = "live" if made.performed else "simulated"
        return answer

    def _is_in_force(self, capability: Capability, call: Call, arguments: Arguments) -> bool:
        """Whether a live run could make this call: what is only proposed can be tried in dry runs alone."""
        try:
            self._require_permitted(capability, call, arguments, self._context.manifest)
        except GuestError as error:
            if error.type_name != "CapabilityDenied" or not self._test:
                raise
            return False
        return True

    def _require_permitted(self, capability: Capability, call: Call, arguments: Arguments, manifest: Manifest) -> None:
        self._require_granted(call, manifest)
        if capability.permit is not None:
            capability.permit(manifest, call.action, arguments, self._context)

    def _known(self, call: Call) -> Capability:
        capability = self._registry.get(call.service)
        if capability is None:
            offered = ", ".join(self._registry.names)
            raise GuestError("ServiceError", f"this host has no service {name_shown(call.service)!r}; it has {offered}")
        if call.action not in capability.arguments:
            offered = ", ".join(capability.arguments)
            raise GuestError(
                "ServiceError", f"{capability.name} has no action {name_shown(call.action)!r}; it has {offered}"
            )
        return capability

    def _require_granted(self, call: Call, manifest: Manifest) -> None:
        if manifest.grant(call.service) is None:
            if self._proposed.grant(call.service) is not None:
                raise denied(
                    f"the agent may not use {call.service} before its owner accepts what its code proposes: "
                    f'PATCH /agents/{self._context.agent_name} with {{"accept_capabilities": true}}'
                )
            raise denied(
                f"the agent may not use {call.service}: add [capabilities.{call.service}] to its '# /// agent' block, "
                f'or "{call.service}": {{}} to capabilities in its agent_config'
            )

    def _twin(self, capability: Capability) -> Any:
        twin = self._twins.get(capability.name)
        if twin is None:
            context = self._context
            made = capability.dry_run(context) if isinstance(context, DryContext) else capability.live(context)
            twin = self._twins[capability.name] = made
        return twin

    def _record(self, made: "_Made") -> None:
        call, reply = made.call, made.reply
        ended = time.monotonic()
        answer = {"result": reply.result} if reply.error is None else {"error": dict(reply.error)}
        shown_args, shown_result = self._shown(dict(call.args), reply.result if reply.error is None else answer)
        effect = Effect(
            seq=len(self.effects) + 1,
            service=name_shown(call.service),
            action=name_shown(call.action),
            args=shown_args,
            granted=made.granted,
            performed=made.performed,
            source=made.source,
            result=shown_result,
            at_ms=round((made.began - self._started) * 1000, 3),
            took_ms=round((ended - made.began) * 1000, 3),
            call_hash=made.hash or call_hash(call.service, call.action, cleaned(dict(call.args))),
            recording=self._recording(answer),
        )
        self.effects.append(effect)
        if self._on_effect is not None:
            self._on_effect(effect)

    def _shown(self, *values: Any) -> tuple[Any, ...]:
        """The values in short, while all that is shown of the run fits its limit."""
        short = tuple(map(shortened, values))
        self._shown_bytes += len(canonical(short))
        return short if self._shown_bytes <= SHOWN_BYTES else (NOT_SHOWN,) * len(short)

    def _recording(self, answer: Mapping[str, Any]) -> Any:
        """The whole answer, while the run's recordings fit their limit; None from the first that does not."""
        self._recording_bytes += len(canonical(answer))
        return answer if self._recording_bytes <= RECORDING_BYTES else None


@dataclass(slots=True)
class _Made:
    """A call while it is being answered. Until it is, it counts as cut off."""

    call: Call
    hash: str = ""
    began: float = field(default_factory=time.monotonic)
    granted: bool = False
    performed: bool = False
    source: Source | None = None
    reply: Reply = _CUT_OFF


def _validated(capability: Capability, call: Call) -> Arguments:
    """The arguments of an action. Raises GuestError: TypeError for wrong types and names, else ValueError."""
    try:
        return capability.arguments[call.action].model_validate(dict(call.args))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
    wrong_type = any(problem["type"] in _TYPE_PROBLEMS or problem["type"].endswith("_type") for problem in problems)
    said = "; ".join(f"{_place(problem)}: {_said(problem)}" for problem in problems[:5])
    raise GuestError("TypeError" if wrong_type else "ValueError", f"{capability.name}.{call.action}: {said}")


def _place(problem: Mapping[str, Any]) -> str:
    # Of a union pydantic names the branch too ("ttl_seconds", "int"): the argument's own name is what an author knows.
    return ".".join(str(part)[:80] for part in problem["loc"][:1]) or "arguments"


def _said(problem: Mapping[str, Any]) -> str:
    said = str(problem["msg"]).removeprefix("Value error, ")
    return said[:1].lower() + said[1:]
