"""Who watches a run while it goes on. What is told to an observer is part of the record too, and nothing else is."""

from typing import Final, Protocol

from service.capabilities.effects import Effect
from service.runs.asked import Asked
from service.runs.store import Begun


class Observer(Protocol):
    """Is told of each thing when it happens. Must neither block nor raise."""

    def started(self, begun: Begun, asked: Asked) -> None:
        """The agent's code is about to run; a run that ends before is never started."""

    def log(self, line: str) -> None:
        """A line, as the guest sent it."""

    def effect(self, effect: Effect) -> None: ...


class _Nobody:
    """Watches nothing."""

    def started(self, begun: Begun, asked: Asked) -> None: ...

    def log(self, line: str) -> None: ...

    def effect(self, effect: Effect) -> None: ...


UNOBSERVED: Final[Observer] = _Nobody()
