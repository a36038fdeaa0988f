"""Files that a host writes by itself: each stored agent has one, nobody's edits are lost, and no path gets out."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from service.agents.directory import AgentDirectory
from service.agents.file import Content, read, written
from service.agents.kept_files import KeptFiles
from service.app import create_app
from service.local import DEMO_USER_ID, LocalIdentity
from service.settings import Settings
from tests.docs.document import ROOT
from tests.service.conftest import LocalHost, User
from tests.service.operator import Operator
from tests.service.served import served
from tests.service.test_settings import read_with
from tests.service.writing import GREETER, writes, writing_host

CODE = 'def run(name: str = "World"):\n    return f"Hello, {name}"\n'
SECONDS = 10


@pytest.fixture(scope="module")
async def keeper(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalHost]:
    directory = tmp_path_factory.mktemp("writing")
    settings = Settings(data_dir=directory / "data", generated_agents_dir=directory / "agents")
    app = create_app(settings)
    async with served(app, settings) as url:
        yield LocalHost(url, app, LocalIdentity.in_directory(directory / "data"))


@pytest.fixture
async def user(keeper: LocalHost) -> AsyncIterator[User]:
    async with keeper.user() as user:
        yield user


@pytest.fixture
def root(keeper: LocalHost) -> Path:
    found = keeper.host.settings.generated_agents_dir
    assert found is not None
    return found


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(SECONDS * 50):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen")


async def written_before(user: User, root: Path) -> None:
    """Files are written one after the other: what was stored before is there now, or never will be."""
    name = f"later-{uuid4().hex[:8]}"
    await user.define(name, CODE)
    await until((root / str(user.user_id) / f"{name}.py").exists)


def revision_in(path: Path) -> int:
    synced = read(path.read_text()).synced if path.exists() else None
    return synced.revision if synced else 0


async def test_a_stored_agent_is_a_file_until_it_is_deleted(user: User, root: Path) -> None:
    path = root / str(user.user_id) / "kept.py"
    stored = await user.define("kept", CODE, capabilities={"kv": {}})
    await until(path.exists)
    assert read(path.read_text()).content.config == stored["agent_config"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.parents[1].stat().st_mode & 0o777 == 0o700
    await user.http.patch("/agents/kept", json={"agent_config": {"code": CODE + "\n"}})
    await until(lambda: revision_in(path) == 2)
    assert (await user.http.post("/agents/kept/versions/1/restore")).status_code == 201
    await until(lambda: revision_in(path) == 3)
    assert read(path.read_text()).content.config["code"] == CODE
    assert [each.name for each in path.parent.iterdir()] == ["kept.py"]
    await user.http.delete("/agents/kept")
    await until(lambda: not path.exists())


async def test_an_agent_that_a_model_wrote_is_a_file_too(local_host: LocalHost, tmp_path: Path) -> None:
    async with writing_host(local_host, writes(GREETER), generated_agents_dir=tmp_path) as writing:
        path = tmp_path / str(writing.user.user_id) / "made.py"
        assert (await writing.write("Greets people.", accept_capabilities=True)).status_code == 201
        await until(path.exists)
        found = read(path.read_text()).content
        assert (found.description, found.config["code"]) == ("Greets people.", GREETER)


def test_a_host_that_is_started_with_nothing_configured_writes_files_where_it_was_started(tmp_path: Path) -> None:
    operator = Operator(tmp_path / "data")
    with operator.up():
        directory = operator.data_dir / "generated_agents" / str(DEMO_USER_ID)
        deadline = time.monotonic() + SECONDS
        while not list(directory.glob("*.py")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list(directory.glob("*.py"))


async def test_edits_are_neither_overwritten_nor_removed(user: User, root: Path) -> None:
    path = root / str(user.user_id) / "mine.py"
    await user.define("mine", CODE)
    await until(path.exists)
    path.write_text(path.read_text() + "# mine\n")
    edited = path.read_bytes()
    await user.http.patch("/agents/mine", json={"description": "Another."})
    await written_before(user, root)
    assert path.read_bytes() == edited
    await user.http.patch("/agents/mine", json={"agent_config": {"code": CODE + "# mine\n"}, "description": ""})
    await until(lambda: revision_in(path) == 3)
    path.write_text(path.read_text() + "# mine again\n")
    edited = path.read_bytes()
    await user.http.delete("/agents/mine")
    await written_before(user, root)
    assert path.read_bytes() == edited


@pytest.mark.parametrize("trap", ["file link", "directory link", "pipe", "directory", "not UTF-8", "broken head"])
async def test_what_lies_in_the_way_is_left_alone_and_the_request_succeeds(
    user: User, root: Path, tmp_path: Path, trap: str
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "trapped.py").write_text("mine")
    directory = root / str(user.user_id)
    path = directory / "trapped.py"
    directory.parent.mkdir(exist_ok=True)
    if trap == "directory link":
        directory.symlink_to(target)
    else:
        directory.mkdir()
    match trap:
        case "file link":
            path.symlink_to(target / "trapped.py")
        case "pipe":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "not UTF-8":
            path.write_bytes(b"\xff\xfe")
        case "broken head":
            path.write_text("# /// agenthost\n")
    before = path.lstat()
    await user.define("trapped", CODE)
    assert (await user.run("trapped")).status_code == 200
    await user.http.patch("/agents/trapped", json={"description": "Another."})
    await user.http.delete("/agents/trapped")
    async with asyncio.timeout(SECONDS):
        await user.define("trapped", CODE)
        if trap != "directory link":
            await written_before(user, root)
    after = path.lstat()
    assert (before.st_ino, before.st_size, before.st_mode) == (after.st_ino, after.st_size, after.st_mode)
    assert (target / "trapped.py").read_text() == "mine"
    assert [each.name for each in target.iterdir()] == ["trapped.py"]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc/x", "A", "a\n", "a\0b", "a" * 64, "é"])
def test_no_name_leads_out_of_the_directory(tmp_path: Path, name: str) -> None:
    directory = AgentDirectory(tmp_path / "agents")
    for act in (directory.path, directory.read, directory.remove):
        with pytest.raises(ValueError, match="no name"):
            act(uuid4(), name)
    with pytest.raises(ValueError, match="no name"):
        directory.write(uuid4(), name, CODE)
    assert list(tmp_path.iterdir()) == []


async def test_of_two_changes_that_arrive_in_the_wrong_order_the_newer_one_stays(tmp_path: Path) -> None:
    directory = AgentDirectory(tmp_path)
    files, user_id = KeptFiles(directory), uuid4()
    row = {"agent_name": "a", "description": "", "agent_config": {"code": CODE}, "version": 1}
    await files.start()
    files.stored(user_id, {**row, "revision": 2})
    files.stored(user_id, {**row, "revision": 1, "description": "older"})
    await files.stop()
    assert revision_in(directory.path(user_id, "a")) == 2


async def test_a_stop_writes_what_is_waiting(tmp_path: Path) -> None:
    directory = AgentDirectory(tmp_path)
    files, user_id = KeptFiles(directory), uuid4()
    await files.start()
    for number in range(100):
        config = {"code": f"{number}\n"}
        row = {"agent_name": f"a{number}", "description": "", "agent_config": config, "version": 1, "revision": 1}
        files.stored(user_id, row)
    await files.stop()
    assert len(list((tmp_path / str(user_id)).iterdir())) == 100


async def test_a_disk_that_refuses_fails_no_request(tmp_path: Path) -> None:
    (tmp_path / "agents").write_text("a file where the directory should be")
    settings = Settings(data_dir=tmp_path / "data", generated_agents_dir=tmp_path / "agents")
    app = create_app(settings)
    async with served(app, settings) as url:
        host = LocalHost(url, app, LocalIdentity.in_directory(tmp_path / "data"))
        async with host.user() as user:
            await user.define("kept", CODE)
            assert (await user.run("kept")).json()["output"] == "Hello, World"
            assert (await user.http.delete("/agents/kept")).status_code == 204


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    directory, user_id = AgentDirectory(tmp_path), UUID(int=1)
    directory.write(user_id, "a", "old")
    with pytest.raises(UnicodeEncodeError):
        directory.write(user_id, "a", "half a pair: \ud800")
    assert directory.read(user_id, "a") == "old"
    assert [path.name for path in (tmp_path / str(user_id)).iterdir()] == ["a.py"]


@pytest.mark.parametrize(
    ("environment", "directory"),
    [
        ({}, "generated_agents"),
        ({"AGENTHOST_GENERATED_AGENTS_DIR": "off"}, None),
        ({"SUPABASE_URL": "https://project.supabase.co"}, None),
        (
            {"SUPABASE_URL": "https://project.supabase.co", "AGENTHOST_GENERATED_AGENTS_DIR": "/srv/agents"},
            "/srv/agents",
        ),
    ],
)
def test_only_a_host_in_local_mode_writes_files_unasked(environment: dict[str, str], directory: str | None) -> None:
    assert Settings().generated_agents_dir is None
    assert json.loads(read_with(environment).splitlines()[0])["generated_agents_dir"] == directory


@pytest.mark.parametrize("name", ["generated_agents", "generated_agents.samples", "generated_agents.samples.summarise"])
def test_the_directory_cannot_be_imported(name: str) -> None:
    tried = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert tried.returncode == 1
    assert "ImportError: agents are data" in tried.stderr


def test_a_file_of_the_host_is_python(tmp_path: Path) -> None:
    text = written(Content(description='"', config={"code": CODE, "engine": "restricted"}), version=1, revision=1)
    compile(text, "agent", "exec")
