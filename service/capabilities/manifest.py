"""What an agent may ask for: `capabilities` of its config. Absent means no; unknown services and keys are refused."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class Grant(BaseModel):
    """One service that is granted, with what constrains its arguments."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class KvGrant(Grant):
    """The agent's own key-value store. Nothing to constrain: an agent sees no other's."""


class NotifyGrant(Grant):
    """Notifications to the agent's owner, and to nobody else."""


class Manifest(BaseModel):
    """The services an agent may call; a service that is null or absent is denied."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kv: KvGrant | None = Field(None, description="Keep JSON values between runs, private to the agent.")
    notify: NotifyGrant | None = Field(None, description="Send notifications to the agent's owner.")

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
