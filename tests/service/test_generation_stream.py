"""A generation as events: each step when it happens, the code as it comes, and last the agent or what was wrong."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from service.generation.partial_code import PartialCode
from tests.peers.aimock import Aimock
from tests.service.conftest import LocalHost, User
from tests.service.scripted_provider import HANGS, answer
from tests.service.test_agents import code_of
from tests.service.test_model import a_provider
from tests.service.test_stream import Event, events_of
from tests.service.writing import (
    FAILING,
    GREETER,
    REFUSED,
    WANTED,
    host_at,
    in_pieces,
    streamed,
    writes,
    writing_host,
    written,
)

DESCRIPTION = {"agent_name": "made", "description": "Greets."}


@asynccontextmanager
async def watching(user: User, body: Any = DESCRIPTION, path: str = "/agents") -> AsyncIterator[AsyncIterator[Event]]:
    async with user.http.stream("POST", path, json=body, headers=WANTED) as answer:
        yield events_of(answer)


async def watched(user: User, body: Any = DESCRIPTION, path: str = "/agents") -> list[Event]:
    async with watching(user, body, path) as events:
        return [event async for event in events]


def code_in(events: list[Event], attempt: int = 1) -> str:
    pieces = [event.data for event in events if event.name == "generation.code"]
    return "".join(piece["code"] for piece in pieces if piece["attempt"] == attempt)


async def test_every_step_is_told_in_its_order(local_host: LocalHost) -> None:
    answers = [
        streamed(*in_pieces(written(code, {"rows": []} if code == FAILING else {})))
        for code in (REFUSED, FAILING, GREETER)
    ]
    async with writing_host(local_host, *answers) as host:
        events = await watched(host.user)
    steps = [event for event in events if event.name != "generation.code"]
    assert [event.name.removeprefix("generation.") for event in steps] == [
        *("attempt", "check"),
        *("attempt", "check", "dry_run"),
        *("attempt", "check", "dry_run"),
        "done",
    ]
    first, refused, second, passed, failed, third, _, done_run, done = [event.data for event in steps]
    assert (first, second["attempt"], third["attempt"]) == ({"attempt": 1, "of": 4, "last": None}, 2, 3)
    assert (refused["ok"], refused["errors"][0]["line"]) == (False, 1)
    assert second["last"]["step"] == "check"
    assert "module 'os' is not available" in second["last"]["problems"][0]
    assert (passed["ok"], passed["capabilities"], passed["proposed"]) == (True, {}, {})
    assert (failed["ok"], failed["error"]["type"]) == (False, "IndexError")
    assert third["last"]["step"] == "dry_run"
    assert (done_run["ok"], done_run["output"]) == (True, {"message": "Hello, World"})
    assert (done["agent_name"], done["version"], done["generation"]["attempts"]) == ("made", 1, 3)
    assert [code_in(events, attempt) for attempt in (1, 2, 3)] == [REFUSED, FAILING, GREETER]
    assert [event.id for event in events] == [str(number) for number in range(1, len(events) + 1)]


async def test_the_code_comes_while_the_model_writes(local_host: LocalHost) -> None:
    whole = streamed(*in_pieces(written(GREETER)))
    async with writing_host(local_host, [*whole[:6]]) as host, watching(host.user) as events:
        assert (await anext(events)).name == "generation.attempt"
        piece = await anext(events)
        assert (piece.name, piece.data["attempt"]) == ("generation.code", 1)
        assert GREETER.startswith(piece.data["code"])


@pytest.mark.parametrize("understands", ["responses", "chat", "fenced"])
async def test_every_way_of_asking_can_be_watched(local_host: LocalHost, aimock: Aimock, understands: str) -> None:
    name = await a_provider(aimock, understands)
    fence = "Here it is:\n```json\n{}\n```\nAnything else?" if understands == "fenced" else "{}"
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    response = {"content": fence.replace("{}", written(GREETER)), "usage": usage}
    await aimock.teach(
        {"match": {"userMessage": "Write the agent.", "model": name}, "response": response, "chunkSize": 5}
    )
    async with host_at(local_host, f"{aimock.url}/v1", name=name) as (_, user):
        events = await watched(user, {"description": "Greets."}, "/agents/generate")
    assert events[-1].name == "generation.done", events[-1]
    assert events[-1].data["agent_config"] == {"code": GREETER}
    assert events[-1].data["generation"]["tokens"] == {"input": 1000, "output": 100}
    assert code_in(events) == GREETER
    assert all(request["body"].get("stream") for request in (await aimock.requests(name))[-1:])


async def test_what_is_wrong_before_is_answered_without_events(local_host: LocalHost, ada: User) -> None:
    unconfigured = await ada.http.post("/agents", json=DESCRIPTION, headers=WANTED)
    assert (unconfigured.status_code, code_of(unconfigured)) == (503, "model_not_configured")
    async with writing_host(local_host) as host:
        await host.user.define("made", GREETER)
        taken = await host.user.http.post("/agents", json=DESCRIPTION, headers=WANTED)
        assert (taken.status_code, code_of(taken)) == (409, "agent_exists")
        assert taken.headers["content-type"] == "application/problem+json"


async def test_a_failure_is_the_last_event(local_host: LocalHost) -> None:
    async with writing_host(local_host, streamed(*in_pieces(written(REFUSED))), generation_attempts=1) as host:
        events = await watched(host.user)
        assert await host.agents() == 0
    failed = events[-1]
    assert failed.name == "generation.failed"
    assert (failed.data["status"], failed.data["code"]) == (422, "generation_failed")
    assert failed.data["attempts"][0]["step"] == "check"
    assert failed.data["last_code"] == REFUSED
    assert failed.data["request_id"]


TRUNCATED = {
    "a stream that ends early": streamed(*list(in_pieces(written(GREETER)))[:3]),
    "a stream that breaks": streamed(*list(in_pieces(written(GREETER)))[:3], cut=True),
    "a stream of nothing": streamed(),
    "a failure in the middle": streamed(
        *list(in_pieces(written(GREETER)))[:3], {"type": "error", "message": "sk-canary"}
    ),
    "events of nothing": streamed(None, 1, [], {}, {"type": 7}, {"type": "response.completed", "response": {}}),
    "what is no JSON": [*streamed()[:1], b"f\r\ndata: {oh no}\n\n\r\n", b"0\r\n\r\n"],
    "too much": [*streamed()[:1], *[b"100000\r\n" + b" " * 0x100000 + b"\r\n"] * 17],
    "endless lines": streamed(*[{"type": "response.output_text.delta", "delta": "x" * 100_000}] * 200),
}


@pytest.mark.parametrize("case", TRUNCATED)
async def test_streams_that_are_no_answer_are_asked_for_again(local_host: LocalHost, case: str) -> None:
    async with writing_host(local_host, TRUNCATED[case], streamed(*in_pieces(written(GREETER)))) as host:
        events = await watched(host.user)
    assert events[-1].name == "generation.done", events[-1]
    assert events[-1].data["generation"]["attempts"] == 2
    [_, second] = [event.data for event in events if event.name == "generation.attempt"]
    assert second["last"]["step"] == "model"
    assert "sk-canary" not in json.dumps([event.data for event in events])


async def test_truncated_streams_of_a_real_server_are_asked_for_again(local_host: LocalHost, aimock: Aimock) -> None:
    mark = str(uuid4())
    name = await a_provider(aimock, "chat")
    for index, cut in enumerate(({"truncateAfterChunks": 3}, {})):
        match = {"userMessage": mark, "model": name, "sequenceIndex": index}
        await aimock.teach({"match": match, "response": {"content": written(GREETER)}, "chunkSize": 5, **cut})
    async with host_at(local_host, f"{aimock.url}/v1", name=name) as (_, user):
        events = await watched(user, {"description": mark}, "/agents/generate")
    assert events[-1].name == "generation.done", events[-1]
    assert events[-1].data["generation"]["attempts"] == 2


@pytest.mark.parametrize("told", [answer({"error": {"code": "no_streams"}}, status=400), writes(GREETER)])
async def test_a_provider_that_does_not_stream_is_asked_without(local_host: LocalHost, told: bytes) -> None:
    async with writing_host(local_host, told, writes(GREETER)) as host:
        events = await watched(host.user)
    assert events[-1].name == "generation.done", events[-1]
    assert events[-1].data["generation"]["attempts"] == 1
    assert code_in(events) == GREETER


@pytest.mark.parametrize("headers", [WANTED, {}])
async def test_a_caller_who_goes_away_ends_the_generation(local_host: LocalHost, headers: dict[str, str]) -> None:
    async with writing_host(local_host, HANGS, writes(GREETER)) as host:
        asking = asyncio.create_task(host.user.http.post("/agents", json=DESCRIPTION, headers=headers))
        await host.provider.hanging.wait()
        asking.cancel()
        async with asyncio.timeout(20):
            await host.provider.left.wait()
        assert len(host.provider.requests) == 2
        assert await host.agents() == 0


async def test_a_caller_who_goes_away_ends_a_dry_run(local_host: LocalHost) -> None:
    sleeper = "import time\n\n\ndef run():\n    time.sleep(4)\n"
    async with writing_host(local_host, writes(sleeper)) as host:
        asking = asyncio.create_task(host.user.http.post("/agents", json=DESCRIPTION))
        while not host.local_host.host.drafts.waiting_or_in:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
        asking.cancel()
        async with asyncio.timeout(20):
            while host.local_host.host.drafts.waiting_or_in:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert await host.agents() == 0


PIECES = ['def run():\n    return "\\\\"\n', "emoji \U0001f600 \u2028 \u00fc \x7f '\"", "", '\\"' * 20, "\ud7ff\ue000"]


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("code", PIECES)
def test_code_is_read_out_of_any_pieces(code: str, size: int, escaped: bool) -> None:
    value = {"summary": 'has "code": "x" in it', "code": code, "example_input_json": "{}"}
    text = "Sure:\n```json\n" + json.dumps(value, ensure_ascii=escaped)
    reading = PartialCode(10_000)
    assert "".join(reading.take(text[start : start + size]) for start in range(0, len(text), size)) == code


@pytest.mark.parametrize("broken", [r"a\ud83d", r"a\uZZZZ", r"a\x", r"a\ud83d\u0041bcdefghijkl", "a\\"])
def test_escapes_that_are_none_end_it(broken: str) -> None:
    reading = PartialCode(10_000)
    pieces = [reading.take(piece) for piece in ('{"code": "', broken, "x" * 50, '"')]
    assert len("".join(pieces).encode()) <= 60


def test_code_that_never_ends_is_cut() -> None:
    reading = PartialCode(100)
    reading.take('{"code": "')
    assert sum(len(reading.take("x" * 60)) for _ in range(100)) == 100
