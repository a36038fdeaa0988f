"""A run told while it goes on, as server-sent events: what the guest prints and does, and last the whole answer.

What the reader has not taken yet is bounded by what a run may print and show.
"""

from functools import partial
from typing import Any, Final
from uuid import UUID

from fastapi import Request

from service.auth import Caller
from service.capabilities.effects import Effect
from service.capabilities.plain_json import cleaned_text
from service.errors import ApiError
from service.event_stream import KEEP_ALIVE_SECONDS, LAST_READ_SECONDS, Events, EventStream
from service.host import Host
from service.runs.asked import Asked
from service.runs.requested import RequestedRun
from service.runs.store import Begun

EXAMPLE: Final = """\
id: 1
event: run.started
data: {"run_id":"0199...","agent":{"user_id":"...","agent_name":"greeter","version":1},"test":false,"started_at":"..."}

id: 2
event: run.log
data: {"line":"greeting World"}

id: 3
event: run.completed
data: {"run_id":"0199...","status":"succeeded","output":{"message":"Hello, World"}}
"""


class RunEvents(Events):
    """The Observer of a run."""

    def __init__(self, user_id: UUID) -> None:
        super().__init__()
        self._user_id = str(user_id)
        self.begun = False

    def started(self, begun: Begun, asked: Asked) -> None:
        agent = begun.agent
        self.begun = True
        self.tell(
            "run.started",
            {
                "run_id": begun.run_id,
                "agent": {"user_id": self._user_id, "agent_name": agent.agent_name, "version": agent.version},
                "test": asked.test,
                "started_at": begun.started_at,
            },
        )

    def log(self, line: str) -> None:
        self.tell("run.log", partial(_line, line))

    def effect(self, effect: Effect) -> None:
        self.tell("run.effect", effect.shown())


def _line(line: str) -> dict[str, Any]:
    return {"line": cleaned_text(line)}


class RunStream(EventStream):
    """The answer to a request that wants events. A run that ends before any of the agent's code runs is answered as
    without streaming; of a replayed one there is only the last event."""

    keep_alive = b": the run goes on\n\n"

    def __init__(
        self,
        request: Request,
        host: Host,
        caller: Caller,
        asked: Asked,
        *,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
        last_read_seconds: float = LAST_READ_SECONDS,
    ) -> None:
        """Starts the run."""
        self._told = RunEvents(caller.user_id)
        super().__init__(self._told, keep_alive_seconds=keep_alive_seconds, last_read_seconds=last_read_seconds)
        self._request = request
        self._run = RequestedRun(request, host, caller, asked, self._told)

    async def end(self) -> None:
        """Wait for the run, and tell how it ended. Raises ApiError when there is no stream to tell it in."""
        try:
            record = await self._run.record()
            if record.status != "succeeded":
                raise record.problem()
        except ApiError as error:
            if not self._told.begun:
                raise
            state = self._request.state
            state.error_code = error.code
            document = error.document(instance=self._request.url.path, request_id=state.request_id)
            self._told.end("run.failed", document)
        else:
            self.headers.update(record.headers())
            self._told.end("run.completed", record.shown())
