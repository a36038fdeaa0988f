"""db through the door, on the demo table of a fresh host: the same behaviour live and dry, and a dry run leaves nothing
behind, however it ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from sandbox.job import Call
from service.local import DEMO_USER_ID
from tests.database.own_tables import contents
from tests.postgres import Addresses
from tests.service.conftest import LocalHost, User
from tests.service.contexts import broker

ALL = ["select", "insert", "update", "delete"]
SEED: list[dict[str, Any]] = [
    {"name": "a", "email": "a@example.com", "company": "A", "score": 10, "created_at": "2026-01-01T00:00:00Z"},
    {"name": "b", "email": None, "company": "B's", "score": 20, "created_at": "2026-02-01T00:00:00Z"},
    {"name": "c", "email": "c@example.com", "company": "C", "score": 30, "created_at": "2026-03-01T00:00:00Z"},
]
ERRORS = "except (TypeError, ValueError, PermissionError, RuntimeError) as error:"
CAUGHT = "try:\n    {}\n" + ERRORS + "\n    said.append([type(error).__name__, str(error)])"
SCRIPTS = {
    "reads": "return [names(), names(order='score desc', limit=2), names(where={'score': {'gte': 20, 'lt': 30}})]",
    "reads columns": "return db.select('leads', columns=['name', 'created_at'], where={'name': {'in': ['a', 'z']}})",
    "reads by date": "return names(where={'created_at': {'gt': datetime(2026, 2, 1), 'lte': date(2026, 3, 1)}})",
    "reads null": "return [names(where={'email': None}), names(where={'email': {'neq': None}})]",
    "writes are read": "db.insert('leads', {'name': 'd', 'score': 40})\nreturn [names(), names(where={'score': 40})]",
    "several at once": "db.insert('leads', [{'name': n} for n in 'xyz'])\nreturn names(order=['score', 'name desc'])",
    "no rows at all": "return db.insert('leads', [])",
    "defaults come back": "return sorted(db.insert('leads', {'name': 'd'})[0])",
    "changes are read": "db.update('leads', {'score': 99, 'email': None}, where={'name': 'a'})\n"
    "return db.select('leads', columns=['name', 'score', 'email'], order='name')",
    "changes of nothing": "who = {'name': 'z'}\nreturn [db.update('leads', {'score': 1}, where=who), "
    "db.delete('leads', where=who)]",
    "deletes hide": "return [len(db.delete('leads', where={'score': {'lte': 20}})), names()]",
    "a decimal": "return [row['score'] for row in db.insert('leads', {'name': 'd', 'score': Decimal('7')})]",
    "sql is text": "db.insert('leads', {'name': \"'; drop table leads; --\", 'company': '%s $1'})\nreturn names()",
    "an error undoes one call": "said = []\ndb.insert('leads', {'name': 'd'})\n"
    + CAUGHT.format("db.insert('leads', [{'name': 'e'}, {'name': None}])")
    + "\n"
    + CAUGHT.format("db.update('leads', {'score': 101}, where={'name': 'd'})")
    + "\nreturn [said, names()]",
    "no such column": "said = []\n" + CAUGHT.format("names(where={'nam': 'a'})") + "\nreturn said",
    "no such table": "said = []\n" + CAUGHT.format("db.select('nothing')") + "\nreturn said",
    "too many rows": "said = []\nfor n in range(2):\n    db.insert('leads', [{'name': 'x'}] * 600)\n"
    + CAUGHT.format("names()")
    + "\n"
    + CAUGHT.format("db.delete('leads', where={'name': 'x'})")
    + "\nreturn [said, len(names(limit=1000))]",
}
WRONG = [
    ("db.select('leads', limit=0)", "ValueError"),
    ("db.select('leads', limit=1001)", "ValueError"),
    ("db.select('leads', limit=True)", "TypeError"),
    ("db.select('leads', limit='1')", "TypeError"),
    ("db.select('leads', columns=[])", "ValueError"),
    ("db.select('leads', columns='name')", "TypeError"),
    ("db.select('leads', columns=['leads(*)'])", "ValueError"),
    ("db.select('leads', columns=['*'])", "ValueError"),
    ("db.select('leads', columns=['x'] * 201)", "ValueError"),
    ("db.select('leads', where=['name'])", "TypeError"),
    ("db.select('leads', where={'name': {'~': 'a'}})", "ValueError"),
    ("db.select('leads', where={'name': ['a']})", "ValueError"),
    ("db.select('leads', where={'name': {'in': 'a'}})", "ValueError"),
    ("db.select('leads', where={'name': {'in': ['a'] * 1001}})", "ValueError"),
    ("db.select('leads', where={'name; drop': 'a'})", "ValueError"),
    ("db.select('leads', where={'name': 'a\\0b'})", "ValueError"),
    ("db.select('leads', where={'score': float('inf')})", "ValueError"),
    ("db.select('leads', where={'score': 10 ** 4000})", "ValueError"),
    ("db.select('leads', where={'score': 'high'})", "ValueError"),
    ("db.select('leads', order='name;')", "ValueError"),
    ("db.select('leads', order=7)", "TypeError"),
    ("db.select('public.leads')", "ValueError"),
    ("db.select('leads()')", "ValueError"),
    ("db.select(7)", "TypeError"),
    ("db.insert('leads', [{'name': 'x'}, {'score': 1}])", "ValueError"),
    ("db.insert('leads', {})", "ValueError"),
    ("db.insert('leads', 'name')", "TypeError"),
    ("db.insert('leads', [{'name': 'x'}] * 1001)", "ValueError"),
    ("db.insert('leads', {'name': {1, 2}})", "ValueError"),
    ("db.insert('leads', {'name': 'x', 'score': 101})", "ServiceError"),
    ("db.insert('leads', {'name': 'x', 'user_id': str(UUID(int=7))})", "ServiceError"),
    ("db.insert('leads', {'name': 'x', 'id': 1})", "ValueError"),
    ("db.update('leads', {}, where={'name': 'a'})", "ValueError"),
    ("db.update('leads', {'name': 'x'}, where={})", "ValueError"),
    ("db.update('leads', {'name': 'x'}, where=None)", "TypeError"),
    ("db.delete('leads', where={})", "ValueError"),
    ("db.delete('leads', where={'name': {}})", "ValueError"),
    ("db.select('agents')", "CapabilityDenied"),
    ("db.select('user_secrets')", "CapabilityDenied"),
]


def program(script: str) -> str:
    lines = "\n".join(f"    {line}" for line in script.splitlines())
    return (
        "import time\nfrom datetime import date, datetime\nfrom decimal import Decimal\nfrom uuid import UUID\n\n"
        "def run(services):\n    db = services.db\n"
        "    def names(**options):\n"
        "        return [row['name'] for row in db.select('leads', **{'order': 'name', **options})]\n"
        f"{lines}\n"
    )


def behaviour(run: dict[str, Any]) -> Any:
    """What must be the same live and dry: all but the numbers of a sequence and the time of a row."""
    shown = ("seq", "service", "action", "args", "granted", "result")
    found = {"effects": [{name: effect[name] for name in shown} for effect in run["effects"]]} | {
        name: run[name] for name in ("status", "output", "error", "logs")
    }
    return without(found, {"id", "created_at", "traceback"})


def without(value: Any, names: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: without(item, names) for key, item in value.items() if key not in names}
    return [without(item, names) for item in value] if isinstance(value, list) else value


@pytest.fixture
def addresses(local_host: LocalHost) -> Addresses:
    """The owner's way into the host's database, past the host."""
    directory = local_host.host.settings.data_dir / "postgres"
    password = json.loads((directory / "passwords.json").read_bytes())["owner"]
    return Addresses(f"postgresql://agenthost_owner:{password}@/agenthost?host={directory / 'data'}", "")


@pytest.fixture
async def owner(addresses: Addresses) -> AsyncIterator[psycopg.AsyncConnection[tuple[object, ...]]]:
    async with await addresses.owner() as connection:
        yield connection


@pytest.fixture
async def leads(ada: User, owner: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
    """Three leads of hers."""
    for row in SEED:
        await owner.execute(
            "insert into public.leads (user_id, name, email, company, score, created_at) "
            "values (%(user)s, %(name)s, %(email)s, %(company)s, %(score)s, %(created_at)s)",
            {"user": ada.user_id, **row},
        )


async def define(user: User, script: str, tables: Any = None, **config: Any) -> None:
    granted = {"db": {"tables": {"leads": ALL, "nothing": ALL} if tables is None else tables}}
    await user.define("agent", program(script), capabilities=granted, **config)


async def lasting(addresses: Addresses) -> dict[str, str]:
    """All that a dry run may not change: every table, but for the records of runs and what counts them."""
    records = ("agenthost.runs", "agenthost.run_effects", "agenthost_private.kept_rows", "agenthost_private.run_leases")
    return {table: total for table, total in (await contents(addresses)).items() if table not in records}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
async def test_a_dry_run_behaves_as_a_live_one_and_leaves_nothing(
    ada: User, leads: None, addresses: Addresses, script: str
) -> None:
    await define(ada, script)
    before = await lasting(addresses)
    dry = (await ada.run("agent", test="true")).json()
    assert await lasting(addresses) == before
    live = (await ada.run("agent", test="false")).json()
    assert live["status"] == "succeeded", live
    assert behaviour(live) == behaviour(dry)
    for run, writes in ((dry, False), (live, True)):
        for effect in run["effects"]:
            failed = isinstance(effect["result"], dict) and "error" in effect["result"]
            assert effect["performed"] == (not failed and (writes or effect["action"] == "select"))


@pytest.mark.parametrize(("call", "error"), WRONG)
async def test_wrong_arguments_raise_in_the_agent_and_do_nothing(
    ada: User, leads: None, addresses: Addresses, call: str, error: str
) -> None:
    await define(ada, f"said = []\n{CAUGHT.format(call)}\nreturn said[0]")
    before = await lasting(addresses)
    dry, live = [(await ada.run("agent", test=test)).json() for test in ("1", "0")]
    assert live["output"][0] == error, live["output"]
    assert behaviour(live) == behaviour(dry)
    for inside in ("pydantic", "psycopg", "Traceback", "service/", "json_populate"):
        assert inside not in live["output"][1]
    assert all(not effect["performed"] for effect in live["effects"])
    assert await lasting(addresses) == before


@pytest.mark.parametrize("test", ["0", "1"])
async def test_a_table_or_a_verb_outside_the_manifest_is_denied_and_says_what_to_add(
    ada: User, leads: None, test: str
) -> None:
    script = "said = []\n" + "\n".join(
        CAUGHT.format(call)
        for call in ("db.delete('leads', where={'id': 1})", "db.select('lea' + 'ds2')", "db.select('leads', limit=1)")
    )
    await define(ada, f"{script}\nreturn said", {"leads": ["select", "update"]})
    run = (await ada.run("agent", test=test)).json()
    [first, second] = run["output"]
    assert first[0] == second[0] == "CapabilityDenied"
    assert 'leads = ["select", "update", "delete"]' in first[1]
    assert '"leads2": ["select"]' in second[1]
    assert [effect["granted"] for effect in run["effects"]] == [False, False, True]


async def test_a_grant_is_inferred_from_literal_tables_and_verbs(ada: User, leads: None) -> None:
    document = await ada.define(
        "agent", "def run(services):\n    return len(services.db.select('leads', columns=['id']))\n"
    )
    assert document["capabilities"]["db"] == {"tables": {"leads": ["select"]}}
    assert (await ada.run("agent")).json()["output"] == 3


@pytest.mark.parametrize("test", ["0", "1"])
async def test_one_user_never_sees_anothers_rows(ada: User, eve: User, leads: None, test: str) -> None:
    await define(
        eve,
        "db.insert('leads', {'name': 'hers'})\nreturn [names(), len(db.delete('leads', where={'score': {'gte': 0}}))]",
    )
    assert (await eve.run("agent", test=test)).json()["output"] == [["hers"], 1]
    await define(ada, "return names()")
    assert (await ada.run("agent", test=test)).json()["output"] == ["a", "b", "c"]


async def test_a_fresh_host_has_a_table_with_rows_for_its_demo_user_alone(local_host: LocalHost, ada: User) -> None:
    script = (
        "return db.select('leads', columns=['name', 'email', 'company', 'score', 'created_at'], order='score desc')"
    )
    await define(ada, script)
    assert (await ada.run("agent")).json()["output"] == []
    async with local_host.user(DEMO_USER_ID) as demo:
        await define(demo, script)
        rows = (await demo.run("agent")).json()["output"]
    assert len(rows) == 8
    assert rows[0].items() >= {"name": "Femi Adeyemi", "company": "Brightline Rail", "score": 97}.items()


ENDS = {
    "raises": ("raise ValueError('no')", "agent_error"),
    "is killed by its time": ("time.sleep(60)", "wall_time_exceeded"),
    "makes too many calls": ("while True: db.select('leads', limit=1)", "too_many_effects"),
}


@pytest.mark.parametrize(("end", "code"), ENDS.values(), ids=ENDS)
async def test_a_dry_run_leaves_nothing_however_it_ends(
    ada: User, leads: None, addresses: Addresses, end: str, code: str
) -> None:
    script = f"db.update('leads', {{'name': 'changed'}}, where={{'score': {{'gte': 0}}}})\n{end}"
    await define(ada, script, limits={"wall_seconds": 2})
    before = await lasting(addresses)
    assert (await ada.run("agent", test="1")).json()["code"] == code
    async with await addresses.owner() as owner, owner.transaction():
        await owner.execute("lock table public.leads in access exclusive mode nowait")
    assert await lasting(addresses) == before


async def test_a_dry_run_that_its_caller_leaves_is_rolled_back(ada: User, leads: None, addresses: Addresses) -> None:
    await define(ada, "db.update('leads', {'name': 'changed'}, where={'name': 'a'})\ntime.sleep(60)")
    before = await lasting(addresses)
    asking = asyncio.create_task(ada.run("agent", test="1"))
    await asyncio.sleep(1)
    asking.cancel()
    [run] = await ada.listed(status="cancelled")
    assert run["test"]
    async with await addresses.owner() as owner, owner.transaction():
        await owner.execute("lock table public.leads in access exclusive mode nowait")
    assert await lasting(addresses) == before


@pytest.mark.parametrize("test", ["0", "1"])
async def test_rows_that_somebody_else_has_locked_are_an_error_and_soon(
    ada: User, leads: None, owner: psycopg.AsyncConnection[tuple[object, ...]], test: str
) -> None:
    call = "db.update('leads', {'name': 'x'}, where={'name': 'a'})"
    await define(ada, f"said = []\n{CAUGHT.format(call)}\nreturn [said, names()]")
    async with owner.transaction():
        await owner.execute("select from public.leads where user_id = %s for update", (ada.user_id,))
        run = (await ada.run("agent", test=test)).json()
    [[said], names] = run["output"]
    assert said[0] == "ServiceError"
    assert "locked by another" in said[1]
    assert names == ["a", "b", "c"]


async def test_dry_runs_of_one_user_take_turns(ada: User, leads: None) -> None:
    await define(ada, "db.insert('leads', {'name': 'd'})\ntime.sleep(0.2)\nreturn len(names())")
    answers = await asyncio.gather(*(ada.run("agent", test="1") for _ in range(3)))
    assert [answer.json()["output"] for answer in answers] == [4, 4, 4]


@pytest.mark.parametrize("test", [False, True])
async def test_a_host_without_postgres_says_so(local_host: LocalHost, ada: User, test: bool) -> None:
    made = broker(
        ada.caller, local_host.host.database, test=test, manifest={"db": {"tables": {"leads": ["select", "insert"]}}}
    )
    for action, args in (("select", {"table": "leads"}), ("insert", {"table": "leads", "rows": [{"name": "x"}]})):
        reply = await made.handle(Call(service="db", action=action, args=args))
        assert reply.error is not None
        assert reply.error["type"] == "ServiceError"
        assert "DATABASE_URL" in reply.error["message"]
    assert [effect.performed for effect in made.effects] == [False, False]
