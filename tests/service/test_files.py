"""Agents between a host and files, as their owner types it, and the files that a host writes by itself."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from service.agents.file import HEAD, read
from service.commands.client import Connection
from service.commands.console import Output
from service.commands.files import pull, push
from service.local import DEMO_USER_ID
from tests.service.conftest import LocalHost, User
from tests.service.operator import Operator, Up
from tests.service.printed import printed_json
from tests.service.served import bearer
from tests.service.test_agent_file import fixtures, texts

CODE = '"""Greets."""\n\n\ndef run(name: str = "World"):\n    return f"Hello, {name}"\n'
CONFIG: dict[str, Any] = {
    "code": "def run():\r\n    return 'é \U0001f642'",
    "engine": "restricted",
    "capabilities": {"http": {"hosts": ["api.example.com"], "methods": ["GET", "POST"], "schemes": ["https"]}},
    "limits": {"wall_seconds": 2.5, "effects": 7},
    "fixtures": {
        "http": [{"url": "https://api.example.com/*", "json": {"a": None, "'''": '"""'}}],
        "llm": [{"contains": "x", "answer": {"n": 1e22, "text": "# ///\n"}}],
    },
}
DESCRIPTION = "Says \"hello\",\n'''twice'''\t\\ — and # ///"


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return Operator(tmp_path_factory.mktemp("files") / "data", settings={"AGENTHOST_GENERATED_AGENTS_DIR": "off"})


@pytest.fixture(scope="module")
def host(operator: Operator) -> Iterator[Up]:
    with operator.up() as host:
        yield host


@pytest.fixture(scope="module")
def http(operator: Operator, host: Up) -> Iterator[httpx.Client]:
    token = operator.types("token").stdout.strip()
    with httpx.Client(base_url=host.url, headers=bearer(token), timeout=30) as client:
        yield client


class Shell:
    """The commands, with files in a directory of its own."""

    def __init__(self, operator: Operator, directory: Path) -> None:
        self.operator = operator
        self.directory = directory

    def pull(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.operator.types("pull", *arguments, "--dir", str(self.directory))

    def push(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return self.operator.types("push", *map(str, arguments))

    def path(self, name: str) -> Path:
        return self.directory / str(DEMO_USER_ID) / f"{name}.py"


@pytest.fixture
def shell(operator: Operator, host: Up, tmp_path: Path) -> Shell:
    return Shell(operator, tmp_path / "agents")


def define(http: httpx.Client, name: str, description: str = "Greets.", **config: Any) -> dict[str, Any]:
    body = {"agent_name": name, "description": description, "agent_config": {"code": CODE, **config}}
    answer = http.post("/agents", json=body)
    assert answer.status_code == 201, answer.text
    return http.get(f"/agents/{name}").json()  # type: ignore[no-any-return]


def change(http: httpx.Client, name: str, **body: Any) -> dict[str, Any]:
    answer = http.patch(f"/agents/{name}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def edit(path: Path, old: str, new: str) -> None:
    content = path.read_bytes().decode()
    assert old in content
    path.write_bytes(content.replace(old, new, 1).encode())


def test_a_round_trip_over_the_host_loses_nothing(shell: Shell, http: httpx.Client) -> None:
    before = define(http, "whole", DESCRIPTION, **CONFIG)
    done = shell.pull("whole")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"pulled    {shell.path('whole')}\n", "")
    assert shell.path("whole").stat().st_mode & 0o777 == 0o600
    assert shell.path("whole").parent.stat().st_mode & 0o777 == 0o700
    assert http.delete("/agents/whole").status_code == 204
    gone = shell.push(shell.path("whole"))
    assert gone.returncode == 1
    assert "is not on the host any more" in gone.stderr
    assert shell.push("--force", shell.path("whole")).returncode == 0
    after = http.get("/agents/whole").json()
    for key in ("description", "agent_config", "capabilities", "capabilities_source", "input_schema", "valid"):
        assert after[key] == before[key]
    assert shell.pull("whole").stdout.startswith("unchanged ")


def test_a_byte_order_mark_is_left_out(shell: Shell, http: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "marked.py"
    path.write_bytes(b"\xef\xbb\xbf" + CODE.encode())
    assert shell.push(path).returncode == 0
    assert http.get("/agents/marked").json()["agent_config"] == {"code": CODE}
    assert not path.read_bytes().startswith(b"\xef\xbb\xbf")


def test_what_is_wrong_with_a_file_is_told_with_what_to_do(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text("import requests\n\ndef run():\n    return 1\n")
    assert re.search(r"wrong.py:1:1: [^.]+\. Use services\.http", shell.push(path).stderr)


def test_an_edited_file_changes_what_was_edited_and_no_more(shell: Shell, http: httpx.Client) -> None:
    define(http, "edited", capabilities={"kv": {}}, limits={"effects": 3})
    shell.pull("edited")
    path = shell.path("edited")
    edit(path, "Hello", "Good day")
    edit(path, "[capabilities.kv]", "[capabilities.notify]")
    done = shell.push(path)
    assert (done.returncode, done.stdout) == (0, f"pushed    {path}\n")
    after = http.get("/agents/edited").json()
    assert after["agent_config"] == {
        "code": CODE.replace("Hello", "Good day"),
        "capabilities": {"notify": {}},
        "limits": {"effects": 3},
    }
    assert (after["version"], after["description"]) == (2, "Greets.")
    assert shell.push(path).stdout == f"unchanged {path}\n"
    edit(path, 'description = "Greets."', 'description = "Greets politely."')
    assert shell.push(path).returncode == 0
    described = http.get("/agents/edited").json()
    assert (described["description"], described["version"]) == ("Greets politely.", 2)
    text = path.read_text()
    head, _, rest = text.partition("\n# /// agent\n")
    path.write_text(head.replace("# config_below = true\n", "") + rest.partition("# ///\n\n")[2])
    assert shell.push(path).returncode == 0
    assert set(http.get("/agents/edited").json()["agent_config"]) == {"code"}


def test_neither_side_is_overwritten_where_it_is_newer(shell: Shell, http: httpx.Client) -> None:
    define(http, "both")
    shell.pull("both")
    path = shell.path("both")
    edit(path, "Hello", "Mine")
    mine = path.read_bytes()
    ahead = shell.pull("both")
    assert (ahead.returncode, ahead.stdout) == (1, "")
    assert f"{path} has changes that the host has not" in ahead.stderr
    change(http, "both", agent_config={"code": CODE.replace("Hello", "Theirs")})
    for done in (shell.pull("both"), shell.push(path)):
        assert (done.returncode, done.stdout) == (1, "")
        assert f"both was changed on both sides since revision 1: in {path}, and the host has revision 2" in done.stderr
    assert path.read_bytes() == mine
    assert "Theirs" in http.get("/agents/both").json()["agent_config"]["code"]
    assert shell.push("--force", path).returncode == 0
    assert "Mine" in http.get("/agents/both").json()["agent_config"]["code"]
    change(http, "both", agent_config={"code": CODE.replace("Hello", "Theirs")})
    behind = shell.push(path)
    assert behind.returncode == 1
    assert "both was changed on the host, now revision 4" in behind.stderr
    assert f"{path} is of revision 3" in behind.stderr
    edit(path, "Mine", "Mine again")
    assert shell.pull("both", "--force").returncode == 0
    assert "Theirs" in path.read_text()


def test_a_host_that_is_newer_is_pulled(shell: Shell, http: httpx.Client) -> None:
    define(http, "newer")
    shell.pull("newer")
    change(http, "newer", description="New.")
    assert shell.pull("newer").stdout.startswith("pulled ")
    assert read(shell.path("newer").read_text()).content.description == "New."


def test_a_file_written_by_hand_is_pushed_and_knows_then_where_it_came_from(
    shell: Shell, http: httpx.Client, tmp_path: Path
) -> None:
    block = "# /// agent\n# [capabilities.kv]\n# ///\n"
    path = tmp_path / "by_hand.py"
    path.write_text(block + CODE)
    path.chmod(0o644)
    assert shell.push(path).returncode == 0
    stored = http.get("/agents/by_hand").json()
    assert (stored["agent_config"], stored["description"]) == ({"code": block + CODE}, "Greets.")
    assert stored["capabilities"] == {"kv": {}}
    assert path.read_text().startswith(HEAD)
    assert path.read_text().endswith(f"# ///\n\n{block}{CODE}")
    assert path.stat().st_mode & 0o777 == 0o644
    other = tmp_path / "elsewhere" / "by_hand.py"
    other.parent.mkdir()
    other.write_text(CODE)
    refused = shell.push(other)
    assert refused.returncode == 1
    assert f"{other} does not come from the host, and the host has revision 1 of by_hand" in refused.stderr
    assert shell.push("--force", other).returncode == 0
    assert http.get("/agents/by_hand").json()["agent_config"] == {"code": CODE}


def test_a_pushed_link_stays_a_link(shell: Shell, http: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "real.py").write_text(CODE)
    (tmp_path / "linked.py").symlink_to("real.py")
    assert shell.push(tmp_path / "linked.py").returncode == 0
    assert (tmp_path / "linked.py").is_symlink()
    assert (tmp_path / "real.py").read_text().startswith(HEAD)


def test_another_description_alone_is_no_new_version(shell: Shell, http: httpx.Client) -> None:
    define(http, "described")
    shell.pull("described")
    edit(shell.path("described"), '"Greets."', '"Greets you."')
    assert shell.push(shell.path("described")).returncode == 0
    assert [each["version"] for each in http.get("/agents/described/versions").json()["data"]] == [1]


def test_all_agents_are_pulled_and_each_is_told_of(shell: Shell, http: httpx.Client) -> None:
    define(http, "first")
    define(http, "second")
    shell.pull()
    edit(shell.path("second"), "Hello", "Mine")
    done = shell.pull("-o", "json")
    assert done.returncode == 1
    told = {each["agent_name"]: each for each in json.loads(done.stdout)["data"]}
    assert len(told) >= 2
    assert told["first"] == {
        "agent_name": "first",
        "file": str(shell.path("first")),
        "did": "unchanged",
        "reason": "",
    }
    assert told["second"]["did"] == "refused"
    assert "has changes that the host has not" in told["second"]["reason"]


def test_refused_code_is_told_with_the_lines_of_the_file(shell: Shell, http: httpx.Client) -> None:
    define(http, "refused", limits={"effects": 3})
    shell.pull("refused")
    path = shell.path("refused")
    edit(path, "    return", "    import os\n    return")
    line = path.read_text().splitlines().index("    import os") + 1
    done = shell.push(path)
    assert done.returncode == 1
    assert f"{path}:{line}:5: " in done.stderr
    assert "code_refused" in done.stderr
    assert http.get("/agents/refused").json()["version"] == 1


def test_wrong_usage_sends_nothing(shell: Shell, http: httpx.Client, tmp_path: Path) -> None:
    good = tmp_path / "good_one.py"
    good.write_text(CODE)
    for name, content in (
        ("Bad.py", CODE.encode()),
        ("bad.txt", CODE.encode()),
        ("binary.py", b"\xff\xfe"),
        ("head.py", f"{HEAD}\n# x\n".encode()),
        ("check.py", CODE.encode()),
    ):
        (tmp_path / name).write_bytes(content)
    for bad in ("Bad.py", "bad.txt", "binary.py", "head.py", "missing.py"):
        done = shell.push(good, tmp_path / bad)
        assert (done.returncode, done.stdout) == (2, ""), bad
        assert bad in done.stderr
        assert "Traceback" not in done.stderr
    assert http.get("/agents/good_one").status_code == 404
    assert shell.push(tmp_path / "check.py").returncode == 1
    assert shell.push(good, "--url", "http://127.0.0.1:1").returncode == 4
    assert shell.pull("nobody").returncode == 1
    for name in ("../x", "A", ""):
        assert shell.pull(name).returncode == 2
    assert shell.pull("--token", "rubbish").returncode == 2
    assert not shell.directory.exists()


def test_pull_writes_through_no_link(shell: Shell, http: httpx.Client, tmp_path: Path) -> None:
    define(http, "trapped")
    target = tmp_path / "target"
    target.write_text("mine")
    shell.path("trapped").parent.mkdir(parents=True)
    shell.path("trapped").symlink_to(target)
    for arguments in ((), ("--force",)):
        done = shell.pull("trapped", *arguments)
        assert done.returncode == 1
        assert "symbolic link" in done.stderr
    shell.path("trapped").unlink()
    shell.path("trapped").parent.rmdir()
    (tmp_path / "elsewhere").mkdir()
    shell.path("trapped").parent.symlink_to(tmp_path / "elsewhere")
    assert shell.pull("trapped").returncode == 1
    assert (target.read_text(), list((tmp_path / "elsewhere").iterdir())) == ("mine", [])


@dataclass(frozen=True, slots=True)
class Racing(Connection):
    """Somebody else changes an agent just before it is patched."""

    def ask(self, method: str, path: str, *arguments: Any, **options: Any) -> tuple[int, dict[str, Any]]:
        if method == "PATCH":
            Connection.ask(self, "PATCH", path, body={"description": "Theirs."})
        return Connection.ask(self, method, path, *arguments, **options)


def test_a_change_at_the_very_moment_of_a_push_is_not_overwritten(
    operator: Operator, shell: Shell, host: Up, http: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    define(http, "raced")
    shell.pull("raced")
    edit(shell.path("raced"), "Hello", "Mine")
    connection = Racing(host.url, operator.types("token").stdout.strip(), 30)
    for force in (False, True):
        assert push(connection, [shell.path("raced")], force=force, output=Output.TEXT) == 1
        assert "raced is being changed on the host at this moment" in capsys.readouterr().err
        after = http.get("/agents/raced").json()
        assert (after["description"], after["agent_config"]) == ("Theirs.", {"code": CODE})


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(description=texts, fixtures=fixtures, code=st.sampled_from([CODE, CODE.rstrip(), CODE.replace("\n", "\r\n")]))
@example(description="", fixtures={"llm": [{"answer": {"n": sys.float_info.max}}]}, code=CODE)
def test_whatever_an_agent_holds_comes_back_from_its_file(
    shell: Shell, http: httpx.Client, operator: Operator, description: str, fixtures: dict[str, Any], code: str
) -> None:
    connection = Connection(str(http.base_url), http.headers["authorization"].split()[1], 30)
    http.delete("/agents/anything")
    before = define(http, "anything", description, code=code, fixtures=fixtures)
    assert pull(connection, shell.directory, "anything", force=True, output=Output.TEXT) == 0
    assert http.delete("/agents/anything").status_code == 204
    assert push(connection, [shell.path("anything")], force=True, output=Output.TEXT) == 0
    after = http.get("/agents/anything").json()
    assert (after["description"], after["agent_config"]) == (description, before["agent_config"])
    assert pull(connection, shell.directory, "anything", force=False, output=Output.TEXT) == 0


async def test_rows_that_no_host_wrote_are_files_only_when_they_are_agents_made_of_code(
    local_host: LocalHost, ada: User, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configs: dict[str, Any] = {
        "text": CODE,
        "unknown": {"code": CODE, "x": [1]},
        "null": {"code": CODE, "x": None},
        "number": {"code": 5},
        "list": [CODE],
    }
    rows = [
        {"user_id": str(ada.user_id), "agent_name": name, "agent_config": config} for name, config in configs.items()
    ]
    await local_host.host.database.insert(ada.caller, "agents", rows)
    connection = Connection(local_host.url, ada.http.headers["authorization"].split()[1], 30)
    done = await asyncio.to_thread(pull, connection, tmp_path, None, force=False, output=Output.JSON)
    told = {each["agent_name"]: each["did"] for each in printed_json(capsys)["data"]}
    assert done == 1
    assert told == {"text": "pulled", "unknown": "pulled", "null": "refused", "number": "refused", "list": "refused"}
    directory = tmp_path / str(ada.user_id)
    assert sorted(path.name for path in directory.iterdir()) == ["text.py", "unknown.py"]
    assert read((directory / "text.py").read_text()).content.config == {"code": CODE}


def test_an_agent_of_another_user_has_a_directory_of_its_own(
    operator: Operator, shell: Shell, http: httpx.Client, host: Up
) -> None:
    token = operator.types("token", "--email", "ada@example.com").stdout.strip()
    answer = httpx.post(
        f"{host.url}/agents", json={"agent_name": "hers", "agent_config": CODE}, headers=bearer(token), timeout=30
    )
    assert answer.status_code == 201
    assert shell.pull("--token", token).returncode == 0
    (directory,) = shell.directory.iterdir()
    assert UUID(directory.name) != DEMO_USER_ID
    assert [path.name for path in directory.iterdir()] == ["hers.py"]
