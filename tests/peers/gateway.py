"""The gateway of a Supabase project, as far as agenthost meets it: /rest/v1/ is PostgREST, for who brings a key of the
project as `apikey`; /auth/v1/.well-known/jwks.json are the keys of its tokens. A process of its own.

    python -m tests.peers.gateway CONFIG.json     prints its address

CONFIG has `postgrest` (a port of loopback), `keys` (what is taken as `apikey`) and `jwks`.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import uvloop

_HEAD_BYTES: Final = 64 * 1024
_NO_KEY: Final = {
    "message": "No API key found in request",
    "hint": "No `apikey` request header or url param was found.",
}
_WRONG_KEY: Final = {
    "message": "Invalid API key",
    "hint": "Double check your Supabase `anon` or `service_role` API key.",
}


class Gateway:
    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client, with one of its own to PostgREST."""
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while head := await _head(reader):
                path, headers = _parsed(head)
                if path == "/auth/v1/.well-known/jwks.json":
                    _answer(writer, 200, self._config["jwks"])
                elif not path.startswith("/rest/v1/"):
                    _answer(writer, 404, {"message": "no Route matched with those values"})
                elif (key := headers.get("apikey")) not in self._config["keys"]:
                    await _body(reader, None, headers)
                    _answer(writer, 401, _WRONG_KEY if key else _NO_KEY)
                else:
                    upstream = upstream or await self._connect()
                    upstream[1].write(head.replace(b" /rest/v1", b" ", 1))
                    await _body(reader, upstream[1], headers)
                    await _relay(upstream[0], writer, head.startswith(b"HEAD "))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            for each in (writer, *([upstream[1]] if upstream else [])):
                each.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._config["postgrest"], limit=_HEAD_BYTES)


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


def _parsed(head: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return first.split(" ")[1], {name.lower(): value.strip() for name, _, value in pairs}


async def _relay(upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, bare: bool) -> None:
    head = await upstream.readuntil(b"\r\n\r\n")
    writer.write(head)
    status = int(head.split(b" ", 2)[1])
    if not bare and status not in (204, 304):
        await _body(upstream, writer, _parsed(head)[1])


async def _body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, headers: Mapping[str, str]) -> None:
    if headers.get("transfer-encoding") == "chunked":
        size = -1
        while size:
            line = await reader.readuntil(b"\r\n")
            size = int(line, 16)
            await _pass_on(line + await reader.readexactly(size + 2), writer)
    elif length := int(headers.get("content-length", "0")):
        await _pass_on(await reader.readexactly(length), writer)


async def _pass_on(data: bytes, writer: asyncio.StreamWriter | None) -> None:
    if writer is not None:
        writer.write(data)
        await writer.drain()


def _answer(writer: asyncio.StreamWriter, status: int, document: Any) -> None:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status} .\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


async def main(config: Mapping[str, Any]) -> None:
    server = await asyncio.start_server(Gateway(config).serve, "127.0.0.1", 0, limit=_HEAD_BYTES)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(json.loads(Path(sys.argv[1]).read_text())))
