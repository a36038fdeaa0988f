"""What the operator's routes answer."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class Health(BaseModel):
    """The process answers; nothing more."""

    status: Literal["ok"] = "ok"


class PartState(BaseModel):
    """One part that the host needs."""

    state: Literal["ready", "unavailable"]


class KeysState(BaseModel):
    """The keys that tokens are checked with. `stale`: those that were fetched last serve on, for some hours."""

    state: Literal["ready", "stale", "unavailable"]
    since: datetime | None = Field(description="When they were last fetched, where later attempts failed.")


class EngineState(PartState):
    """An engine, with the layers of isolation in force and those that are missing."""

    name: str
    isolation: list[str]
    missing: list[str]


class Readiness(BaseModel):
    """Whether the host can run agents, and what each part of it says."""

    ready: bool
    database: PartState
    keys: KeysState
    engines: list[EngineState]
    warnings: list[str] = Field(description="What the operator has weakened.")


class Version(BaseModel):
    """Which agenthost this is."""

    name: Literal["agenthost"] = "agenthost"
    version: str


class Limit(BaseModel):
    """One limit in force."""

    name: str
    value: float
    unit: str
    applies_to: str
    description: str
    setting: str | None
    lowerable: bool


class Limits(BaseModel):
    """Every limit in force."""

    data: list[Limit]
