"""Contexts and brokers of a run that no host has begun: for tests of services one call at a time."""

import time
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

from service.auth import Caller
from service.capabilities.broker import Broker
from service.capabilities.capability import Budget, DryContext, LiveContext, Reads
from service.capabilities.fixtures import Fixtures
from service.capabilities.manifest import Manifest
from service.capabilities.registry import standard_registry
from service.database.gateway import Database
from service.outside.outside import Outside
from service.outside.vault import Vault
from service.secret_keys import SecretKey
from service.settings import Settings


def outside_with(**parts: Any) -> Outside:
    """The ways out of a host that has these parts, and a vault."""
    return Outside(**{"vault": Vault([SecretKey("k", b"k" * 32)])} | parts)


def context(
    caller: Caller,
    database: Database,
    *,
    test: bool = False,
    manifest: Manifest | dict[str, Any] | None = None,
    outside: Outside | None = None,
    fixtures: dict[str, Any] | None = None,
    max_effects: int = 200,
    **given: Any,
) -> LiveContext | DryContext:
    """A context with everything that is not given at its default; `given` are fields of the context."""

    async def run_child(name: str, input: Any) -> Any:
        raise AssertionError("there is no host here to run a child")

    common: dict[str, Any] = {
        "caller": caller,
        "agent_id": str(uuid4()),
        "agent_name": "agent",
        "run_id": str(uuid4()),
        "limits": Settings(),
        "manifest": manifest if isinstance(manifest, Manifest) else Manifest.model_validate(manifest or {}),
        "budget": Budget(deadline=time.monotonic() + 30, max_effects=max_effects),
        "at_end": AsyncExitStack(),
        "reads": Reads(database, caller),
        "run_child": run_child,
    } | given
    if test:
        return DryContext(**common, fixtures=Fixtures.model_validate(fixtures or {}))
    return LiveContext(**common, database=database, outside=outside or outside_with())


def broker(caller: Caller, database: Database, *, registry: Any = None, proposed: Any = None, **given: Any) -> Broker:
    """A broker over such a context."""
    return Broker(registry or standard_registry(), context(caller, database, **given), proposed=proposed)
