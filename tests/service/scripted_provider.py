"""A provider that answers each request with the next of some given bytes: faults that no well-behaved server makes."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Told = bytes | Sequence[bytes]

HANGS = b""
"""Instead of an answer: none."""


def answer(
    body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None, cut_by: int = 0, compressed: str = ""
) -> bytes:
    """A whole answer; `cut_by` bytes short of what it says it has."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {"Content-Type": "application/json", "Content-Length": str(len(data))} | dict(headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"HTTP/1.1 {status} Told\r\n{head}Connection: close\r\n\r\n".encode() + data[: len(data) - cut_by]


def said(text: str, *, usage: Any = None, **more: Any) -> dict[str, Any]:
    """An answer of the Responses API."""
    content = [{"type": "output_text", "text": text}]
    return {"status": "completed", "output": [{"type": "message", "content": content}], "usage": usage, **more}


READY = answer(said('{"ready": true}'))
"""What the question answers with which a host finds out how to ask."""


@dataclass(slots=True)
class Scripted:
    url: str
    requests: list[bytes] = field(default_factory=list)
    """The head of each."""
    bodies: list[bytes] = field(default_factory=list)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Somebody waits for an answer that does not come; and has gone."""


@asynccontextmanager
async def scripted(*answers: Told | Callable[[], Awaitable[Told]]) -> AsyncIterator[Scripted]:
    """The provider; past the last answer it hangs. An answer of several parts is sent in them, one that is a function
    is made when it is asked for."""
    provider = Scripted("")

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
            )
            provider.bodies.append(await reader.readexactly(length))
            provider.requests.append(head)
            number = len(provider.requests) - 1
            given = answers[number] if number < len(answers) else HANGS
            told = await given() if callable(given) else given
            if told == HANGS:
                provider.hanging.set()
                await reader.read()
                provider.left.set()
            for part in [told] if isinstance(told, bytes) else told:
                writer.write(part)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # who asked has had enough
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        provider.url = f"http://{host}:{port}/v1"
        yield provider
