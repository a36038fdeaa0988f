"""Replicas that start at once, on a database that is empty, old or newer; and what they must have in common."""

import asyncio
import base64
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.database.migrations import SUPABASE_DIRECTORY, migrate, newest_migration
from tests.acceptance.replicas import SECRET_KEYS, User, define, replica, settings_of
from tests.docs.document import ROOT
from tests.docs.hosted import Hosted
from tests.postgres import Addresses, Server

START_SECONDS = 60
RUNS = 4
LATER = "29990101000000_policies"
ASKS = "return services.http.get('https://nobody.invalid/', headers={'K': services.secrets.ref('K')})"
CODE = f"def run(services):\n    {ASKS}\n"
GRANTS = {"http": {"hosts": ["nobody.invalid"]}, "secrets": {"names": ["K"]}}


@pytest.fixture
async def empty(postgres: Server) -> AsyncIterator[Addresses]:
    addresses = await postgres.empty()
    yield addresses
    await postgres.drop(addresses)


def typed(directory: Path, *arguments: str, **settings: str) -> "subprocess.Popen[str]":
    directory.mkdir(exist_ok=True)
    return subprocess.Popen(
        [ROOT / ".venv/bin/agenthost", *arguments],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", "HOME": str(directory), "AGENTHOST_PORT": "0", **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said(*processes: "subprocess.Popen[str]") -> list[str]:
    return [process.communicate(timeout=START_SECONDS)[0] for process in processes]


def two_migrate_at_once(addresses: Addresses, directory: Path) -> list[str]:
    settings = {"AGENTHOST_MIGRATE_URL": addresses.owner_dsn, "DATABASE_URL": addresses.serving_dsn}
    migrating = [typed(directory / name, "migrate", **settings) for name in ("one", "two")]
    texts = said(*migrating)
    assert [process.returncode for process in migrating] == [0, 0], texts
    return texts


async def both_run(addresses: Addresses, directory: Path) -> None:
    settings = settings_of(addresses.serving_dsn)
    user = User()
    with replica(directory / "one", 0, settings) as one, replica(directory / "two", 0, settings) as two:
        async with user.at(one) as here, user.at(two) as there:
            await define(here, "agent", "def run():\n    return 1\n")
            assert (await there.get(f"/agents/{user.id}/agent")).json()["output"] == 1


async def test_two_that_migrate_an_empty_database_at_once_apply_each_migration_once(
    empty: Addresses, tmp_path: Path
) -> None:
    refused = [typed(tmp_path / name, "up", **settings_of(empty.serving_dsn)) for name in ("one", "two")]
    for text, process in zip(said(*refused), refused, strict=True):
        assert (process.returncode, "run `agenthost migrate`" in text) == (1, True), text
    texts = two_migrate_at_once(empty, tmp_path)
    assert sorted(len(re.findall("^applied ", text, re.MULTILINE)) > 0 for text in texts) == [False, True]
    await both_run(empty, tmp_path)


async def test_two_that_migrate_an_old_database_at_once_apply_each_migration_once(
    empty: Addresses, tmp_path: Path
) -> None:
    old = shutil.copytree(SUPABASE_DIRECTORY, tmp_path / "supabase")
    files = sorted((old / "migrations").glob("*.sql"))
    for file in files[2:]:
        file.unlink()
    for file in (old / "policies").glob("*.sql"):
        file.write_text("select 1;")
    await migrate(empty.owner_dsn, directory=old)
    texts = two_migrate_at_once(empty, tmp_path)
    applied = [re.findall(r"^applied (\d+_\w+)", text, re.MULTILINE) for text in texts]
    assert sorted(applied) == [[], [file.stem for file in files[2:]]]
    await both_run(empty, tmp_path)


async def test_a_database_that_is_migrated_further_goes_on_being_served_and_no_more_of_the_old_code_start(
    cloned: Addresses, tmp_path: Path
) -> None:
    user = User()
    settings = settings_of(cloned.serving_dsn)
    with replica(tmp_path / "one", 0, settings) as host:
        async with user.at(host) as http:
            await define(http, "agent", "def run():\n    return 1\n")
            path = f"/agents/{user.id}/agent"
            asked = [asyncio.create_task(http.get(path)) for _ in range(RUNS)]
            await migrate(cloned.owner_dsn, directory=later(tmp_path))
            asked += [asyncio.create_task(http.get(path)) for _ in range(RUNS)]
            assert [answer.json()["output"] for answer in await asyncio.gather(*asked)] == [1] * 2 * RUNS
            assert (await http.get("/ready")).status_code == 200
        another = typed(tmp_path / "two", "up", **settings)
        [text] = said(another)
        assert (another.returncode, "newer than this agenthost: upgrade agenthost" in text) == (1, True), text


def later(directory: Path) -> Path:
    """The SQL of a release to come: all policies are made anew."""
    supabase = shutil.copytree(SUPABASE_DIRECTORY, directory / "supabase")
    newest = supabase / "migrations" / f"{newest_migration()}.sql"
    text = newest.read_text()
    assert newest_migration() in text
    newest.with_stem(LATER).write_text(text.replace(newest_migration(), LATER))
    return supabase


async def test_replicas_with_other_secret_keys_do_not_believe_each_other(cloned: Addresses, tmp_path: Path) -> None:
    """Nothing fails and nothing is shown as true: what `up` and `doctor` say of their keys is there to be compared."""
    user = User()
    other_keys = f"k1:{base64.b64encode(b'2' * 32).decode()}"
    settings = settings_of(cloned.serving_dsn)
    others = settings_of(cloned.serving_dsn, AGENTHOST_SECRET_KEYS=other_keys)
    with replica(tmp_path / "one", 0, settings) as one, replica(tmp_path / "two", 0, others) as two:
        async with user.at(one) as here, user.at(two) as there:
            await define(here, "agent", CODE, capabilities=GRANTS)
            secret = {"value": "v" * 20, "hosts": ["nobody.invalid"]}
            assert (await here.put("/secrets/K", json=secret)).is_success
            run_id = (await here.get(f"/agents/{user.id}/agent")).json()["run_id"]
            assert (await here.get(f"/runs/{run_id}")).json()["verified"] is True
            assert (await there.get(f"/runs/{run_id}")).json()["verified"] is False
            failed = (await there.get(f"/agents/{user.id}/agent")).json()
            assert "sealed under another key of the same id" in failed["error"]["message"]
        assert len({shown_key(host) for host in (one, two)}) == 2
    doctors = [
        typed(tmp_path / name, "doctor", **settings_of(cloned.serving_dsn, AGENTHOST_SECRET_KEYS=keys))
        for name, keys in (("one", SECRET_KEYS), ("two", other_keys))
    ]
    for host, text in zip((one, two), said(*doctors), strict=True):
        assert f"under the key {shown_key(host)}." in text


def shown_key(host: Hosted) -> str:
    """The key that `up` says it signs with."""
    found = re.search(r'"(k1 \([0-9a-f]{8}\))".*"secret_keys"', host.said)
    assert found, host.said
    return found[1]


async def test_a_host_that_signs_tokens_itself_takes_no_others_until_they_share_its_key(
    cloned: Addresses, tmp_path: Path
) -> None:
    settings = {"DATABASE_URL": cloned.serving_dsn, "AGENTHOST_SECRET_KEYS": SECRET_KEYS}
    with replica(tmp_path / "one", 0, settings) as one:
        token = one.token("--email", "ada@example.com")
    headers = {"Authorization": f"Bearer {token}"}
    user = User()
    with replica(tmp_path / "two", 0, settings) as two:
        async with user.at(two) as http:
            assert (await http.get("/agents", headers=headers)).status_code == 401
    shutil.copy(tmp_path / "one/data/signing-key.pem", tmp_path / "two/data/signing-key.pem")
    with replica(tmp_path / "two", 0, settings) as two:
        async with user.at(two) as http:
            assert (await http.get("/agents", headers=headers)).status_code == 200
