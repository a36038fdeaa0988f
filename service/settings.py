"""Every setting of the host, with its default, unit and meaning. Nothing else reads the environment.

`Settings` is a plain value that tests make by hand; `read_settings()` makes one from the environment, or raises
`SettingsError`, one line that names the variable and never repeats its value.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings, SettingsConfigDict

from sandbox.limits import Limits
from service.container_settings import ContainerPoolSettings
from service.limit_settings import LimitSettings
from service.secret_keys import parse_secret_keys
from service.supabase_settings import SupabaseSettings, http_url, is_plain_and_far


class SettingsError(Exception):
    """A setting is wrong. The message is one line for the operator: which variable, and what it should be."""


def _env(*names: str) -> AliasChoices:
    return AliasChoices(*names)


class Settings(SupabaseSettings, ContainerPoolSettings, LimitSettings):
    """What an operator may set. Fields are named as in code, variables as in the environment."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, hide_input_in_errors=True)

    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=_env("DATABASE_URL", "SUPABASE_DB_URL"),
        description="Postgres as the powerless serving login: postgresql://agenthost_api:...@host/database",
    )
    migrate_url: SecretStr | None = Field(
        default=None,
        validation_alias=_env("AGENTHOST_MIGRATE_URL"),
        description="Postgres as the owner of the tables; read by `agenthost migrate` and by nothing else.",
    )
    host: str = Field(default="127.0.0.1", validation_alias=_env("AGENTHOST_HOST"), description="Address to listen on.")
    port: int = Field(
        default=8000,
        validation_alias=_env("AGENTHOST_PORT"),
        description="Port to listen on; 0 takes a free one.",
        ge=0,
        le=65535,
    )
    drain_seconds: float = Field(
        default=0.0,
        validation_alias=_env("AGENTHOST_DRAIN_SECONDS"),
        description="How long a stop goes on answering, with /ready at 503, so that a balancer sends no more here.",
        ge=0,
        le=600,
        allow_inf_nan=False,
    )
    data_dir: Path = Field(
        default=Path(".agenthost"),
        validation_alias=_env("AGENTHOST_DATA_DIR"),
        description="Directory of the embedded Postgres and of the keys of this host.",
    )
    generated_agents_dir: Path | None = Field(
        default=None,
        validation_alias=_env("AGENTHOST_GENERATED_AGENTS_DIR"),
        description="Directory where stored agents are written too, as <user id>/<agent name>.py; off for none. "
        "By default generated_agents in local mode, otherwise off.",
    )
    secret_keys: SecretStr | None = Field(
        default=None,
        validation_alias=_env("AGENTHOST_SECRET_KEYS"),
        description="Keys that sign records and seal secrets, newest first: <id>:<base64 of 32 bytes>,... "
        "The same on every replica.",
    )
    openai_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=_env("OPENAI_API_KEY"),
        description="Key of the model provider; may be absent where OPENAI_BASE_URL needs none.",
    )
    openai_base_url: str | None = Field(
        default=None,
        validation_alias=_env("OPENAI_BASE_URL"),
        description="Address of an OpenAI-compatible provider, by default OpenAI's own.",
    )
    openai_model: str | None = Field(
        default=None,
        validation_alias=_env("OPENAI_MODEL"),
        description="The model that agents use when they name none. Without it this host has no model.",
    )
    generation_attempts: int = Field(
        default=4,
        validation_alias=_env("AGENTHOST_GENERATION_ATTEMPTS"),
        description="How often a model may try to write one agent.",
        ge=1,
        le=20,
    )
    smtp_url: SecretStr | None = Field(
        default=None,
        validation_alias=_env("SMTP_URL"),
        description="Mail server: smtp://user:password@host:587 (with STARTTLS) or smtps://...:465",
    )
    email_from: str | None = Field(
        default=None,
        validation_alias=_env("AGENTHOST_EMAIL_FROM"),
        description="Sender of agents' e-mails; by default the user of SMTP_URL, if that is an address.",
    )
    email_to: str = Field(
        default="",
        validation_alias=_env("AGENTHOST_EMAIL_TO"),
        description="To whom agents may write besides their owner's own address: *@example.com,ada@example.org",
    )
    allow_anonymous: bool = Field(
        default=False,
        validation_alias=_env("AGENTHOST_ALLOW_ANONYMOUS"),
        description="Accept tokens of anonymous sign-ins.",
    )
    sandbox_allow_weaker: bool = Field(
        default=False,
        validation_alias=_env("AGENTHOST_SANDBOX_ALLOW_WEAKER"),
        description="Start although a layer of the sandbox is missing on this machine.",
    )
    ignored_powers: tuple[str, ...] = Field(
        default=(), exclude=True, description="Powerful keys that are set and not needed."
    )
    unknown_names: tuple[str, ...] = Field(
        default=(), exclude=True, description="Variables AGENTHOST_... that mean nothing."
    )

    @field_validator("openai_base_url")
    @classmethod
    def _is_http_url(cls, value: str | None) -> str | None:
        return None if value is None else http_url(value)

    @field_validator("openai_api_key")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[!-~]+", value.get_secret_value()):
            raise ValueError("should be ASCII without spaces or line ends")
        return value

    @field_validator("database_url", "migrate_url")
    @classmethod
    def _is_postgres_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("should be a URL that begins with postgresql://")
        return value

    @field_validator("smtp_url")
    @classmethod
    def _is_smtp_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parts = urlsplit(value.get_secret_value())
            if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
                raise ValueError("should be a URL that begins with smtp:// or smtps://")
        return value

    @field_validator("secret_keys")
    @classmethod
    def _are_secret_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_secret_keys(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _frames_hold_what_they_carry(self) -> Self:
        if self.limit_frame_bytes <= max(self.limit_input_bytes, self.limit_output_bytes, self.limit_source_bytes):
            raise ValueError(
                "AGENTHOST_LIMIT_FRAME_BYTES: should be larger than the limits of input, output and source, "
                "which travel in one frame"
            )
        return self

    @property
    def local_mode(self) -> bool:
        """Nothing is configured: the host brings its own Postgres, demo user and keys."""
        return self.database_url is None and self.supabase_url is None

    @property
    def over_rest(self) -> bool:
        """Everything is kept in a project that is reached over REST: there is no connection to Postgres itself."""
        return self.database_url is None and self.supabase_url is not None

    def sandbox_limits(self, engine: str = "restricted") -> Limits:
        """The limits of one run, as that engine takes them."""
        return Limits(
            wall_seconds=self.limit_wall_seconds,
            cpu_seconds=self.limit_cpu_seconds,
            memory_bytes=self.limit_container_memory_bytes if engine == "container" else self.limit_memory_bytes,
            source_bytes=self.limit_source_bytes,
            input_bytes=self.limit_input_bytes,
            output_bytes=self.limit_output_bytes,
            log_bytes=self.limit_log_bytes,
            frame_bytes=self.limit_frame_bytes,
            effects=self.limit_effects,
        )

    def warnings(self) -> Iterator[str]:
        """What an operator should know at start, a sentence each."""
        for name in self.ignored_powers:
            yield f"{name} is set: agenthost never needs it. Remove it from the environment of this process."
        for name in self.unknown_names:
            yield f"{name} is not a setting of agenthost and changes nothing."
        yield from self.warnings_of_tokens()
        if self.over_rest and is_plain_and_far(str(self.supabase_url)):
            yield "Tokens are sent on to SUPABASE_URL over plain http: whoever is on the way can use them."
        if self.sandbox_allow_weaker:
            yield "AGENTHOST_SANDBOX_ALLOW_WEAKER is set: agents may run with layers of the sandbox missing."


_POWERS: Final = ("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEY", "SUPABASE_SECRET_KEYS", "SUPABASE_SERVICE_KEY")


class _FromEnvironment(Settings, BaseSettings):
    """The same fields, filled from environment variables; an empty variable counts as not set."""

    model_config = SettingsConfigDict(env_ignore_empty=True, case_sensitive=True, extra="ignore")


def read_settings(**changes: Any) -> Settings:
    """The settings of this process; `changes` (of the command line) win over the environment. Raises SettingsError."""
    set_names = {name for name, value in os.environ.items() if value}
    known = {name for field in Settings.model_fields for name in variables(field)}
    unknown = sorted(
        name for name in set_names - known if name.startswith("AGENTHOST_") and not name.startswith("AGENTHOST_TEST_")
    )
    powers = tuple(name for name in _POWERS if name in set_names)
    try:
        found = dict(_FromEnvironment(**changes, ignored_powers=powers, unknown_names=tuple(unknown)))
        settings = Settings.model_validate(found)
    except ValidationError as error:
        raise SettingsError(_first_problem(error, set_names)) from None
    return settings.model_copy(update={"generated_agents_dir": _agents_dir(settings)})


def _agents_dir(settings: Settings) -> Path | None:
    """Only a host that was started writes files unasked: what is made with `Settings()` writes where it is told."""
    asked = settings.generated_agents_dir
    if asked is None and settings.local_mode:
        return Path("generated_agents")
    return None if asked == Path("off") else asked


def _first_problem(error: ValidationError, set_names: set[str]) -> str:
    """One line for the first thing wrong, without the value, which may be a secret."""
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    said = problem["msg"].removeprefix("Value error, ")
    where = str(problem["loc"][0]) if problem["loc"] else ""
    for field in Settings.model_fields:
        names = variables(field)
        if where == field or where in names:
            where = next((name for name in names if name in set_names), where)
    return f"{where}: {said[0].lower()}{said[1:]}" if where else said


def variables(field: str) -> tuple[str, ...]:
    """The environment variables of a field of Settings, the one that wins first."""
    alias = Settings.model_fields[field].validation_alias
    return tuple(str(choice) for choice in alias.choices) if isinstance(alias, AliasChoices) else ()


def documented() -> Iterator[tuple[tuple[str, ...], Any, str]]:
    """Every setting: its variables, its default, its description."""
    for name, field in Settings.model_fields.items():
        if names := variables(name):
            default = None if field.default is PydanticUndefined else field.default
            yield names, default, field.description or ""
