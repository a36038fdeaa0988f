"""Every error code of the host with its status and advice, in one table; and the exception that carries one.

Nothing else reaches a client as an error: `service/problems.py` turns every exception into a document of this table.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import BaseModel

from service.names import IN_WORDS


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """What one code always means: HTTP status, a short title, and what the client can do about it."""

    status: int
    title: str
    hint: str


TRY_LATER: Final = "Try again after the seconds in Retry-After."
"""The hint of what passes by itself: such an answer has the header."""
_SEE_LIMITS = "GET /limits lists every limit with its unit."
_FIX_AGENT = (
    "Correct the agent's code with PATCH /agents/{agent_name}; a dry run (?test=true) repeats it without acting."
)

ERRORS: Mapping[str, ErrorKind] = {
    # The request as such
    "invalid_request": ErrorKind(400, "The request is malformed", "Compare the request with /docs."),
    "not_json": ErrorKind(
        400,
        "The body is not JSON",
        "Send one JSON value in UTF-8, without NaN, Infinity or U+0000. `agenthost push FILE` sends a file as it is.",
    ),
    "invalid_token": ErrorKind(401, "No valid token", "Send a current user token as 'Authorization: Bearer <token>'."),
    "forbidden": ErrorKind(403, "Not allowed", "Use the resources of the user that the token belongs to."),
    "not_found": ErrorKind(404, "No such resource", "See /docs for the routes there are."),
    "method_not_allowed": ErrorKind(405, "The route has no such method", "Use one of the methods in Allow."),
    "request_timeout": ErrorKind(408, "The body did not arrive in time", "Send the whole body without a pause."),
    "conflict": ErrorKind(409, "It conflicts with what is stored", "Read the current state and try again."),
    "precondition_failed": ErrorKind(412, "It has changed since you read it", "GET it again and use its new ETag."),
    "body_too_large": ErrorKind(413, "The body is too large", _SEE_LIMITS),
    "uri_too_long": ErrorKind(414, "The URL is too long", "Send the input as the JSON body of a POST."),
    "unsupported_media_type": ErrorKind(415, "The body is not JSON", "Send 'Content-Type: application/json'."),
    "validation_failed": ErrorKind(
        422, "The request has invalid fields", "Correct what detail says, and each place in errors."
    ),
    "quota_exceeded": ErrorKind(429, "A daily quota is used up", TRY_LATER),
    "too_many_checks": ErrorKind(429, "Too many checks in flight", TRY_LATER),
    "too_many_generations": ErrorKind(429, "Too many generations in flight", TRY_LATER),
    # Agents
    "not_your_agent": ErrorKind(403, "Not your agent", "Run agents under your own user id, the 'sub' of your token."),
    "agent_not_found": ErrorKind(404, "No such agent", "GET /agents lists your agents, as `agenthost agents` does."),
    "version_not_found": ErrorKind(404, "No such version", "GET /agents/{agent_name}/versions lists the versions."),
    "agent_exists": ErrorKind(409, "You have an agent of that name", "Change it with PATCH, or choose another name."),
    "code_refused": ErrorKind(422, "The code is refused", "Correct the places listed in errors."),
    "code_too_large": ErrorKind(422, "The code is too large", _SEE_LIMITS),
    "kind_not_supported": ErrorKind(422, "Only agents made of code", "Put Python source in agent_config.code."),
    "engine_not_supported": ErrorKind(422, "No such engine here", "GET /ready lists the engines of this host."),
    "agent_invalid": ErrorKind(422, "The stored agent is not valid", "Correct it with PATCH /agents/{agent_name}."),
    "model_not_configured": ErrorKind(
        503, "No model is configured", "Send the code as agent_config; or the operator sets OPENAI_MODEL."
    ),
    "model_unavailable": ErrorKind(502, "The language model gave no answer", "Try again later, or send agent_config."),
    "generation_failed": ErrorKind(
        422, "No attempt gave an agent that can run", "Reword the description, or send the code as agent_config."
    ),
    # Secrets
    "secret_not_found": ErrorKind(
        404, "No such secret", "GET /secrets lists the names of your secrets, as `agenthost secret list` does."
    ),
    "too_many_secrets": ErrorKind(409, "Limit of secrets reached", "DELETE one that no agent needs."),
    "notification_not_found": ErrorKind(
        404, "No such notification", "GET /notifications lists yours, as `agenthost notifications` does."
    ),
    # Runs: before any code of the agent ran
    "run_not_found": ErrorKind(404, "No such run", "GET /runs lists your runs, as `agenthost runs` does."),
    "run_in_progress": ErrorKind(409, "The run is still going on", "GET /runs/{run_id} shows its state."),
    "resume_not_supported": ErrorKind(409, "A stream cannot be resumed", "GET /runs/{run_id} shows what happened."),
    "invalid_test_flag": ErrorKind(422, "Ambiguous test flag", "Use ?test=true or ?test=false, once, or leave it out."),
    "invalid_input": ErrorKind(422, "The input does not fit", "GET /agents/{agent_name} shows the input_schema."),
    "idempotency_key_reused": ErrorKind(422, "The key was used for another input", "Use a new Idempotency-Key."),
    "too_many_runs": ErrorKind(429, "Too many runs in flight", TRY_LATER),
    # Runs: the agent's own failures
    "agent_error": ErrorKind(502, "The agent raised an exception", _FIX_AGENT),
    "output_not_json": ErrorKind(502, "The agent returned something that is not JSON", _FIX_AGENT),
    "output_too_large": ErrorKind(502, "The agent's output is too large", _SEE_LIMITS),
    "logs_too_large": ErrorKind(502, "The agent printed too much", _SEE_LIMITS),
    "too_many_effects": ErrorKind(502, "The agent made too many calls", _SEE_LIMITS),
    "memory_exceeded": ErrorKind(502, "The agent ran out of memory", _SEE_LIMITS),
    "sandbox_violation": ErrorKind(502, "The agent tried what the sandbox refuses", _FIX_AGENT),
    "wall_time_exceeded": ErrorKind(504, "The agent ran out of time", _SEE_LIMITS),
    "cpu_time_exceeded": ErrorKind(504, "The agent ran out of processor time", _SEE_LIMITS),
    # The host's own failures
    "internal_error": ErrorKind(500, "Internal error", "Report the request_id to whoever runs this host."),
    "cancelled": ErrorKind(503, "The run was cancelled", "GET /runs/{run_id} shows how far it came."),
    "database_unavailable": ErrorKind(503, "The database cannot be reached", TRY_LATER),
    "engine_unavailable": ErrorKind(503, "The engine cannot run agents now", TRY_LATER),
    "run_not_recorded": ErrorKind(503, "It ran, and could not be recorded", "Do not repeat it: the outcome is here."),
    "keys_unavailable": ErrorKind(503, "Tokens cannot be checked now", TRY_LATER),
    "not_ready": ErrorKind(503, "The host cannot run agents now", TRY_LATER),
}


class ApiError(Exception):
    """A request ends with the error `code` of ERRORS. `detail` is shown to the client: nothing of the host's inside.

    `errors` are objects with `pointer` (a JSON pointer) or `line` and `column`, and `message`; `extra` are further
    members of the document (a failed run's `run_id`, `run_status`, `logs` ...), which cannot replace the standard ones
    (`status` is the number of the HTTP status, as RFC 9457 has it). `hint` replaces the table's.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        hint: str | None = None,
        errors: Sequence[Mapping[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.kind = ERRORS[code]
        self.detail = detail
        self.hint = hint if hint is not None else self.kind.hint
        self.errors = tuple(errors or ())
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})

    def document(self, *, instance: str, request_id: str) -> dict[str, Any]:
        """The RFC 9457 problem document. `instance` is the path of the request, without its query."""
        return {
            **self.extra,
            "type": f"urn:agenthost:problem:{self.code}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "instance": instance,
            "code": self.code,
            "hint": self.hint,
            "errors": [{"message": self.detail, **error} for error in self.errors],
            "request_id": request_id,
        }


def invalid_fields(
    errors: Sequence[Mapping[str, Any]], *, within: tuple[str | int, ...] = (), model: type[BaseModel] | None = None
) -> ApiError:
    """`validation_failed` from pydantic's `ValidationError.errors()`; `within` is where the validated value stands, and
    `model` what it should have been. `detail` is the first of them.

    Values are never repeated: they may be long, secret or not even valid text.
    """
    found = []
    for error in errors[:20]:
        message = _message(error, () if model is None else _fields(model, error["loc"][:-1]))
        found.append({"pointer": json_pointer((*within, *error["loc"])), "message": message})
    first = found[0]
    where = first["pointer"][1:].replace("/", ".") or "The body"
    link = " " if first["message"].startswith(("should ", "is ", "has ", "cannot ")) else ": "
    more = f" {len(found) - 1} more in errors." if len(found) > 1 else ""
    return ApiError("validation_failed", f"{where}{link}{first['message']}.{more}", errors=found)


def _message(error: Mapping[str, Any], known: Sequence[str]) -> str:
    """What pydantic says, in the words of this interface: no regular expression, no class of this host."""
    match error["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return f"is not a field here; known: {', '.join(known)}" if known else "is not a field here"
        case "string_pattern_mismatch" if (said := IN_WORDS.get(error.get("ctx", {}).get("pattern", ""))) is not None:
            return said
        case "model_type" | "model_attributes_type" | "dict_type":
            return "should be an object"
    return re.sub(r"^(Value error, |\w+ (?=should ))", "", str(error["msg"]))


def _fields(model: type[BaseModel], place: Sequence[str | int]) -> tuple[str, ...]:
    """The names of the fields at a place within a model; none where the place holds no model."""
    for part in place:
        field = model.model_fields.get(str(part))
        kinds = () if field is None else (field.annotation, *get_args(field.annotation))
        models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not models:
            return ()
        model = models[0]
    return tuple(model.model_fields)


def json_pointer(place: Sequence[str | int]) -> str:
    """RFC 6901: the place of a value inside a document; empty for the document itself."""
    return "".join("/" + str(part)[:100].replace("~", "~0").replace("/", "~1") for part in place)
