"""What the host says of itself: health, readiness, version, limits, keys, and its own description."""

import re
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from html import escape
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path

import httpx
import jwt
import pytest

from sandbox.limits import LOWERABLE
from service.app import create_app
from service.limit_settings import LimitSettings
from service.operations.limits import limits_in_force
from service.settings import Settings
from tests.service.conftest import LocalHost, User
from tests.service.served import AbsentDatabase, client, served


@pytest.fixture
async def anyone(local_host: LocalHost) -> AsyncIterator[httpx.AsyncClient]:
    async with client(local_host.url) as http:
        yield http


async def test_a_ready_host_says_so_with_the_isolation_of_its_engines(anyone: httpx.AsyncClient) -> None:
    answer = await anyone.get("/ready")
    state = answer.json()
    assert (answer.status_code, state["ready"]) == (200, True)
    assert state["database"] == {"state": "ready"}
    assert state["keys"] == {"state": "ready", "since": None}
    (engine,) = state["engines"]
    assert (engine["name"], engine["state"]) == ("restricted", "ready")
    assert {"namespaces", "seccomp", "limits"} <= set(engine["isolation"])


async def test_health_and_version_need_no_token(anyone: httpx.AsyncClient) -> None:
    assert (await anyone.get("/health")).json() == {"status": "ok"}
    assert (await anyone.get("/version")).json() == {"name": "agenthost", "version": version("agenthost")}


async def test_a_host_that_cannot_run_agents_is_alive_and_not_ready(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path), database=AbsentDatabase(), engines={})
    async with served(app) as url, client(url) as http:
        assert (await http.get("/health")).status_code == 200
        answer = await http.get("/ready")
        document = answer.json()
        assert (answer.status_code, document["code"], document["ready"]) == (503, "not_ready", False)
        assert document["database"] == {"state": "unavailable"}
        assert (document["keys"]["state"], document["engines"]) == ("ready", [])
        assert "database" in document["detail"]
        assert "retry-after" in answer.headers


async def test_every_limit_is_listed_with_its_unit(ada: User) -> None:
    limits = {limit["name"]: limit for limit in (await ada.http.get("/limits")).json()["data"]}
    assert {field.removeprefix("limit_") for field in LimitSettings.model_fields} <= limits.keys()
    assert limits["wall_seconds"] == {
        "name": "wall_seconds",
        "value": 5.0,
        "unit": "seconds",
        "applies_to": "run",
        "description": "Wall time of one run.",
        "setting": "AGENTHOST_LIMIT_WALL_SECONDS",
        "lowerable": True,
    }
    assert {name for name, limit in limits.items() if limit["lowerable"]} == LOWERABLE
    assert {limit["unit"] for limit in limits.values()} <= {
        *("seconds", "bytes", "days", "hours", "characters", "levels"),
        *(
            "calls",
            "runs",
            "checks",
            "keys",
            "notifications",
            "agents",
            "tokens",
            "recipients",
            "rows",
            "secrets",
            "generations",
            "drafts",
            "sandboxes",
        ),
    }
    assert (limits["json_depth"]["value"], limits["json_depth"]["setting"]) == (64, None)


async def test_limits_are_told_to_users_alone(anyone: httpx.AsyncClient) -> None:
    assert (await anyone.get("/limits")).status_code == 401


def test_a_changed_limit_is_in_force_and_listed() -> None:
    settings = Settings(limit_cpu_seconds=2, limit_effects=7)
    listed = {limit["name"]: limit["value"] for limit in limits_in_force(settings)}
    assert (listed["cpu_seconds"], listed["effects"]) == (2, 7)
    assert (settings.sandbox_limits().cpu_seconds, settings.sandbox_limits().effects) == (2, 7)


async def test_the_published_key_verifies_local_tokens(anyone: httpx.AsyncClient, ada: User) -> None:
    (key,) = (await anyone.get("/.well-known/jwks.json")).json()["keys"]
    assert key.keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    claims = jwt.decode(ada.caller.token, jwt.PyJWK(key).key, algorithms=["ES256"], audience="authenticated")
    assert claims["sub"] == str(ada.user_id)


async def test_a_host_with_an_identity_provider_publishes_no_keys(tmp_path: Path) -> None:
    settings = Settings.model_validate({"SUPABASE_JWT_SECRET": "x" * 32, "data_dir": tmp_path})
    async with served(create_app(settings, database=AbsentDatabase(), engines={})) as url, client(url) as http:
        answer = await http.get("/.well-known/jwks.json")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_the_openapi_document_is_complete(anyone: httpx.AsyncClient) -> None:
    document = (await anyone.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    operations = [
        (path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()
    ]
    ids = [operation["operationId"] for _, _, operation in operations]
    assert len(set(ids)) == len(ids)
    assert all(identifier.replace("_", "").isalpha() for identifier in ids)
    assert "HTTPValidationError" not in str(document)
    for path, method, operation in operations:
        assert operation["summary"], path
        for status, response in operation["responses"].items():
            if status.startswith(("4", "5")):
                assert list(response["content"]) == ["application/problem+json"], (method, path, status)
        public = path in {"/health", "/ready", "/version", "/.well-known/jwks.json"}
        assert public == ("security" not in operation), path


class Elements(HTMLParser):
    """What a page is made of: the names of its elements, where its attributes lead, and what can be linked to."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]
        self.ids += [value or "" for name, value in attrs if name == "id"]


async def test_docs_shows_every_route_and_schema_in_a_browser(anyone: httpx.AsyncClient) -> None:
    document = (await anyone.get("/openapi.json")).json()
    answer = await anyone.get("/docs")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    page = Elements()
    page.feed(answer.text)
    operations = {each["operationId"] for item in document["paths"].values() for each in item.values()}
    assert set(page.ids) == operations | set(document["components"]["schemas"])
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= {*page.ids, "/openapi.json"}
    assert escape('def run(name: str = "World")').replace("&quot;", r"\&quot;") in answer.text


async def test_docs_runs_no_script_and_loads_nothing(anyone: httpx.AsyncClient) -> None:
    answer = await anyone.get("/docs")
    page = Elements()
    page.feed(answer.text)
    assert not page.names & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "svg"}
    assert page.attributes == {"lang", "charset", "href", "id"}
    [style] = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
    hashed = b64encode(sha256(style.encode()).digest()).decode()
    assert answer.headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{hashed}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert (await anyone.get("/docs/oauth2-redirect")).status_code == 404
