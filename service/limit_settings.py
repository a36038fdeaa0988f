"""Every limit that an operator may set: its variable, default and unit. No limit may exceed what the tables take."""

from typing import Any, Final

from pydantic import AliasChoices, BaseModel, Field

from sandbox.limits import MIB

DAY_SECONDS: Final = 86_400


def _limit(default: float, name: str, description: str, *, at_least: float = 1, at_most: float | None = None) -> Any:
    alias = f"AGENTHOST_LIMIT_{name}"
    return Field(
        default,
        validation_alias=AliasChoices(alias),
        description=description,
        ge=at_least,
        le=at_most,
        allow_inf_nan=False,
    )


class LimitSettings(BaseModel):
    """One setting a limit; the unit ends its name."""

    limit_wall_seconds: float = _limit(
        30.0, "WALL_SECONDS", "Wall time of one run.", at_least=0.05, at_most=DAY_SECONDS
    )
    limit_cpu_seconds: int = _limit(5, "CPU_SECONDS", "Processor time of one run.", at_most=DAY_SECONDS)
    limit_memory_bytes: int = _limit(256 * MIB, "MEMORY_BYTES", "Memory of one run.", at_least=8 * MIB)
    limit_container_memory_bytes: int = _limit(
        512 * MIB, "CONTAINER_MEMORY_BYTES", "Memory of one run in a container.", at_least=32 * MIB
    )
    limit_source_bytes: int = _limit(256 * 1024, "SOURCE_BYTES", "Source code of one agent.", at_most=MIB)
    limit_input_bytes: int = _limit(MIB, "INPUT_BYTES", "Input of one run, as JSON.", at_most=8 * MIB)
    limit_output_bytes: int = _limit(MIB, "OUTPUT_BYTES", "Output of one run, as JSON.", at_most=8 * MIB)
    limit_log_bytes: int = _limit(256 * 1024, "LOG_BYTES", "What one run prints.", at_most=4 * MIB)
    limit_frame_bytes: int = _limit(2 * MIB, "FRAME_BYTES", "One message between host and agent.", at_most=128 * MIB)
    limit_effects: int = _limit(200, "EFFECTS", "Calls of services in one run.", at_most=10_000)
    limit_child_depth: int = _limit(5, "CHILD_DEPTH", "How deep agents may run agents.", at_least=0, at_most=20)
    limit_runs_per_user: int = _limit(8, "RUNS_PER_USER", "Runs of one user at the same time.", at_most=10_000)
    limit_checks_per_day: int = _limit(2000, "CHECKS_PER_DAY", "Checks of new code by one user in a day.")
    limit_body_bytes: int = _limit(2 * MIB, "BODY_BYTES", "Body of one request.", at_least=1024, at_most=128 * MIB)
    limit_body_seconds: float = _limit(30.0, "BODY_SECONDS", "Time for a request's body to arrive.", at_least=0.1)
    limit_url_bytes: int = _limit(
        32 * 1024, "URL_BYTES", "Path and query of one request.", at_least=1024, at_most=60 * 1024
    )
    limit_runs_kept: int = _limit(10_000, "RUNS_KEPT", "Runs kept for one user; older ones go.", at_least=100)
    limit_runs_kept_days: int = _limit(30, "RUNS_KEPT_DAYS", "Days that a run is kept.", at_most=36_500)
    limit_kv_value_bytes: int = _limit(64 * 1024, "KV_VALUE_BYTES", "One value of kv, as JSON.", at_most=128 * 1024)
    limit_kv_keys: int = _limit(10_000, "KV_KEYS", "Keys of kv of one user.", at_most=100_000)
    limit_http_seconds: float = _limit(10.0, "HTTP_SECONDS", "Time of one call of http, redirects included.")
    limit_http_request_bytes: int = _limit(MIB, "HTTP_REQUEST_BYTES", "Body that one call of http sends.")
    limit_http_response_bytes: int = _limit(
        MIB, "HTTP_RESPONSE_BYTES", "Body that one call of http reads, decompressed.", at_most=8 * MIB
    )
    limit_tokens_per_run: int = _limit(20_000, "TOKENS_PER_RUN", "Model tokens of one run and its child runs.")
    limit_tokens_per_day: int = _limit(200_000, "TOKENS_PER_DAY", "Model tokens of one user in a day.")
    limit_generations_per_day: int = _limit(
        100, "GENERATIONS_PER_DAY", "Agents that a model writes for one user in a day."
    )
    limit_generation_seconds: float = _limit(120.0, "GENERATION_SECONDS", "Time for writing one agent.", at_most=3600)
    limit_emails_per_run: int = _limit(10, "EMAILS_PER_RUN", "Recipients that one run and its child runs write to.")
    limit_emails_per_day: int = _limit(100, "EMAILS_PER_DAY", "Recipients that one user's agents write to in a day.")
    limit_email_bytes: int = _limit(256 * 1024, "EMAIL_BYTES", "Subject, text and HTML of one e-mail.", at_least=1024)
    limit_db_rows: int = _limit(1000, "DB_ROWS", "Rows that one call of db reads or writes.", at_most=100_000)
    limit_secrets: int = _limit(100, "SECRETS", "Secrets of one user.", at_most=1000)
    limit_secret_bytes: int = _limit(8 * 1024, "SECRET_BYTES", "Value of one secret.", at_most=64 * 1024)
    limit_shutdown_seconds: float = _limit(10.0, "SHUTDOWN_SECONDS", "How long a stop waits for runs.", at_least=0)
