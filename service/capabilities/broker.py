"""The broker of one run: every call of a guest ends here, is decided here, and leaves one effect.

Order: is there such an action, is the service granted, do the arguments fit, and only then a twin acts. The guest is
hostile: what it sends is a claim, and what it gets back never holds a text of the host's own failures.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

import structlog
from pydantic import ValidationError

from sandbox.job import Call, EndRun, Reply
from service.capabilities.capability import Arguments, Capability, GuestError, RunContext
from service.capabilities.effects import Effect, call_hash, name_shown, shortened
from service.capabilities.manifest import Manifest
from service.capabilities.plain_json import canonical, cleaned
from service.capabilities.registry import Registry
from service.database.gateway import DatabaseError, DatabaseUnavailable

log = structlog.get_logger("agenthost.broker")

RECORDING_BYTES: Final = 1024 * 1024
SHOWN_BYTES: Final = 8 * 1024 * 1024
NOT_SHOWN: Final = "… (the effects of this run show enough)"
_TYPE_PROBLEMS: Final = frozenset({"missing", "extra_forbidden"})


class Broker:
    """Answers the calls of one run and keeps their effects.

    A database that cannot be reached is the host's failure, not the agent's: `handle` raises DatabaseUnavailable, which
    ends the run, so that no agent takes "could not look" for "is not there".
    """

    def __init__(
        self, registry: Registry, manifest: Manifest, context: RunContext, *, test: bool, max_effects: int
    ) -> None:
        self._registry = registry
        self._manifest = manifest
        self._context = context
        self._test = test
        self._max_effects = max_effects
        self._twins: dict[str, Any] = {}
        self._recording_bytes = 0
        self._shown_bytes = 0
        self._started = time.monotonic()
        self.effects: list[Effect] = []
        self.host_failure: DatabaseUnavailable | None = None

    async def handle(self, call: Call) -> Reply:
        """The reply to one call. Raises EndRun past the limit of effects, DatabaseUnavailable when the host fails."""
        if len(self.effects) >= self._max_effects:
            raise EndRun("too_many_effects", f"The agent made more than {self._max_effects} calls, the limit of a run.")
        began = time.monotonic()
        granted = performed = False
        reply = Reply(error={"type": "ServiceError", "message": "the call was cut off; it may have had its effect"})
        try:
            capability = self._known(call)
            self._require_granted(call)
            granted = True
            arguments = _validated(capability, call)
            performed = not self._test or call.action in capability.reads
            result = await getattr(self._twin(capability), call.action)(arguments)
            reply = Reply(result=result)
        except GuestError as error:
            performed = False
            reply = Reply(error={"type": error.type_name, "message": error.message})
        except DatabaseUnavailable as error:
            self.host_failure = error
            raise
        except DatabaseError as error:
            performed = False
            log.warning(
                "call_refused", run_id=self._context.run_id, call=f"{call.service}.{call.action}", reason=str(error)
            )
            message = f"{call.service}.{call.action}: the database refused it; does the agent still exist?"
            reply = Reply(error={"type": "ServiceError", "message": message})
        finally:
            self._record(call, reply, granted=granted, performed=performed, began=began)
        return reply

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

    def _require_granted(self, call: Call) -> None:
        if self._manifest.grant(call.service) is None:
            raise GuestError(
                "CapabilityDenied",
                f"the agent may not use {call.service}: add [capabilities.{call.service}] to its '# /// agent' block, "
                f'or "{call.service}": {{}} to capabilities in its agent_config',
            )

    def _twin(self, capability: Capability) -> Any:
        twin = self._twins.get(capability.name)
        if twin is None:
            make = capability.dry_run if self._test else capability.live
            twin = self._twins[capability.name] = make(self._context)
        return twin

    def _record(self, call: Call, reply: Reply, *, granted: bool, performed: bool, began: float) -> None:
        ended = time.monotonic()
        args = cleaned(dict(call.args))
        answer = {"result": reply.result} if reply.error is None else {"error": dict(reply.error)}
        self.effects.append(
            Effect(
                seq=len(self.effects) + 1,
                service=name_shown(call.service),
                action=name_shown(call.action),
                args=self._shown(args),
                granted=granted,
                performed=performed,
                result=self._shown(reply.result if reply.error is None else answer),
                at_ms=round((began - self._started) * 1000, 3),
                took_ms=round((ended - began) * 1000, 3),
                call_hash=call_hash(call.service, call.action, args),
                recording=self._recording(answer),
            )
        )

    def _shown(self, value: Any) -> Any:
        """The value in short, while all that is shown of the run fits its limit."""
        short = shortened(value)
        self._shown_bytes += len(canonical(short))
        return short if self._shown_bytes <= SHOWN_BYTES else NOT_SHOWN

    def _recording(self, answer: Mapping[str, Any]) -> Any:
        """The whole answer, while the run's recordings fit their limit; None from the first that does not."""
        self._recording_bytes += len(canonical(answer))
        return answer if self._recording_bytes <= RECORDING_BYTES else None


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
