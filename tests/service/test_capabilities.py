"""kv and notify through the door: the same behaviour live and dry, and a dry run leaves nothing behind."""

import asyncio
from typing import Any

import pytest

from tests.service.conftest import LocalHost, User

SEED = """
def run(services):
    for key in ("a/1", "a/2", "a/3", "b/1"):
        services.kv.set(key, {"key": key})
    services.kv.set("count", 10)
    services.kv.set("half", 0.1)
    services.kv.set("text", "x")
"""
ERRORS = "except (TypeError, ValueError, PermissionError, RuntimeError) as error:"
SCRIPTS = {
    "reads": "return [kv.get('a/1'), kv.get('none'), kv.get('none', 7), kv.list(), kv.list('a/', limit=2)]",
    "writes are read": "kv.set('a/1', [1, None, 2.5, {'é': True}])\nreturn [kv.get('a/1'), kv.list('a/')]",
    "new keys in order": "kv.set('a/0', 0)\nkv.set('a/25', 0)\nreturn [kv.list('a/'), kv.list('a/', limit=2)]",
    "deletes hide": "return [kv.delete('a/2'), kv.delete('a/2'), kv.get('a/2'), kv.list('a/'), kv.delete('none')]",
    "set after delete": "kv.delete('a/2')\nkv.set('a/2', 2)\nreturn [kv.get('a/2'), kv.list('a/'), kv.delete('a/2')]",
    "increments add up": "return [kv.increment('count'), kv.increment('count', 5), kv.get('count')]",
    "increments begin at 0": "return [kv.increment('new'), kv.increment('new', 2.5), kv.get('new'), kv.list('new')]",
    "increments are exact": "return [kv.increment('half', 0.2), kv.increment('half', 0.7), kv.increment('half', 1e15)]",
    "increment after delete": "kv.delete('count')\nreturn [kv.increment('count', 3), kv.get('count')]",
    "increment after set": "kv.set('count', 1.5)\nreturn kv.increment('count')",
    "increment of a text": "return kv.increment('text')",
    "increment of a boolean": "kv.set('flag', True)\nreturn kv.increment('flag')",
    "a time to live ends": "kv.set('a/1', 1, ttl_seconds=0.05)\nkv.increment('count', ttl_seconds=0.05)\n"
    "time.sleep(0.3)\nreturn [kv.get('a/1'), kv.list('a/'), kv.get('count'), kv.increment('count'), kv.delete('a/1')]",
    "a time to live goes on": "kv.set('a/1', 1, ttl_seconds=60)\nkv.increment('a/1')\nkv.set('b', 1)\nreturn kv.list()",
    "null is a value": "kv.set('null', None)\nreturn [kv.get('null', 7), kv.delete('null'), kv.get('null', 7)]",
    "odd keys": "kv.set('é 😀 %_', 1)\nreturn [kv.list('é'), kv.list('%'), kv.list('_'), kv.get('é 😀 %_')]",
    "sql is text": 'kv.set("\'; drop table agenthost.agents; --", "\' or 1=1")\nreturn kv.list("\'")',
    "notify": "return sorted(services.notify.send('Title', 'Text', type='warning', priority='high', actions=[{}]))",
}
WRONG = [
    ("kv.get('')", "ValueError"),
    ("kv.get(7)", "TypeError"),
    ("kv.get('a\\0b')", "ValueError"),
    ("kv.get('x' * 513)", "ValueError"),
    ("kv.get(chr(0x10FFFF))", "ValueError"),
    ("kv.set('k', float('nan'))", "ValueError"),
    ("kv.set('k', chr(0xD800))", "ValueError"),
    ("kv.set('k', 'a\\0b')", "ValueError"),
    ("kv.set('k', 10 ** 400)", "ValueError"),
    ("kv.set('k', 'x' * 70_000)", "ValueError"),
    ("kv.set('k', {1, 2})", "ValueError"),
    ("kv.set('k', [{1: 2}])", "ValueError"),
    ("kv.set('k', {'a': ({None: 2},)})", "ValueError"),
    (f"kv.set('k', {'[' * 70}{']' * 70})", "ValueError"),
    ("kv.set('k', 1, ttl_seconds=0)", "ValueError"),
    ("kv.set('k', 1, ttl_seconds=-1)", "ValueError"),
    ("kv.set('k', 1, ttl_seconds='1')", "TypeError"),
    ("kv.set('k', 1, ttl_seconds=True)", "TypeError"),
    ("kv.list(7)", "TypeError"),
    ("kv.list('', limit=0)", "ValueError"),
    ("kv.list('', limit=1001)", "ValueError"),
    ("kv.increment('k', '1')", "TypeError"),
    ("kv.increment('k', 1e16)", "ValueError"),
    ("kv.increment('k', True)", "TypeError"),
    ("kv.increment('text')", "TypeError"),
    ("services.notify.send('')", "ValueError"),
    ("services.notify.send('x' * 201)", "ValueError"),
    ("services.notify.send('x', type='odd')", "ValueError"),
    ("services.notify.send('x', priority=1)", "ValueError"),
    ("services.notify.send('x', actions={})", "TypeError"),
    ("services.notify.send('x', actions=[{}] * 11)", "ValueError"),
    ("services.notify.send('x', 'a\\0b')", "ValueError"),
]


def program(script: str) -> str:
    lines = "\n".join(f"    {line}" for line in script.splitlines())
    return f"import time\n\ndef run(services):\n    kv = services.kv\n{lines}\n"


def behaviour(run: dict[str, Any]) -> dict[str, Any]:
    shown = ("seq", "service", "action", "args", "granted", "result")
    effects = [{name: effect[name] for name in shown} for effect in run["effects"]]
    for effect in effects:
        if effect["service"] == "notify" and effect["granted"] and "id" in (effect["result"] or {}):
            effect["result"] = {"id": "..."}
    error = run["error"] and {name: run["error"][name] for name in ("code", "type", "message")}
    return {"output": run["output"], "error": error, "effects": effects, "logs": run["logs"]}


async def seeded(user: User, script: str) -> None:
    await user.define("agent", SEED)
    assert (await user.run("agent")).json()["status"] == "succeeded"
    answer = await user.http.patch("/agents/agent", json={"agent_config": program(script)})
    assert answer.status_code == 200, answer.text


async def kept(user: User, local_host: LocalHost) -> Any:
    rows = await local_host.host.database.select(user.caller, "agent_kv", order="key")
    return [(row["key"], row["value"], row["expires_at"]) for row in rows]


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
async def test_a_dry_run_behaves_as_a_live_one_and_leaves_nothing(
    ada: User, local_host: LocalHost, script: str
) -> None:
    await seeded(ada, script)
    before = await kept(ada, local_host)
    dry = (await ada.run("agent", test="true")).json()
    assert await kept(ada, local_host) == before
    assert await local_host.host.database.select(ada.caller, "agent_notifications") == []
    live = (await ada.run("agent", test="false")).json()
    assert behaviour(live) == behaviour(dry)
    assert {effect["performed"] for effect in dry["effects"] if effect["action"] not in ("get", "list")} <= {False}
    assert all(effect["performed"] for effect in dry["effects"] if effect["action"] in ("get", "list"))
    wrong = [effect for effect in live["effects"] if isinstance(effect["result"], dict) and "error" in effect["result"]]
    assert all(effect["performed"] == (effect not in wrong) for effect in live["effects"])


@pytest.mark.parametrize(("call", "error"), WRONG)
async def test_wrong_arguments_raise_in_the_agent_and_do_nothing(
    ada: User, local_host: LocalHost, call: str, error: str
) -> None:
    script = f"try:\n    {call}\n{ERRORS}\n    return [type(error).__name__, str(error)]"
    await seeded(ada, script)
    before = await kept(ada, local_host)
    dry, live = [(await ada.run("agent", test=test)).json() for test in ("1", "0")]
    assert live["output"][0] == error, live["output"]
    assert behaviour(live) == behaviour(dry)
    for inside in ("pydantic", "psycopg", "Traceback", "service/"):
        assert inside not in live["output"][1]
    assert all(not effect["performed"] for effect in live["effects"])
    assert await kept(ada, local_host) == before


async def test_a_live_notification_is_a_row_for_its_owner(ada: User, eve: User, local_host: LocalHost) -> None:
    code = (
        "def run(services):\n    return services.notify.send('T', 'C', 'success', 'low', [{'label': 'Open', 'n': 1}])\n"
    )
    await ada.define("teller", code)
    run = (await ada.run("teller")).json()
    [row] = await local_host.host.database.select(ada.caller, "agent_notifications")
    assert row["id"] == run["output"]["id"]
    found = {name: row[name] for name in ("title", "content", "type", "priority", "actions", "actionable", "read")}
    assert found == {
        "title": "T",
        "content": "C",
        "type": "success",
        "priority": "low",
        "actions": [{"label": "Open", "n": 1}],
        "actionable": True,
        "read": False,
    }
    [agent] = await local_host.host.database.select(ada.caller, "agents")
    assert (row["agent_id"], row["run_id"]) == (agent["id"], run["run_id"])
    assert await local_host.host.database.select(eve.caller, "agent_notifications") == []


async def test_what_one_agent_keeps_no_other_sees(ada: User, eve: User) -> None:
    keeper = "def run(services):\n    services.kv.set('k', 'mine')\n"
    looker = "def run(services):\n    return [services.kv.get('k'), services.kv.list()]\n"
    await ada.define("keeper", keeper)
    await ada.run("keeper")
    await ada.define("looker", looker)
    await eve.define("keeper", looker)
    assert (await ada.run("looker")).json()["output"] == [None, []]
    assert (await eve.run("keeper")).json()["output"] == [None, []]


@pytest.mark.parametrize("test", ["0", "1"])
async def test_a_call_outside_the_manifest_is_denied_recorded_and_says_what_to_add(ada: User, test: str) -> None:
    await ada.define("agent", "def run(services):\n    services.kv.set('k', 1)\n", capabilities={"notify": {}})
    run = (await ada.run("agent", test=test)).json()
    assert (run["code"], run["error"]["type"]) == ("agent_error", "CapabilityDenied")
    assert "[capabilities.kv]" in run["error"]["message"]
    assert '"kv": {}' in run["error"]["message"]
    [effect] = run["effects"]
    assert (effect["service"], effect["action"], effect["granted"], effect["performed"]) == ("kv", "set", False, False)
    assert effect["args"] == {"key": "k", "value": 1, "ttl_seconds": None}


async def test_concurrent_increments_are_all_counted(ada: User, local_host: LocalHost) -> None:
    await ada.define("counter", "def run(services):\n    for _ in range(10):\n        services.kv.increment('n')\n")
    answers = await asyncio.gather(*(ada.run("counter") for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert [value for _, value, _ in await kept(ada, local_host)] == [40]


async def test_the_number_of_effects_is_bounded_and_an_agent_may_lower_it(ada: User) -> None:
    code = "def run(services):\n    for number in range(100):\n        services.kv.set('k', number)\n"
    await ada.define("agent", code, limits={"effects": 3})
    answer = await ada.run("agent")
    assert answer.json()["code"] == "too_many_effects"
    assert "3" in answer.json()["detail"]
    assert [effect["seq"] for effect in answer.json()["effects"]] == [1, 2, 3]


async def test_effects_show_long_values_cut_and_keep_what_would_answer_them_again(
    ada: User, local_host: LocalHost
) -> None:
    await ada.define("agent", "def run(services):\n    services.kv.set('k', 'x' * 5000)\n    services.kv.get('k')\n")
    run = (await ada.run("agent")).json()
    assert run["effects"][0]["args"]["value"] == "x" * 500 + "… (5000 characters)"
    rows = await local_host.host.database.select(
        ada.caller, "run_effects", where={"run_id": run["run_id"]}, order="seq"
    )
    assert [row["recording"] for row in rows] == [
        {"result": None},
        {"result": {"found": True, "value": "x" * 5000}},
    ]
    assert all(len(row["call_hash"]) == 64 for row in rows)
    assert (await ada.recorded(run["run_id"]))["verified"] is True
