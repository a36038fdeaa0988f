"""Server-sent events while something goes on: told in order, encoded when they are sent, and last how it ended.

What goes on never waits for its reader. Who tells the events bounds them; what the reader has not taken is given up a
while after the end. All data is JSON in ASCII, so nothing that a tenant wrote can end a line.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from json import JSONEncoder
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

KEEP_ALIVE_SECONDS: Final = 15.0
LAST_READ_SECONDS: Final = 60.0
"""How long a reader may take, after the end, for what it has not read yet."""

_EVENTS_AT_ONCE: Final = 100
_encode: Final = JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode

Data = Mapping[str, Any]


class Events:
    """Events in order, until they are sent."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, Data | Callable[[], Data]]] = deque()
        self._told = asyncio.Event()
        self._sent = 0
        self._ended = False

    def tell(self, name: str, data: Data | Callable[[], Data]) -> None:
        """Add an event. A function makes its data when it is sent: there can be many, and the loop is everybody's."""
        self._waiting.append((name, data))
        self._told.set()

    def end(self, name: str, data: Data) -> None:
        """Add the last event."""
        self.tell(name, data)
        self._ended = True

    async def wait(self) -> None:
        """Until there is an event."""
        await self._told.wait()

    async def chunk(self, keep_alive_seconds: float, comment: bytes) -> bytes:
        """The next few events; the comment when there are none for a while; nothing after the last."""
        if not self._waiting and not self._ended:
            self._told.clear()
            try:
                async with asyncio.timeout(keep_alive_seconds):
                    await self._told.wait()
            except TimeoutError:
                return comment
        return b"".join(self._next() for _ in range(min(len(self._waiting), _EVENTS_AT_ONCE)))

    def _next(self) -> bytes:
        name, data = self._waiting.popleft()
        self._sent += 1
        data = data() if callable(data) else data
        return f"id: {self._sent}\nevent: {name}\ndata: {_encode(data)}\n\n".encode("ascii")


class EventStream(Response):
    """An answer of events. `end` waits for what goes on and tells the last event; an error that it raises before there
    was any event is answered as without streaming."""

    media_type = "text/event-stream"
    keep_alive: bytes
    """A comment for a reader that has had nothing for a while."""

    def __init__(
        self,
        events: Events,
        *,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
        last_read_seconds: float = LAST_READ_SECONDS,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"Cache-Control": "no-store", "Vary": "Accept", "X-Accel-Buffering": "no"})
        self._events = events
        self._keep_alive_seconds = keep_alive_seconds
        self._last_read_seconds = last_read_seconds

    async def end(self) -> None:
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send(send))
        try:
            await self.end()
            await asyncio.wait({sending}, timeout=self._last_read_seconds)
            if not sending.done():
                raise ClientDisconnect
            sending.result()
        finally:
            sending.cancel()

    async def _send(self, send: Send) -> None:
        """When the caller goes away what is sent goes nowhere, until the end."""
        await self._events.wait()
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        while chunk := await self._events.chunk(self._keep_alive_seconds, self.keep_alive):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(0)  # others too, also when there is more to send and a reader as fast
        await send({"type": "http.response.body", "body": b"", "more_body": False})
