"""A host on a Supabase project, with two settings and no power of its own: what it does, and what it says it cannot."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from service.app import CannotStart, create_app, running_host
from service.operations.readiness import REMEMBER_SECONDS
from service.settings import Settings
from tests.database.own_tables import make_tables
from tests.peers.supabase import Project, serving
from tests.postgres import Server
from tests.service.operator import Operator
from tests.service.served import bearer, served

SLEEPER = "import time\ndef run():\n    time.sleep(30)\n"
NOTES = """
def run(services, text: str = "x"):
    services.db.insert("notes", [{"text": text}])
    changed = services.db.update("notes", {"text": text + "!"}, where={"text": text})
    services.kv.set("last", text)
    return {"notes": services.db.select("notes", columns=["text"]), "changed": len(changed)}
"""
SPY = 'def run(services):\n    return services.db.select("spying")\n'


@pytest.fixture(scope="module")
async def furnished(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Project]:
    """With tables of its users'."""
    addresses = await postgres.clone()
    await make_tables(addresses)
    async with serving(postgres, addresses, tmp_path_factory.mktemp("project")) as running:
        yield running
    await postgres.drop(addresses)


@pytest.fixture(scope="module")
async def url(furnished: Project, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    settings = on(furnished, tmp_path_factory.mktemp("host"))
    async with served(create_app(settings), settings) as address:
        yield address


def on(project: Project, data_dir: Path, **changes: Any) -> Settings:
    known = {"supabase_url": project.url, "supabase_publishable_key": project.publishable_key}
    return Settings(**{**known, "data_dir": data_dir, "limit_wall_seconds": 10.0, **changes})


@asynccontextmanager
async def user(project: Project, url: str, **options: Any) -> AsyncIterator[tuple[str, httpx.AsyncClient]]:
    user_id = uuid4()
    async with httpx.AsyncClient(base_url=url, headers=bearer(project.token(user_id, **options)), timeout=30) as http:
        yield f"/agents/{user_id}", http


async def define(http: httpx.AsyncClient, name: str, code: str, **capabilities: Any) -> None:
    body = {"agent_name": name, "agent_config": {"code": code, "capabilities": capabilities}}
    answer = await http.post("/agents", json=body)
    assert answer.status_code == 201, answer.text


async def test_an_agent_reads_and_writes_its_owners_tables(furnished: Project, url: str) -> None:
    tables = {"notes": ["select", "insert", "update"]}
    async with user(furnished, url) as (mine, http), user(furnished, url) as (others, other):
        for each in (http, other):
            await define(each, "notes", NOTES, db={"tables": tables}, kv={})
        assert (await http.get(f"{mine}/notes?text=a")).json()["output"] == {"notes": [{"text": "a!"}], "changed": 1}
        run = (await other.get(f"{others}/notes?text=b")).json()
        assert run["output"]["notes"] == [{"text": "b!"}]
        recorded = (await other.get(f"/runs/{run['run_id']}")).json()
        assert (recorded["status"], recorded["verified"]) == ("succeeded", True)
        assert [effect["service"] for effect in recorded["effects"]] == ["db", "db", "kv", "db"]


async def test_what_an_agent_tells_is_read_there_by_its_owner_alone(furnished: Project, url: str) -> None:
    async with user(furnished, url) as (mine, http), user(furnished, url) as (_, other):
        await define(http, "teller", 'def run(services):\n    return services.notify.send("one")["id"]\n', notify={})
        one = (await http.get(f"{mine}/teller")).json()["output"]
        assert [each["notification_id"] for each in (await http.get("/notifications?read=false")).json()["data"]] == [
            one
        ]
        assert (await other.get("/notifications")).json()["data"] == []
        marked = [await each.patch(f"/notifications/{one}", json={"read": True}) for each in (other, http)]
        assert [answer.status_code for answer in marked] == [404, 200]
        assert (await http.get("/notifications?read=false")).json()["data"] == []


async def test_what_an_agent_does_there_shows_none_of_agenthosts_rows(furnished: Project, url: str) -> None:
    """A view of the owner of everything, over agents and secrets: through an agent it is empty."""
    async with user(furnished, url) as (mine, http):
        await define(http, "spy", SPY, db={"tables": {"spying": ["select"]}})
        assert (await http.get(f"{mine}/spy")).json()["output"] == []
        caller = furnished.caller(uuid4())
        async with furnished.rest(caller) as rest:
            assert (await rest.get("/spying")).json() != []


async def test_a_dry_run_of_db_says_what_it_takes(furnished: Project, url: str) -> None:
    async with user(furnished, url) as (mine, http):
        await define(http, "notes", NOTES, db={"tables": {"notes": ["select", "insert", "update"]}}, kv={})
        answer = await http.get(f"{mine}/notes?test=true")
        assert answer.status_code == 502
        assert "DATABASE_URL" in answer.json()["detail"]
        async with furnished.rest(furnished.caller(uuid4())) as rest:
            assert (await rest.get("/notes")).json() == []


async def test_a_run_ends_before_its_callers_token(furnished: Project, url: str) -> None:
    async with user(furnished, url, seconds=8) as (mine, http):
        await define(http, "slow", SLEEPER)
        began = time.monotonic()
        answer = await http.get(f"{mine}/slow")
        assert time.monotonic() - began < 7
        assert (answer.status_code, answer.json()["code"]) == (504, "wall_time_exceeded")
        assert "about to expire" in answer.json()["detail"]
        [run] = (await http.get("/runs")).json()["data"]
        assert run["status"] == "timed_out"


async def test_a_token_that_is_about_to_expire_begins_no_run(furnished: Project, url: str) -> None:
    async with user(furnished, url, seconds=4) as (mine, http):
        answer = await http.get(f"{mine}/slow")
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
        assert (await http.get("/runs")).json()["data"] == []


async def test_the_host_is_ready_and_tokens_of_another_project_are_refused(furnished: Project, url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        ready = (await http.get("/ready")).json()
        assert (ready["ready"], ready["database"]["state"], ready["keys"]["state"]) == (True, "ready", "ready")
        legacy = bearer(furnished.token(uuid4(), legacy=True))
        assert (await http.get("/agents", headers=legacy)).status_code == 401


async def test_a_project_that_goes_away_makes_the_host_unready(postgres: Server, tmp_path: Path) -> None:
    addresses = await postgres.clone()
    async with serving(postgres, addresses, tmp_path) as project:
        settings = on(project, tmp_path)
        async with served(create_app(settings), settings) as address, user(project, address) as (_, http):
            assert (await http.get("/ready")).status_code == 200
            await project.postgrest.kill()
            answer = await http.get("/agents")
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
            await asyncio.sleep(REMEMBER_SECONDS + 0.1)
            ready = await http.get("/ready")
            assert (ready.status_code, ready.json()["database"]["state"]) == (503, "unavailable")
            await project.postgrest.start(schemas="public")
            answer = await http.get("/agents")
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
            await project.postgrest.kill()
            await project.postgrest.start()
            assert (await http.get("/agents")).status_code == 200
    await postgres.drop(addresses)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"supabase_publishable_key": None}, r"SUPABASE_PUBLISHABLE_KEY.*DATABASE_URL"),
        ({"supabase_publishable_key": "sb_publishable_of_another"}, "refuses SUPABASE_PUBLISHABLE_KEY"),
        ({"supabase_url": "http://127.0.0.1:9"}, "cannot be reached"),
    ],
)
async def test_a_host_that_cannot_serve_a_project_says_why(
    furnished: Project, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    settings = on(furnished, tmp_path, supabase_jwt_secret="s" * 32, **changes)
    with pytest.raises(CannotStart, match=said):
        async with running_host(settings):
            pass


async def test_a_project_without_the_schema_or_a_migration_is_refused(postgres: Server, tmp_path: Path) -> None:
    addresses = await postgres.clone()
    async with await addresses.owner() as owner:
        await owner.execute("revoke execute on function agenthost.schema_version from anon")
    async with serving(postgres, addresses, tmp_path) as project:
        with pytest.raises(CannotStart, match="agenthost migrate"):
            async with running_host(on(project, tmp_path)):
                pass
    await postgres.drop(addresses)


async def test_with_a_connection_to_postgres_too_that_is_what_serves(furnished: Project, tmp_path: Path) -> None:
    """Tokens are still the project's."""
    settings = on(furnished, tmp_path, database_url=furnished.addresses.serving_dsn)
    async with served(create_app(settings), settings) as address, user(furnished, address) as (mine, http):
        await define(http, "notes", NOTES, db={"tables": {"notes": ["select", "insert", "update"]}}, kv={})
        dry = (await http.get(f"{mine}/notes?test=true&text=dry")).json()
        assert dry["output"]["notes"] == [{"text": "dry!"}]
        assert (await http.get("/ready")).json()["ready"]


def test_the_doctor_says_what_the_project_answers(furnished: Project, tmp_path: Path) -> None:
    operator = Operator(tmp_path, settings=furnished.settings)
    said = operator.types("doctor")
    assert "The project answers over REST: migration" in said.stdout
    assert "note  database" in said.stdout
    assert "DATABASE_URL" in said.stdout
    assert furnished.publishable_key not in said.stdout + said.stderr
    operator = Operator(tmp_path, settings={"SUPABASE_URL": furnished.url})
    said = operator.types("doctor")
    assert said.returncode == 1
    assert "SUPABASE_PUBLISHABLE_KEY" in said.stdout
    operator = Operator(tmp_path, settings={**furnished.settings, "SUPABASE_PUBLISHABLE_KEY": furnished.secret_key})
    said = operator.types("up")
    assert said.returncode != 0
    assert "SUPABASE_PUBLISHABLE_KEY" in said.stderr
    assert furnished.secret_key not in said.stdout + said.stderr
