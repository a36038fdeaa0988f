"""The attached streams of one container: the wire on stdin and stdout, the warden's word on stderr.

The engine's daemon says in a header of eight bytes which stream each piece came from (the Docker API's "attach"), so a
guest, which has no stderr, cannot speak as the warden.
"""

import asyncio
import json
import struct
from typing import Any, cast

from sandbox.conversation import GuestGone

STDOUT, STDERR = 1, 2
UNREAD_BYTES = 4 * 1024 * 1024
"""Past this nothing more is read until somebody takes what is there."""

PIECE_BYTES = 1024 * 1024
"""A daemon's pieces are much shorter."""

REPORT_BYTES = 64 * 1024
END_SECONDS = 1.0

_PIECE = struct.Struct("!BxxxI")


class Streams(asyncio.Protocol):
    """A `Connection` to the guest. `parked` and `ended` resolve with what the warden says, or with None at the end."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.parked: asyncio.Future[dict[str, Any] | None] = loop.create_future()
        self.ended: asyncio.Future[dict[str, Any] | None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._raw = bytearray()
        self._unread = bytearray()
        self._said = bytearray()
        self._word: str | None = None
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    async def send(self, data: bytes) -> None:
        """Waits while the guest does not take what it was sent before."""
        await self._writable.wait()
        if self._transport is None or self.closed.done():
            raise GuestGone
        self._transport.write(data)

    async def receive(self) -> bytes:
        """What came since the last time; b"" at the end."""
        while not self._unread and not self.closed.done():
            self._news.clear()
            await self._news.wait()
        data = bytes(self._unread)
        self._unread.clear()
        if self._transport is not None:
            self._transport.resume_reading()
        return data

    @property
    def silent(self) -> bool:
        """Nothing waits to be taken."""
        return not self._unread

    async def hang_up(self) -> None:
        """Close. A warden that has reported ends by itself, and is let: killing it costs the daemon more."""
        if self.ended.done() and self.ended.result() is not None:
            await asyncio.wait({self.closed}, timeout=END_SECONDS)
        self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # those of uvloop are no subclass

    def connection_lost(self, error: Exception | None) -> None:
        for future in (self.parked, self.ended, self.closed):
            if not future.done():
                future.set_result(None)
        self._news.set()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._raw += data
        taken = 0
        while len(self._raw) - taken >= _PIECE.size:
            stream, size = _PIECE.unpack_from(self._raw, taken)
            if size > PIECE_BYTES:
                self.close()
                return
            end = taken + _PIECE.size + size
            if len(self._raw) < end:
                break
            piece = bytes(self._raw[taken + _PIECE.size : end])
            taken = end
            if stream == STDOUT:
                self._unread += piece
            elif stream == STDERR:
                self._hear(piece)
        del self._raw[:taken]
        self._news.set()
        if len(self._unread) > UNREAD_BYTES and self._transport is not None:
            self._transport.pause_reading()

    def _hear(self, piece: bytes) -> None:
        """The warden's lines. It is ours, but an image may hold anything: what makes no sense ends the connection.

        Under gVisor a guest can write here as well. Lines without the word that the warden gave first are not heard.
        """
        self._said += piece
        *lines, rest = bytes(self._said).split(b"\n")
        self._said = bytearray(rest[-REPORT_BYTES:])
        try:
            for line in lines:
                if self._word is None or self._word.encode() in line:
                    self._take(json.loads(line))
        except (ValueError, RecursionError):
            self.close()

    def _take(self, message: Any) -> None:
        match message:
            case {"parked": dict(layers), "word": str(word)} if not self.parked.done():
                self._word = word
                self.parked.set_result(layers)
            case {"ended": dict(report), "word": str(word)} if word == self._word and not self.ended.done():
                self.ended.set_result(report)
            case _:
                raise ValueError("the warden says what it never says")
