"""The guest's end of the wire: `read` and `write`, nothing else."""

import json
import os
import time
from _thread import RLock
from typing import Any

from sandbox import wire

IMMEDIATE_LOG_FRAMES = 200
BATCH_BYTES = 8 * 1024
BATCH_SECONDS = 0.05


class Channel:
    """Frames over one descriptor, or over two. Log lines go out at once while they are few, then in batches.

    `turn` is held while a call waits for its reply, and while a line is logged: an agent in a container has threads.
    """

    def __init__(self, descriptor: int, write_to: int | None = None) -> None:
        self._descriptor = descriptor
        self._write_to = descriptor if write_to is None else write_to
        self.turn = RLock()
        self.frame_bytes = wire.REPLY_BYTES
        self.log_bytes = wire.REPLY_BYTES
        self._lines: list[str] = []
        self._line_bytes = 0
        self._log_frames = 0
        self._flushed_at = 0.0

    def read_exactly(self, size: int) -> bytes:
        """Raises EOFError when the host is gone."""
        parts = []
        while size:
            part = os.read(self._descriptor, min(size, 1 << 20))
            if not part:
                raise EOFError("the host closed the channel")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def receive(self) -> dict[str, Any]:
        (size,) = wire.LENGTH.unpack(self.read_exactly(wire.LENGTH.size))
        message: dict[str, Any] = json.loads(self.read_exactly(size))  # the host's own frames need no suspicion
        return message

    def wait_for_the_end(self) -> None:
        """Until the host hangs up."""
        while os.read(self._descriptor, 4096):
            pass

    def send(self, message: dict[str, Any]) -> None:
        """Log lines first. Raises ValueError for what is no JSON, too long or too deep, before writing any of it."""
        frame = wire.encode(message)
        if len(frame) > self.frame_bytes:
            raise ValueError(f"it is {len(frame)} bytes long; at most {self.frame_bytes} are allowed")
        if wire.too_deep(frame[wire.LENGTH.size :]):  # to the host it would be a breach
            raise ValueError("it is nested too deeply")
        self.send_frame(frame)

    def send_frame(self, frame: bytes) -> None:
        """What `wire.encode` made, behind the log lines that wait."""
        with self.turn:
            self._flush()
            self._write(frame)

    def log(self, text: str) -> None:
        """One entry of the log. What JSON cannot hold becomes U+FFFD; the host counts, and ends what logs too much."""
        line = text[: self.log_bytes].replace("\0", "\ufffd").encode("utf-8", "replace").decode()
        with self.turn:
            self._lines.append(line)
            self._line_bytes += len(line)
            if (
                self._log_frames < IMMEDIATE_LOG_FRAMES
                or self._line_bytes > BATCH_BYTES
                or time.monotonic() - self._flushed_at > BATCH_SECONDS
            ):
                self._flush()

    def _flush(self) -> None:
        if not self._lines:
            return
        lines, self._lines, self._line_bytes = self._lines, [], 0
        self._log_frames += 1
        self._flushed_at = time.monotonic()
        self._write(wire.encode({"kind": "log", "lines": lines}))

    def _write(self, frame: bytes) -> None:
        view = memoryview(frame)
        while view:
            view = view[os.write(self._write_to, view) :]
