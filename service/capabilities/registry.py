"""The capabilities of this host. One without a dry-run twin, or whose twins differ, cannot be registered."""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from service.capabilities.agents import AGENTS
from service.capabilities.capability import Arguments, Capability
from service.capabilities.db import DB
from service.capabilities.email import email_service
from service.capabilities.http import HTTP
from service.capabilities.kv import KV
from service.capabilities.llm import LLM
from service.capabilities.manifest import Manifest
from service.capabilities.notify import NOTIFY
from service.capabilities.secrets import SECRETS


class TwinsDiffer(Exception):
    """A capability could behave otherwise in a dry run than live: the host does not start with it."""


class Registry:
    """Capabilities by name. Raises TwinsDiffer when it is made, so a host with a bad one never serves."""

    def __init__(self, capabilities: Iterable[Capability]) -> None:
        self._by_name: dict[str, Capability] = {}
        for capability in capabilities:
            _require_twins(capability)
            if capability.name in self._by_name:
                raise TwinsDiffer(f"{capability.name} is registered twice")
            if capability.name not in Manifest.model_fields:
                raise TwinsDiffer(f"{capability.name} has no grant in the manifest: nobody could be granted it")
            self._by_name[capability.name] = capability

    def get(self, name: str) -> Capability | None:
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[Capability]:
        return iter(self._by_name.values())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._by_name)


def standard_registry(*, email_to: Sequence[str] = ()) -> Registry:
    """Every capability that comes with the host, within the operator's ceilings."""
    return Registry([HTTP, KV, DB, email_service(ceiling=email_to), LLM, NOTIFY, AGENTS, SECRETS])


def _require_twins(capability: Capability) -> None:
    """The two twins must be two classes with exactly the declared actions, each with the one signature."""
    name = capability.name
    live: object = capability.live
    dry_run: object = capability.dry_run
    for side, twin in (("live", live), ("dry-run", dry_run)):
        if not inspect.isclass(twin):
            raise TwinsDiffer(f"{name} has no {side} twin")
        if (actions := _actions(twin)) != set(capability.arguments):
            raise TwinsDiffer(f"{name}: the {side} twin has {sorted(actions)}, not {sorted(capability.arguments)}")
    if live is dry_run:
        raise TwinsDiffer(f"{name}: the live twin stands in as its own dry run")
    for action, arguments in capability.arguments.items():
        signatures = [inspect.signature(getattr(twin, action)) for twin in (live, dry_run)]
        if signatures[0] != signatures[1]:
            raise TwinsDiffer(f"{name}.{action}: live takes {signatures[0]}, dry-run takes {signatures[1]}")
        if len(signatures[0].parameters) != 2 or not issubclass(arguments, Arguments):
            raise TwinsDiffer(f"{name}.{action} does not take one validated argument object")
    if not capability.reads <= set(capability.arguments):
        raise TwinsDiffer(f"{name}: reads {sorted(capability.reads)} are not all actions")


def _actions(twin: type[Any]) -> set[str]:
    return {name for name, _ in inspect.getmembers(twin, inspect.iscoroutinefunction) if not name.startswith("_")}
