"""The sample agents pass their check, need what they say and no more, and do in a dry run what they are for."""

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.commands.samples import DEFINED, DIRECTORY, define_samples
from service.database.postgres import PostgresDatabase
from service.local import DEMO_EMAIL, DEMO_USER_ID, LocalIdentity
from service.settings import Settings
from tests.postgres import Addresses
from tests.service.conftest import LocalHost, User
from tests.service.operator import Operator, Up
from tests.service.samples import BEFORE, EXAMPLES, TODAY, code_of
from tests.service.served import bearer, client, served

NAMES = sorted(path.stem for path in DIRECTORY.glob("*.py"))
BLOCK = re.compile(r"# /// agent\n.*?# ///\n", re.DOTALL)


@pytest.fixture
async def ada(local_host: LocalHost) -> AsyncIterator[User]:
    async with local_host.user(email="ada@example.com") as user:
        yield user


async def checked(user: User, code: str) -> dict[str, Any]:
    answer = await user.http.post("/agents/check", json={"agent_config": {"code": code}})
    document: dict[str, Any] = answer.json()
    return document


def test_every_sample_has_an_example() -> None:
    assert sorted(EXAMPLES) == NAMES
    assert len(NAMES) >= 5


@pytest.mark.parametrize("name", NAMES)
async def test_a_sample_passes_its_check_and_explains_itself(ada: User, name: str) -> None:
    found = await checked(ada, code_of(name))
    assert found["ok"], found["errors"]
    assert found["description"].endswith(".")
    assert all("description" in schema for schema in found["input_schema"]["properties"].values())


@pytest.mark.parametrize("name", NAMES)
async def test_a_sample_is_granted_what_its_code_uses_and_no_more(ada: User, name: str) -> None:
    code = BLOCK.sub("", code_of(name))
    given = (await checked(ada, code_of(name)))["capabilities"]
    found = await checked(ada, code)
    assert found["capabilities_source"] == "inferred"
    assert set(given) == set(found["capabilities"])
    for service, grant in found["capabilities"].items():
        if service == "http" and not grant["hosts"]:  # they stand in the code, but not as arguments of a call
            assert all(f"https://{host}/" in code for host in given["http"]["hosts"])
            grant = grant | {"hosts": given["http"]["hosts"]}
        ours = given[service] | (
            {"max_tokens_per_run": None, "max_per_run": None} if service in ("llm", "email") else {}
        )
        assert {key: value for key, value in ours.items() if value is not None} == grant


async def prepared(user: User, name: str) -> None:
    """The agent, with what it needs beside itself."""
    await user.define(name, code_of(name))
    if name == "research_helper":
        await user.define("summarise", code_of("summarise"))
    if name == "unanswered_issues":
        secret = {"value": "ghp_0123456789", "hosts": ["api.github.com"]}
        assert (await user.http.put("/secrets/GITHUB_TOKEN", json=secret)).is_success
    if name == "lead_digest":
        await add_leads(user)


async def add_leads(user: User) -> None:
    """Two leads worth a digest, one of little worth and one of long ago."""
    old = (datetime.now(UTC) - timedelta(days=30)).isoformat()
    rows = [
        {"name": "Ada Lovelace", "email": "ada@example.com", "company": "Analytical Engines", "score": 97},
        {"name": "Grace Hopper", "email": "grace@example.com", "company": "Compilers", "score": 88},
        {"name": "Nobody", "email": "nobody@example.com", "company": "Nothing", "score": 3},
    ]
    code = "def run(rows: list[dict], services):\n    for row in rows:\n        services.db.insert('leads', row)\n"
    grant = {"db": {"tables": {"leads": ["insert"]}}}
    await user.define("adder", code, capabilities=grant)
    late = {**rows[0], "name": "Too late", "created_at": old}
    answer = await user.http.post(user.url("adder"), json={"rows": [*rows, late]})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("name", NAMES)
async def test_a_sample_does_in_a_dry_run_what_it_is_for(ada: User, name: str) -> None:
    await prepared(ada, name)
    example = EXAMPLES[name]
    answer = await ada.http.post(ada.url(name), params={"test": "true"}, json=example.input)
    run = answer.json()
    assert (answer.status_code, run["output"]) == (200, example.output), answer.text
    calls = [
        (f"{effect['service']}.{effect['action']}", effect["granted"], effect["performed"], effect["source"])
        for effect in run["effects"]
    ]
    assert calls == example.calls


async def test_the_digest_holds_the_leads_and_the_models_summary(ada: User) -> None:
    await prepared(ada, "lead_digest")
    run = (await ada.run("lead_digest", min_score="80", test="true")).json()
    mail = run["effects"][-1]["args"]
    assert mail["subject"] == "2 new leads, the best: Ada Lovelace"
    assert mail["text"].startswith("The strongest of the new leads")
    assert "97  Ada Lovelace, Analytical Engines <ada@example.com>" in mail["text"]
    assert (await ada.run("lead_digest", min_score="99")).json()["output"] == {
        "leads": 0,
        "best": None,
        "mailed": False,
    }


async def test_habits_are_counted_over_days_and_milestones_are_told(ada: User, local_host: LocalHost) -> None:
    await prepared(ada, "habit_tracker")
    for day in BEFORE[1:]:
        assert (await ada.run("habit_tracker", habit="running", on=day)).status_code == 200
    last = (await ada.run("habit_tracker", habit="Running")).json()
    assert last["output"] == {"habit": "running", "done_today": True, "streak": 7, "longest": 7, "days": 7}
    [told] = await local_host.host.database.select(ada.caller, "agent_notifications")
    assert told["title"] == "running: 7 days in a row"
    undone = (await ada.run("habit_tracker", habit="running", on=BEFORE[3], undo="true")).json()["output"]
    assert (undone["streak"], undone["longest"], undone["days"]) == (3, 3, 6)
    assert [habit["streak"] for habit in (await ada.run("habit_tracker")).json()["output"]["habits"]] == [3]
    tomorrow = (await ada.run("habit_tracker", habit="running", on=str(TODAY + timedelta(days=1)))).json()
    assert "yet to come" in tomorrow["error"]["message"]


async def test_a_site_that_stays_down_is_told_once(ada: User) -> None:
    fixtures = {"http": [{"url": "https://example.com/", "status": 500}]}
    code = 'def run(seen: dict, services):\n    services.kv.set("https://example.com/", seen)\n'
    await ada.define("site_checker", code)
    for before, now, change in (
        ({"status": 0, "title": ""}, fixtures, []),
        ({"status": 0, "title": ""}, None, ["https://example.com/ is back"]),
        ({"status": 200, "title": "Old"}, None, ["https://example.com/ is now called 'Example Domain'"]),
        ({"status": 200, "title": "Example Domain"}, None, []),
    ):
        await changed(ada, "site_checker", {"code": code})
        assert (await ada.http.post(ada.url("site_checker"), json={"seen": before})).status_code == 200
        await changed(ada, "site_checker", {"code": code_of("site_checker"), "fixtures": now})
        query = {"urls": "https://example.com/", "test": "1"}
        run = (await ada.run("site_checker", **query)).json()
        assert run["output"]["changes"] == change


async def test_a_site_that_is_back_is_no_alarm_while_another_stays_down(ada: User) -> None:
    seed = "def run(seen: dict, services):\n    for url in seen:\n        services.kv.set(url, seen[url])\n"
    await ada.define("site_checker", seed)
    gone = {"status": 0, "title": ""}
    seen = {"seen": {"https://example.com/": gone, "https://www.iana.org/": gone}}
    assert (await ada.http.post(ada.url("site_checker"), json=seen)).status_code == 200
    await changed(ada, "site_checker", {"code": code_of("site_checker")})
    run = (await ada.run("site_checker", test="1")).json()
    assert run["output"]["changes"] == ["https://example.com/ is back"]
    assert run["output"]["down"] == ["https://www.iana.org/"]
    told = run["effects"][-1]["args"]
    assert (told["type"], told["priority"]) == ("info", "normal")


async def test_issues_are_found_without_a_secret_too(ada: User) -> None:
    await ada.define("unanswered_issues", code_of("unanswered_issues"))
    run = (await ada.run("unanswered_issues", test="true")).json()
    assert [issue["number"] for issue in run["output"]["unanswered"]] == [12]
    assert run["logs"] == ["There is no secret GITHUB_TOKEN: GitHub is asked without it."]


async def changed(user: User, name: str, config: dict[str, Any]) -> None:
    answer = await user.http.patch(f"/agents/{name}", json={"agent_config": config})
    assert answer.status_code == 200, answer.text


@pytest.fixture
def app(cloned: Addresses, tmp_path: Path) -> FastAPI:
    return create_app(Settings(data_dir=tmp_path), database=PostgresDatabase(cloned.serving_dsn))


async def defined(app: FastAPI, http: httpx.AsyncClient) -> list[str]:
    await define_samples(app)
    return sorted(agent["agent_name"] for agent in (await http.get("/agents")).json()["data"])


async def test_samples_are_defined_once_and_what_the_user_makes_of_them_stays(app: FastAPI, tmp_path: Path) -> None:
    token = LocalIdentity.in_directory(tmp_path).mint(DEMO_USER_ID, DEMO_EMAIL)
    async with served(app) as url, client(url) as http:
        http.headers.update(bearer(token))
        mine = {"agent_name": "summarise", "agent_config": "def run():\n    return 'mine'\n"}
        assert (await http.post("/agents", json=mine)).status_code == 201
        assert await defined(app, http) == NAMES
        assert (await http.get("/agents/summarise")).json()["agent_config"]["code"] == mine["agent_config"]
        kept = (await http.get("/agents/csv_cleaner")).json()
        assert (kept["version"], kept["agent_config"]["code"]) == (1, code_of("csv_cleaner"))
        await http.delete("/agents/site_checker")
        assert await defined(app, http) == [name for name in NAMES if name != "site_checker"]
        http.headers.update(bearer(LocalIdentity.in_directory(tmp_path).mint(uuid4())))
        assert (await http.get("/agents")).json()["data"] == []


async def test_a_sample_that_fails_is_tried_again_and_stops_nothing(app: FastAPI, tmp_path: Path) -> None:
    samples = tmp_path / "mine"
    samples.mkdir()
    (samples / "a_broken.py").write_text("import os\ndef run():\n    return os\n")
    (samples / "b_fine.py").write_text("def run():\n    return 1\n")
    async with served(app):
        await define_samples(app, samples)
        assert (tmp_path / DEFINED).read_text() == "b_fine\n"
        (samples / "a_broken.py").write_text("def run():\n    return 2\n")
        await define_samples(app, samples)
        assert (tmp_path / DEFINED).read_text() == "b_fine\na_broken\n"
        (tmp_path / DEFINED).unlink()
        (tmp_path / DEFINED).mkdir()
        await define_samples(app, samples)


def test_a_started_host_has_them_and_the_welcome_says_so(tmp_path: Path) -> None:
    operator = Operator(tmp_path / "data")
    with operator.up() as host:
        assert "Sample agents are there" in host.printed
        assert names_of(host, operator, at_least=len(NAMES)) == NAMES
        ran = operator.types("run", "habit_tracker", "habit=reading")
        assert json.loads(ran.stdout)["streak"] == 1
        token = operator.types("token").stdout.strip()
        assert httpx.delete(f"{host.url}/agents/summarise", headers=bearer(token), timeout=30).status_code == 204
    with operator.up() as host:
        assert json.loads(operator.types("run", "habit_tracker", "habit=reading").stdout)["days"] == 1
        assert "summarise" not in names_of(host, operator)
    assert not [line for line in host.log if "not_defined" in line]


def names_of(host: Up, operator: Operator, at_least: int = 1) -> list[str]:
    token = operator.types("token").stdout.strip()
    while True:
        answer = httpx.get(f"{host.url}/agents", headers=bearer(token), timeout=30)
        names = sorted(agent["agent_name"] for agent in answer.json()["data"])
        if len(names) >= at_least:
            return names
