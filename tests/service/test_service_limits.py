"""Every limit that the broker and its services keep, hit over HTTP: what is over says which one, its value and unit.

Hit elsewhere, over HTTP as well: `limit_http_seconds`, `limit_http_request_bytes` and `limit_http_response_bytes` in
test_http; `limit_emails_per_run`, `limit_emails_per_day`, `limit_email_bytes` and `max_per_run` in test_email;
`max_tokens_per_run` in test_llm; `limit_secrets` and `limit_secret_bytes` in test_secrets; `limit_child_depth` and the
budget of effects that child runs share in test_child_runs.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from tests.postgres import Server
from tests.service.conftest import User
from tests.service.everything import Everything, everything

LIMITS: Final = {
    "limit_tokens_per_run": 3000,
    "limit_tokens_per_day": 4000,
    "limit_db_rows": 3,
    "limit_kv_keys": 2,
    "limit_kv_value_bytes": 100,
    "limit_effects": 5,
    "limit_input_bytes": 2000,
    "limit_output_bytes": 5000,
    "limit_source_bytes": 5000,
    "limit_frame_bytes": 20_000,
}
TEST: Final = pytest.mark.parametrize("test", ["false", "true"], ids=["live", "dry"])


@pytest.fixture(scope="module")
async def world(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Everything]:
    async with everything(postgres, tmp_path_factory.mktemp("host"), **LIMITS) as world:
        yield world


@pytest.fixture
async def ada(world: Everything) -> AsyncIterator[User]:
    async with world.host.user(email="ada@example.com") as user:
        yield user


async def said(world: Everything, user: User, body: str, test: str = "false") -> Any:
    """What an agent of these lines answers."""
    await world.agent(user, body)
    run = (await user.run("agent", test=test)).json()
    assert run["status"] == "succeeded", run
    return run["output"]


@TEST
async def test_model_tokens_of_a_run(world: Everything, ada: User, test: str) -> None:
    kind, message = await said(world, ada, "return attempt(services.llm.complete, 'word ' * 3000)", test)
    assert kind == "ServiceError"
    assert "and 3000 are left of the 3000 model tokens of a run and its child runs" in message


async def test_model_tokens_of_a_day(world: Everything, ada: User) -> None:
    quota = {"p_name": "model_tokens", "p_amount": 3999, "p_limit": 4000}
    await world.host.host.database.call(ada.caller, "take_quota", **quota)
    kind, message = await said(world, ada, "return attempt(services.llm.complete, 'p' * 100)")
    assert kind == "ServiceError"
    assert "3999 of the 4000 model tokens of your day are used" in message
    assert "they begin again at 20" in message


@TEST
async def test_rows_of_a_call(world: Everything, ada: User, test: str) -> None:
    body = """
def rows(number):
    return [{"name": "a"}] * number

db = services.db
db.insert("leads", rows(3))
db.insert("leads", rows(1))
return [
    attempt(db.select, "leads"),
    attempt(db.insert, "leads", rows(4)),
    attempt(db.select, "leads", limit=4),
]
"""
    told = await said(world, ada, body, test)
    assert told == [
        ["ValueError", "db.select: more than 3 rows of leads, the limit of one call: choose fewer by where or limit"],
        ["ValueError", "db.insert: 4 rows, more than the 3 of one call"],
        ["ValueError", "db.select: limit is 4, more than the 3 rows of one call"],
    ]


async def test_keys_of_a_user(world: Everything, ada: User) -> None:
    told = await said(world, ada, "return [attempt(services.kv.set, key, 1) for key in 'abc']")
    assert told == [None, None, ["ServiceError", "kv: your agents hold 2 keys, the limit; delete some first"]]


@TEST
async def test_bytes_of_a_value(world: Everything, ada: User, test: str) -> None:
    told = await said(world, ada, "return [attempt(services.kv.set, 'k', 'x' * n) for n in (98, 99)]", test)
    message = "kv.set: the value has 101 bytes as JSON, the limit is 100 bytes"
    assert told == [None, ["ValueError", message]]


@TEST
async def test_calls_of_a_run(world: Everything, ada: User, test: str) -> None:
    await world.agent(ada, "while True:\n    services.kv.get('k')")
    document = (await ada.run("agent", test=test)).json()
    assert document["error"]["code"] == "too_many_effects"
    assert document["error"]["message"] == "The agent made more than 5 calls, the limit of a run."
    assert len(document["effects"]) == 5


@TEST
async def test_bytes_of_a_child_runs_input(world: Everything, ada: User, test: str) -> None:
    await ada.define("child", "def run(text: str):\n    return 1\n")
    told = await said(world, ada, "return attempt(services.agents.run, 'child', {'text': 'x' * 2000})", test)
    assert told == ["ValueError", "agents.run: the input has 2011 bytes as JSON, the limit is 2000 bytes"]


async def test_bytes_of_all_calls(world: Everything, ada: User) -> None:
    await world.agent(ada, "for _ in range(5):\n    attempt(services.kv.get, 'x' * 19_000)")
    document = (await ada.run("agent")).json()
    assert document["error"]["message"] == "the calls of one run may hold at most 80000 bytes together"


CUT_OFF: Final = {
    "http": ("services.http.get('API/hang')", None),
    "llm": ("services.llm.complete('p')", None),
    "email": ("services.email.send('me', 's', 't')", None),
    "kv": ("services.kv.set('k', 1)", "agenthost.agent_kv"),
    "notify": ("services.notify.send('t')", "agenthost.agent_notifications"),
    "secrets": ("services.secrets.ref('KEY')", "agenthost.user_secrets"),
    "db": ("services.db.select('leads')", "public.leads"),
    "agents": ("services.agents.run('child', {})", None),
}


@pytest.mark.parametrize("service", CUT_OFF)
async def test_the_wall_time_of_a_run_cuts_off_a_call_of_every_service(
    world: Everything, ada: User, service: str
) -> None:
    call, table = CUT_OFF[service]
    told = world.model.answers["/v1/responses"]
    world.web.answers["/hang"] = world.model.answers["/v1/responses"] = hang
    world.mail.fault = "hang at DATA"
    await ada.define("child", "import time\n\ndef run():\n    time.sleep(60)\n")
    await world.agent(ada, f"return {call}", limits={"wall_seconds": 1})
    async with world.owner.transaction():
        if table is not None:
            await world.owner.execute(f"lock table {table} in access exclusive mode".encode())
        document = (await ada.run("agent")).json()
    world.model.answers["/v1/responses"] = told
    world.mail.fault = None
    run = await ada.recorded(document["run_id"])
    assert run["verified"] is True
    assert 500 <= run["usage"]["wall_ms"] < 4000
    [effect] = run["effects"]
    assert (effect["service"], effect["granted"], effect["performed"]) == (service, True, True)
    told = effect["result"]["error"]["message"]
    if service in ("http", "llm", "email"):  # these may end a moment before the run, for the agent to hear of it
        assert re.search(r"cut off|within 0\.\d+ seconds|in time", told), told
    else:
        assert "cut off" in told
    if run["status"] == "timed_out":
        assert run["error"]["code"] == "wall_time_exceeded"
        assert re.search("longer than 1 s|time of the run was over", run["error"]["message"])
    else:
        assert (service in ("http", "llm", "email"), run["error"]["message"]) == (True, told)


async def hang(writer: asyncio.StreamWriter) -> None:
    """Longer than a run here lasts."""
    await asyncio.sleep(3)
