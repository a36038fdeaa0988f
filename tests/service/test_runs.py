"""Runs: every way one can end, with its status, its document and its record."""

import asyncio
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from tests.service.conftest import LocalHost, User
from tests.service.test_agents import COUNTER, GREETER, code_of

LOGGER = "def run(services):\n    print('one')\n    services.kv.set('k', 1)\n    print('two')\n"


def names(document: Mapping[str, Any]) -> set[str]:
    return set(document) - {"type", "title", "status", "detail", "instance", "code", "hint", "errors", "request_id"}


async def test_a_run_answers_what_the_agent_returned(ada: User) -> None:
    await ada.define("greeter", GREETER)
    answer = await ada.run("greeter", name="Ada")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    run = answer.json()
    assert run["agent"] == {"user_id": str(ada.user_id), "agent_name": "greeter", "version": 1}
    assert (run["status"], run["test"], run["error"]) == ("succeeded", False, None)
    assert (run["output"], run["effects"], run["logs"]) == ({"message": "Hello, Ada"}, [], [])
    assert set(run["usage"]) == {"engine", "wall_ms", "cpu_ms", "max_rss_bytes", "input_tokens", "output_tokens"}
    assert run["usage"]["engine"] == "restricted"
    posted = await ada.http.post(ada.url("greeter"), json={"name": "Bob"})
    assert posted.json()["output"] == {"message": "Hello, Bob"}


async def test_everything_of_a_run_is_recorded_and_verifies(ada: User) -> None:
    await ada.define("logger", LOGGER + "    return {'x': [1.5, None, 'é']}\n")
    run = (await ada.run("logger")).json()
    kept = await ada.recorded(run["run_id"])
    assert {key: kept[key] for key in run} == run
    assert (kept["verified"], kept["input"], kept["trigger"]) == (True, {}, "http")
    assert kept["started_at"] <= kept["finished_at"] <= kept["deadline_at"]
    assert kept["parent_run_id"] is None
    assert run["logs"] == ["one", "two"]


@pytest.mark.parametrize(
    ("code", "status", "run_status", "error"),
    [
        ("def run():\n    print('here')\n    return 1 // 0\n", 502, "failed", "agent_error"),
        ("def run():\n    print('here')\n    return b'x'\n", 502, "failed", "output_not_json"),
        ("def run():\n    print('here')\n    return float('nan')\n", 502, "failed", "output_not_json"),
        ("def run():\n    print('here')\n    return 'a\\0b'\n", 502, "failed", "output_not_json"),
        ("def run():\n    print('here')\n    return chr(0xD800)\n", 502, "failed", "output_not_json"),
        ("def run():\n    print('here')\n    return 'x' * 200_000\n", 502, "failed", "output_too_large"),
        (
            "def run():\n    print('here')\n    while True:\n        print('x' * 1000)\n",
            502,
            "failed",
            "logs_too_large",
        ),
        ("def run():\n    print('here')\n    return len([0] * 10**9)\n", 502, "failed", "memory_exceeded"),
        ("def run():\n    print('here')\n    while True:\n        pass\n", 504, "timed_out", "cpu_time_exceeded"),
        (
            "def run(services):\n    print('here')\n    while True:\n        services.kv.get('k')\n",
            502,
            "failed",
            "too_many_effects",
        ),
    ],
)
async def test_a_failed_run_is_a_problem_that_carries_everything(
    ada: User, code: str, status: int, run_status: str, error: str
) -> None:
    await ada.define("agent", code)
    answer = await ada.run("agent")
    assert (answer.status_code, code_of(answer)) == (status, error)
    document = answer.json()
    assert names(document) == {"run_id", "run_status", "agent", "test", "output", "effects", "logs", "error", "usage"}
    assert (document["run_status"], document["error"]["code"], document["output"]) == (run_status, error, None)
    assert document["logs"][0] == "here"
    kept = await ada.recorded(document["run_id"])
    assert (kept["status"], kept["verified"]) == (run_status, True)
    for name in ("effects", "logs", "error", "usage"):
        assert kept[name] == document[name]


async def test_wall_time_is_bounded_and_an_agent_may_lower_it(ada: User) -> None:
    code = "import time\n\ndef run():\n    time.sleep(60)\n"
    await ada.define("sleeper", code, limits={"wall_seconds": 0.3})
    answer = await ada.run("sleeper")
    assert (answer.status_code, code_of(answer)) == (504, "wall_time_exceeded")
    assert answer.json()["run_status"] == "timed_out"


async def test_an_error_shows_the_agents_own_lines_and_nothing_of_the_host(ada: User) -> None:
    await ada.define("agent", "def helper():\n    raise ValueError('no\\0pe')\n\ndef run():\n    helper()\n")
    answer = await ada.run("agent")
    error = answer.json()["error"]
    assert (error["type"], error["message"]) == ("ValueError", "no�pe")
    assert "line 2, in helper" in error["traceback"]
    assert "line 5, in run" in error["traceback"]
    for inside in ("/", "sandbox", "site-packages"):
        assert inside not in error["traceback"]
    assert "sandbox/" not in answer.text


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"name": "a", "n": "x"}, "/n"),
        ({}, "/name"),
        ({"name": "a", "nmae": "b"}, "/nmae"),
        ({"name": ["a", "b"]}, "/name"),
    ],
)
async def test_an_input_that_does_not_fit_is_refused_before_any_code_runs(
    ada: User, query: dict[str, Any], pointer: str
) -> None:
    await ada.define("agent", "print('ran')\n\ndef run(name: str, n: int = 1):\n    return n\n")
    answer = await ada.http.get(ada.url("agent"), params=query)
    assert (answer.status_code, code_of(answer)) == (422, "invalid_input")
    document = answer.json()
    assert [error["pointer"] for error in document["errors"]] == [pointer]
    assert (document["logs"], document["run_status"]) == ([], "failed")
    kept = await ada.recorded(document["run_id"])
    assert (kept["status"], kept["input"], kept["verified"]) == ("failed", query, True)


async def test_input_is_converted_in_a_query_and_not_in_a_body(ada: User) -> None:
    code = "def run(n: int, tags: list[str], deep: dict = {}, on: bool = False, input=None):\n    return input\n"
    await ada.define("agent", code)
    query = {"n": "3", "tags": ["a", "b"], "deep": '{"x": [1]}', "on": "1", "more": "y"}
    answer = await ada.http.get(ada.url("agent"), params=query)
    fitted = {"n": 3, "tags": ["a", "b"], "deep": {"x": [1]}, "on": True, "more": "y"}
    assert answer.json()["output"] == fitted
    assert (await ada.recorded(answer.json()["run_id"]))["input"] == fitted
    assert (await ada.http.post(ada.url("agent"), json=fitted)).json()["output"] == fitted
    assert code_of(await ada.http.post(ada.url("agent"), json={**fitted, "n": "3"})) == "invalid_input"


async def test_a_run_of_somebody_elses_agent_is_refused_whether_it_exists_or_not(ada: User, eve: User) -> None:
    await ada.define("secret", GREETER)
    there, not_there = await eve.http.get(ada.url("secret")), await eve.http.get(ada.url("nothing"))
    for answer in (there, not_there, await eve.http.post(ada.url("secret"), json={})):
        assert (answer.status_code, code_of(answer)) == (403, "not_your_agent")
    assert there.json()["detail"] == not_there.json()["detail"]
    # Before anything else is looked at.
    assert code_of(await eve.http.get(ada.url("secret") + "?test=maybe")) == "not_your_agent"
    assert code_of(await ada.run("nothing")) == "agent_not_found"
    assert (await ada.http.get("/runs")).json()["data"] == []


async def test_a_user_id_is_a_uuid_in_any_spelling_and_nothing_else(ada: User) -> None:
    await ada.define("versions", GREETER)
    assert (await ada.run("versions")).json()["output"] == {"message": "Hello, World"}
    upper = f"/agents/{str(ada.user_id).upper()}/versions"
    assert (await ada.http.get(upper)).status_code == 200
    assert code_of(await ada.http.get(f"/agents/{ada.user_id}x/versions")) == "agent_not_found"
    assert code_of(await ada.http.get("/agents/me/greeter")) == "not_found"


async def test_a_run_has_no_head_and_a_resumed_stream_starts_none(ada: User) -> None:
    await ada.define("counter", COUNTER)
    assert (await ada.http.head(ada.url("counter"))).status_code == 405
    answer = await ada.http.get(ada.url("counter"), headers={"Last-Event-ID": "1"})
    assert code_of(answer) == "resume_not_supported"
    assert code_of(await ada.http.get(ada.url("counter") + "?Test=true")) == "invalid_test_flag"
    assert code_of(await ada.http.post(ada.url("counter"), json={"test": True})) == "invalid_test_flag"
    assert (await ada.http.get("/runs")).json()["data"] == []


async def test_an_idempotency_key_runs_once(ada: User) -> None:
    await ada.define("counter", "def run(by: int, services):\n    return services.kv.increment('n', by)\n")
    headers = {"Idempotency-Key": str(uuid4())}
    first = await ada.http.get(ada.url("counter"), params={"by": "2"}, headers=headers)
    assert first.status_code == 200
    again = await ada.http.get(ada.url("counter"), params={"by": "2"}, headers=headers)
    assert first.json() == again.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    other = await ada.http.get(ada.url("counter"), params={"by": "3"}, headers=headers)
    assert code_of(other) == "idempotency_key_reused"
    dry = await ada.http.get(ada.url("counter"), params={"by": "2", "test": "1"}, headers=headers)
    assert code_of(dry) == "idempotency_key_reused"
    assert len((await ada.http.get("/runs")).json()["data"]) == 1
    new = await ada.http.get(ada.url("counter"), params={"by": "2"}, headers={"Idempotency-Key": "new"})
    assert new.json()["output"] == 4


async def test_a_failed_run_is_replayed_as_it_failed(ada: User) -> None:
    await ada.define("agent", "def run():\n    print('x')\n    raise ValueError('no')\n")
    headers = {"Idempotency-Key": "k"}
    first = await ada.http.post(ada.url("agent"), headers=headers)
    again = await ada.http.post(ada.url("agent"), headers=headers)
    assert first.status_code == again.status_code == 502
    one, two = first.json(), again.json()
    assert one.pop("request_id") != two.pop("request_id")
    assert one == two
    assert again.headers["idempotent-replayed"] == "true"


async def test_a_run_still_going_on_is_not_started_twice(ada: User) -> None:
    await ada.define("sleeper", "import time\n\ndef run():\n    time.sleep(1)\n")
    headers = {"Idempotency-Key": "k"}
    running = asyncio.create_task(ada.http.get(ada.url("sleeper"), headers=headers))
    listed = await ada.listed(status="running")
    answer = await ada.http.get(ada.url("sleeper"), headers=headers)
    assert (answer.status_code, code_of(answer)) == (409, "run_in_progress")
    assert answer.json()["run_id"] == listed[0]["run_id"]
    assert (await running).status_code == 200


async def test_a_user_has_so_many_runs_in_flight_and_others_are_not_held_up(ada: User, eve: User) -> None:
    await ada.define("sleeper", "import time\n\ndef run():\n    time.sleep(1.5)\n")
    await eve.define("greeter", GREETER)
    running = [asyncio.create_task(ada.run("sleeper")) for _ in range(4)]
    await ada.listed(status="running", at_least=4)
    refused = await ada.run("sleeper")
    assert (refused.status_code, code_of(refused)) == (429, "too_many_runs")
    assert 1 <= int(refused.headers["retry-after"]) <= 5
    assert (await eve.run("greeter")).status_code == 200
    assert {answer.status_code for answer in await asyncio.gather(*running)} == {200}
    assert (await ada.run("sleeper")).status_code == 200


async def test_a_caller_that_goes_away_ends_the_run_and_it_is_recorded(ada: User, local_host: LocalHost) -> None:
    await ada.define("sleeper", "import time\n\ndef run():\n    print('begun')\n    time.sleep(4)\n")
    at = urlsplit(local_host.url)
    token = ada.http.headers["authorization"]
    head = f"GET {ada.url('sleeper')} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n"
    with socket.create_connection((at.hostname or "", at.port or 0)) as connection:
        connection.sendall(head.encode())
        await ada.listed(status="running")
        await asyncio.sleep(0.2)
    [cancelled] = await ada.listed(status="cancelled")
    kept = await ada.recorded(cancelled["run_id"])
    assert (kept["status"], kept["error"]["code"], kept["verified"]) == ("cancelled", "cancelled", True)
    assert kept["logs"] == ["begun"]
    assert kept["usage"]["wall_ms"] < 3000


async def test_runs_are_listed_and_filtered(ada: User, eve: User) -> None:
    await ada.define("good", GREETER)
    await ada.define("bad", "def run():\n    raise ValueError\n")
    for name, test in (("good", "false"), ("bad", "false"), ("good", "true")):
        await ada.run(name, test=test)

    async def found(**params: str) -> list[tuple[str, bool]]:
        page = (await ada.http.get("/runs", params=params)).json()
        return [(run["agent"]["agent_name"], run["test"]) for run in page["data"]]

    assert await found() == [("good", True), ("bad", False), ("good", False)]
    assert await found(agent="good") == [("good", True), ("good", False)]
    assert await found(status="failed") == [("bad", False)]
    assert await found(test="1") == [("good", True)]
    assert await found(test="false", agent="good", status="succeeded") == [("good", False)]
    page = (await ada.http.get("/runs", params={"limit": "2"})).json()
    rest = (await ada.http.get("/runs", params={"limit": "2", "cursor": page["next_cursor"]})).json()
    assert (len(page["data"]), len(rest["data"]), rest["next_cursor"]) == (2, 1, None)
    run_id = page["data"][0]["run_id"]
    assert code_of(await eve.http.get(f"/runs/{run_id}")) == "run_not_found"
    assert (await eve.http.get("/runs")).json()["data"] == []
    for query in ("limit=0", "status=odd", "test=yes", "cursor=1", "agent=A", "who=me"):
        assert code_of(await ada.http.get(f"/runs?{query}")) == "validation_failed"
    for name in ("x", str(uuid4()), "%00", "1" * 2000):
        assert code_of(await ada.http.get(f"/runs/{name}")) == "run_not_found"


async def test_a_deleted_agents_runs_stay_under_its_name(ada: User) -> None:
    await ada.define("counter", COUNTER)
    run = (await ada.run("counter")).json()
    await ada.http.delete("/agents/counter")
    kept = await ada.recorded(run["run_id"])
    assert (kept["agent"], kept["verified"]) == (run["agent"], True)
    await ada.define("counter", COUNTER)
    assert (await ada.run("counter")).json()["output"] == 1


@pytest.mark.parametrize("body", [b"{", b"[1]", b'{"a": 1, "a": 2}', b'{"a": "\\u0000"}', b"[" * 100_000, b"\xff"])
async def test_a_body_that_is_no_input_is_refused_and_nothing_runs(ada: User, body: bytes) -> None:
    await ada.define("agent", "def run(input):\n    return input\n")
    answer: httpx.Response = await ada.http.post(ada.url("agent"), content=body)
    assert code_of(answer) in ("not_json", "invalid_input")
    assert (await ada.http.get("/runs")).json()["data"] == []
