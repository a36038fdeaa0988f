"""Every row of the outcome table, over HTTP, against a started host with its own Postgres and jail."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import ADA, BOB

OUTCOMES: dict[str, tuple[str, int, str]] = {
    # name: (code of the agent, HTTP status, code of the problem)
    "agent_error": ("def run():\n    raise ValueError('boom')\n", 502, "agent_error"),
    "wall": ("import time\ndef run():\n    time.sleep(60)\n", 504, "wall_time_exceeded"),
    "cpu": ("def run():\n    while True:\n        pass\n", 504, "cpu_time_exceeded"),
    "memory": ("def run():\n    return len('x' * (1 << 33))\n", 502, "memory_exceeded"),
    "output": ("def run():\n    return 'x' * 1100000\n", 502, "output_too_large"),
    "logs": ("def run():\n    while True:\n        print('x' * 100)\n", 502, "logs_too_large"),
    "effects": ("def run(services):\n    while True:\n        services.kv.get('a')\n", 502, "too_many_effects"),
    "not_json": ("def run():\n    return print\n", 502, "output_not_json"),
}


async def define(user: httpx.AsyncClient, name: str, code: str, **config: Any) -> dict[str, Any]:
    body = {"agent_name": name, "description": "made by a test", "agent_config": {"code": code, **config}}
    answer = await user.post("/agents", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def is_problem(answer: httpx.Response, status: int, code: str) -> bool:
    document = answer.json()
    return (
        answer.status_code == status == document["status"]
        and answer.headers["content-type"] == "application/problem+json"
        and document["code"] == code
        and bool(document["hint"])
        and document["request_id"] == answer.headers["x-request-id"]
    )


async def test_a_value_is_200_and_recorded(ada: httpx.AsyncClient) -> None:
    await define(ada, "hello", "def run(name: str, n: int = 2):\n    print('hi')\n    return {'message': [name] * n}\n")
    answer = await ada.get(f"/agents/{ADA}/hello?name=World&n=1")
    assert answer.status_code == 200, answer.text
    run = answer.json()
    assert run["output"] == {"message": ["World"]}
    assert (run["status"], run["test"], run["logs"], run["effects"], run["error"]) == (
        "succeeded",
        False,
        ["hi"],
        [],
        None,
    )
    assert run["agent"] == {"user_id": ADA, "agent_name": "hello", "version": 1}
    assert run["usage"]["engine"] == "restricted"
    assert answer.headers["cache-control"] == "no-store"
    recorded = (await ada.get(f"/runs/{run['run_id']}")).json()
    assert recorded["output"] == run["output"]
    assert recorded["input"] == {"name": "World", "n": 1}
    assert recorded["verified"] is True


@pytest.mark.parametrize("name", OUTCOMES)
async def test_a_failed_run_has_its_status_and_code_and_is_recorded(ada: httpx.AsyncClient, name: str) -> None:
    code, status, problem = OUTCOMES[name]
    await define(ada, f"fails-{name}", code)
    answer = await ada.get(f"/agents/{ADA}/fails-{name}")
    assert is_problem(answer, status, problem), answer.text
    document = answer.json()
    assert document["run_status"] == ("timed_out" if status == 504 else "failed")
    for field in ("run_id", "effects", "logs", "usage"):
        assert field in document
    recorded = (await ada.get(f"/runs/{document['run_id']}")).json()
    assert recorded["status"] == document["run_status"]
    assert recorded["error"]["code"] == problem
    assert recorded["verified"] is True


async def test_a_traceback_shows_the_agents_own_lines_and_nothing_of_the_host(ada: httpx.AsyncClient) -> None:
    await define(ada, "traced", "def helper():\n    return {}['x']\n\ndef run():\n    return helper()\n")
    answer = await ada.get(f"/agents/{ADA}/traced")
    assert "line 2, in helper" in answer.text
    for leak in ("/work", "site-packages", ".py", "sandbox"):
        assert leak not in answer.text


async def test_input_that_does_not_fit_is_422_with_pointers(ada: httpx.AsyncClient) -> None:
    await define(ada, "typed", "def run(n: int, ok: bool = False):\n    return [n, ok]\n")
    for query in ("", "n=x", "n=1&n=2", "n=1&ok=maybe", "n=1&more=2", "n=1.5"):
        answer = await ada.get(f"/agents/{ADA}/typed?{query}")
        assert is_problem(answer, 422, "invalid_input"), (query, answer.text)
        assert answer.json()["errors"][0]["pointer"].startswith("/") or query == ""
    assert (await ada.get(f"/agents/{ADA}/typed?n=1&ok=true")).json()["output"] == [1, True]


async def test_an_optional_input_may_be_absent(ada: httpx.AsyncClient) -> None:
    await define(ada, "optional", "def run(a: int | None, b: list[int] = [1]):\n    return [a, b]\n")
    assert (await ada.get(f"/agents/{ADA}/optional")).json()["output"] == [None, [1]]
    assert (await ada.get(f"/agents/{ADA}/optional?a=3&b=1&b=2")).json()["output"] == [3, [1, 2]]
    assert (await ada.post(f"/agents/{ADA}/optional", json={"a": None})).json()["output"] == [None, [1]]


@pytest.mark.parametrize(
    "flag",
    ["test", "test=", "test=yes", "test=TRUE", "test=true&test=true", "Test=true", "TEST=1", "test=2", "te%73t=no"],
)
async def test_a_test_flag_in_doubt_is_never_a_live_run(ada: httpx.AsyncClient, flag: str) -> None:
    await define_once(ada, "doubtful", "def run(input):\n    return 1\n")
    assert is_problem(await ada.get(f"/agents/{ADA}/doubtful?{flag}"), 422, "invalid_test_flag")


async def test_a_test_flag_in_a_body_is_refused(ada: httpx.AsyncClient) -> None:
    await define_once(ada, "doubtful", "def run(input):\n    return 1\n")
    for body in ({"test": True}, {"Test": 1}):
        assert is_problem(await ada.post(f"/agents/{ADA}/doubtful", json=body), 422, "invalid_test_flag")


async def define_once(user: httpx.AsyncClient, name: str, code: str) -> None:
    if (await user.get(f"/agents/{name}")).status_code == 404:
        await define(user, name, code)


async def test_a_dry_run_acts_not_and_shows_what_a_live_run_does(ada: httpx.AsyncClient) -> None:
    code = """
def run(services, test):
    count = services.kv.increment("count")
    services.kv.set("last", {"count": count})
    services.notify.send("counted", str(count))
    return {"count": count, "last": services.kv.get("last"), "test": [test, IS_TEST_MODE]}
"""
    await define(ada, "counter", code)
    dry = (await ada.get(f"/agents/{ADA}/counter?test=true")).json()
    again = (await ada.get(f"/agents/{ADA}/counter?test=1")).json()
    live = (await ada.get(f"/agents/{ADA}/counter?test=false")).json()
    after = (await ada.get(f"/agents/{ADA}/counter?test=true")).json()
    assert dry["output"] == again["output"] == {"count": 1, "last": {"count": 1}, "test": [True, True]}
    assert live["output"] == {"count": 1, "last": {"count": 1}, "test": [False, False]}
    assert after["output"]["count"] == 2

    def told(run: dict[str, Any]) -> list[list[Any]]:
        return [[effect[key] for key in ("seq", "service", "action", "args", "granted")] for effect in run["effects"]]

    assert told(dry) == told(live)
    assert [effect["performed"] for effect in live["effects"]] == [True] * 4
    assert [effect["performed"] for effect in dry["effects"]] == [False, False, False, True]


async def test_what_is_not_granted_is_denied_and_recorded(ada: httpx.AsyncClient) -> None:
    await define(ada, "denied", "def run(services):\n    services.notify.send('x')\n", capabilities={"kv": {}})
    answer = await ada.get(f"/agents/{ADA}/denied")
    assert is_problem(answer, 502, "agent_error")
    assert "CapabilityDenied" in answer.text
    assert "capabilities.notify" in answer.text
    (effect,) = answer.json()["effects"]
    assert (effect["granted"], effect["performed"]) == (False, False)


async def test_nobody_runs_reads_or_changes_anothers_agent(ada: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await define(ada, "private", "def run():\n    return 'secret'\n")
    run = (await ada.get(f"/agents/{ADA}/private")).json()
    for name in ("private", "never-existed"):
        assert is_problem(await bob.get(f"/agents/{ADA}/{name}"), 403, "not_your_agent")
        assert is_problem(await bob.post(f"/agents/{ADA}/{name}", json={}), 403, "not_your_agent")
    assert is_problem(await bob.get("/agents/private"), 404, "agent_not_found")
    assert is_problem(await bob.patch("/agents/private", json={"description": "mine"}), 404, "agent_not_found")
    assert is_problem(await bob.delete("/agents/private"), 404, "agent_not_found")
    assert is_problem(await bob.get("/agents/private/versions"), 404, "agent_not_found")
    assert is_problem(await bob.get(f"/runs/{run['run_id']}"), 404, "run_not_found")
    assert (await bob.get("/runs")).json()["data"] == []
    assert is_problem(await bob.get(f"/agents/{BOB}/private"), 404, "agent_not_found")
    assert (await ada.get("/agents/private")).status_code == 200


async def test_a_forged_user_id_in_a_body_is_refused(ada: httpx.AsyncClient) -> None:
    body = {"agent_name": "forged", "description": "x", "agent_config": "def run():\n    return 1\n", "user_id": BOB}
    assert is_problem(await ada.post("/agents", json=body), 422, "validation_failed")


async def test_too_many_runs_at_once_is_429(ada: httpx.AsyncClient) -> None:
    await define(ada, "slow", "import time\ndef run():\n    time.sleep(1.5)\n")
    answers = await asyncio.gather(*(ada.get(f"/agents/{ADA}/slow") for _ in range(12)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] * 8 + [429] * 4
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert is_problem(refused, 429, "too_many_runs")
    assert int(refused.headers["retry-after"]) >= 1


async def test_a_key_makes_a_run_happen_once(ada: httpx.AsyncClient) -> None:
    await define(ada, "once", "def run(services, n: int = 0):\n    return services.kv.increment('n')\n")
    key = {"Idempotency-Key": "abc-1"}
    first = await ada.get(f"/agents/{ADA}/once?n=1", headers=key)
    second = await ada.get(f"/agents/{ADA}/once?n=1", headers=key)
    assert first.json()["output"] == second.json()["output"] == 1
    assert first.json()["run_id"] == second.json()["run_id"]
    other = await ada.get(f"/agents/{ADA}/once?n=2", headers=key)
    assert is_problem(other, 422, "idempotency_key_reused")


async def test_a_key_in_use_is_409(ada: httpx.AsyncClient) -> None:
    await define_once(ada, "slow", "import time\ndef run():\n    time.sleep(1.5)\n")
    key = {"Idempotency-Key": "in-use"}
    running = asyncio.create_task(ada.get(f"/agents/{ADA}/slow", headers=key))
    await asyncio.sleep(0.6)
    assert is_problem(await ada.get(f"/agents/{ADA}/slow", headers=key), 409, "run_in_progress")
    assert (await running).status_code == 200


async def test_when_the_caller_goes_away_the_run_is_cancelled_and_recorded(ada: httpx.AsyncClient) -> None:
    await define(ada, "left", "import time\ndef run(services):\n    services.kv.set('a', 1)\n    time.sleep(2.5)\n")
    with pytest.raises(httpx.ReadTimeout):
        await ada.get(f"/agents/{ADA}/left", timeout=0.7)
    for _ in range(40):
        (run,) = (await ada.get("/runs?agent=left")).json()["data"]
        if run["status"] != "running":
            break
        await asyncio.sleep(0.1)
    assert run["status"] == "cancelled"
    recorded = (await ada.get(f"/runs/{run['run_id']}")).json()
    assert [effect["action"] for effect in recorded["effects"]] == ["set"]
    assert recorded["verified"] is True


async def test_head_never_runs(ada: httpx.AsyncClient) -> None:
    assert (await ada.head(f"/agents/{ADA}/hello")).status_code == 405


async def test_an_event_stream_that_reconnects_never_runs(ada: httpx.AsyncClient) -> None:
    answer = await ada.get(f"/agents/{ADA}/hello?name=x", headers={"Last-Event-ID": "7"})
    assert is_problem(answer, 409, "resume_not_supported")


async def test_code_that_is_refused_is_refused_when_it_is_defined(ada: httpx.AsyncClient) -> None:
    body = {
        "agent_name": "evil",
        "description": "x",
        "agent_config": "import os\n\ndef run():\n    return print.__self__\n",
    }
    answer = await ada.post("/agents", json=body)
    assert is_problem(answer, 422, "code_refused")
    places = [(error["line"], error["column"]) for error in answer.json()["errors"]]
    assert places[0] == (1, 0)
    assert [line for line, _ in places] == [1, 4]
    assert all(error["hint"] for error in answer.json()["errors"])
    assert is_problem(await ada.get("/agents/evil"), 404, "agent_not_found")


async def test_without_code_there_must_be_a_model(ada: httpx.AsyncClient) -> None:
    answer = await ada.post("/agents", json={"agent_name": "wish", "description": "sends me the weather"})
    assert is_problem(answer, 503, "model_not_configured")
