"""Agents: defined, refused when defined, changed, listed, rolled back, and nobody else's."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from service.app import create_app
from tests.service.conftest import LocalHost, User

GREETER = 'def run(name: str = "World"):\n    """Greets somebody."""\n    return {"message": f"Hello, {name}"}\n'
COUNTER = "def run(services):\n    return services.kv.increment('n')\n"
TELLER = "def run(services):\n    services.kv.set('told', True)\n    return services.notify.send('t')\n"


def code_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["hint"]
    return str(document["code"])


async def post(user: User, **body: Any) -> httpx.Response:
    return await user.http.post("/agents", json=body)


async def test_an_agent_is_defined_and_read_back(ada: User) -> None:
    answer = await post(ada, agent_name="greeter", description="Says hello.", agent_config={"code": GREETER})
    assert answer.status_code == 201
    assert answer.headers["location"] == "/agents/greeter"
    assert answer.headers["etag"] == '"1"'
    agent = answer.json()
    assert agent["agent_config"] == {"code": GREETER}
    assert agent["description"] == "Says hello."
    assert (agent["version"], agent["revision"], agent["engine"], agent["entry"]) == (1, 1, "restricted", "run")
    assert agent["run_url"] == ada.url("greeter")
    assert agent["input_schema"]["properties"]["name"] == {"type": "string", "default": "World"}
    assert (agent["capabilities"], agent["capabilities_source"]) == ({}, "inferred")
    assert (agent["valid"], agent["errors"]) == (True, [])
    again = await ada.http.get("/agents/greeter")
    assert again.status_code == 200
    assert again.headers["etag"] == '"1"'
    assert again.json() == agent


async def test_a_name_that_is_almost_a_uuid_is_a_name(ada: User) -> None:
    answer = await post(ada, agent_name="12345678_1234123412341234567890a", agent_config={"code": GREETER})
    assert answer.status_code == 201


async def test_a_string_is_the_code_and_the_docstring_describes(ada: User) -> None:
    answer = await post(ada, agent_name="hello", agent_config='"""Greets the world."""\n' + GREETER)
    assert answer.status_code == 201
    assert answer.json()["description"] == "Greets somebody."
    assert answer.json()["agent_config"]["code"].endswith(GREETER)


@pytest.mark.parametrize(
    "name",
    [
        *("", "A", "-a", "_a", "a b", "a/b", "é", "a" * 64, "check", "generate", "a\n", "a\0", "../x", "0" * 32),
        *("01890a5d-ac96-774b-bcce-b302099a8057", "01890a5dac96-774bbcceb302099a8057", "' or 1=1 --"),
        *("01890a5dac96774bbcceb302099a8057", "0-1-8-90a5dac96774bbcceb302099a8057-"),
    ],
)
async def test_a_name_that_could_be_misread_is_refused(ada: User, name: str) -> None:
    answer = await post(ada, agent_name=name, agent_config=GREETER)
    # U+0000 is not JSON here: the body as such is refused.
    assert code_of(answer) == ("not_json" if "\0" in name else "validation_failed")


@pytest.mark.parametrize("name", ["a", "0", "a-b_c", "a" * 63, "versions", "f" * 31, "runs", "test"])
async def test_a_plain_name_is_taken(ada: User, name: str) -> None:
    assert (await post(ada, agent_name=name, agent_config=GREETER)).status_code == 201
    assert (await ada.run(name)).json()["output"] == {"message": "Hello, World"}


async def test_a_name_is_taken_once_a_user(ada: User, eve: User) -> None:
    await ada.define("same", GREETER)
    assert code_of(await post(ada, agent_name="same", agent_config=GREETER)) == "agent_exists"
    await eve.define("same", GREETER)


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"agent_name": "x", "agent_config": GREETER, "user_id": "someone"}, "validation_failed", "/user_id"),
        (
            {"agent_name": "x", "agent_config": {"code": GREETER, "hosts": []}},
            "validation_failed",
            "/agent_config/hosts",
        ),
        ({"agent_config": GREETER}, "validation_failed", "/agent_name"),
        ({"agent_name": 7, "agent_config": GREETER}, "validation_failed", "/agent_name"),
        ({"agent_name": "x", "agent_config": 7}, "validation_failed", "/agent_config"),
        ({"agent_name": "x", "agent_config": []}, "validation_failed", "/agent_config"),
        ({"agent_name": "x", "agent_config": {"code": 7}}, "validation_failed", "/agent_config/code"),
        ({"agent_name": "x", "agent_config": {"engine": "restricted"}}, "validation_failed", "/agent_config/code"),
        (
            {"agent_name": "x", "description": None, "agent_config": {"code": None}},
            "validation_failed",
            "/agent_config/code",
        ),
        (
            {"agent_name": "x", "description": "d" * 10_001, "agent_config": GREETER},
            "validation_failed",
            "/description",
        ),
        (
            {"agent_name": "x", "agent_config": {"code": GREETER, "capabilities": {"fax": {}}}},
            "validation_failed",
            "/agent_config/capabilities",
        ),
        (
            {"agent_name": "x", "agent_config": {"code": GREETER, "capabilities": {"kv": {"keys": ["a"]}}}},
            "validation_failed",
            "/agent_config/capabilities/kv/keys",
        ),
        (
            {"agent_name": "x", "agent_config": {"code": GREETER, "limits": {"wall_seconds": 1e9}}},
            "validation_failed",
            "/agent_config/limits/wall_seconds",
        ),
        (
            {"agent_name": "x", "agent_config": {"code": GREETER, "limits": {"wall_seconds": 0}}},
            "validation_failed",
            None,
        ),
        (
            {"agent_name": "x", "agent_config": {"code": GREETER, "limits": {"frame_bytes": 1}}},
            "validation_failed",
            "/agent_config/limits/frame_bytes",
        ),
        ({"agent_name": "x", "agent_config": {"code": GREETER, "engine": "warp"}}, "engine_not_supported", None),
        ({"agent_name": "x", "agent_config": "You are a helpful assistant. Be kind."}, "kind_not_supported", None),
        ({"agent_name": "x", "agent_config": {"prompt": "Be kind.", "model": "m"}}, "kind_not_supported", None),
        ({"agent_name": "x"}, "validation_failed", "/description"),
        ({"agent_name": "x", "description": " "}, "validation_failed", "/description"),
        ({"agent_name": "x", "description": "Greets.", "agent_config": None}, "model_not_configured", None),
        ({"agent_name": "x", "agent_config": "# " + "x" * 300_000}, "code_too_large", None),
        ([], "validation_failed", None),
        ("text", "validation_failed", None),
    ],
)
async def test_a_bad_definition_is_refused_with_its_place(ada: User, body: Any, code: str, pointer: str | None) -> None:
    answer = await ada.http.post("/agents", json=body)
    assert code_of(answer) == code
    if pointer is not None:
        assert pointer in [error.get("pointer") for error in answer.json()["errors"]]
    assert (await ada.http.get("/agents")).json()["data"] == []


async def test_a_host_without_containers_says_how_they_are_switched_on(ada: User) -> None:
    config = {"code": '# /// agent\n# engine = "container"\n# ///\nimport os\ndef run():\n    return os.getpid()\n'}
    answer = await ada.http.post("/agents", json={"agent_name": "x", "agent_config": config})
    assert (answer.status_code, code_of(answer)) == (422, "engine_not_supported")
    assert "AGENTHOST_CONTAINER_POOL" in answer.json()["hint"]


async def test_a_name_that_does_not_fit_is_told_in_words(ada: User) -> None:
    body = {"agent_name": "My Agent!", "agent_config": COUNTER}
    answers = [
        await ada.http.post("/agents", json=body),
        await ada.http.get("/agents", params={"name": "My Agent!"}),
        await ada.http.get("/runs", params={"agent": "My Agent!"}),
    ]
    for answer in answers:
        [error] = answer.json()["errors"]
        assert answer.status_code == 422
        assert error["message"].startswith("should be lower-case letters, digits, - and _")
    assert (await ada.http.get("/agents/My%20Agent!")).json()["code"] == "agent_not_found"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (
            {"agent_name": "My Agent!", "agent_config": COUNTER},
            "agent_name should be lower-case letters, digits, - and",
        ),
        ({"agent_config": COUNTER}, "agent_name is required."),
        ({"agent_name": "check", "agent_config": COUNTER}, "agent_name: 'check' is reserved; choose another name."),
        ({"agent_name": 7, "agent_config": COUNTER}, "agent_name should be a valid string."),
        ({"name": "x", "agent_config": COUNTER}, "agent_name is required. 1 more in errors."),
        (
            {"agent_name": "x", "name": "x", "agent_config": COUNTER},
            "name is not a field here; known: agent_name, description, agent_config, accept_capabilities.",
        ),
        (
            {"agent_name": "x", "agent_config": {"code": COUNTER, "limits": {"speed": 1}}},
            "agent_config.limits.speed is not a field here; known: wall_seconds, cpu_seconds, memory_bytes,",
        ),
        (
            {"agent_name": "x", "agent_config": {"code": COUNTER, "engine": "A b"}},
            "agent_config.engine should be lower",
        ),
        (
            {"agent_name": "x", "agent_config": {"code": COUNTER, "capabilities": {"secrets": {"names": ["key"]}}}},
            "agent_config.capabilities.secrets.names.0",
        ),
        ([], "The body should be an object."),
    ],
)
async def test_the_detail_says_what_is_wrong_with_the_first_field(ada: User, body: Any, detail: str) -> None:
    answer = await ada.http.post("/agents", json=body)
    assert (answer.status_code, code_of(answer)) == (422, "validation_failed")
    assert answer.json()["detail"].startswith(detail)
    for foreign in ("Field required", "Extra inputs", "pattern", "Input should"):
        assert foreign not in answer.text


async def test_a_config_without_code_is_told_what_it_does_not_have(ada: User) -> None:
    answer = await ada.http.post("/agents", json={"agent_name": "x", "agent_config": {"source": COUNTER}})
    assert (answer.status_code, code_of(answer)) == (422, "kind_not_supported")
    assert answer.json()["detail"] == "agent_config has no `code`; it has no field `source`."


async def test_an_agent_that_is_asked_as_if_to_run_it_says_where_it_runs(ada: User) -> None:
    await ada.define("leads", COUNTER)
    read = await ada.http.get("/agents/leads", params={"company": "x"})
    assert (read.status_code, code_of(read)) == (422, "validation_failed")
    assert ada.url("leads") in read.json()["hint"]
    posted = await ada.http.post("/agents/leads", json={"company": "x"})
    assert (posted.status_code, code_of(posted)) == (405, "method_not_allowed")
    assert "/agents/{user_id}/{agent_name}" in posted.json()["hint"]


async def test_the_name_of_a_secret_that_does_not_fit_is_told_in_words(ada: User) -> None:
    answer = await ada.http.put("/secrets/key", json={"value": "x", "hosts": ["a.example.com"]})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("name should be capitals, digits and _, begin with a capital")


@pytest.mark.parametrize("body", [[], "text", 7, {"agent_name": "a", "agent_config": {"code": COUNTER, "limits": 1}}])
async def test_what_should_be_an_object_is_told_so(ada: User, body: Any) -> None:
    [error] = (await ada.http.post("/agents", json=body)).json()["errors"]
    assert error["message"] == "should be an object"


async def test_a_change_of_nothing_is_told_without_a_list_of_fields_that_is_empty(ada: User) -> None:
    await ada.define("agent", COUNTER)
    problem = (await ada.http.patch("/agents/agent", json={})).json()
    assert (problem["errors"], "There is nothing to change" in problem["detail"]) == ([], True)
    assert problem["hint"].startswith("Correct what detail says")


@pytest.mark.parametrize(
    ("fixture", "place", "message"),
    [
        ({"url": "https://a.example/", "method": "TRACE"}, "method", "should be one of GET, HEAD, POST"),
        ({"url": "a.example/*"}, "url", "should begin with https:// or http://"),
        ({"url": "http:"}, "url", "should begin with https:// or http://"),
        ({"url": "https://a.example/", "headers": {"x": "a\r\nb: c"}}, "headers/x", "should have no control"),
    ],
)
async def test_a_fixture_that_could_answer_nothing_is_refused(
    ada: User, fixture: dict[str, Any], place: str, message: str
) -> None:
    config = {"code": COUNTER, "fixtures": {"http": [fixture]}}
    [error] = (await ada.http.post("/agents", json={"agent_name": "a", "agent_config": config})).json()["errors"]
    assert error["pointer"] == f"/agent_config/fixtures/http/0/{place}"
    assert error["message"].startswith(message)


async def test_a_fixture_may_be_for_any_prefix_of_an_address_and_a_method_in_any_case(ada: User) -> None:
    fixtures = [{"url": url, "method": "post"} for url in ("*", "htt*", "http*", "https://*", "http://a.example/")]
    await ada.define("agent", COUNTER, fixtures={"http": fixtures})


async def test_refused_code_is_refused_when_it_is_defined(ada: User) -> None:
    answer = await post(ada, agent_name="x", agent_config="def run():\n    import os\n    return os.environ\n")
    assert code_of(answer) == "code_refused"
    [error, *_] = answer.json()["errors"]
    assert error["line"] == 2
    assert error["column"] == 4
    assert error["message"]
    assert error["hint"]
    assert answer.json()["detail"].startswith("line 2: ")


@pytest.mark.parametrize("code", ["", "   \n", "def f():\n    pass\n", "def run(:\n", "x = " + "(" * 10_000])
async def test_code_that_cannot_be_an_agent_is_refused(ada: User, code: str) -> None:
    answer = await post(ada, agent_name="x", agent_config={"code": code})
    assert code_of(answer) == "code_refused"
    assert answer.json()["errors"]


async def test_metadata_in_the_code_counts_and_a_config_beside_it_wins(ada: User) -> None:
    code = '# /// agent\n# engine = "restricted"\n# [capabilities.kv]\n# [limits]\n# effects = 3\n# ///\n' + COUNTER
    inside = await ada.define("inside", code)
    assert (inside["capabilities"], inside["capabilities_source"]) == ({"kv": {}}, "given")
    assert inside["agent_config"] == {"code": code}
    beside = await ada.define("beside", code, capabilities={"notify": {}})
    assert (beside["capabilities"], beside["capabilities_source"]) == ({"notify": {}}, "given")
    answer = await ada.run("beside")
    assert answer.json()["error"]["type"] == "CapabilityDenied"


@pytest.mark.parametrize(
    "block",
    [
        "[capabilities.fax]",
        'engine = "warp"',
        "speed = 1",
        '[limits]\n# effects = "3"',
        "[limits]\n# effects = 1000000",
    ],
)
async def test_wrong_metadata_is_refused(ada: User, block: str) -> None:
    answer = await post(ada, agent_name="x", agent_config=f"# /// agent\n# {block}\n# ///\n{GREETER}")
    assert code_of(answer) in ("validation_failed", "engine_not_supported", "code_refused")


async def test_capabilities_are_inferred_and_inferred_again_at_a_change(ada: User) -> None:
    agent = await ada.define("infer", COUNTER)
    assert (agent["capabilities"], agent["capabilities_source"]) == ({"kv": {}}, "inferred")
    changed = await ada.http.patch("/agents/infer", json={"agent_config": TELLER})
    assert changed.status_code == 200
    assert changed.json()["capabilities"] == {"kv": {}, "notify": {}}
    assert changed.json()["capabilities_added"] == ["notify"]


async def test_a_given_manifest_stays_as_it_was_given(ada: User) -> None:
    await ada.define("given", COUNTER, capabilities={"kv": {}})
    changed = (await ada.http.patch("/agents/given", json={"agent_config": {"code": TELLER}})).json()
    assert (changed["capabilities"], changed["capabilities_source"]) == ({"kv": {}}, "given")
    assert changed["capabilities_added"] == []
    inferred = (await ada.http.patch("/agents/given", json={"agent_config": {"capabilities": None}})).json()
    assert (inferred["capabilities"], inferred["capabilities_source"]) == ({"kv": {}, "notify": {}}, "inferred")


async def test_a_change_replaces_what_is_given_and_keeps_the_rest(ada: User) -> None:
    await ada.define(
        "agent",
        COUNTER,
        limits={"effects": 5},
        fixtures={"http": [{"url": "https://a.example.com/*", "json": {"a": None}}]},
    )
    answer = await ada.http.patch("/agents/agent", json={"agent_config": {"limits": {"effects": 6}}})
    assert answer.json()["agent_config"] == {
        "code": COUNTER,
        "limits": {"effects": 6},
        "fixtures": {"http": [{"url": "https://a.example.com/*", "json": {"a": None}}]},
    }
    assert (answer.json()["version"], answer.json()["revision"]) == (2, 2)
    answer = await ada.http.patch("/agents/agent", json={"description": "New."})
    assert (answer.json()["description"], answer.json()["version"], answer.json()["revision"]) == ("New.", 2, 3)
    assert answer.headers["etag"] == '"3"'


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "validation_failed"),
        ({"agent_name": "other"}, "validation_failed"),
        ({"user_id": "other"}, "validation_failed"),
        ({"agent_config": {"speed": 1}}, "kind_not_supported"),
        ({"agent_config": {"code": "import os\n\ndef run(): ...\n"}}, "code_refused"),
        ({"agent_config": "Be kind to everybody."}, "kind_not_supported"),
        ({"instruction": "Be kind."}, "model_not_configured"),
    ],
)
async def test_a_bad_change_changes_nothing(ada: User, body: dict[str, Any], code: str) -> None:
    await ada.define("agent", GREETER)
    assert code_of(await ada.http.patch("/agents/agent", json=body)) == code
    agent = (await ada.http.get("/agents/agent")).json()
    assert (agent["version"], agent["revision"], agent["agent_config"]) == (1, 1, {"code": GREETER})


async def test_a_change_from_a_stale_state_is_refused(ada: User) -> None:
    await ada.define("agent", GREETER)
    change = {"description": "One."}
    first = await ada.http.patch("/agents/agent", json=change, headers={"If-Match": '"1"'})
    assert first.status_code == 200
    for stale in ('"1"', 'W/"2"', "2", '"x"', '"9", "1"'):
        answer = await ada.http.patch("/agents/agent", json=change, headers={"If-Match": stale})
        assert code_of(answer) == "precondition_failed"
        assert code_of(await ada.http.delete("/agents/agent", headers={"If-Match": stale})) == "precondition_failed"
    assert (await ada.http.patch("/agents/agent", json=change, headers={"If-Match": '"7", "2"'})).status_code == 200
    assert (await ada.http.patch("/agents/agent", json=change, headers={"If-Match": "*"})).status_code == 200
    assert (await ada.http.delete("/agents/agent", headers={"If-Match": '"4"'})).status_code == 204


async def test_versions_are_kept_and_restored(ada: User) -> None:
    await ada.define("agent", GREETER)
    await ada.http.patch("/agents/agent", json={"agent_config": COUNTER, "description": "Counts."})
    listed = (await ada.http.get("/agents/agent/versions", params={"limit": 1})).json()
    assert [version["version"] for version in listed["data"]] == [2]
    assert listed["data"][0]["origin"] == {"how": "changed"}
    rest = (await ada.http.get("/agents/agent/versions", params={"cursor": listed["next_cursor"]})).json()
    assert [version["version"] for version in rest["data"]] == [1]
    assert rest["next_cursor"] is None
    first = (await ada.http.get("/agents/agent/versions/1")).json()
    assert first["agent_config"] == {"code": GREETER}
    assert len(first["code_hash"]) == 64
    restored = await ada.http.post("/agents/agent/versions/1/restore")
    assert restored.status_code == 201
    assert restored.headers["etag"] == '"3"'
    assert (restored.json()["version"], restored.json()["agent_config"]) == (3, {"code": GREETER})
    assert (await ada.http.get("/agents/agent/versions/3")).json()["origin"] == {"how": "restored", "version": 1}
    assert (await ada.run("agent")).json()["output"] == {"message": "Hello, World"}


@pytest.mark.parametrize("version", ["0", "2", "-1", "x", "1.0", "9" * 5000, "01", "%00", "1e3"])
async def test_a_version_that_is_not_there_is_not_found(ada: User, version: str) -> None:
    await ada.define("agent", GREETER)
    assert code_of(await ada.http.get(f"/agents/agent/versions/{version}")) == "version_not_found"
    assert code_of(await ada.http.post(f"/agents/agent/versions/{version}/restore")) == "version_not_found"


async def test_agents_are_listed_newest_first_by_cursor(ada: User) -> None:
    for number in range(5):
        await ada.define(f"agent-{number}", GREETER)
    seen: list[str] = []
    params = {"limit": "2"}
    while True:
        page = (await ada.http.get("/agents", params=params)).json()
        seen += [agent["agent_name"] for agent in page["data"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == [f"agent-{number}" for number in (4, 3, 2, 1, 0)]
    [one] = (await ada.http.get("/agents", params={"name": "agent-3"})).json()["data"]
    assert (one["agent_name"], one["run_url"]) == ("agent-3", ada.url("agent-3"))
    assert (await ada.http.get("/agents", params={"name": "none"})).json()["data"] == []


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=x", "name=A", "nmae=a", "name=%00"])
async def test_a_bad_page_is_refused(ada: User, query: str) -> None:
    assert code_of(await ada.http.get(f"/agents?{query}")) == "validation_failed"


async def test_what_is_gone_or_never_was_is_not_found(ada: User) -> None:
    await ada.define("agent", GREETER)
    assert (await ada.http.delete("/agents/agent")).status_code == 204
    for name in ("agent", "never", "Not-A-Name", "%00", "a%0a", "%F0%9F%98%80", "x" * 2000):
        assert code_of(await ada.http.get(f"/agents/{name}")) == "agent_not_found"
        assert code_of(await ada.http.delete(f"/agents/{name}")) == "agent_not_found"
        assert code_of(await ada.http.patch(f"/agents/{name}", json={"description": "x"})) == "agent_not_found"
        assert code_of(await ada.http.get(f"/agents/{name}/versions")) == "agent_not_found"
        assert code_of(await ada.run(name)) == "agent_not_found"


async def test_nobody_else_sees_or_touches_an_agent(ada: User, eve: User) -> None:
    await ada.define("secret", GREETER)
    assert (await eve.http.get("/agents")).json()["data"] == []
    for answer in (
        await eve.http.get("/agents/secret"),
        await eve.http.patch("/agents/secret", json={"description": "mine"}),
        await eve.http.delete("/agents/secret"),
        await eve.http.get("/agents/secret/versions/1"),
        await eve.http.post("/agents/secret/versions/1/restore"),
    ):
        assert code_of(answer) == "agent_not_found"
    assert (await ada.http.get("/agents/secret")).json()["revision"] == 1


async def test_a_check_stores_nothing_and_tells_everything(ada: User) -> None:
    passed = (await ada.http.post("/agents/check", json={"agent_config": COUNTER})).json()
    assert (passed["ok"], passed["entry"], passed["engine"]) == (True, "run", "restricted")
    assert (passed["capabilities"], passed["capabilities_source"]) == ({"kv": {}}, "inferred")
    failed = await ada.http.post("/agents/check", json={"agent_config": {"code": "import os\ndef run(): ..."}})
    assert failed.status_code == 200
    assert failed.json()["ok"] is False
    assert failed.json()["errors"][0]["line"] == 1
    assert code_of(await ada.http.post("/agents/check", json={"code": COUNTER})) == "validation_failed"
    answer = await ada.http.post("/agents/generate", json={"description": "Greets."})
    assert (answer.status_code, code_of(answer)) == (503, "model_not_configured")
    assert "retry-after" not in answer.headers  # trying again would never help
    assert (await ada.http.get("/agents")).json()["data"] == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b'{"agent_name": "\\ud800"}', "not_json"),
        (b'{"agent_name": "x", "agent_name": "y"}', "not_json"),
        (b'{"a": NaN}', "not_json"),
        (b"[" * 10_000 + b"]" * 10_000, "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'"' + b"x" * 20 * 1024 * 1024 + b'"', "body_too_large"),
    ],
)
async def test_a_body_that_is_not_json_is_refused(ada: User, content: bytes, code: str) -> None:
    headers = {"Content-Type": "application/json"}
    assert code_of(await ada.http.post("/agents", content=content, headers=headers)) == code


async def test_checks_of_code_are_counted_by_the_day(ada: User, local_host: LocalHost) -> None:
    host = local_host.host
    settings = host.settings.model_copy(update={"limit_checks_per_day": 2})
    app = create_app(settings, database=host.database, engines=host.engines, verifier=host.verifier, signer=host.signer)
    app.state.host = replace(host, settings=settings)  # its parts are another's: they are not started again
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=ada.http.headers) as http:
        answers = [await http.post("/agents/check", json={"agent_config": GREETER}) for _ in range(3)]
        refused = await http.post("/agents", json={"agent_name": "x", "agent_config": GREETER})
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert code_of(refused) == "quota_exceeded"
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
