"""One job over one connection: the host's side of the wire, the same for every engine.

Whatever the guest sends is a claim: bounded, decoded strictly, and answered with a `Closing`; a guest that breaks the
protocol gets the verdict `sandbox_violation`. Only the host's own failures raise.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from sandbox import wire
from sandbox.job import Call, EndRun, FailureCode, OnCall, OnLog, Reply
from sandbox.limits import Limits

CLOSING_OVERHEAD_BYTES = 1024
"""What a closing frame may hold beside its output."""

NAME_CHARS = 100
"""Services and actions have short names: a longer one is nobody's mistake, and would be recorded at full length."""

CALL_FRAMES_BYTES = 4
"""All calls of a run together may be this many times as long as the longest single frame."""

WALL_GRACE_SECONDS = 2.0
"""What is in the guest ends a run at its limit; the host waits so much longer before it finds that itself."""


class GuestGone(Exception):
    """The guest's end of the connection is closed: it died, or was killed. How, its end tells."""


class Connection(Protocol):
    """Bytes to and from a guest. `receive` gives b"" at the end; both raise GuestGone when there is nobody."""

    async def send(self, data: bytes) -> None: ...

    async def receive(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """The host's own finding against a guest; it goes before anything the guest said."""

    code: FailureCode
    message: str


@dataclass(slots=True)
class Conversation:
    """What was said so far. `closing` is the guest's closing frame, `verdict` the host's finding; often neither yet.

    `late`: the verdict is that the host waited long enough.
    """

    limits: Limits
    on_call: OnCall
    on_log: OnLog | None = None
    logs: list[str] = field(default_factory=list)
    closing: dict[str, Any] | None = None
    verdict: Verdict | None = None
    late: bool = False
    _log_bytes: int = 0
    _call_bytes: int = 0
    _buffer: bytearray = field(default_factory=bytearray)

    async def hold(self, connection: Connection, opening: Iterable[bytes], gone: "asyncio.Future[Any]") -> None:
        """Send the job, then answer until the guest closes, breaks off, or a verdict falls. `gone`: the guest's end."""
        wall_seconds = self.limits.wall_seconds
        try:
            async with asyncio.timeout(wall_seconds + WALL_GRACE_SECONDS) as patience:
                for part in opening:
                    await connection.send(part)
                while self.closing is None and (payload := await self._frame(connection)) is not None:
                    await self._take(payload, connection, gone)
        except TimeoutError:
            if not patience.expired():
                raise
            self.late = True
            self.verdict = Verdict("wall_time_exceeded", f"the run took longer than {wall_seconds:g} s")
        except wire.WireError as error:
            self.verdict = Verdict("sandbox_violation", f"the guest broke the protocol: {error}")
        except EndRun as end:
            self.verdict = Verdict(end.code, end.message)
        except GuestGone:
            return

    @property
    def silent(self) -> bool:
        """The guest has closed, and of what it sent nothing is left over."""
        return self.closing is not None and self.verdict is None and not self._buffer

    def conclude(self, *, unread: bool) -> None:
        """The guest is dead. Anything it sent behind its closing frame, read or not, is a violation."""
        if self.closing is not None and self.verdict is None and (self._buffer or unread):
            self.verdict = Verdict("sandbox_violation", "the guest went on after its closing frame")

    async def _frame(self, connection: Connection) -> bytes | None:
        """The payload of the next frame; None when the guest is gone, in the middle of one too."""
        head = wire.LENGTH.size
        while len(self._buffer) < head:
            if not await self._more(connection):
                return None
        (size,) = wire.LENGTH.unpack_from(self._buffer)
        if size > self.limits.frame_bytes:
            raise wire.WireError(f"a frame of {size} bytes is longer than a frame may be")
        while len(self._buffer) < head + size:
            if not await self._more(connection):
                return None
        payload = bytes(self._buffer[head : head + size])
        del self._buffer[: head + size]
        return payload

    async def _more(self, connection: Connection) -> bool:
        data = await connection.receive()
        self._buffer += data
        return bool(data)

    async def _take(self, payload: bytes, connection: Connection, gone: "asyncio.Future[Any]") -> None:
        message = wire.decode(payload)
        match message:
            case {"kind": "log", "lines": list(lines)} if all(isinstance(line, str) for line in lines):
                self._log(lines, len(payload))
            case {"kind": "call", "service": str(service), "action": str(action), "args": dict(args)} if (
                len(service) <= NAME_CHARS and len(action) <= NAME_CHARS
            ):
                self._call_bytes += len(payload)
                if self._call_bytes > CALL_FRAMES_BYTES * self.limits.frame_bytes:
                    allowed = CALL_FRAMES_BYTES * self.limits.frame_bytes
                    raise EndRun("too_many_effects", f"the calls of one run may hold at most {allowed} bytes together")
                await connection.send(await self._answer(Call(service, action, args), gone))
            case {"kind": "done"}:
                self._close(message, len(payload))
            case _:
                raise wire.WireError("a frame has an unknown kind or the wrong fields")

    def _log(self, lines: list[str], size: int) -> None:
        self._log_bytes += max(size, wire.MIN_LOG_CHARGE_BYTES)
        if self._log_bytes > self.limits.log_bytes:
            raise EndRun("logs_too_large", f"the log of one run may hold at most {self.limits.log_bytes} bytes")
        self.logs += lines
        if self.on_log is not None:
            for line in lines:
                self.on_log(line)

    def _close(self, message: dict[str, Any], size: int) -> None:
        if "output" in message and size > self.limits.output_bytes + CLOSING_OVERHEAD_BYTES:
            raise EndRun("output_too_large", f"the output may hold at most {self.limits.output_bytes} bytes of JSON")
        self.closing = message

    async def _answer(self, call: Call, gone: "asyncio.Future[Any]") -> bytes:
        """The broker's reply, as a frame. A guest that dies meanwhile ends the waiting, and cancels the call."""
        reply = await _unless(gone, self.on_call(call))
        message: dict[str, Any] = {"kind": "reply"}
        if reply.error is not None:
            message["error"] = {"type": reply.error["type"], "message": reply.error["message"]}
        else:
            message["result"] = reply.result
        frame = wire.encode(message)
        if len(frame) > wire.REPLY_BYTES:
            error = {"type": "ServiceError", "message": f"the answer is longer than {wire.REPLY_BYTES} bytes"}
            return wire.encode({"kind": "reply", "error": error})
        return frame


async def _unless(gone: "asyncio.Future[Any]", reply: Awaitable[Reply]) -> Reply:
    task = asyncio.ensure_future(reply)
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise GuestGone
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
