"""An answer that comes in pieces: server-sent events of the providers, read as the whole answer that they amount to.

What is no event of an answer is passed over; an answer without its end is none.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, Protocol

DONE = "[DONE]"


class Gathering(Protocol):
    """One answer while it comes."""

    def take(self, event: Any) -> str:
        """The text that an event adds to the answer."""
        ...

    def answer(self) -> Any:
        """What the provider would have answered in one piece; None when the end of it did not come."""
        ...


class ResponsesGathering:
    """Events of the Responses API: the last one holds the whole answer."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._answer: dict[str, Any] | None = None

    def take(self, event: Any) -> str:
        match event:
            case {"type": "response.output_text.delta", "delta": str(text)}:
                self._texts.append(text)
                return text
            case {"type": "response.completed" | "response.incomplete" | "response.failed", "response": dict(answer)}:
                self._answer = answer
            case {"type": "error"}:
                self._answer = {"status": "failed"}
        return ""

    def answer(self) -> Any:
        if self._answer is None or self._answer.get("output") or not self._texts:
            return self._answer
        content = [{"type": "output_text", "text": "".join(self._texts)}]
        return {**self._answer, "output": [{"type": "message", "content": content}]}


class ChatGathering:
    """Events of Chat Completions: each holds a piece, one of them why it ended, one what it cost."""

    def __init__(self) -> None:
        self._said: dict[str, list[str]] = {"content": [], "refusal": []}
        self._reason: Any = None
        self._usage: Any = None
        self._done = False

    def take(self, event: Any) -> str:
        if event == DONE:
            self._done = True
        if not isinstance(event, dict):
            return ""
        self._usage = event.get("usage") or self._usage
        match event:
            case {"choices": [dict(choice), *_]}:
                self._reason = choice.get("finish_reason") or self._reason
                return self._piece(choice.get("delta"))
        return ""

    def _piece(self, delta: Any) -> str:
        if not isinstance(delta, dict):
            return ""
        for kind, texts in self._said.items():
            if isinstance(delta.get(kind), str):
                texts.append(delta[kind])
        return delta["content"] if isinstance(delta.get("content"), str) else ""

    def answer(self) -> Any:
        if self._reason is None and not self._done:
            return None
        message = {kind: "".join(texts) for kind, texts in self._said.items()}
        return {"choices": [{"message": message, "finish_reason": self._reason}], "usage": self._usage}


async def events_in(chunks: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    """The JSON of every event's data, or DONE. Raises ValueError for data that is neither."""
    data: list[bytes] = []
    async for line in _lines(chunks):
        if line.startswith(b"data:"):
            data.append(line[5:].strip())
        elif not line and data:
            text = b"\n".join(data)
            data = []
            yield DONE if text == DONE.encode() else json.loads(text)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    begun: list[bytes] = []
    async for chunk in chunks:
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            yield b"".join([*begun, end]).removesuffix(b"\r")
            begun = []
        begun.append(rest)
    yield b"".join(begun)
    yield b""  # the last event counts, also without an empty line behind it
