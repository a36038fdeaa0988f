"""Agents with the engine "container" over HTTP: to their users they are agents like any other."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.local import LocalIdentity
from service.operations.limits import limits_in_force
from service.settings import Settings
from tests.container.own_daemon import OwnDaemon
from tests.container.running import until
from tests.deploy.engine import ROOT, base_image
from tests.service.conftest import LocalHost, User
from tests.service.operator import Operator
from tests.service.served import served

BLOCK = '# /// agent\n# engine = "container"\n# ///\n'
WHOLE = f'''{BLOCK}"""Counts what is in a directory."""
import os
import subprocess

def run(services, path: str = "/tmp", times: int = 1):
    print("looking at", path)
    seen = services.kv.get("seen")
    services.kv.set("seen", path)
    try:
        services.http.get("https://example.com/")
    except Exception as error:
        denied = type(error).__name__
    return {{"count": len(os.listdir(path)) * times, "seen": seen, "denied": denied, "root": os.getuid() == 0}}
'''
PLAIN = "def run(n: int = 1):\n    return n\n"


def settings_of(daemon: OwnDaemon, data_dir: Path) -> Settings:
    return Settings(
        data_dir=data_dir,
        container_pool=2,
        docker_host=daemon.address,
        container_base_image=base_image(),
        limit_wall_seconds=10.0,
        limit_cpu_seconds=1,
        limit_memory_bytes=64 * 1024 * 1024,
    )


@pytest.fixture(scope="module")
async def host(shared_daemon: OwnDaemon, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalHost]:
    data_dir = tmp_path_factory.mktemp("host")
    settings = settings_of(shared_daemon, data_dir)
    app = create_app(settings)
    async with served(app, settings) as url:
        found = LocalHost(url, app, LocalIdentity.in_directory(data_dir))
        await until(lambda: found.host.engines["container"].status().ready)
        yield found


@pytest.fixture
async def ada(host: LocalHost) -> AsyncIterator[User]:
    async with host.user() as user:
        yield user


async def test_the_block_chooses_the_engine_and_all_of_python_runs(ada: User) -> None:
    defined = await ada.define("counter", WHOLE, capabilities={"kv": {}})
    assert (defined["engine"], defined["description"]) == ("container", "Counts what is in a directory.")
    assert defined["input_schema"]["properties"]["times"]["type"] == "integer"
    dry = (await ada.run("counter", times="3", test="true")).json()
    assert (dry["output"], dry["logs"]) == (
        {"count": 0, "seen": None, "denied": "CapabilityDenied", "root": False},
        ["looking at /tmp"],
    )
    assert [(effect["service"], effect["performed"]) for effect in dry["effects"]][:2] == [("kv", True), ("kv", False)]
    live = (await ada.run("counter", path="/")).json()
    assert live["output"]["count"] > 5
    assert live["output"]["seen"] is None
    assert live["usage"]["engine"] == "container"
    assert live["usage"]["cpu_ms"] > 0
    assert (await ada.run("counter")).json()["output"]["seen"] == "/"
    recorded = await ada.recorded(live["run_id"])
    assert recorded["output"] == live["output"]
    wrong = await ada.run("counter", times="many")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_input")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("raise ValueError('x')", 502, "agent_error"),
        ("import os; os._exit(3)", 502, "sandbox_violation"),
        ("while True: pass", 504, "cpu_time_exceeded"),
        ("import time; time.sleep(60)", 504, "wall_time_exceeded"),
        ("return 'x' * (1 << 33)", 502, "memory_exceeded"),
        ("return open", 502, "output_not_json"),
    ],
)
async def test_failures_are_told_as_everywhere(ada: User, body: str, status: int, code: str) -> None:
    await ada.define("failing", f"{BLOCK}def run():\n    {body}\n")
    answer = await ada.run("failing")
    assert (answer.json()["code"], answer.status_code) == (code, status)


async def test_the_agent_of_the_docs_runs(ada: User) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/containers.md").read_text(), re.MULTILINE | re.DOTALL)
    assert (await ada.define("lister", code))["engine"] == "container"
    assert "tmp" in (await ada.run("lister")).json()["output"]


async def test_an_agent_moves_between_engines(ada: User) -> None:
    await ada.define("mover", PLAIN)
    assert (await ada.run("mover")).json()["usage"]["engine"] == "restricted"
    for engine in ("container", "restricted"):
        changed = await ada.http.patch("/agents/mover", json={"agent_config": {"engine": engine}})
        assert (changed.status_code, changed.json()["engine"]) == (200, engine), changed.text
        assert (await ada.http.get("/agents/mover")).json()["engine"] == engine
        assert (await ada.run("mover")).json()["usage"]["engine"] == engine
    await ada.define("whole", "import os\ndef run():\n    return os.getcwd()\n", engine="container")
    back = await ada.http.patch("/agents/whole", json={"agent_config": {"engine": "restricted"}})
    assert (back.status_code, back.json()["code"]) == (422, "code_refused")
    assert '"container"' in back.json()["hint"]


async def test_an_agent_lowers_the_limits_of_its_own_engine(ada: User, host: LocalHost) -> None:
    more_than_restricted = 128 * 1024 * 1024
    body = "def run():\n    return len('x' * 90_000_000)\n"
    await ada.define("roomy", BLOCK + body, limits={"memory_bytes": more_than_restricted})
    assert (await ada.run("roomy")).json()["output"] == 90_000_000
    await ada.define("narrow", BLOCK + body, limits={"memory_bytes": 32 * 1024 * 1024})
    assert (await ada.run("narrow")).json()["code"] == "memory_exceeded"
    config = {"code": PLAIN, "limits": {"memory_bytes": more_than_restricted}}
    refused = await ada.http.post("/agents", json={"agent_name": "greedy", "agent_config": config})
    assert refused.json()["code"] == "validation_failed"
    listed = {limit["name"]: limit["value"] for limit in limits_in_force(host.host.settings)}
    assert (listed["container_memory_bytes"], listed["containers_at_once"]) == (512 * 1024 * 1024, 16)


async def test_a_caller_that_goes_away_ends_its_container(ada: User, shared_daemon: OwnDaemon) -> None:
    await ada.define("sleeper", f"{BLOCK}import time\ndef run():\n    time.sleep(4)\n")
    with pytest.raises(httpx.ReadTimeout):
        await ada.http.get(ada.url("sleeper"), timeout=2)
    assert await ada.listed(agent="sleeper", status="cancelled")
    await until(lambda: len(shared_daemon.containers()) == 2)


async def test_ready_and_doctor_tell(host: LocalHost, ada: User, shared_daemon: OwnDaemon, tmp_path: Path) -> None:
    state = (await ada.http.get("/ready")).json()
    (engine,) = (engine for engine in state["engines"] if engine["name"] == "container")
    assert engine["state"] == "ready"
    assert {"network", "read-only", "capabilities", "seccomp"} <= {*engine["isolation"]}
    settings = {
        "AGENTHOST_CONTAINER_POOL": "2",
        "DOCKER_HOST": shared_daemon.address,
        "AGENTHOST_CONTAINER_BASE_IMAGE": base_image(),
    }
    operator = Operator(tmp_path, settings=settings)
    told = await asyncio.to_thread(operator.types, "doctor")
    assert "ok    containers  Layers in force: " in told.stdout, told.stdout
    (tmp_path / "whole.py").write_text(WHOLE)
    checked = await asyncio.to_thread(operator.types, "check", "whole.py")
    assert (checked.returncode, "entry         run" in checked.stdout) == (0, True), checked
    operator.settings["DOCKER_HOST"] = "unix:///nowhere.sock"
    told = await asyncio.to_thread(operator.types, "doctor")
    assert "FAIL  containers  there is no container to run in: the Docker daemon cannot be reached" in told.stdout
    checked = await asyncio.to_thread(operator.types, "check", "whole.py")
    assert (checked.returncode, "cannot be reached" in checked.stderr) == (1, True)
    operator.settings["AGENTHOST_CONTAINER_POOL"] = "0"
    told = await asyncio.to_thread(operator.types, "doctor")
    assert (told.returncode, "containers" in told.stdout) == (0, False)
    checked = await asyncio.to_thread(operator.types, "check", "whole.py")
    assert (checked.returncode, "AGENTHOST_CONTAINER_POOL" in checked.stderr) == (1, True)


async def test_without_docker_the_other_agents_go_on(host: LocalHost, ada: User, shared_daemon: OwnDaemon) -> None:
    await ada.define("plain", PLAIN)
    await ada.define("whole", BLOCK + PLAIN)
    assert (await ada.run("whole")).status_code == 200
    await asyncio.to_thread(shared_daemon.stop)
    try:
        await until(lambda: not host.host.engines["container"].status().ready)
        answer = await ada.run("whole")
        assert (answer.status_code, answer.json()["code"]) == (503, "engine_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        new = {"agent_name": "new", "agent_config": {"code": BLOCK + "def run():\n    return 7\n"}}
        refused = await ada.http.post("/agents", json=new)
        assert (refused.status_code, refused.json()["code"]) == (503, "engine_unavailable")
        assert (await ada.run("plain")).status_code == 200
        ready = await ada.http.get("/ready")
        states = {engine["name"]: engine["state"] for engine in ready.json()["engines"]}
        assert (ready.status_code, states) == (200, {"restricted": "ready", "container": "unavailable"})
    finally:
        await asyncio.to_thread(shared_daemon.start)
    await until(lambda: host.host.engines["container"].status().ready)
    assert (await ada.run("whole")).status_code == 200
