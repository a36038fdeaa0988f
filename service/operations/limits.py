"""Every limit in force, with its value, its unit and what it applies to."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from sandbox.container.pool import TIMES_POOL
from sandbox.limits import LOWERABLE
from sandbox.restricted.nursery import CHILDREN_AT_ONCE
from service.agents.line import PATIENCE_SECONDS, PLACES, PLACES_OF_A_USER
from service.auth import MAX_TOKEN_BYTES
from service.database.user_tables import REHEARSAL_SECONDS, REHEARSALS_AT_ONCE
from service.generation.line import GENERATIONS_OF_A_USER
from service.generation.line import PLACES as DRAFT_PLACES
from service.limit_settings import LimitSettings
from service.protocol import HEAD_BYTES, HEAD_SECONDS
from service.settings import Settings, variables
from service.strict_json import MAX_DEPTH


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitInForce:
    """One limit. `setting` is the variable that changes it, None where it is fixed."""

    name: str
    value: float
    unit: str
    applies_to: str
    description: str
    setting: str | None = None
    lowerable: bool = False


_APPLIES_TO: Final = {
    "source_bytes": "agent",
    "runs_per_user": "user",
    "checks_per_day": "user",
    "runs_kept": "user",
    "runs_kept_days": "user",
    "kv_keys": "user",
    "kv_value_bytes": "value",
    "http_seconds": "call",
    "http_request_bytes": "call",
    "http_response_bytes": "call",
    "email_bytes": "call",
    "db_rows": "call",
    "tokens_per_day": "user",
    "emails_per_day": "user",
    "generations_per_day": "user",
    "generation_seconds": "request",
    "secrets": "user",
    "secret_bytes": "secret",
    "body_bytes": "request",
    "body_seconds": "request",
    "url_bytes": "request",
    "shutdown_seconds": "host",
}
_UNITS: Final = {
    "effects": "calls",
    "child_depth": "levels",
    "runs_per_user": "runs",
    "checks_per_day": "checks",
    "runs_kept": "runs",
    "kv_keys": "keys",
    "tokens_per_run": "tokens",
    "tokens_per_day": "tokens",
    "emails_per_run": "recipients",
    "emails_per_day": "recipients",
    "db_rows": "rows",
    "generations_per_day": "generations",
    "secrets": "secrets",
}
_FIXED: Final = (
    ("json_depth", MAX_DEPTH, "levels", "request", "Nesting of a JSON value."),
    ("token_bytes", MAX_TOKEN_BYTES, "bytes", "request", "A bearer token."),
    ("head_bytes", HEAD_BYTES, "bytes", "request", "Request line and headers."),
    ("head_seconds", HEAD_SECONDS, "seconds", "request", "Time for request line and headers to arrive."),
    ("checks_of_a_user", PLACES_OF_A_USER, "checks", "user", "Checks of code new to the host at the same time."),
    ("checks_at_once", PLACES, "checks", "host", "Checks of code new to the host, of all users, at the same time."),
    ("check_wait_seconds", PATIENCE_SECONDS, "seconds", "request", "How long a check waits for its turn."),
    ("sandboxes_at_once", CHILDREN_AT_ONCE, "sandboxes", "host", "Sandboxes there may be, waiting and at work."),
    ("generations_of_a_user", GENERATIONS_OF_A_USER, "generations", "user", "Generations at the same time."),
    ("drafts_of_a_user", 1, "drafts", "user", "Drafts of a model that are checked and tried at the same time."),
    ("drafts_at_once", DRAFT_PLACES, "drafts", "host", "The same, of all users."),
    ("db_dry_runs_of_a_user", 1, "runs", "user", "Dry runs that hold the database at the same time."),
    ("db_dry_runs_at_once", REHEARSALS_AT_ONCE, "runs", "host", "The same, of all users."),
    ("db_dry_run_seconds", REHEARSAL_SECONDS, "seconds", "run", "How long a dry run may hold the database."),
    ("agents_per_user", 10_000, "agents", "user", "Agents of one user."),
    ("agent_name_characters", 63, "characters", "agent", "The name of an agent."),
    ("notifications_kept", 1000, "notifications", "user", "Notifications kept for one user; older ones go."),
    ("idempotency_key_hours", 24, "hours", "run", "How long an Idempotency-Key is remembered."),
)


def limits_in_force(settings: Settings) -> Iterator[dict[str, Any]]:
    """The limits as GET /limits answers them."""
    for field, info in LimitSettings.model_fields.items():
        name = field.removeprefix("limit_")
        yield asdict(
            LimitInForce(
                name=name,
                value=getattr(settings, field),
                unit=_UNITS.get(name) or name.rpartition("_")[2],
                applies_to=_APPLIES_TO.get(name, "run"),
                description=info.description or "",
                setting=variables(field)[0],
                lowerable=name in LOWERABLE,
            )
        )
    if settings.container_pool:
        yield asdict(
            LimitInForce(
                name="containers_at_once",
                value=settings.container_pool * TIMES_POOL,
                unit="containers",
                applies_to="host",
                description="Containers there may be, waiting and at work.",
                setting="AGENTHOST_CONTAINER_POOL",
            )
        )
    for name, value, unit, applies_to, description in _FIXED:
        yield asdict(LimitInForce(name=name, value=value, unit=unit, applies_to=applies_to, description=description))
