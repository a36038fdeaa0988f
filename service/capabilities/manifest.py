"""What an agent may ask for: `capabilities` of its config. Absent means no; unknown services and keys are refused."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.names import SECRET_PATTERN

PLAIN: Final = "http://"
"""Before a host that a secret is bound to: it may be sent there without encryption, and only so."""
MAX_ENTRIES: Final = 100
MAX_SECRETS: Final = 20
"""Each secret that a run sends is looked for in all that it is answered, which takes its time."""

GENERATED_MAX_TOKENS: Final = 4000
"""Model tokens a run of generated code may use before its owner says otherwise."""

_HOST: Final = re.compile(r"(\*\.(?=[^:]*\.))?[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?(:[1-9][0-9]{0,4})?")
_BOUND_HOST: Final = re.compile(f"(http://)?({_HOST.pattern})")
_ADDRESS: Final = re.compile(
    r"me|(\*|[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64})@[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
)
_TABLE: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_AGENT: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
SECRET_NAME: Final = re.compile(SECRET_PATTERN.strip("^$"))


def _spelled(pattern: re.Pattern[str], wanted: str) -> AfterValidator:
    def checked(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"should be {wanted}")
        return value

    return AfterValidator(checked)


HostPattern = Annotated[
    str, _spelled(_HOST, "a host such as api.example.com or *.example.com, in lower case, or with :port")
]
BoundHost = Annotated[
    str, _spelled(_BOUND_HOST, "a host such as api.example.com or *.example.com:8443; with http:// if it has no https")
]
AddressPattern = Annotated[str, _spelled(_ADDRESS, '"me", an address, or *@example.com')]
TableName = Annotated[str, _spelled(_TABLE, "a plain name of a table")]
AgentName = Annotated[str, _spelled(_AGENT, "the name of an agent: lower-case letters, digits, - and _")]
SecretName = Annotated[str, _spelled(SECRET_NAME, "the name of a secret: capitals, digits and _")]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
Verb = Literal["select", "insert", "update", "delete"]


class Grant(BaseModel):
    """One service that is granted, with what constrains its arguments."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class HttpGrant(Grant):
    hosts: list[HostPattern] = Field(
        [], max_length=MAX_ENTRIES, description="Exact, or *.example.com; also with :port."
    )
    methods: list[Method] = ["GET"]
    schemes: list[Literal["https", "http"]] = Field(["https"], description="Plain http only when it is written here.")


class LlmGrant(Grant):
    max_tokens_per_run: Annotated[int, Field(ge=1)] | None = None


class KvGrant(Grant):
    """Nothing to constrain: an agent sees no other's."""


class DbGrant(Grant):
    tables: dict[TableName, list[Verb]] = Field({}, max_length=MAX_ENTRIES, description="Verbs by table of `public`.")


class EmailGrant(Grant):
    to: list[AddressPattern] = Field(["me"], max_length=MAX_ENTRIES, description='"me" is the owner\'s own address.')
    max_per_run: Annotated[int, Field(ge=1)] | None = None


class NotifyGrant(Grant):
    """Nothing to constrain: an agent writes to its owner alone."""


class AgentsGrant(Grant):
    names: list[AgentName] = Field([], max_length=MAX_ENTRIES)


class SecretsGrant(Grant):
    names: list[SecretName] = Field([], max_length=MAX_SECRETS)


class Manifest(BaseModel):
    """The services an agent may call; a service that is null or absent is denied."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    http: HttpGrant | None = Field(None, description="Send requests to these hosts.")
    llm: LlmGrant | None = Field(None, description="Ask a language model.")
    kv: KvGrant | None = Field(None, description="Keep JSON values between runs, private to the agent.")
    db: DbGrant | None = Field(None, description="Read and write these tables, under the owner's policies.")
    email: EmailGrant | None = Field(None, description="Send e-mail to these addresses.")
    notify: NotifyGrant | None = Field(None, description="Send notifications to the agent's owner.")
    agents: AgentsGrant | None = Field(None, description="Run these other agents of the owner.")
    secrets: SecretsGrant | None = Field(None, description="Use these secrets in headers of http.")

    @model_validator(mode="before")
    @classmethod
    def _only_services_there_are(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and (
            unknown := [str(name)[:64] for name in value if name not in cls.model_fields]
        ):
            raise ValueError(f"this host has no service {unknown[0]!r}; it has {', '.join(cls.model_fields)}")
        return value

    def grant(self, service: str) -> Grant | None:
        """The grant of `service`, None when it is denied or unknown."""
        found = getattr(self, service) if service in type(self).model_fields else None
        return found if isinstance(found, Grant) else None

    def shown(self) -> dict[str, Any]:
        """The manifest as JSON, only with what is granted."""
        return self.model_dump(mode="json", exclude_none=True)

    def extended_by(self, other: "Manifest") -> "Manifest":
        """This manifest with the services of the other one in place of its own."""
        return self.model_copy(update={name: grant for name in other.model_fields_set if (grant := other.grant(name))})

    def covers(self, other: "Manifest") -> bool:
        """Whether every grant of the other one is within one of these, entry by entry as they are spelled."""
        return all(
            (own := self.grant(name)) is not None and _covers(own.model_dump(), grant.model_dump())
            for name in type(self).model_fields
            if (grant := other.grant(name)) is not None
        )


def _covers(own: Any, other: Any) -> bool:
    """Lists and keys at least those of the other; None, which is no limit, or a limit at least as high."""
    if isinstance(own, dict):
        return all(key in own and _covers(own[key], value) for key, value in other.items())
    if isinstance(own, list):
        return set(other) <= set(own)
    return own is None or (other is not None and other <= own)


def manifest_of(inferred: Mapping[str, Any]) -> Manifest:
    """The manifest for what a check found in the code: the services that this host has, each as far as it is valid."""
    granted: dict[str, Any] = {}
    for service in Manifest.model_fields:
        if service in inferred:
            try:
                Manifest.model_validate({service: inferred[service]})
            except ValidationError:
                continue
            granted[service] = inferred[service]
    return Manifest.model_validate(granted)


def split_proposal(wanted: Manifest) -> tuple[Manifest, Manifest]:
    """Of what generated code asks for: what is in force at once, and what its owner must accept first.

    In force are services that stay within the agent and its owner: `kv`, `notify`, e-mail to `me`, a capped `llm`.
    """
    at_once: dict[str, Grant] = {}
    proposed: dict[str, Grant] = {}
    for service in Manifest.model_fields:
        match wanted.grant(service):
            case None:
                continue
            case KvGrant() | NotifyGrant() as grant:
                at_once[service] = grant
            case EmailGrant() as grant:
                at_once[service] = EmailGrant(to=["me"], max_per_run=grant.max_per_run)
                if grant.to != ["me"]:
                    proposed[service] = grant
            case LlmGrant() as grant:
                capped = min(grant.max_tokens_per_run or GENERATED_MAX_TOKENS, GENERATED_MAX_TOKENS)
                at_once[service] = LlmGrant(max_tokens_per_run=capped)
                if (grant.max_tokens_per_run or 0) > GENERATED_MAX_TOKENS:
                    proposed[service] = grant
            case grant:
                proposed[service] = grant
    return Manifest(**at_once), Manifest(**proposed)  # type: ignore[arg-type]
