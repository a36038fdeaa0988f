"""What an agent looks like from outside: the bodies of requests, and the shapes of answers.

The same `AgentConfig` parses a POST and a row of the database: rows are the caller's input too.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from service.capabilities.fixtures import fixtures_of
from service.capabilities.manifest import Manifest
from service.capabilities.plain_json import canonical, cleaned_text, fault
from service.errors import ApiError, invalid_fields
from service.generation.models import DryRun, Generation
from service.names import ENGINE_PATTERN
from service.names import NAME_PATTERN as NAME_PATTERN
from service.strict_json import parse_json

RESERVED_NAMES: Final = frozenset({"check", "generate"})
MAX_DESCRIPTION_LENGTH: Final = 10_000
MAX_FIXTURES_BYTES: Final = 256 * 1024

_BARE_UUID: Final = re.compile("[0-9a-f]{32}")
_CODE_LINE: Final = re.compile(
    r"\s*(?:(?:async\s+)?def\s|class\s|import\s|from\s+\S+\s+import|@\w|#|[\w.\[\], ]+(?::[^=]+)?=|return\b)"
)
_LOOKED_AT_LINES: Final = 2000
_LOOKED_AT_CHARACTERS: Final = 200


def _agent_name(name: str) -> str:
    if name in RESERVED_NAMES:
        raise ValueError(f"{name!r} is reserved; choose another name")
    if _BARE_UUID.fullmatch(name.replace("-", "")):  # as the database has it
        raise ValueError("a name may not be a UUID")
    return name


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("should say something")
    return text


def _storable(value: Any) -> Any:
    if reason := fault(value):
        raise ValueError(f"cannot be stored: {reason}")
    return value


def _small(value: dict[str, Any]) -> dict[str, Any]:
    if (size := len(canonical(value))) > MAX_FIXTURES_BYTES:
        raise ValueError(f"has {size} bytes as JSON, the limit is {MAX_FIXTURES_BYTES} bytes")
    return value


def _fixtures(value: dict[str, Any]) -> dict[str, Any]:
    fixtures_of(value)
    return value


AgentName = Annotated[str, StringConstraints(pattern=NAME_PATTERN), AfterValidator(_agent_name)]
Description = Annotated[str, Field(max_length=MAX_DESCRIPTION_LENGTH), AfterValidator(_storable)]
Wish = Annotated[
    str, Field(min_length=1, max_length=MAX_DESCRIPTION_LENGTH), AfterValidator(_storable), AfterValidator(_said)
]
EngineName = Annotated[str, StringConstraints(pattern=ENGINE_PATTERN)]
FixturesObject = Annotated[dict[str, Any], AfterValidator(_storable), AfterValidator(_small), AfterValidator(_fixtures)]


class Closed(BaseModel):
    """A body: unknown fields are refused, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class AgentLimits(Closed):
    """Limits of the agent's runs. They only lower the host's, which GET /limits lists."""

    wall_seconds: Annotated[int | float, Field(gt=0, allow_inf_nan=False)] | None = None
    cpu_seconds: Annotated[int, Field(ge=1)] | None = None
    memory_bytes: Annotated[int, Field(ge=1)] | None = None
    output_bytes: Annotated[int, Field(ge=1)] | None = None
    log_bytes: Annotated[int, Field(ge=1)] | None = None
    effects: Annotated[int, Field(ge=1)] | None = None


class ConfigOptions(Closed):
    """What an agent says beside its code, in `agent_config` or in its `# /// agent` block."""

    engine: EngineName | None = Field(None, description="Which engine runs it; by default 'restricted'.")
    capabilities: Manifest | None = Field(None, description="What it may ask for; inferred from the code when absent.")
    limits: AgentLimits | None = None
    fixtures: FixturesObject | None = Field(None, description="Answers for dry runs.")


class BlockOptions(ConfigOptions):
    """The same in a `# /// agent` block, where fixtures may be JSON in a text: TOML has no null."""

    @field_validator("fixtures", mode="before")
    @classmethod
    def _from_json(cls, value: Any) -> Any:
        return parse_json(value.encode()) if isinstance(value, str) else value


class AgentConfig(ConfigOptions):
    """An agent made of code."""

    code: Annotated[str, AfterValidator(_storable)] = Field(description="Python source of the agent.")

    def stored(self) -> dict[str, Any]:
        """As it stands in a row and in answers."""
        return self.model_dump(mode="json", exclude_none=True)


class AgentDefinition(Closed):
    """A new agent."""

    agent_name: AgentName
    description: Description | None = Field(
        None,
        description="By default the first paragraph of its docstring. Without agent_config: what a model is to write.",
    )
    agent_config: AgentConfig | None = Field(None, description="Without it a model writes the code.")
    accept_capabilities: bool = Field(False, description="Put in force at once what a model's code asks for.")


class AgentChange(Closed):
    """Changes to an agent; what is absent stays. In `agent_config`, a key that is null is removed."""

    description: Description | None = None
    agent_config: dict[str, Any] | None = None
    accept_capabilities: bool = Field(False, description="Put in force what is `proposed`.")
    instruction: Wish | None = Field(None, description="What a model is to change; not together with agent_config.")


class Wanted(Closed):
    """An agent that a model is to write."""

    description: Wish


class CheckRequest(Closed):
    """Code to be checked and not stored."""

    agent_config: AgentConfig


CONFIG_KEYS: Final = frozenset(AgentConfig.model_fields)


def config_object(value: Any) -> Any:
    """`agent_config` as an object: a string is its code. Raises ApiError `kind_not_supported` for what is no code."""
    if isinstance(value, str):
        if value.strip() and not _looks_like_code(value):
            raise _not_code("agent_config is a text that is not Python source. This host runs agents made of code.")
        return {"code": value}
    if isinstance(value, Mapping) and "code" not in value and (unknown := sorted(set(value) - CONFIG_KEYS)):
        raise _not_code(f"agent_config has no `code`; it has no field `{cleaned_text(unknown[0])[:80]}`.")
    return value


def parsed[Model: BaseModel](model: type[Model], value: Any, *, within: tuple[str | int, ...] = ()) -> Model:
    """`value` as a `model`. Raises ApiError `validation_failed` with a pointer to each wrong field."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid_fields(error.errors(include_url=False, include_input=False), within=within, model=model) from None


def parsed_config(value: Any) -> AgentConfig:
    """An `agent_config` from a request or a row. Raises ApiError."""
    return parsed(AgentConfig, config_object(value), within=("agent_config",))


def body_with_config[Model: Closed](model: type[Model], body: Any) -> Model:
    """A body that may have an `agent_config`, which may be a string."""
    if isinstance(body, dict) and body.get("agent_config") is not None:
        body = {**body, "agent_config": config_object(body["agent_config"])}
    return parsed(model, body)


def _looks_like_code(text: str) -> bool:
    """Whether any line of `text` could define something. Bounded: the text is not trusted."""
    lines = text.split("\n", _LOOKED_AT_LINES)[:_LOOKED_AT_LINES]
    return any(_CODE_LINE.match(line[:_LOOKED_AT_CHARACTERS]) for line in lines)


def _not_code(detail: str) -> ApiError:
    errors = [{"pointer": "/agent_config", "message": "should hold Python source"}]
    return ApiError("kind_not_supported", detail, errors=errors)


CapabilitiesSource = Literal["given", "inferred"]


class AgentSummary(BaseModel):
    """An agent in a list."""

    agent_name: str
    description: str
    version: int
    revision: int
    run_url: str
    created_at: str
    updated_at: str


class InForce(BaseModel):
    """What a config comes to. One that does not pass its check has `valid` false, and the reasons in `errors`."""

    agent_config: Any
    engine: str
    entry: str
    input_schema: dict[str, Any]
    capabilities: dict[str, Any]
    capabilities_source: CapabilitiesSource
    proposed: dict[str, Any] = Field(
        description="What generated code also asks for: usable in dry runs, denied live until `accept_capabilities`."
    )
    valid: bool
    errors: list[dict[str, Any]]


class AgentAnswer(AgentSummary, InForce):
    """One agent. One that no longer passes its check has `valid` false, the reasons in `errors`, and cannot run."""

    origin: dict[str, Any] = Field(description="Where this version comes from; of a generated one also what it took.")
    capabilities_added: list[str] = Field(description="Services that a change of code added to an inferred manifest.")
    summary: str | None = Field(
        None, description="What the model says the agent does; only when it has just written it."
    )
    generation: Generation | None = Field(None, description="Only when a model has just written it.")
    dry_run: DryRun | None = Field(None, description="Only when a model has just written it.")


class DraftAnswer(InForce):
    """An agent that a model has written and that is not stored."""

    summary: str
    generation: Generation
    dry_run: DryRun


class CheckAnswer(BaseModel):
    """What a check found."""

    ok: bool
    errors: list[dict[str, Any]]
    engine: str
    entry: str
    description: str
    input_schema: dict[str, Any]
    capabilities: dict[str, Any]
    capabilities_source: CapabilitiesSource


class VersionSummary(BaseModel):
    """A version in a list: where it came from, and the hash of its code."""

    version: int
    description: str
    origin: dict[str, Any]
    code_hash: str
    created_at: str


class VersionAnswer(VersionSummary):
    """One version with what it was."""

    agent_name: str
    agent_config: Any


class AgentList(BaseModel):
    data: list[AgentSummary]
    next_cursor: str | None


class VersionList(BaseModel):
    data: list[VersionSummary]
    next_cursor: str | None
