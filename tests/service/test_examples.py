"""The examples of the OpenAPI document run as they stand, and its operation ids are stable."""

from typing import Any

from tests.service.conftest import LocalHost, User
from tests.service.test_agents import GREETER

OPERATIONS = {
    "define_agent": ("post", "/agents"),
    "list_agents": ("get", "/agents"),
    "check_agent": ("post", "/agents/check"),
    "generate_agent": ("post", "/agents/generate"),
    "get_agent": ("get", "/agents/{agent_name}"),
    "change_agent": ("patch", "/agents/{agent_name}"),
    "delete_agent": ("delete", "/agents/{agent_name}"),
    "list_agent_versions": ("get", "/agents/{agent_name}/versions"),
    "get_agent_version": ("get", "/agents/{agent_name}/versions/{version}"),
    "restore_agent_version": ("post", "/agents/{agent_name}/versions/{version}/restore"),
    "run_agent": ("get", "/agents/{user_id}/{agent_name}"),
    "run_agent_with_body": ("post", "/agents/{user_id}/{agent_name}"),
    "list_runs": ("get", "/runs"),
    "get_run": ("get", "/runs/{run_id}"),
}


def examples(operation: dict[str, Any]) -> list[Any]:
    media = operation["requestBody"]["content"]["application/json"]
    found = [example["value"] for example in media.get("examples", {}).values()]
    return found + ([media["example"]] if "example" in media else [])


async def test_operation_ids_are_stable(local_host: LocalHost) -> None:
    paths = local_host.app.openapi()["paths"]
    for name, (method, path) in OPERATIONS.items():
        assert paths[path][method]["operationId"] == name


async def test_every_example_of_a_body_runs(ada: User, local_host: LocalHost) -> None:
    paths = local_host.app.openapi()["paths"]
    await ada.define("agent", GREETER)
    filled = {"agent_name": "agent", "user_id": str(ada.user_id)}
    seen = 0
    for name in ("define_agent", "check_agent", "change_agent", "run_agent_with_body"):
        method, path = OPERATIONS[name]
        bodies = examples(paths[path][method])
        assert bodies, name
        for body in bodies:
            answer = await ada.http.request(method, path.format(**filled), json=body)
            if answer.status_code == 503 and "agent_config" not in body:
                # For a model, which this host has none of: those run in test_generation.py.
                assert answer.json()["code"] == "model_not_configured", (name, answer.text)
                continue
            assert answer.is_success, (name, answer.text)
            seen += 1
    assert seen >= 6
    for agent in (await ada.http.get("/agents")).json()["data"]:
        assert (await ada.http.get(agent["run_url"], params={"test": "true"})).json()["status"] == "succeeded"
