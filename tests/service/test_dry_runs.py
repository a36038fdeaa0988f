"""A dry run acts on nothing, whatever the agent is, and shows what a live run does.

Watched from outside: who connects to the servers that live services reach, what a mail server accepts, and every row of
the database. Each agent also runs live, so that this would be seen if it happened.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import psycopg
import pytest

from service.app import CannotStart, create_app
from service.capabilities.capability import DryContext, LiveContext, Reads, RunContext
from service.capabilities.kv import KV
from service.settings import Settings
from tests.outside.site import Site, redirect, text
from tests.postgres import Server, someone
from tests.service.conftest import LocalHost, User
from tests.service.everything import everything
from tests.service.mail_server import MailServer
from tests.service.programs import CHILDREN, ELSEWHERE, OPERATORS, PROGRAMS, SITE, Program
from tests.service.scripted_provider import answer, said
from tests.service.served import AbsentDatabase

SAME: Final = ("seq", "service", "action", "args", "granted")
"""What a dry run's effects have in common with a live run's."""

READS: Final = {("kv", "get"), ("kv", "list"), ("db", "select"), ("secrets", "ref")}
USAGE: Final = {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}

# Every table but the record itself: `runs`, `run_effects`, and the counts of their rows per user. Leases and the counts
# of a day are compared too: a lease has expired when its run has ended, and a dry run takes nothing of a day.
_TABLES: Final = """
select format('%I.%I', schemaname, tablename) from pg_tables
where schemaname in ('public', 'auth', 'agenthost', 'agenthost_private')
  and (schemaname, tablename) not in (('agenthost', 'runs'), ('agenthost', 'run_effects'))
"""
_COMPARED: Final = {
    "agenthost_private.kept_rows": "where table_name not in ('runs', 'run_effects')",
    "agenthost_private.run_leases": "where expires_at > now()",
}


@dataclass(frozen=True, slots=True)
class World:
    """A host, and everything that its agents could change."""

    host: LocalHost
    site: Site
    model: Site
    mail: MailServer
    resolved: list[str]
    owner: psycopg.AsyncConnection[tuple[object, ...]]

    async def look(self) -> dict[str, Any]:
        return {
            "web": (self.site.connections, len(self.resolved)),
            "model": self.model.connections,
            "mail": (self.mail.connections, len(self.mail.accepted)),
            "rows": await self._rows(),
        }

    async def _rows(self) -> dict[str, tuple[object, ...]]:
        """The number of rows of each table, and a checksum of them."""
        rows: dict[str, tuple[object, ...]] = {}
        for (table,) in await (await self.owner.execute(_TABLES)).fetchall():
            where = _COMPARED.get(str(table), "")
            query = f"select count(*), md5(string_agg(t::text, ';' order by t::text)) from {table} t {where}"
            [rows[str(table)]] = await (await self.owner.execute(query.encode())).fetchall()
        return rows

    @asynccontextmanager
    async def somebody(self) -> AsyncIterator[User]:
        """A new user with a lead, three secrets and agents to run."""
        async with self.host.user(email="ada@example.com") as user:
            for name, program in CHILDREN.items():
                await self.define(user, name, program)
            netloc = f"{SITE}:{self.site.port}"
            bound = {"KEY": f"http://{netloc}", "BOUND_TO_TLS": netloc, "BOUND_ELSEWHERE": f"http://{ELSEWHERE}"}
            for name, host in bound.items():
                body = {"value": f"the-value-of-{name}", "hosts": [host]}
                assert (await user.http.put(f"/secrets/{name}", json=body)).status_code == 204
            row = (str(user.user_id), "seeded", 10)
            await self.owner.execute("insert into public.leads (user_id, name, score) values (%s, %s, %s)", row)
            yield user

    async def define(self, user: User, name: str, program: Program) -> None:
        port = self.site.port
        await user.define(name, program.code(port), capabilities=program.capabilities(port))

    async def keep(self, user: User, key: str, value: str) -> None:
        """A value in the kv of the user's agent."""
        await self.owner.execute(
            "insert into agenthost.agent_kv (user_id, agent_id, key, value) "
            "select user_id, id, %s, to_jsonb(%s::text) from agenthost.agents "
            "where user_id = %s and agent_name = 'agent'",
            (key, value, str(user.user_id)),
        )


@pytest.fixture(scope="module")
async def world(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    given = {"email_to": OPERATORS, "limit_http_request_bytes": 32 * 1024, "limit_effects": 30}
    async with everything(postgres, tmp_path_factory.mktemp("host"), **given) as there:
        web, model = there.web, there.model
        web.answers.update({f"/{path}": text("{}") for path in ("", "a", "child", *range(4))})
        web.answers |= {"/redirect": redirect("/a"), "/error": text("", status="500 Error"), "/broken": b"nonsense"}
        model.answers["/v1/responses"] = answer(said('{"ready": true}', usage=USAGE), headers={"Connection": "close"})
        yield World(there.host, web, model, there.mail, there.resolved, there.owner)


async def run(user: User, *, test: bool) -> list[dict[str, Any]]:
    """Every effect of one run and of its child runs."""
    answer = await user.run("agent", test=str(test).lower())
    assert "run_id" in answer.json(), answer.text
    return [*answer.json()["effects"], *await effects_of_children(user, answer.json()["run_id"])]


async def effects_of_children(user: User, run_id: str) -> list[dict[str, Any]]:
    answer = await user.http.get("/runs", params={"parent_run_id": run_id})
    effects: list[dict[str, Any]] = []
    for child in reversed(answer.json()["data"]):
        record = await user.recorded(child["run_id"])
        effects += [*record["effects"], *await effects_of_children(user, child["run_id"])]
    return effects


def moved(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {part for part in before if before[part] != after[part]}


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_dry_run_acts_on_nothing_and_shows_what_a_live_one_does(world: World, name: str) -> None:
    program = PROGRAMS[name]
    async with world.somebody() as user:
        await world.define(user, "agent", program)
        await world.keep(user, "seeded", "text")
        before = await world.look()

        dry = await run(user, test=True)
        assert moved(before, await world.look()) == set()
        assert all((each["service"], each["action"]) in READS for each in dry if each["performed"])
        assert all(each["performed"] for each in dry if each["source"] == "live")

        live = await run(user, test=False)
        after = await world.look()
        assert moved(before, after) == program.moves
        assert [{key: each[key] for key in SAME} for each in dry] == [{key: each[key] for key in SAME} for each in live]

        await run(user, test=True)  # with a live run's answers to go by
        assert moved(after, await world.look()) == set()


def test_there_are_programs_for_every_action_of_every_service(world: World) -> None:
    assert len(PROGRAMS) >= 60
    text = "".join(program.code(0) for program in PROGRAMS.values())
    for capability in world.host.host.capabilities:
        for action in capability.arguments:
            assert f"{capability.name}.{action}" in text, f"{capability.name}.{action}"


def test_what_a_dry_twin_is_given_has_no_way_to_act() -> None:
    common = {field.name for field in fields(RunContext)}
    assert {field.name for field in fields(LiveContext)} - common == {"database", "outside"}
    assert {field.name for field in fields(DryContext)} - common == {"fixtures", "rehearsal", "overlays"}
    assert {name for name in dir(Reads) if not name.startswith("_")} == {"select", "call"}


async def test_a_dry_twin_calls_no_function_that_writes() -> None:
    reads = Reads(AbsentDatabase(), someone())
    for function in ("kv_set", "take_quota", "put_secret", "finish_run", "begin_run"):
        with pytest.raises(ValueError, match="does more than read"):
            await reads.call(function)


async def test_a_host_does_not_start_with_a_capability_that_has_no_dry_twin(tmp_path: Any) -> None:
    without: Any = None
    lame = replace(KV, dry_run=without)
    app = create_app(Settings(data_dir=tmp_path), database=AbsentDatabase(), engines={}, capabilities=[lame])
    with pytest.raises(CannotStart, match="kv has no dry-run twin"):
        async with app.router.lifespan_context(app):
            pass
    assert app.state.refusal == "kv has no dry-run twin"
