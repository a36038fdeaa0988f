"""Hosts whose model writes agents, and what such a model answers."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx

from service.app import create_app
from service.outside.model import Model
from tests.service.conftest import LocalHost, User
from tests.service.scripted_provider import READY, Scripted, Told, answer, said, scripted
from tests.service.served import served
from tests.service.test_host_failures import FaultyDatabase, LentEngine

USAGE = {"input_tokens": 1000, "output_tokens": 100}
GREETER = '"""Greets."""\n\n\ndef run(name: str = "World"):\n    return {"message": f"Hello, {name}"}\n'
REFUSED = "import os\n\n\ndef run():\n    return os.getcwd()\n"
FAILING = "def run(rows: list[int]):\n    return rows[10]\n"
MISFIT = "def run(count: int):\n    return count\n"
WANTED = {"Accept": "text/event-stream"}


def written(code: str, example: Any = None, *, summary: str = "It greets.", **more: Any) -> str:
    """What a model says that writes an agent."""
    example = example if isinstance(example, str) else json.dumps(example or {})
    return json.dumps({"code": code, "summary": summary, "example_input_json": example} | more)


def told(text: str, **more: Any) -> bytes:
    """A provider's answer that says so."""
    return answer(said(text, usage=USAGE, **more))


def writes(code: str, example: Any = None, **more: Any) -> bytes:
    return told(written(code, example, **more))


def streamed(*events: Any, cut: bool = False) -> list[bytes]:
    """A provider's answer in events, a packet each; `cut` loses what says that it is over."""
    head = b"HTTP/1.1 200 Told\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    parts = [f"data: {json.dumps(event)}\n\n".encode() for event in events]
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts]
    return [head, *chunks, *([] if cut else [b"0\r\n\r\n"])]


def in_pieces(text: str, *, size: int = 7) -> Iterable[dict[str, Any]]:
    """Events of the Responses API that say so."""
    for start in range(0, len(text), size):
        yield {"type": "response.output_text.delta", "delta": text[start : start + size]}
    yield {"type": "response.completed", "response": said(text, usage=USAGE)}


@dataclass(frozen=True, slots=True)
class WritingHost:
    """A host of its own on somebody's database and jail, its model's provider, and a user."""

    user: User
    local_host: LocalHost
    provider: Scripted

    async def write(self, description: str = "Greets people.", **body: Any) -> httpx.Response:
        return await self.user.http.post("/agents", json={"agent_name": "made", "description": description, **body})

    async def agents(self) -> int:
        """How many rows there are of the user's agents and their versions."""
        database = self.local_host.host.database
        tables = [await database.select(self.user.caller, table) for table in ("agents", "agent_versions")]
        return sum(map(len, tables))


@asynccontextmanager
async def writing_host(
    local_host: LocalHost, *answers: Told | Callable[[], Awaitable[Told]], asks: bool = True, **settings: Any
) -> AsyncIterator[WritingHost]:
    """A host whose provider gives these answers, and then none any more."""
    async with (
        scripted(*([READY] if asks else []), *answers) as provider,
        host_at(local_host, provider.url, **settings) as (there, user),
    ):
        yield WritingHost(user, there, provider)


@asynccontextmanager
async def host_at(
    local_host: LocalHost, provider_url: str, *, name: str = "writer", **settings: Any
) -> AsyncIterator[tuple[LocalHost, User]]:
    """A host whose model is at the provider, with a new user."""
    host = local_host.host
    own = host.settings.model_copy(update=settings)
    model = Model(api_key="sk-canary", base_url=provider_url, model=name)
    app = create_app(
        own,
        database=FaultyDatabase(host.database),
        engines={"restricted": LentEngine(host.engines["restricted"])},
        verifier=host.verifier,
        signer=host.signer,
        outside=replace(host.outside, model=model),
    )
    try:
        async with served(app, own) as url:
            there = LocalHost(url, app, local_host.identity)
            async with there.user() as user:
                yield there, user
    finally:
        await model.close()
