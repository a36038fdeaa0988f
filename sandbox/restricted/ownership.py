"""Which classes are the agent's own, and which of their private names: what it may write to and look into.

Invariant: a class is the agent's when its `class` statement ran in the agent's module, which it cannot pretend.
"""

from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any

from sandbox.guest.language import AGENT_MODULE

# `type.__module__` of a class itself, whatever its metaclass says.
MODULE_OF: Callable[[type], Any] = type.__dict__["__module__"].__get__
MRO_OF: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
NAMES_OF: Callable[[type], Mapping[str, Any]] = type.__dict__["__dict__"].__get__


class Ownership:
    """The classes that the agent of one run has defined: only those have private attributes."""

    def __init__(self, writable: Iterable[type]) -> None:
        self.own: set[type] = set()
        self.writable: set[type] = set(writable)
        self._foreign: dict[type, frozenset[str]] = {}

    def register(self, cls: Any) -> Any:
        """Note a class as the agent's own; gives it back, so that it serves as the end of a decorator."""
        self.own.add(cls)
        self.writable.add(cls)
        return cls

    def owns(self, cls: Any) -> bool:
        """Is it a class of the agent's? One that is still being made is known by its module, which no agent can set."""
        if cls not in self.own and MODULE_OF(cls) == AGENT_MODULE:
            self.register(cls)
        return cls in self.own

    def is_own(self, obj: Any) -> bool:
        """Is it a class of the agent's, or an instance of one?"""
        return self.owns(obj if issubclass(type(obj), type) else type(obj))

    def is_own_function(self, obj: Any) -> bool:
        """Is it a function that the agent has written, not one that a library made around something?"""
        return type(obj) is FunctionType and obj.__globals__.get("__name__") == AGENT_MODULE

    def foreign_names(self, cls: type) -> frozenset[str]:
        """Private names of what a class of the agent's extends, and of its metaclass. They do not change."""
        found = self._foreign.get(cls)
        if found is None:
            bases = [base for base in MRO_OF(cls) if not self.owns(base)]
            names = {name for base in (*bases, type(cls)) for name in dir(base) if name.startswith("_")}
            found = self._foreign[cls] = frozenset(names)
        return found

    def defines(self, cls: type, name: str) -> bool:
        """Is the first class with this name the agent's?"""
        return any(self.owns(base) for base in [base for base in MRO_OF(cls) if name in NAMES_OF(base)][:1])
