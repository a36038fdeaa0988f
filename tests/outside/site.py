"""A web server of a few lines on loopback, which answers byte for byte what a test says and counts who connects."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived. Names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Site:
    """The server: what it answers by path, and what it saw."""

    address: str
    port: int = 0
    connections: int = 0
    seen: list[Seen] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            method, target, _ = first.split(" ")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.seen.append(Seen(method, target, headers, body))
            answer = self.answers.get(target.partition("?")[0], NOT_FOUND)
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client went away: some tests make it
        finally:
            writer.close()

    @property
    def pair(self) -> tuple[str, int]:
        return self.address, self.port


@asynccontextmanager
async def site(address: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    """One that serves."""
    made = Site(address)
    server = await asyncio.start_server(made.serve, address, port, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


def text(body: str, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer."""
    return b"\r\n".join(
        [
            f"HTTP/1.1 {status}".encode(),
            f"Content-Length: {len(body.encode())}".encode(),
            *(header.encode() for header in headers),
            b"",
            body.encode(),
        ]
    )


def redirect(location: str, status: int = 302) -> bytes:
    return text("", f"Location: {location}", status=f"{status} Moved")
