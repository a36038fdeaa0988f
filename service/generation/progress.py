"""Who follows a generation: nobody, or the reader of a stream of events."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from sandbox.job import Outcome
from service.agents.check import Definition
from service.capabilities.effects import Effect, shortened
from service.event_stream import Events

EXAMPLE: Final = """\
id: 1
event: generation.attempt
data: {"attempt":1,"of":4,"last":null}

id: 2
event: generation.code
data: {"attempt":1,"code":"def run(services):\\n"}

id: 3
event: generation.check
data: {"attempt":1,"ok":true,"errors":[],"capabilities":{},"proposed":{}}

id: 4
event: generation.dry_run
data: {"attempt":1,"ok":true,"output":null,"error":null,"effects":[]}

id: 5
event: generation.done
data: {"agent_name":"reminder","version":1}
"""


class Progress(Protocol):
    """Is told of each step when it happens. Must neither block nor raise."""

    @property
    def watched(self) -> bool:
        """Whether the code is wanted as it comes."""
        ...

    def attempt(self, attempt: int, most: int, last: Mapping[str, Any] | None) -> None:
        """An attempt begins; `last` is why the one before did not do."""

    def code(self, attempt: int, piece: str) -> None:
        """The model has written a piece of the code."""

    def check(self, attempt: int, definition: Definition | None, errors: Sequence[Mapping[str, Any]]) -> None:
        """The code passed its check, or has errors."""

    def dry_run(self, attempt: int, outcome: Outcome, effects: Sequence[Effect]) -> None: ...


class _Unwatched:
    """Tells nobody."""

    watched = False

    def attempt(self, attempt: int, most: int, last: Mapping[str, Any] | None) -> None: ...

    def code(self, attempt: int, piece: str) -> None: ...

    def check(self, attempt: int, definition: Definition | None, errors: Sequence[Mapping[str, Any]]) -> None: ...

    def dry_run(self, attempt: int, outcome: Outcome, effects: Sequence[Effect]) -> None: ...


UNWATCHED: Final[Progress] = _Unwatched()


class GenerationEvents(Events):
    """The Progress of a stream. Pieces of code that wait for the reader become one event: few wait at a time."""

    watched = True

    def __init__(self) -> None:
        super().__init__()
        self._pieces: _Pieces | None = None
        self.begun = False

    def attempt(self, attempt: int, most: int, last: Mapping[str, Any] | None) -> None:
        self.begun = True
        self._step("generation.attempt", {"attempt": attempt, "of": most, "last": last})

    def code(self, attempt: int, piece: str) -> None:
        if self._pieces is None or self._pieces.sent:
            self._pieces = _Pieces(attempt)
            self.tell("generation.code", self._pieces)
        self._pieces.texts.append(piece)

    def check(self, attempt: int, definition: Definition | None, errors: Sequence[Mapping[str, Any]]) -> None:
        found: dict[str, Any] = {"attempt": attempt, "ok": definition is not None, "errors": [dict(e) for e in errors]}
        if definition is not None:
            found |= {"capabilities": definition.manifest.shown(), "proposed": definition.proposed.shown()}
        self._step("generation.check", found)

    def dry_run(self, attempt: int, outcome: Outcome, effects: Sequence[Effect]) -> None:
        failure = outcome.failure
        error = None if failure is None else {"code": failure.code, "type": failure.type, "message": failure.message}
        self._step(
            "generation.dry_run",
            {
                "attempt": attempt,
                "ok": failure is None,
                "output": shortened(outcome.output),
                "error": shortened(error),
                "effects": [effect.shown() for effect in effects],
            },
        )

    def _step(self, name: str, data: Mapping[str, Any]) -> None:
        self._pieces = None
        self.tell(name, data)


class _Pieces:
    """Pieces of code that are one event when they are sent."""

    def __init__(self, attempt: int) -> None:
        self._attempt = attempt
        self.texts: list[str] = []
        self.sent = False

    def __call__(self) -> dict[str, Any]:
        self.sent = True
        return {"attempt": self._attempt, "code": "".join(self.texts)}
