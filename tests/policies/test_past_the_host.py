"""Two tenants at the project's REST interface itself, with the tokens that the host would get, and none of its care."""

from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from service.auth import Caller
from service.database.supabase import SupabaseDatabase
from tests.peers.supabase import Project
from tests.policies.tenants import CHANGE, VERBS, everything, fresh, furnish
from tests.policies.test_catalogue import CALLABLE

AGENTHOST = {"Accept-Profile": "agenthost", "Content-Profile": "agenthost", "Prefer": "return=representation"}


@pytest.fixture
async def database(project: Project) -> Any:
    started = SupabaseDatabase(project.url, project.publishable_key)
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
async def ada(project: Project, database: SupabaseDatabase) -> Caller:
    caller = project.caller(uuid4())
    await furnish(database, caller)
    return caller


@pytest.fixture
async def bob(project: Project, database: SupabaseDatabase) -> Caller:
    caller = project.caller(uuid4(), legacy=True)
    await furnish(database, caller)
    return caller


@pytest.mark.parametrize("table", VERBS)
async def test_four_verbs_reach_nothing_of_another(
    project: Project, database: SupabaseDatabase, ada: Caller, bob: Caller, table: str
) -> None:
    before = await everything(database, bob)
    agent_id, run_id = before["agents"][0]["id"], before["runs"][0]["id"]
    theirs = {"user_id": f"eq.{bob.user_id}"}
    async with project.rest(ada, **AGENTHOST) as http:
        for filters in (theirs, {"user_id": f"neq.{ada.user_id}"}, {"or": f"(user_id.eq.{bob.user_id})"}):
            assert (await http.get(f"/{table}", params=filters)).json() == []
            for change in (http.patch(f"/{table}", params=filters, json=CHANGE[table]), _deleted(http, table, filters)):
                assert (answer := await change).status_code == 403 or answer.json() == []
        made = await http.post(f"/{table}", json=fresh(table, bob, agent_id, run_id))
        assert (made.status_code, made.json()["code"]) == (403, "42501")
        upserted = {"Prefer": "resolution=merge-duplicates"}
        taken = await http.post(f"/{table}", json=fresh(table, bob, agent_id, run_id), headers=upserted)
        assert taken.status_code == 403
    assert await everything(database, bob) == before


async def _deleted(http: httpx.AsyncClient, table: str, filters: dict[str, str]) -> httpx.Response:
    return await http.delete(f"/{table}", params=filters)


@pytest.mark.parametrize(
    "select", ["*,agent_versions(*)", "*,runs(*,run_effects(*))", "*,agent_kv(*)", "*,agent_notifications(*)"]
)
async def test_what_is_embedded_is_ones_own(project: Project, ada: Caller, bob: Caller, select: str) -> None:
    async with project.rest(ada, **AGENTHOST) as http:
        answer = await http.get("/agents", params={"select": select})
    assert answer.status_code == 200
    assert str(ada.user_id) in answer.text
    assert str(bob.user_id) not in answer.text


async def test_nobody_may_ask_which_migration_this_is_and_nothing_else(project: Project, ada: Caller) -> None:
    anon = Caller(user_id=uuid4(), claims={}, token=project.anon_key, expires_at=0)
    for nobody in (None, anon):
        async with project.rest(nobody, **AGENTHOST) as http:
            assert (await http.post("/rpc/schema_version")).status_code == 200
            for table in VERBS:
                for attempt in (
                    http.get(f"/{table}"),
                    http.post(f"/{table}", json=fresh(table, ada, str(uuid4()), str(uuid4()))),
                    http.patch(f"/{table}", json=CHANGE[table], params={"user_id": "not.is.null"}),
                    _deleted(http, table, {"user_id": "not.is.null"}),
                ):
                    answer = await attempt
                    assert answer.status_code in (401, 403)
                    assert answer.json()["code"] == "42501"
            for function in CALLABLE - {"schema_version"}:
                assert (await http.post(f"/rpc/{function}", json={})).status_code in (401, 403, 404)


async def test_what_no_user_may_see_is_not_exposed(project: Project, ada: Caller) -> None:
    for schema in ("agenthost_private", "auth", "pg_catalog", "information_schema"):
        async with project.rest(ada, **{"Accept-Profile": schema, "Content-Profile": schema}) as http:
            for attempt in (http.get("/kept_rows"), http.get("/users"), http.post("/rpc/end_run", json={})):
                assert (await attempt).status_code == 406
    async with project.rest(ada, **AGENTHOST) as http:
        for path in ("/kept_rows", "/agenthost_private.kept_rows", "/users", "/migrations"):
            assert (await http.get(path)).status_code == 404


async def test_a_token_that_is_not_true_or_has_expired_is_refused(project: Project, ada: Caller) -> None:
    forged = ec.generate_private_key(ec.SECP256R1())
    claims = dict(ada.claims)
    tokens = [
        project.token(ada.user_id, seconds=-60),
        project.token(ada.user_id, seconds=-60, legacy=True),
        jwt.encode(claims, forged, algorithm="ES256", headers={"kid": "project"}),
        jwt.encode(claims, "another secret of at least 32 bytes, too", algorithm="HS256"),
        jwt.encode(claims, "", algorithm="none"),
        ada.token[:-4] + "AAAA",
        project.publishable_key,
    ]
    for token in tokens:
        caller = Caller(user_id=ada.user_id, claims=claims, token=token, expires_at=0)
        async with project.rest(caller, **AGENTHOST) as http:
            assert (await http.get("/agents")).status_code == 401


async def test_without_a_key_of_the_project_the_gateway_answers_nothing(project: Project, ada: Caller) -> None:
    for key in ("", "sb_publishable_another", ada.token):
        async with project.rest(ada, **AGENTHOST, apikey=key) as http:
            assert (await http.get("/agents")).status_code == 401


async def test_who_calls_themselves_a_guest_shuts_themselves_out(project: Project, ada: Caller) -> None:
    """The header only ever takes away: whoever sends it past the host sees and writes nothing of agenthost's."""
    for value in ("on", "off", ""):
        async with project.rest(ada, **AGENTHOST, **{"agenthost-guest": value}) as http:
            for table in VERBS:
                assert (await http.get(f"/{table}")).json() == []
            assert (await http.post("/agents", json={"agent_name": "x", "agent_config": {}})).status_code == 403
            taken = await http.post("/rpc/take_quota", json={"p_name": "checks", "p_amount": 1, "p_limit": 9})
            assert taken.status_code == 403
