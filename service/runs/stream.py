"""A run told while it goes on, as server-sent events: what the guest prints and does, and last the whole answer.

The run never waits for its reader. What the reader has not taken yet is bounded by what a run may print and show, and
is given up a while after the run's end. All data is JSON in ASCII, so nothing a guest prints can end a line.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from json import JSONEncoder
from typing import Any, Final, Literal
from uuid import UUID

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.auth import Caller
from service.capabilities.effects import Effect
from service.capabilities.plain_json import cleaned_text
from service.errors import ApiError
from service.host import Host
from service.runs.asked import Asked
from service.runs.requested import RequestedRun
from service.runs.store import Begun

KEEP_ALIVE_SECONDS: Final = 15.0
LAST_READ_SECONDS: Final = 60.0
"""How long a reader may take, after the run's end, for what it has not read yet."""

_KEEP_ALIVE: Final = b": the run goes on\n\n"
_EVENTS_AT_ONCE: Final = 100
_encode: Final = JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode

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

Name = Literal["run.started", "run.log", "run.effect", "run.completed", "run.failed"]


class RunEvents:
    """The Observer of a run: its events, in order, until they are sent."""

    def __init__(self, user_id: UUID) -> None:
        self._user_id = str(user_id)
        self._waiting: deque[tuple[Name, Any]] = deque()
        self._told = asyncio.Event()
        self._sent = 0
        self._ended = False
        self.begun = False

    def started(self, begun: Begun, asked: Asked) -> None:
        agent = begun.agent
        self.begun = True
        self._tell(
            "run.started",
            {
                "run_id": begun.run_id,
                "agent": {"user_id": self._user_id, "agent_name": agent.agent_name, "version": agent.version},
                "test": asked.test,
                "started_at": begun.started_at,
            },
        )

    def log(self, line: str) -> None:
        self._tell("run.log", line)

    def effect(self, effect: Effect) -> None:
        self._tell("run.effect", effect.shown())

    def end(self, name: Literal["run.completed", "run.failed"], answer: Mapping[str, Any]) -> None:
        self._tell(name, answer)
        self._ended = True

    async def wait(self) -> None:
        """Until there is an event."""
        await self._told.wait()

    async def chunk(self, keep_alive_seconds: float) -> bytes:
        """The next few events; a comment when there are none for a while; nothing after the last."""
        if not self._waiting and not self._ended:
            self._told.clear()
            try:
                async with asyncio.timeout(keep_alive_seconds):
                    await self._told.wait()
            except TimeoutError:
                return _KEEP_ALIVE
        return b"".join(self._next() for _ in range(min(len(self._waiting), _EVENTS_AT_ONCE)))

    def _tell(self, name: Name, what: Any) -> None:
        self._waiting.append((name, what))
        self._told.set()

    def _next(self) -> bytes:
        # Lines are made events only here: a guest can print many short ones, and the loop is everybody's.
        name, what = self._waiting.popleft()
        data = {"line": cleaned_text(what)} if isinstance(what, str) else what
        self._sent += 1
        return f"id: {self._sent}\nevent: {name}\ndata: {_encode(data)}\n\n".encode("ascii")


class RunStream(Response):
    """The answer to a request that wants events. A run that ends before any of the agent's code runs is answered as
    without streaming; of a replayed one there is only the last event."""

    media_type = "text/event-stream"

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
        self.status_code = 200
        self.background = None
        self.init_headers({"Cache-Control": "no-store", "Vary": "Accept", "X-Accel-Buffering": "no"})
        self._request = request
        self._events = RunEvents(caller.user_id)
        self._run = RequestedRun(request, host, caller, asked, self._events)
        self._keep_alive_seconds = keep_alive_seconds
        self._last_read_seconds = last_read_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send(send))
        try:
            await self._end()
            await asyncio.wait({sending}, timeout=self._last_read_seconds)
            if not sending.done():
                raise ClientDisconnect
            sending.result()
        finally:
            sending.cancel()

    async def _send(self, send: Send) -> None:
        """When the caller goes away what is sent goes nowhere, until the run has ended."""
        await self._events.wait()
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        while chunk := await self._events.chunk(self._keep_alive_seconds):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(0)  # others too, also when there is more to send and a reader as fast
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _end(self) -> None:
        """Wait for the run, and tell how it ended. Raises ApiError when there is no stream to tell it in."""
        try:
            record = await self._run.record()
            if record.status != "succeeded":
                raise record.problem()
        except ApiError as error:
            if not self._events.begun:
                raise
            state = self._request.state
            state.error_code = error.code
            document = error.document(instance=self._request.url.path, request_id=state.request_id)
            self._events.end("run.failed", document)
        else:
            self.headers.update(record.headers())
            self._events.end("run.completed", record.shown())
