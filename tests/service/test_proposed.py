"""Code that a model wrote only proposes what it would do to others: tried in dry runs, denied live, until its owner
accepts it."""

from typing import Any
from uuid import uuid4

import pytest

from tests.service.conftest import LocalHost, User

CODE = """\
def run(services):
    done = {"kv": services.kv.increment("runs"), "notify": bool(services.notify.send("Hello"))}
    calls = {
        "http": lambda: services.http.get("https://api.example.com/").status,
        "db": lambda: len(services.db.insert("leads", {"name": "Ada"})),
        "secrets": lambda: str(services.secrets.ref("CRM_KEY")),
        "agents": lambda: services.agents.run("helper"),
    }
    for name in calls:
        try:
            done[name] = calls[name]()
        except services.CapabilityDenied as error:
            done[name] = f"denied: {error}"
    return done
"""
HELPER = "def run():\n    return 'helped'\n"
AT_ONCE: dict[str, Any] = {"kv": {}, "notify": {}}
PROPOSED: dict[str, Any] = {
    "http": {"hosts": ["api.example.com"], "methods": ["GET"], "schemes": ["https"]},
    "db": {"tables": {"leads": ["insert"]}},
    "agents": {"names": ["helper"]},
    "secrets": {"names": ["CRM_KEY"]},
}
TRIED = {"kv": 1, "notify": True, "http": 200, "db": 1, "secrets": "<secret CRM_KEY>", "agents": "helped"}


async def written_by_a_model(user: User, local_host: LocalHost, code: str, name: str = "made", **config: Any) -> None:
    """As a host with a model stores it; its owner can write the same row, to nobody's gain."""
    row = {
        "user_id": str(user.user_id),
        "agent_name": name,
        "agent_config": {"code": code, **config},
        "origin": {"how": "generated", "proposes": True},
    }
    await local_host.host.database.insert(user.caller, "agents", [row])


@pytest.fixture
async def made(ada: User, local_host: LocalHost) -> None:
    await ada.define("helper", HELPER)
    secret = {"value": "s3cret-value", "hosts": ["api.example.com"]}
    assert (await ada.http.put("/secrets/CRM_KEY", json=secret)).is_success
    await written_by_a_model(ada, local_host, CODE)


async def shown(user: User, name: str = "made") -> tuple[dict[str, Any], dict[str, Any], str]:
    agent = (await user.http.get(f"/agents/{name}")).json()
    assert agent["valid"], agent
    return agent["capabilities"], agent["proposed"], agent["capabilities_source"]


async def patched(user: User, *, name: str = "made", **change: Any) -> dict[str, Any]:
    answer = await user.http.patch(f"/agents/{name}", json=change)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def leads(user: User, local_host: LocalHost) -> int:
    counter = "def run(services):\n    return len(services.db.select('leads'))\n"
    name = f"counter-{uuid4().hex[:8]}"
    await user.define(name, counter)
    count: int = (await user.run(name)).json()["output"]
    return count


@pytest.mark.usefixtures("made")
async def test_what_reaches_others_is_shown_as_proposed(ada: User) -> None:
    assert await shown(ada) == (AT_ONCE, PROPOSED, "inferred")


@pytest.mark.usefixtures("made")
async def test_what_is_proposed_can_be_tried_in_a_dry_run(ada: User, local_host: LocalHost) -> None:
    run = (await ada.run("made", test="true")).json()
    assert run["output"] == TRIED
    assert {effect["service"]: effect["granted"] for effect in run["effects"]} == {
        **dict.fromkeys(AT_ONCE, True),
        **dict.fromkeys(PROPOSED, False),
    }
    assert await leads(ada, local_host) == 0


@pytest.mark.usefixtures("made")
async def test_what_is_proposed_is_denied_live_and_says_what_to_do(ada: User, local_host: LocalHost) -> None:
    run = (await ada.run("made")).json()
    assert (run["output"]["kv"], run["output"]["notify"]) == (1, True)
    for service in PROPOSED:
        assert run["output"][service].startswith(f"denied: the agent may not use {service} before its owner accepts")
        assert 'PATCH /agents/made with {"accept_capabilities": true}' in run["output"][service]
    refused = [effect for effect in run["effects"] if effect["service"] in PROPOSED]
    assert len(refused) == len(PROPOSED)
    assert not any(effect["granted"] or effect["performed"] for effect in refused)
    assert await leads(ada, local_host) == 0


@pytest.mark.usefixtures("made")
async def test_live_and_dry_effects_differ_in_nothing_but_what_was_done(ada: User) -> None:
    dry, live = [(await ada.run("made", test=test)).json()["effects"] for test in ("1", "0")]
    compared = ("seq", "service", "action", "args", "granted")
    assert [[each[key] for key in compared] for each in dry] == [[each[key] for key in compared] for each in live]


@pytest.mark.usefixtures("made")
async def test_what_is_accepted_is_in_force(ada: User, local_host: LocalHost) -> None:
    agent = await patched(ada, accept_capabilities=True)
    assert (agent["capabilities"], agent["proposed"], agent["capabilities_source"]) == (
        {**AT_ONCE, **PROPOSED},
        {},
        "given",
    )
    assert agent["version"] == 2
    dry = (await ada.run("made", test="true")).json()
    assert all(effect["granted"] for effect in dry["effects"])
    # Live the request goes to a real host, which may answer or not: here only the rest is looked at.
    rest = CODE.replace('.get("https://api.example.com/")', ".hosts").replace(".hosts.status", "")
    await written_by_a_model(ada, local_host, rest, "rest")
    await patched(ada, name="rest", accept_capabilities=True)
    run = (await ada.run("rest")).json()
    assert [(effect["service"], effect["granted"], effect["performed"]) for effect in run["effects"]] == [
        ("kv", True, True),
        ("notify", True, True),
        ("db", True, True),
        ("secrets", True, True),
        ("agents", True, True),
    ]
    assert await leads(ada, local_host) == 1


@pytest.mark.usefixtures("made")
async def test_changes_of_the_owner_leave_a_proposal_a_proposal(ada: User) -> None:
    await patched(ada, description="Mine.")
    await patched(ada, agent_config={"limits": {"wall_seconds": 2}, "fixtures": {"http": []}})
    assert await shown(ada) == (AT_ONCE, PROPOSED, "inferred")
    versions = (await ada.http.get("/agents/made/versions")).json()["data"]
    assert [version["origin"].get("proposes") for version in versions] == [True, True]


@pytest.mark.usefixtures("made")
async def test_a_restored_proposal_proposes_again(ada: User) -> None:
    await patched(ada, accept_capabilities=True)
    restored = await ada.http.post("/agents/made/versions/1/restore")
    assert restored.status_code == 201
    assert await shown(ada) == (AT_ONCE, PROPOSED, "inferred")
    await ada.http.post("/agents/made/versions/2/restore")
    assert await shown(ada) == ({**AT_ONCE, **PROPOSED}, {}, "given")
    await patched(ada, agent_config={"capabilities": None})
    assert await shown(ada) == (AT_ONCE, PROPOSED, "inferred")


@pytest.mark.usefixtures("made")
async def test_an_edit_of_a_models_code_grants_it_nothing_until_it_is_accepted(ada: User) -> None:
    agent = await patched(ada, agent_config={"code": f"# formatted\n{CODE}"})
    assert (agent["capabilities"], agent["proposed"]) == (AT_ONCE, PROPOSED)
    agent = await patched(ada, agent_config={"code": f"# mine\n{CODE}"}, accept_capabilities=True)
    assert (agent["capabilities"], agent["proposed"]) == ({**AT_ONCE, **PROPOSED}, {})
    await ada.http.post("/agents/made/versions/1/restore")
    assert (await shown(ada))[1] == PROPOSED
    await ada.http.post("/agents/made/versions/3/restore")
    assert (await shown(ada))[1] == {}


@pytest.mark.usefixtures("made")
async def test_the_owner_may_accept_less_than_is_proposed(ada: User) -> None:
    agent = await patched(ada, accept_capabilities=True, agent_config={"capabilities": {"kv": {}}})
    assert (agent["capabilities"], agent["proposed"]) == ({"kv": {}}, {})


async def test_accepting_where_nothing_is_proposed_changes_nothing(ada: User) -> None:
    await ada.define("mine", "def run(services):\n    services.kv.get('k')\n")
    agent = await patched(ada, name="mine", accept_capabilities=True)
    assert (agent["version"], agent["capabilities_source"], agent["capabilities"]) == (1, "inferred", {"kv": {}})


async def test_accepting_for_code_that_does_not_pass_is_refused(ada: User, local_host: LocalHost) -> None:
    await written_by_a_model(ada, local_host, "import os\ndef run():\n    return os\n")
    answer = await ada.http.patch("/agents/made", json={"accept_capabilities": True})
    assert (answer.status_code, answer.json()["code"]) == (422, "code_refused")


async def test_the_block_of_a_models_code_grants_nothing(ada: User, local_host: LocalHost) -> None:
    block = """\
# /// agent
# [capabilities.kv]
# [capabilities.http]
# hosts = ["api.example.com", "evil.example"]
# methods = ["GET", "POST"]
# [capabilities.llm]
# max_tokens_per_run = 1000000
# [capabilities.email]
# to = ["me", "*@evil.example"]
# max_per_run = 9
# [capabilities.db]
# tables = { leads = ["select", "delete"] }
# [capabilities.agents]
# names = ["helper"]
# [capabilities.secrets]
# names = ["CRM_KEY"]
# ///
def run():
    return 1
"""
    await written_by_a_model(ada, local_host, block)
    in_force, proposed, source = await shown(ada)
    assert in_force == {
        "kv": {},
        "llm": {"max_tokens_per_run": 4000},
        "email": {"to": ["me"], "max_per_run": 9},
    }
    assert set(proposed) == {"http", "llm", "email", "db", "agents", "secrets"}
    assert proposed["email"] == {"to": ["me", "*@evil.example"], "max_per_run": 9}
    assert source == "inferred"


@pytest.mark.parametrize("origin", [{"proposes": "true"}, {"proposes": 1}, {"proposes": False}, {}])
async def test_only_true_makes_a_proposal(ada: User, local_host: LocalHost, origin: dict[str, Any]) -> None:
    row = {"user_id": str(ada.user_id), "agent_name": "made", "agent_config": {"code": CODE}, "origin": origin}
    await local_host.host.database.insert(ada.caller, "agents", [row])
    assert (await shown(ada))[1] == {}


@pytest.mark.usefixtures("made")
async def test_a_proposing_child_is_denied_in_a_live_run_of_a_trusted_parent(ada: User, local_host: LocalHost) -> None:
    await ada.define("parent", "def run(services):\n    return services.agents.run('made')\n")
    live = (await ada.run("parent")).json()
    assert all(str(live["output"][service]).startswith("denied: ") for service in PROPOSED)
    dry = (await ada.run("parent", test="true")).json()
    # The child of the live run has counted; what the dry run tries is the rest.
    assert dry["output"] == {**TRIED, "kv": 2}
    assert await leads(ada, local_host) == 0


@pytest.mark.usefixtures("made")
async def test_a_proposing_parent_reaches_no_trusted_child_live(ada: User) -> None:
    await ada.define("helper-2", "def run(services):\n    services.kv.set('acted', 1)\n")
    await patched(ada, name="helper", agent_config={"code": "def run(services):\n    services.notify.send('acted')\n"})
    run = (await ada.run("made")).json()
    assert run["output"]["agents"].startswith("denied: ")
    assert [each["agent"]["agent_name"] for each in await ada.listed()] == ["made"]


@pytest.mark.usefixtures("made")
async def test_accepting_beside_new_code_grants_what_the_new_code_names(ada: User) -> None:
    code = "def run(services):\n    services.kv.get('k')\n"
    agent = await patched(ada, accept_capabilities=True, agent_config={"code": code})
    assert (agent["capabilities"], agent["proposed"], agent["capabilities_source"]) == ({"kv": {}}, {}, "inferred")


async def test_a_call_that_fails_for_another_reason_is_granted_dry_as_live(ada: User, local_host: LocalHost) -> None:
    code = "def run(services):\n    services.email.send('me', 'Hello', 'Ada has no address')\n"
    await written_by_a_model(ada, local_host, code)
    dry, live = [(await ada.run("made", test=test)).json() for test in ("1", "0")]
    assert dry["error"] == live["error"]
    assert dry["error"]["type"] == "ServiceError"
    assert [run["effects"][0]["granted"] for run in (dry, live)] == [True, True]
