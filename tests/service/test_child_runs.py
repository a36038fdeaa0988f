"""Agents that run agents: a child run is a run of its own, and ends with its root's time, budget and flag."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from service.app import create_app
from service.local import LocalIdentity
from service.settings import Settings
from tests.postgres import Addresses
from tests.service.conftest import LocalHost, User
from tests.service.served import served
from tests.service.test_host_failures import failing, unreachable

CAUGHT: Final = "except (TypeError, ValueError, PermissionError, RuntimeError) as error:"
ADDER: Final = "def run(a: int, b: int = 1):\n    print('adding')\n    return {'sum': a + b}\n"
SLEEPER: Final = "import time\n\ndef run():\n    print('begun')\n    time.sleep(60)\n"
LEADS: Final = """
create table public.leads (name text not null, user_id uuid not null default auth.uid());
alter table public.leads enable row level security;
grant select, insert on public.leads to authenticated;
create policy own on public.leads for all to authenticated
  using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
"""
CHAIN: Final = """
def run(n: int, services):
    return 0 if n == 0 else services.agents.run("chain", {"n": n - 1}) + 1
"""


def caller_of(name: str, given: str = "{}", *, before: str = "", after: str = "") -> str:
    """An agent that runs another one, and answers with its output or its error."""
    return (
        f"def run(services):\n    {before or 'pass'}\n    try:\n        return services.agents.run({name!r}, {given})\n"
        f"    {CAUGHT}\n        return [type(error).__name__, str(error)]\n    finally:\n        {after or 'pass'}\n"
    )


async def children(user: User, run_id: str, *, at_least: int = 1) -> list[dict[str, Any]]:
    """The whole records of the child runs of a run, oldest first."""
    found = await user.listed(at_least=at_least, parent_run_id=run_id)
    return [await user.recorded(run["run_id"]) for run in reversed(found)]


def behaviour(run: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {name: effect[name] for name in ("seq", "service", "action", "args", "granted")} for effect in run["effects"]
    ]


@pytest.mark.parametrize("test", ["false", "true"])
async def test_an_agent_gets_the_output_of_another_and_both_are_recorded(ada: User, test: str) -> None:
    await ada.define("adder", ADDER)
    await ada.define("boss", caller_of("adder", "{'a': 2}"))
    run = (await ada.run("boss", test=test)).json()
    assert (run["status"], run["output"]) == ("succeeded", {"sum": 3})
    [child] = await children(ada, run["run_id"])
    assert (child["parent_run_id"], child["trigger"], child["test"]) == (run["run_id"], "agent", test == "true")
    assert (child["status"], child["input"], child["output"], child["logs"]) == (
        "succeeded",
        {"a": 2},
        {"sum": 3},
        ["adding"],
    )
    parent = await ada.recorded(run["run_id"])
    assert (parent["verified"], child["verified"]) == (True, True)
    assert parent["started_at"] <= child["started_at"] <= child["finished_at"] <= parent["finished_at"]
    assert child["deadline_at"] <= parent["deadline_at"]
    [effect] = run["effects"]
    assert effect["args"] == {"name": "adder", "input": {"a": 2}}
    assert effect["result"] == {"run_id": child["run_id"], "status": "succeeded", "output": {"sum": 3}}
    assert (effect["granted"], effect["performed"]) == (True, test == "false")
    assert (effect["source"], run["logs"]) == ("live" if test == "false" else "simulated", [])
    assert [each["run_id"] for each in await ada.listed(agent="boss")] == [run["run_id"]]


async def test_what_a_child_does_counts_live_and_is_pretended_in_a_dry_run(ada: User, local_host: LocalHost) -> None:
    counter = "def run(services):\n    services.notify.send('Hello')\n    return services.kv.increment('n')\n"
    await ada.define("counter", counter)
    twice = "def run(services):\n    return [services.agents.run('counter'), services.agents.run('counter', {})]\n"
    await ada.define("boss", twice)
    database = local_host.host.database
    dry = (await ada.run("boss", test="true")).json()
    assert dry["output"] == [1, 2]  # the second child sees what the first one pretended
    assert await database.select(ada.caller, "agent_kv") == []
    assert await database.select(ada.caller, "agent_notifications") == []
    live = (await ada.run("boss")).json()
    assert live["output"] == [1, 2]
    assert len(await database.select(ada.caller, "agent_notifications")) == 2
    assert behaviour(dry) == behaviour(live)
    for run in (dry, live):
        kept = await children(ada, run["run_id"], at_least=2)
        assert [[effect["performed"] for effect in child["effects"]] for child in kept] == [[run is live] * 2] * 2
    assert behaviour((await children(ada, dry["run_id"]))[0]) == behaviour((await children(ada, live["run_id"]))[0])


async def test_an_agent_that_runs_itself_sees_its_own_pretended_rows(ada: User) -> None:
    code = """
def run(services, n: int = 2):
    before = services.kv.get("n", 0)
    services.kv.set("n", before + 1)
    return before if n == 0 else services.agents.run("self", {"n": n - 1})
"""
    await ada.define("self", code)
    assert [(await ada.run("self", test=test)).json()["output"] for test in ("1", "0")] == [2, 2]


@pytest.mark.parametrize("test", ["false", "true"])
async def test_agents_run_agents_as_deep_as_the_limit_and_no_deeper(ada: User, test: str) -> None:
    await ada.define("chain", CHAIN)
    assert (await ada.run("chain", n="5", test=test)).json()["output"] == 5
    answer = await ada.run("chain", n="6", test=test)
    document = answer.json()
    assert (document["code"], document["error"]["type"]) == ("agent_error", "ServiceError")
    depth, run_id = 0, document["run_id"]
    while found := (await ada.http.get("/runs", params={"parent_run_id": run_id})).json()["data"]:
        [child] = found
        depth, run_id = depth + 1, child["run_id"]
    assert depth == 5
    deepest = await ada.recorded(run_id)
    assert "6 deep, and 5 is the limit" in deepest["error"]["message"]
    assert deepest["effects"][0]["performed"] is False


async def test_agents_that_run_each_other_in_a_circle_are_ended_by_depth(ada: User) -> None:
    await ada.define("ping", caller_of("pong"))
    await ada.define("pong", caller_of("ping"))
    run = (await ada.run("ping")).json()
    assert run["status"] == "succeeded"
    assert "in a circle?" in run["output"][1]
    assert len(await ada.listed(at_least=6)) == 6


@pytest.mark.parametrize("test", ["false", "true"])
async def test_a_run_and_its_children_have_one_budget_of_effects(ada: User, test: str) -> None:
    await ada.define("busy", "def run(services):\n    for _ in range(8):\n        services.kv.get('k')\n")
    await ada.define("boss", "def run(services):\n    while True:\n        services.agents.run('busy')\n")
    document = (await ada.run("boss", test=test)).json()
    kept = await children(ada, document["run_id"], at_least=3)
    assert [len(child["effects"]) for child in kept] == [8, 8, 1]
    assert [child["status"] for child in kept] == ["succeeded", "succeeded", "failed"]
    assert kept[2]["error"]["code"] == "too_many_effects"
    assert "run and its child runs made more than 20 calls" in kept[2]["error"]["message"]
    assert (document["error"]["type"], len(document["effects"])) == ("ServiceError", 3)


async def test_a_child_keeps_its_own_lower_limits(ada: User) -> None:
    await ada.define(
        "busy", "def run(services):\n    while True:\n        services.kv.get('k')\n", limits={"effects": 2}
    )
    await ada.define("boss", caller_of("busy", after="services.kv.get('k')"))
    run = (await ada.run("boss")).json()
    assert (run["status"], run["output"][0]) == ("succeeded", "ServiceError")
    assert "too_many_effects" in run["output"][1]
    [child] = await children(ada, run["run_id"])
    assert len(child["effects"]) == 2


@pytest.mark.parametrize("test", ["false", "true"])
async def test_when_the_time_of_the_root_is_over_the_children_are_timed_out_too(ada: User, test: str) -> None:
    await ada.define("sleeper", SLEEPER)
    await ada.define("middle", caller_of("sleeper"))
    await ada.define("boss", caller_of("middle"), limits={"wall_seconds": 1})
    answer = await ada.run("boss", test=test)
    document = answer.json()
    assert (answer.status_code, document["code"]) == (504, "wall_time_exceeded")
    [middle] = await children(ada, document["run_id"])
    [sleeper] = await children(ada, middle["run_id"])
    for run in (await ada.recorded(document["run_id"]), middle, sleeper):
        assert (run["status"], run["error"]["code"], run["verified"]) == ("timed_out", "wall_time_exceeded", True)
    assert sleeper["logs"] == ["begun"]
    assert sleeper["finished_at"] <= middle["finished_at"]
    assert document["usage"]["wall_ms"] < 4000
    [effect] = document["effects"]
    assert (effect["service"], effect["granted"]) == ("agents", True)


async def test_a_parent_that_dies_alone_takes_its_child_with_it(ada: User) -> None:
    await ada.define("sleeper", SLEEPER)
    await ada.define("middle", caller_of("sleeper"), limits={"wall_seconds": 0.5})
    await ada.define("boss", caller_of("middle"))
    run = (await ada.run("boss")).json()
    assert run["status"] == "succeeded"
    assert "wall_time_exceeded" in run["output"][1]
    [middle] = await children(ada, run["run_id"])
    [sleeper] = await children(ada, middle["run_id"])
    assert (middle["status"], sleeper["status"], sleeper["verified"]) == ("timed_out", "cancelled", True)
    assert "the run that it belongs to ended" in sleeper["error"]["message"]
    assert sleeper["finished_at"] <= middle["finished_at"]


async def test_when_the_caller_goes_away_all_of_them_are_stopped_and_recorded(ada: User, local_host: LocalHost) -> None:
    await ada.define("sleeper", SLEEPER)
    await ada.define("middle", caller_of("sleeper"))
    await ada.define("boss", caller_of("middle"))
    at = urlsplit(local_host.url)
    head = f"GET {ada.url('boss')} HTTP/1.1\r\nHost: x\r\nAuthorization: {ada.http.headers['authorization']}\r\n\r\n"
    with socket.create_connection((at.hostname or "", at.port or 0)) as connection:
        connection.sendall(head.encode())
        await ada.listed(at_least=3, status="running")
        await asyncio.sleep(0.2)
    runs = [await ada.recorded(run["run_id"]) for run in await ada.listed(at_least=3, status="cancelled")]
    by_name = {run["agent"]["agent_name"]: run for run in runs}
    assert "its caller went away" in by_name["boss"]["error"]["message"]
    assert all(run["verified"] and run["usage"]["wall_ms"] < 4000 for run in runs)
    assert by_name["sleeper"]["logs"] == ["begun"]
    assert by_name["sleeper"]["finished_at"] <= by_name["middle"]["finished_at"] <= by_name["boss"]["finished_at"]


FAILURES: Final = {
    "raises": ("def run():\n    raise KeyError('lost')\n", "failed (agent_error): 'lost'"),
    "answers no json": ("def run():\n    return {1, b'x'}\n", "failed (output_not_json)"),
    "burns": ("def run():\n    while True:\n        pass\n", "timed_out (cpu_time_exceeded)"),
    "eats": ("def run():\n    return len([0] * 10**9)\n", "failed (memory_exceeded)"),
    "floods": ("def run():\n    return 'x' * 200_000\n", "failed (output_too_large)"),
}


@pytest.mark.parametrize(("code", "said"), FAILURES.values(), ids=FAILURES)
async def test_a_child_that_fails_is_an_error_in_its_parent_which_may_go_on(ada: User, code: str, said: str) -> None:
    await ada.define("child", code, limits={"cpu_seconds": 1})
    await ada.define("boss", caller_of("child"))
    run = (await ada.run("boss")).json()
    assert (run["status"], run["output"][0]) == ("succeeded", "ServiceError")
    [child] = await children(ada, run["run_id"])
    assert said in run["output"][1]
    assert child["run_id"] in run["output"][1]
    assert "Traceback" not in run["output"][1]
    [effect] = run["effects"]
    assert (effect["granted"], effect["performed"]) == (True, True)
    assert child["verified"] is True


async def test_an_input_that_does_not_fit_is_a_value_error_and_no_code_runs(ada: User) -> None:
    await ada.define("adder", ADDER)
    for given in ("{}", "{'a': '1'}", "{'a': 1, 'c': 2}", "{'a': None}"):
        await ada.define(f"boss-{abs(hash(given)) % 10**6}", caller_of("adder", given))
        name = (await ada.http.get("/agents", params={"limit": "1"})).json()["data"][0]["agent_name"]
        run = (await ada.run(name)).json()
        assert run["output"][0] == "ValueError"
        assert "adder failed (invalid_input): " in run["output"][1]
        [child] = await children(ada, run["run_id"])
        assert (child["status"], child["error"]["code"], child["logs"]) == ("failed", "invalid_input", [])
        assert run["effects"][0]["performed"] is False


@pytest.mark.parametrize("test", ["false", "true"])
async def test_nobody_runs_the_agent_of_another(ada: User, eve: User, test: str) -> None:
    await ada.define("secret", "def run():\n    return 'ada only'\n")
    await eve.define("thief", caller_of("secret"))
    run = (await eve.run("thief", test=test)).json()
    assert run["output"] == ["ServiceError", "agents.run: you have no agent 'secret'"]
    assert len(await eve.listed()) == 1
    assert (await ada.http.get("/runs")).json()["data"] == []


async def test_an_agent_that_is_gone_or_switched_off_is_not_there(ada: User) -> None:
    await ada.define("adder", ADDER)
    await ada.define("boss", caller_of("adder", "{'a': 1}"))
    assert (await ada.http.delete("/agents/adder")).status_code == 204
    assert "you have no agent 'adder'" in (await ada.run("boss")).json()["output"][1]


@pytest.mark.parametrize("test", ["false", "true"])
async def test_an_agent_that_is_not_named_is_denied_whether_or_not_it_exists(ada: User, test: str) -> None:
    await ada.define("adder", ADDER)
    for name in ("adder", "nobody"):
        await ada.define(f"boss-{name}", caller_of(name, "{'a': 1}"), capabilities={"agents": {"names": ["other"]}})
        run = (await ada.run(f"boss-{name}", test=test)).json()
        assert run["output"][0] == "CapabilityDenied"
        assert f'add "{name}" to names of [capabilities.agents]' in run["output"][1]
        [effect] = run["effects"]
        assert (effect["granted"], effect["performed"]) == (False, False)
        assert (await ada.http.get("/runs", params={"parent_run_id": run["run_id"]})).json()["data"] == []


async def test_a_parents_grants_are_not_its_childs_nor_the_other_way_round(ada: User) -> None:
    await ada.define("teller", "def run(services):\n    services.notify.send('x')\n", capabilities={"kv": {}})
    both = {"agents": {"names": ["teller", "keeper"]}, "notify": {}}
    await ada.define("boss", caller_of("teller"), capabilities=both)
    refused = (await ada.run("boss")).json()
    assert "teller failed (agent_error): the agent may not use notify" in refused["output"][1]
    await ada.define("keeper", "def run(services):\n    return services.kv.increment('n')\n")
    before = "services.agents.run('keeper')"
    code = f"def run(services):\n    {before}\n    services.kv.get('n')\n"
    await ada.define("sly", code, capabilities={"agents": {"names": ["keeper"]}})
    run = (await ada.run("sly")).json()
    assert run["error"]["type"] == "CapabilityDenied"
    assert [effect["granted"] for effect in run["effects"]] == [True, False]


WRONG: Final = [
    ("run('Adder', {})", "ValueError"),
    ("run('../adder', {})", "ValueError"),
    ("run('', {})", "ValueError"),
    ("run('x' * 64, {})", "ValueError"),
    ("run('a' + chr(0), {})", "ValueError"),
    ("run(7, {})", "TypeError"),
    ("run(None)", "TypeError"),
    ("run('adder', [])", "TypeError"),
    ("run('adder', 'a=1')", "TypeError"),
    ("run('adder', {'a': float('nan')})", "ValueError"),
    ("run('adder', {'a': chr(0xD800)})", "ValueError"),
    ("run('adder', {'a\\0': 1})", "ValueError"),
    ("run('adder', {'a': 1, 'test': False})", "ValueError"),
    ("run('adder', {'a': 1, 'Test': False})", "ValueError"),
    ("run('adder', {'a': 1, 'services': {}})", "ValueError"),
    ("run('adder', {'a': 'x' * 1_100_000})", "ValueError"),
]


@pytest.mark.parametrize(("call", "error"), WRONG)
async def test_wrong_arguments_raise_in_the_agent_and_nothing_runs(ada: User, call: str, error: str) -> None:
    await ada.define("adder", "def run(**inputs):\n    print('ran')\n")
    tried = f"    try:\n        services.agents.{call}\n    {CAUGHT}\n        return type(error).__name__\n"
    code = f"def run(services):\n{tried}"
    await ada.define("boss", code, capabilities={"agents": {"names": ["adder"]}})
    dry, live = [(await ada.run("boss", test=test)).json() for test in ("1", "0")]
    assert (dry["output"], live["output"]) == (error, error)
    assert behaviour(dry) == behaviour(live)
    assert all(not effect["performed"] for effect in live["effects"])
    for run in await ada.listed(agent="adder", at_least=0):
        assert (await ada.recorded(run["run_id"]))["logs"] == []


async def test_as_many_runs_as_a_user_may_have_and_all_their_children_do_not_wait_for_each_other(ada: User) -> None:
    await ada.define("chain", CHAIN)
    answers = await asyncio.gather(*(ada.run("chain", n="5") for _ in range(4)))
    assert [answer.json()["output"] for answer in answers] == [5] * 4
    assert (await ada.run("chain", n="0")).status_code == 200


async def healthy(act: Callable[[], Awaitable[Any]]) -> Any:
    return await act()


async def test_when_a_child_cannot_be_recorded_its_parent_ends_and_is(ada: User, local_host: LocalHost) -> None:
    await ada.define("adder", ADDER)
    await ada.define("boss", caller_of("adder", "{'a': 1}"))
    async with failing(local_host, ada, finish_run=[unreachable] * 5) as there:
        answer = await there.run("boss")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert (await ada.recorded(answer.json()["run_id"]))["verified"] is True
    [child] = await children(ada, answer.json()["run_id"])
    assert (child["status"], child["verified"]) == ("running", False)


async def test_when_a_child_cannot_begin_for_want_of_a_database_its_parent_ends(
    ada: User, local_host: LocalHost
) -> None:
    await ada.define("adder", ADDER)
    await ada.define("boss", caller_of("adder", "{'a': 1}"))
    async with failing(local_host, ada, begin_run=[healthy, unreachable]) as there:
        answer = await there.run("boss")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert (await ada.recorded(answer.json()["run_id"]))["verified"] is True


async def test_when_the_host_stops_children_are_cancelled_and_recorded_too(ada: User, local_host: LocalHost) -> None:
    await ada.define("sleeper", SLEEPER)
    await ada.define("boss", caller_of("sleeper"))
    async with failing(local_host, ada) as there:
        running = asyncio.create_task(ada.http.get(there.http.base_url.join(there.url("boss"))))
        await ada.listed(at_least=2, status="running")
        await asyncio.sleep(0.2)
    answer = await running
    assert (answer.status_code, answer.json()["code"]) == (503, "cancelled")
    [child] = await children(ada, answer.json()["run_id"])
    assert (child["status"], child["logs"], child["verified"]) == ("cancelled", ["begun"], True)


async def test_a_dry_run_and_its_children_see_each_others_rows_and_leave_none(
    cloned: Addresses, tmp_path: Path
) -> None:
    async with await cloned.owner() as owner:
        await owner.execute(LEADS)
    settings = Settings(data_dir=tmp_path, database_url=SecretStr(cloned.serving_dsn))
    app = create_app(settings)
    async with served(app, settings) as url:
        host = LocalHost(url, app, LocalIdentity.in_directory(tmp_path))
        async with host.user() as ada:
            await ada.define(
                "writer", "def run(name: str, services):\n    services.db.insert('leads', {'name': name})\n"
            )
            await ada.define(
                "boss",
                "def run(services):\n"
                "    services.db.insert('leads', {'name': 'a'})\n"
                "    services.agents.run('writer', {'name': 'b'})\n"
                "    return [lead['name'] for lead in services.db.select('leads', order='name')]\n",
            )
            reader = "def run(services):\n    return len(services.db.select('leads'))\n"
            await ada.define("reader", reader)
            dry = (await ada.run("boss", test="true")).json()
            assert (await ada.run("reader")).json()["output"] == 0
            live = (await ada.run("boss")).json()
            assert (dry["output"], live["output"]) == (["a", "b"], ["a", "b"])
            assert behaviour(dry) == behaviour(live)
            assert (await ada.run("reader")).json()["output"] == 2
