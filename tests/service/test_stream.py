"""Runs as events: each arrives when it happens, none can be forged, and the record is that of any other run."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message

from service.app import create_app
from service.host import Host
from service.runs.asked import Asked
from service.runs.inputs import BodyInput
from service.runs.stream import RunStream
from service.settings import Settings
from tests.service.conftest import LocalHost, User
from tests.service.served import served
from tests.service.test_agents import COUNTER, GREETER, code_of
from tests.service.test_host_failures import FaultyDatabase, LentEngine, failing, unreachable
from tests.service.test_runs import LOGGER

WANTED = {"Accept": "text/event-stream"}
KEEP_ALIVE = ": the run goes on"
SLEEPER = "import time\n\ndef run():\n    print('begun')\n    time.sleep(4)\n"


@dataclass(frozen=True)
class Event:
    """One event as a client reads it."""

    id: str
    name: str
    data: Any


def read(text: str) -> Event | None:
    """What stands between two empty lines, split as a careless client would: at all that splits lines in Python."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(": ")
        assert colon, text
        assert name not in fields, text
        fields[name] = value
    if set(fields) == {""}:
        return None
    assert set(fields) == {"id", "event", "data"}
    return Event(fields["id"], fields["event"], json.loads(fields["data"]))


async def events_of(answer: httpx.Response, comments: list[str] | None = None) -> AsyncIterator[Event]:
    """The events of an answer as they arrive."""
    assert answer.status_code == 200, await answer.aread()
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    rest = ""
    async for chunk in answer.aiter_raw():
        *whole, rest = (rest + chunk.decode("ascii")).split("\n\n")
        for text in whole:
            event = read(text)
            if event is not None:
                yield event
            elif comments is not None:
                comments.append(text)
    assert rest == ""


@asynccontextmanager
async def streaming(user: User, name: str, **query: str) -> AsyncIterator[AsyncIterator[Event]]:
    async with user.http.stream("GET", user.url(name), params=query, headers=WANTED) as answer:
        yield events_of(answer)


async def streamed(user: User, name: str, **query: str) -> list[Event]:
    async with streaming(user, name, **query) as events:
        return [event async for event in events]


def lasting(document: Mapping[str, Any]) -> dict[str, Any]:
    """A run without what differs from one to the next."""
    kept = {key: value for key, value in document.items() if key not in ("run_id", "request_id", "usage")}
    kept["effects"] = [{**effect, "at_ms": 0, "took_ms": 0} for effect in document["effects"]]
    return kept


async def test_a_run_is_told_from_its_start_to_its_answer(ada: User) -> None:
    await ada.define("logger", LOGGER + "    return {'x': 1}\n")
    async with ada.http.stream("GET", ada.url("logger"), headers=WANTED) as answer:
        events = [event async for event in events_of(answer)]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["vary"] == "Accept"
    assert "x-request-id" in answer.headers
    assert [event.name for event in events] == ["run.started", "run.log", "run.effect", "run.log", "run.completed"]
    assert [event.id for event in events] == ["1", "2", "3", "4", "5"]
    started, one, effect, two, completed = (event.data for event in events)
    assert (one, two) == ({"line": "one"}, {"line": "two"})
    assert [effect] == completed["effects"]
    kept = await ada.recorded(started["run_id"])
    assert {key: kept[key] for key in started} == started
    assert set(started) == {"run_id", "agent", "test", "started_at"}
    assert {key: kept[key] for key in completed} == completed
    assert (kept["verified"], kept["status"], kept["trigger"]) == (True, "succeeded", "http")


@pytest.mark.parametrize("test", ["true", "false"])
@pytest.mark.parametrize("ending", ["    return [1.5, None, 'é']\n", "    return 1 // 0\n"])
async def test_answer_and_record_are_those_without_streaming(ada: User, ending: str, test: str) -> None:
    await ada.define("logger", LOGGER + ending)
    plain = (await ada.run("logger", test=test)).json()
    last = (await streamed(ada, "logger", test=test))[-1].data
    assert lasting(last) == lasting(plain)
    one, two = [await ada.recorded(run["run_id"]) for run in (plain, last)]
    for document in (one, two):
        for differs in ("started_at", "deadline_at", "finished_at"):
            document.pop(differs)
    assert lasting(one) == lasting(two)


async def test_a_body_is_an_input_here_too(ada: User) -> None:
    await ada.define("greeter", GREETER)
    async with ada.http.stream("POST", ada.url("greeter"), json={"name": "Ada"}, headers=WANTED) as answer:
        events = [event async for event in events_of(answer)]
    assert [event.name for event in events] == ["run.started", "run.completed"]
    assert events[-1].data["output"] == {"message": "Hello, Ada"}


async def test_events_arrive_while_the_agent_goes_on(ada: User) -> None:
    await ada.define(
        "waiter",
        "import time\n\ndef run(services, go: bool = False):\n    print('waiting')\n"
        "    if go:\n        services.kv.set('go', 1)\n"
        "    while services.kv.get('go') is None:\n        time.sleep(0.2)\n    return 'gone'\n",
    )
    names = []
    async with streaming(ada, "waiter") as events:
        async for event in events:
            if event.name == "run.effect" and "run.effect" not in names:
                await ada.run("waiter", go="true")  # without which it does not end
            names.append(event.name)
    assert names[:3] == ["run.started", "run.log", "run.effect"]
    assert (event.name, event.data["output"]) == ("run.completed", "gone")


@pytest.mark.parametrize(
    ("code", "status", "run_status", "error"),
    [
        ("def run():\n    print('here')\n    return 1 // 0\n", 502, "failed", "agent_error"),
        ("def run():\n    print('here')\n    while True:\n        pass\n", 504, "timed_out", "cpu_time_exceeded"),
        (
            "def run():\n    print('here')\n    while True:\n        print('x' * 1000)\n",
            502,
            "failed",
            "logs_too_large",
        ),
        (
            "def run(services):\n    print('here')\n    while True:\n        services.kv.get('k')\n",
            502,
            "failed",
            "too_many_effects",
        ),
    ],
)
async def test_a_run_that_fails_ends_with_its_problem(
    ada: User, code: str, status: int, run_status: str, error: str
) -> None:
    await ada.define("agent", code, limits={"cpu_seconds": 1})
    started, *between, last = await streamed(ada, "agent")
    assert (started.name, last.name) == ("run.started", "run.failed")
    problem = last.data
    assert (problem["status"], problem["run_status"], problem["code"]) == (status, run_status, error)
    assert (problem["run_id"], problem["instance"]) == (started.data["run_id"], ada.url("agent"))
    assert [event.data["line"] for event in between if event.name == "run.log"] == problem["logs"]
    assert [event.data for event in between if event.name == "run.effect"] == problem["effects"]
    assert (await ada.recorded(problem["run_id"]))["status"] == run_status


async def test_wall_time_ends_a_stream(ada: User) -> None:
    await ada.define("sleeper", SLEEPER, limits={"wall_seconds": 0.3})
    assert (await streamed(ada, "sleeper"))[-1].data["code"] == "wall_time_exceeded"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/agents/{eve}/greeter", 403, "not_your_agent"),
        ("/agents/{ada}/nothing", 404, "agent_not_found"),
        ("/agents/{ada}/greeter?Test=1", 422, "invalid_test_flag"),
        ("/agents/{ada}/greeter?odd=1", 422, "invalid_input"),
    ],
)
async def test_what_cannot_start_is_an_ordinary_problem(
    ada: User, eve: User, path: str, status: int, code: str
) -> None:
    await ada.define("greeter", GREETER)
    answer = await ada.http.get(path.format(ada=ada.user_id, eve=eve.user_id), headers=WANTED)
    assert (answer.status_code, code_of(answer)) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_no_token_and_no_resuming(ada: User) -> None:
    await ada.define("counter", COUNTER)
    resumed = await ada.http.get(ada.url("counter"), headers={**WANTED, "Last-Event-ID": "2"})
    assert (resumed.status_code, code_of(resumed)) == (409, "resume_not_supported")
    stranger = await ada.http.get(ada.url("counter"), headers={**WANTED, "Authorization": "Bearer x"})
    assert (stranger.status_code, code_of(stranger)) == (401, "invalid_token")
    head = await ada.http.head(ada.url("counter"), headers=WANTED)
    assert (head.status_code, head.content) == (405, b"")
    assert (await ada.http.get("/runs")).json()["data"] == []


async def test_a_database_that_is_away_begins_no_stream(ada: User, local_host: LocalHost) -> None:
    await ada.define("counter", COUNTER)
    async with failing(local_host, ada, begin_run=[unreachable]) as there:
        answer = await there.http.get(there.url("counter"), headers=WANTED)
    assert (answer.status_code, code_of(answer)) == (503, "database_unavailable")


async def test_what_could_not_be_recorded_is_told_whole(ada: User, local_host: LocalHost) -> None:
    await ada.define("counter", COUNTER)
    async with failing(local_host, ada, finish_run=[unreachable] * 9) as there:
        last = (await streamed(there, "counter"))[-1]
    assert (last.name, last.data["status"], last.data["code"]) == ("run.failed", 503, "run_not_recorded")
    assert (last.data["run_status"], last.data["output"]) == ("succeeded", 1)


async def test_two_streams_run_side_by_side_and_a_fifth_is_refused(ada: User) -> None:
    await ada.define("sleeper", "import time\n\ndef run(n: int):\n    print(n)\n    time.sleep(1)\n    return n\n")
    both = asyncio.gather(streamed(ada, "sleeper", n="1"), streamed(ada, "sleeper", n="2"))
    others = [asyncio.create_task(ada.run("sleeper", n="3")) for _ in range(2)]
    await ada.listed(status="running", at_least=4)
    refused = await ada.http.get(ada.url("sleeper"), params={"n": "4"}, headers=WANTED)
    assert (refused.status_code, code_of(refused)) == (429, "too_many_runs")
    for n, events in enumerate(await both, 1):
        assert [event.name for event in events] == ["run.started", "run.log", "run.completed"]
        assert events[1].data == {"line": str(n)}
        assert events[2].data["output"] == n
    await asyncio.gather(*others)


async def test_a_reader_that_goes_away_ends_the_run_and_it_is_recorded(ada: User) -> None:
    await ada.define("sleeper", SLEEPER)
    async with streaming(ada, "sleeper") as events:
        assert (await anext(events)).name == "run.started"
        assert (await anext(events)).data == {"line": "begun"}
    [cancelled] = await ada.listed(status="cancelled")
    kept = await ada.recorded(cancelled["run_id"])
    assert (kept["status"], kept["error"]["code"], kept["verified"]) == ("cancelled", "cancelled", True)
    assert kept["logs"] == ["begun"]
    assert kept["usage"]["wall_ms"] < 3000


async def test_a_host_that_stops_ends_its_streams(ada: User, local_host: LocalHost) -> None:
    await ada.define("sleeper", SLEEPER)
    async with failing(local_host, ada) as there:
        url = there.http.base_url.join(there.url("sleeper"))
        request = ada.http.build_request("GET", url, headers=WANTED)
        answer = await ada.http.send(request, stream=True)
        events = events_of(answer)
        assert (await anext(events)).name == "run.started"
    *_, last = [event async for event in events]
    await answer.aclose()
    assert (last.name, last.data["status"], last.data["code"]) == ("run.failed", 503, "cancelled")
    kept = await ada.recorded(last.data["run_id"])
    assert (kept["status"], kept["logs"], kept["verified"]) == ("cancelled", ["begun"], True)


async def test_a_replay_has_only_its_last_event(ada: User) -> None:
    await ada.define("counter", COUNTER)
    headers = {**WANTED, "Idempotency-Key": str(uuid4())}
    answers, last = [], []
    for _ in range(2):
        async with ada.http.stream("GET", ada.url("counter"), headers=headers) as answer:
            *before, end = [event async for event in events_of(answer)]
            answers.append(([event.name for event in before], answer.headers.get("idempotent-replayed")))
            last.append((end.name, end.data))
    assert answers == [(["run.started", "run.effect"], None), ([], "true")]
    assert last[0] == last[1]
    plain = await ada.http.get(ada.url("counter"), headers={**headers, "Accept": "*/*"})
    assert (plain.json(), plain.headers["vary"]) == (last[0][1], "Accept")


async def test_a_replayed_failure_is_its_problem(ada: User) -> None:
    await ada.define("agent", "def run():\n    return 1 // 0\n")
    headers = {**WANTED, "Idempotency-Key": "k"}
    async with ada.http.stream("POST", ada.url("agent"), headers=headers) as answer:
        *_, first = [event async for event in events_of(answer)]
    again = await ada.http.post(ada.url("agent"), headers=headers)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (502, "true")
    assert lasting(again.json()) == lasting(first.data)


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/event-stream;q=0", "text/event-stream;q=0.5,*/*"])
async def test_who_does_not_ask_for_events_gets_json(ada: User, accept: str) -> None:
    await ada.define("greeter", GREETER)
    answer = await ada.http.get(ada.url("greeter"), headers={"Accept": accept})
    assert (answer.headers["content-type"], answer.headers["vary"]) == ("application/json", "Accept")
    assert answer.json()["status"] == "succeeded"


HOSTILE = [
    "a\n\nevent: run.completed\ndata: {}\n\n",
    "\r\rid: 9\r\revent: run.failed\r\r",
    "\r\n\r\n: comment",
    "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e",
    "\ufeff\x1b[2J\x7f\N{PILE OF POO}",
    "data: [DONE]",
    "",
]


async def test_no_line_can_forge_an_event(ada: User) -> None:
    lines = "".join(f"    print({line!r})\n" for line in HOSTILE)
    odd = "    print('a\\0b', chr(0xD800))\n"
    await ada.define("forger", f"def run(services):\n{lines}{odd}    services.kv.set({HOSTILE[0]!r}, {HOSTILE!r})\n")
    events = await streamed(ada, "forger")
    middle = ["run.log"] * (len(HOSTILE) + 1) + ["run.effect"]
    assert [event.name for event in events] == ["run.started", *middle, "run.completed"]
    assert [event.id for event in events] == [str(number + 1) for number in range(len(events))]
    logs = [event.data["line"] for event in events if event.name == "run.log"]
    assert logs[:-1] == HOSTILE
    assert logs == events[-1].data["logs"] == (await ada.recorded(events[0].data["run_id"]))["logs"]


def second_app(host: Host, settings: Settings) -> FastAPI:
    """An application of its own on the parts of a host."""
    return create_app(
        settings,
        database=FaultyDatabase(host.database),
        engines={"restricted": LentEngine(host.engines["restricted"])},
        verifier=host.verifier,
        signer=host.signer,
    )


def impatient(local_host: LocalHost, user: User, name: str) -> APIRouter:
    """A route that runs an agent of the user, for readers who wait no 15 seconds."""
    router = APIRouter()

    async def run(request: Request) -> Response:
        asked = Asked(agent_name=name, input=BodyInput({}), test=False)
        return RunStream(request, local_host.host, user.caller, asked, keep_alive_seconds=0.1)

    router.add_api_route("/impatient", run)
    return router


async def test_comments_keep_a_quiet_stream_alive(ada: User, local_host: LocalHost) -> None:
    await ada.define("sleeper", "import time\n\ndef run():\n    print('x')\n    time.sleep(0.5)\n")
    host = local_host.host
    app = second_app(host, host.settings)
    app.include_router(impatient(local_host, ada, "sleeper"))
    comments: list[str] = []
    async with served(app, host.settings) as url, ada.http.stream("GET", f"{url}/impatient") as answer:
        names = [event.name async for event in events_of(answer, comments)]
    assert names == ["run.started", "run.log", "run.completed"]
    assert comments[:2] == [KEEP_ALIVE, KEEP_ALIVE]


async def test_a_reader_that_takes_nothing_holds_up_no_run(ada: User, local_host: LocalHost) -> None:
    await ada.define("talker", "def run():\n    for n in range(100):\n        print(n)\n    return 7\n")
    never = asyncio.Event()

    async def receive() -> Message:
        await never.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        await never.wait()

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": [], "state": {}}
    asked = Asked(agent_name="talker", input=BodyInput({}), test=False)
    stream = RunStream(Request(scope, receive), local_host.host, ada.caller, asked, last_read_seconds=0.2)
    with pytest.raises(ClientDisconnect):
        await stream(scope, receive, send)
    [run] = await ada.listed(status="succeeded")
    assert len((await ada.recorded(run["run_id"]))["logs"]) == 100


async def test_a_reader_as_slow_as_it_likes_gets_every_event(ada: User, local_host: LocalHost) -> None:
    """More than the buffers between host and reader hold, and none of it read until the run has been recorded."""
    host = local_host.host
    await ada.define("talker", "def run():\n    for n in range(3000):\n        print('\\xe9' * 1000)\n    return 7\n")
    settings = host.settings.model_copy(update={"limit_log_bytes": 8_000_000})
    app = second_app(host, settings)
    async with served(app, settings) as url:
        at = urlsplit(url)
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((at.hostname, at.port))
        connection.setblocking(False)
        token = ada.http.headers["authorization"]
        head = f"GET {ada.url('talker')} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nAccept: text/event-stream\r\n"
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, f"{head}Connection: close\r\n\r\n".encode())
        await ada.listed(status="succeeded")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        received = bytearray()
        while data := await loop.sock_recv(connection, 1 << 16):
            received += data
        connection.close()
    assert received.count(b"event: run.log\n") == 3000
    assert received.count(b"event: run.completed\n") == 1
    assert received.endswith(b"\r\n0\r\n\r\n")
