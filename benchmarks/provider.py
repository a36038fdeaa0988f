"""A model provider that is always the same: it thinks for a while, writes code that is refused, and then mends it."""

import asyncio
import json
import socket
from itertools import count

THINKS_SECONDS = 2.0
_REFUSED = "import os\n\n\ndef run():\n    return os.getcwd()\n"
_MENDED = '# {}\ndef run(name: str = "World", services=None):\n    return {{"{}": services.kv.increment("runs")}}\n'


class Provider:
    """The Responses API, of one model. It listens at once, and answers while `serve` goes on."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self._numbers = count()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._converse, sock=self._socket)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length"))
        question = json.loads(await reader.readexactly(length))["input"]
        await asyncio.sleep(THINKS_SECONDS)
        writer.write(_answer(self._said(question)))
        writer.close()

    def _said(self, question: str) -> str:
        if '{"ready": true}' in question:
            return '{"ready": true}'
        number = next(self._numbers)  # so that no check is remembered
        code = _MENDED.format(number, number) if "It was not accepted" in question else f"# {number}\n{_REFUSED}"
        return json.dumps({"code": code, "summary": "It counts.", "example_input_json": "{}"})


def _answer(text: str) -> bytes:
    output = [{"type": "message", "content": [{"type": "output_text", "text": text}]}]
    usage = {"input_tokens": 3000, "output_tokens": 200}
    body = json.dumps({"status": "completed", "output": output, "usage": usage}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return b"%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body)
