"""Rows are the caller's input: written past the host, nothing unchecked runs and nothing forged is believed."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from service.database.gateway import DatabaseError
from service.runs.models import INTERRUPTED
from tests.service.conftest import LocalHost, User
from tests.service.test_agents import COUNTER, GREETER, code_of

ESCAPE = "import os\n\ndef run():\n    return dict(os.environ)\n"


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"d": value}
    return value


INVALID: dict[str, Any] = {
    "unchecked code": {"code": ESCAPE},
    "unchecked code as a string": ESCAPE,
    "code said to be checked": {"code": ESCAPE, "checked": True},
    "a schema of its own": {"code": GREETER, "input_schema": {"type": "object"}},
    "a wild manifest": {"code": COUNTER, "capabilities": {"kv": {"of": "everybody"}}},
    "a service there is not": {"code": COUNTER, "capabilities": {"http": {"hosts": ["*"]}}},
    "a manifest that is no object": {"code": COUNTER, "capabilities": True},
    "a manifest that is a list": {"code": COUNTER, "capabilities": ["kv"]},
    "an engine there is not": {"code": GREETER, "engine": "host"},
    "an engine with a path": {"code": GREETER, "engine": "../../bin"},
    "limits below zero": {"code": GREETER, "limits": {"wall_seconds": -1}},
    "limits that are no numbers": {"code": GREETER, "limits": {"wall_seconds": "9"}},
    "limits there are not": {"code": GREETER, "limits": {"frame_bytes": 1}},
    "too much code": {"code": "#" * 300_000 + "\n" + GREETER},
    "deep fixtures": {"code": GREETER, "fixtures": nested(150)},
    "huge fixtures": {"code": GREETER, "fixtures": {"x": "y" * 300_000}},
    "no code": {},
    "code that is a number": {"code": 7},
    "code that is null": {"code": None},
    "a prompt": {"prompt": "Be kind."},
    "a text": "Be kind.",
    "an empty text": "",
    "a number": 7,
    "a list": [1, 2],
    "true": True,
}


MENDED = dict.fromkeys(("engine", "capabilities", "limits", "fixtures", "checked", "input_schema", "prompt"))


async def written(user: User, local_host: LocalHost, config: Any, **columns: Any) -> None:
    row = {"user_id": str(user.user_id), "agent_name": "agent", "agent_config": config, **columns}
    await local_host.host.database.insert(user.caller, "agents", [row])


@pytest.mark.parametrize("config", INVALID.values(), ids=INVALID)
async def test_a_bad_row_is_shown_as_invalid_and_never_runs(ada: User, local_host: LocalHost, config: Any) -> None:
    await written(ada, local_host, config)
    answer = await ada.run("agent")
    assert (answer.status_code, code_of(answer)) == (422, "agent_invalid")
    kept = await ada.recorded(answer.json()["run_id"])
    assert (kept["status"], kept["error"]["code"], kept["verified"]) == ("failed", "agent_invalid", True)
    assert [agent["agent_name"] for agent in (await ada.http.get("/agents")).json()["data"]] == ["agent"]
    shown = await ada.http.get("/agents/agent")
    assert shown.status_code == 200
    assert (shown.json()["valid"], shown.json()["capabilities"], shown.json()["input_schema"]) == (False, {}, {})
    assert shown.json()["errors"]
    assert (await ada.http.get("/agents/agent/versions")).status_code == 200
    assert (await ada.http.get("/agents/agent/versions/1")).status_code == 200
    assert (await ada.http.post("/agents/agent/versions/1/restore")).status_code == 422
    assert (await ada.http.patch("/agents/agent", json={"description": "Still bad."})).status_code == 200
    assert code_of(await ada.run("agent", test="1")) == "agent_invalid"
    mended = await ada.http.patch("/agents/agent", json={"agent_config": {"code": GREETER} | MENDED})
    assert mended.status_code == 200, mended.text
    assert (await ada.run("agent")).json()["output"] == {"message": "Hello, World"}


async def test_a_plain_string_is_checked_and_runs_as_code(ada: User, local_host: LocalHost) -> None:
    await written(ada, local_host, GREETER)
    assert (await ada.run("agent")).json()["output"] == {"message": "Hello, World"}
    assert (await ada.http.get("/agents/agent")).json()["agent_config"] == {"code": GREETER}


async def test_limits_of_a_row_are_clamped_to_the_hosts(ada: User, local_host: LocalHost) -> None:
    names = ("wall_seconds", "cpu_seconds", "memory_bytes", "output_bytes", "log_bytes", "effects")
    code = "def run(services):\n    for _ in range(1000):\n        services.kv.get('k')\n"
    await written(ada, local_host, {"code": code, "limits": dict.fromkeys(names, 10**9)})
    answer = await ada.run("agent")
    assert code_of(answer) == "too_many_effects"
    assert len(answer.json()["effects"]) == 20
    code = "def run():\n    while True:\n        pass\n"
    await local_host.host.database.update(
        ada.caller,
        "agents",
        {"agent_config": {"code": code, "limits": {"cpu_seconds": 10**9}}},
        where={"agent_name": "agent"},
    )
    assert code_of(await ada.run("agent")) == "cpu_time_exceeded"


async def test_an_agent_that_is_not_active_is_not_run(ada: User, local_host: LocalHost) -> None:
    await written(ada, local_host, {"code": GREETER}, is_active=False)
    assert code_of(await ada.run("agent")) == "agent_not_found"


FORGED: dict[str, dict[str, Any]] = {
    "a success": {"status": "succeeded", "output": {"paid": True}, "signature": "local:" + "0" * 64},
    "a signature that is none": {"status": "succeeded", "output": 1, "signature": "é:\u202e"},
    "odd shapes": {"status": "failed", "error": [1], "logs": {"a": 1}, "usage": "fast", "input": 7},
    "odd logs": {"status": "failed", "error": {"code": ["x"]}, "logs": [1, None, {"a": 1}, "kept"], "usage": []},
    "a strange error": {"status": "failed", "error": {"code": "no_such_code", "message": {"a": 1}, "errors": "x"}},
    "deep": {"status": "succeeded", "output": nested(150)},
    "no version": {"status": "cancelled", "version": None},
    "a long name": {"status": "succeeded", "agent_name": "Ünï ☃"},
    "far times": {"status": "succeeded", "started_at": "-infinity", "deadline_at": "infinity"},
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
async def test_a_forged_run_is_shown_and_not_believed(ada: User, local_host: LocalHost, forged: dict[str, Any]) -> None:
    at_first = ("agent_name", "version", "started_at", "deadline_at")
    row = {"user_id": str(ada.user_id), "agent_name": "agent", "version": 1, "trigger": "http", "status": "running"}
    row |= {name: value for name, value in forged.items() if name in at_first}
    database = local_host.host.database
    [stored] = await database.insert(ada.caller, "runs", [row])
    effect = {"run_id": stored["id"], "seq": 0, "service": "", "action": "☃", "args": [nested(100)]}
    await database.insert(ada.caller, "run_effects", [effect | {"granted": True, "performed": True}])
    values = {name: value for name, value in forged.items() if name not in at_first}
    await database.update(
        ada.caller, "runs", {**values, "finished_at": "2026-01-01T00:00:00Z"}, where={"id": stored["id"]}
    )
    kept = await ada.recorded(stored["id"])
    assert kept["verified"] is False
    [listed] = (await ada.http.get("/runs")).json()["data"]
    assert listed["run_id"] == stored["id"]


async def test_a_running_row_past_its_deadline_reads_as_interrupted(ada: User, local_host: LocalHost) -> None:
    for number, deadline in enumerate(("2026-01-01T00:00:00Z", "-infinity", "2999-01-01T00:00:00Z")):
        row = {
            "user_id": str(ada.user_id),
            "agent_name": f"agent-{number}",
            "status": "running",
            "deadline_at": deadline,
        }
        await local_host.host.database.insert(ada.caller, "runs", [row])
    listed = (await ada.http.get("/runs")).json()["data"]
    assert [run["status"] for run in listed] == ["running", "interrupted", "interrupted"]
    for run in listed:
        shown = await ada.recorded(run["run_id"])
        assert shown["status"] == run["status"]
        assert shown["error"] == run["error"] == (INTERRUPTED if run["status"] == "interrupted" else None)
    [row] = await local_host.host.database.select(ada.caller, "runs", where={"id": listed[1]["run_id"]})
    assert row["status"] == "running"
    assert row["error"] is None
    names = [run["agent"]["agent_name"] for run in await ada.listed(status="interrupted")]
    assert names == ["agent-1", "agent-0"]
    assert [run["agent"]["agent_name"] for run in await ada.listed(status="running")] == ["agent-2"]


async def test_a_record_does_not_verify_when_something_was_added_to_it(ada: User, local_host: LocalHost) -> None:
    await ada.define("counter", "import time\n" + COUNTER.replace("return", "time.sleep(1)\n    return"))
    headers = {"Idempotency-Key": "k"}
    running = asyncio.create_task(ada.http.get(ada.url("counter"), headers=headers))
    [run] = await ada.listed(status="running")
    effect = {"run_id": run["run_id"], "seq": 9, "service": "notify", "action": "send", "result": {"id": "x"}}
    await local_host.host.database.insert(ada.caller, "run_effects", [effect | {"granted": True, "performed": True}])
    assert [effect["seq"] for effect in (await running).json()["effects"]] == [1]
    assert (await ada.recorded(run["run_id"]))["verified"] is False
    replayed = await ada.http.get(ada.url("counter"), headers=headers)
    assert (replayed.status_code, code_of(replayed)) == (409, "conflict")
    assert replayed.json()["run_id"] == run["run_id"]
    assert (await ada.run("counter")).json()["output"] == 2


async def test_a_signature_of_one_run_is_none_of_another(ada: User, local_host: LocalHost) -> None:
    await ada.define("counter", COUNTER)
    run = (await ada.run("counter")).json()
    [row] = await local_host.host.database.select(ada.caller, "runs", where={"id": run["run_id"]})
    names = ("user_id", "agent_name", "version", "test", "status", "input", "output", "logs", "usage", "signature")
    copied = {name: row[name] for name in (*names, "finished_at")} | {"id": str(uuid4())}
    await local_host.host.database.insert(ada.caller, "runs", [copied])
    assert (await ada.recorded(copied["id"]))["verified"] is False


async def test_a_run_that_its_owner_ended_past_the_host_is_not_called_recorded(
    ada: User, local_host: LocalHost
) -> None:
    code = "import time\n\ndef run(services):\n    services.kv.set('k', 1)\n    time.sleep(1)\n    return 7\n"
    await ada.define("agent", code)
    running = asyncio.create_task(ada.run("agent"))
    [run] = await ada.listed(status="running")
    values = {"status": "succeeded", "output": "forged", "finished_at": "2026-01-01T00:00:00Z"}
    await local_host.host.database.update(ada.caller, "runs", values, where={"id": run["run_id"]})
    answer = await running
    assert (answer.status_code, code_of(answer)) == (503, "run_not_recorded")
    assert (answer.json()["output"], answer.json()["run_status"]) == (7, "succeeded")
    assert len(answer.json()["effects"]) == 1
    kept = await ada.recorded(run["run_id"])
    assert (kept["output"], kept["verified"]) == ("forged", False)


async def test_versions_and_finished_runs_cannot_be_written(ada: User, local_host: LocalHost) -> None:
    await ada.define("counter", COUNTER)
    run = (await ada.run("counter")).json()
    database = local_host.host.database
    with pytest.raises(DatabaseError):
        await database.update(ada.caller, "agent_versions", {"description": "x"}, where={"version": 1})
    with pytest.raises(DatabaseError):
        await database.update(ada.caller, "agents", {"version": 9}, where={"agent_name": "counter"})
    with pytest.raises(DatabaseError):
        await database.delete(ada.caller, "runs", where={"id": run["run_id"]})
    assert await database.update(ada.caller, "runs", {"output": 9}, where={"id": run["run_id"]}) == []
    kept = await ada.recorded(run["run_id"])
    assert (kept["verified"], kept["output"]) == (True, 1)
    assert json.dumps(kept["effects"]) == json.dumps(run["effects"])


async def test_what_a_user_writes_into_one_run_is_bounded(ada: User, local_host: LocalHost) -> None:
    database = local_host.host.database
    row = {"user_id": str(ada.user_id), "agent_name": "agent", "deadline_at": "2999-01-01T00:00:00Z"}
    [run] = await database.insert(ada.caller, "runs", [row])
    effect = {"run_id": run["id"], "service": "kv", "action": "get", "granted": True, "performed": True}

    async def flood() -> None:
        for seq in range(100):
            await database.insert(ada.caller, "run_effects", [effect | {"seq": seq, "args": ["x" * 1_000_000]}])

    with pytest.raises(DatabaseError):
        await flood()
    kept = await ada.recorded(run["id"])
    assert len(kept["effects"]) < 40
    huge = {"status": "failed", "error": {"message": "x" * 200_000}, "finished_at": "2026-01-01T00:00:00Z"}
    with pytest.raises(DatabaseError):
        await database.update(ada.caller, "runs", huge, where={"id": run["id"]})
