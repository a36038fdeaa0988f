"""The Postgres that a host brings along: it lives and dies with the host, in the data directory, on a socket there and
nowhere else. A crash of either loses no acknowledged row, and the next start needs no hand."""

import asyncio
import contextlib
import os
import pwd
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

import structlog

from service.database.embedded_directory import (
    POSTGRES_UID,
    Directory,
    Passwords,
    mount_point,
    program_directory,
    reachable,
    readable_by_all,
)
from service.database.embedded_process import Place, end, last_words, spawn
from service.database.gateway import DatabaseUnavailable, DatabaseUnfit
from service.database.launch import NO_NAMESPACES
from service.database.transactions import connect

MAJOR: Final = "18"
OWNER: Final = "agenthost_owner"
DATABASE: Final = "agenthost"
READY_SECONDS: Final = 120.0
_SOCKET: Final = ".s.PGSQL.5432"
_OPTIONS: Final = {
    "listen_addresses": "",
    "unix_socket_directories": ".",
    "unix_socket_permissions": "0700",
    "port": "5432",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "huge_pages": "off",
    "io_method": "sync",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "max_parallel_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    # What users write must not reach the log.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_min_messages": "warning",
}

# Everybody by password; the superuser, who has none, not at all.
_ACCESS_RULES: Final = "local all postgres reject\nlocal all all scram-sha-256\n"
_SET_UP_RULES: Final = "local postgres postgres trust\n"

log = structlog.get_logger("agenthost.postgres")


@dataclass(frozen=True, slots=True)
class Connections:
    """How to reach it. `owner_dsn` is for migrations alone; `serving_password` is what they give the serving login."""

    owner_dsn: str
    serving_dsn: str
    serving_password: str


class EmbeddedPostgres:
    """One Postgres in `data_dir`/postgres. Start it in the thread that lives longest: Postgres stops when that ends."""

    def __init__(self, data_dir: Path) -> None:
        self._directory = Directory(data_dir)
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._socket_directory = -1

    @property
    def pid(self) -> int | None:
        """The postmaster's, while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> Connections:
        """Make the data if there is none, start Postgres, wait until it answers, and keep it running from then on.

        Raises DatabaseUnfit for what an operator must put right, DatabaseUnavailable when Postgres does not come up.
        """
        await asyncio.to_thread(self._directory.hold)
        try:
            await self._prepare()
            passwords = await asyncio.to_thread(self._directory.passwords)
            rules = _ACCESS_RULES if passwords else _SET_UP_RULES + _ACCESS_RULES
            await asyncio.to_thread(self._directory.write_access_rules, rules)
            place = await asyncio.to_thread(self._place, self._directory.data)
            await self._launch(place)
            passwords = passwords or await self._set_up()
            self._supervisor = asyncio.create_task(self._keep_running(place), name="embedded-postgres")
            return Connections(
                self._dsn(OWNER, passwords.owner), self._dsn("agenthost_api", passwords.serving), passwords.serving
            )
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Fast shutdown: sessions end, what is committed is on disk. Then the directory is free for another host."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None
        if self._process is not None:
            process, self._process = self._process, None
            await end(process)
        if self._socket_directory >= 0:
            os.close(self._socket_directory)
            self._socket_directory = -1
        self._directory.release()

    async def _prepare(self) -> None:
        """A complete data directory of our version, with nobody in it."""
        directory = self._directory
        if directory.data.exists():
            directory.require_version(MAJOR)
            await asyncio.to_thread(directory.clear_crash)
            return
        log.info("postgres_initialising", directory=str(directory.data))
        place = await asyncio.to_thread(self._place, directory.fresh)
        code, errors = await self._initdb(await asyncio.to_thread(_named, place))
        if code == NO_NAMESPACES and place.uid is not None and not place.binds:
            # A container's root without the right to mount: as `nobody`, and handed over before anything is in it.
            code, errors = await self._initdb(replace(place, uid=pwd.getpwnam("nobody").pw_uid))
        if code != 0:
            raise DatabaseUnfit(f"initdb failed: {last_words(errors, code, place)}")
        await asyncio.to_thread(directory.adopt_fresh, place.uid)

    async def _initdb(self, place: Place) -> tuple[int, str]:
        """Its exit code and what it complained of."""
        await asyncio.to_thread(self._directory.begin_fresh, place.uid)
        process = await spawn(place, ["initdb", *_initdb_arguments(place)], stderr=asyncio.subprocess.PIPE)
        try:
            _, errors = await process.communicate()
        except BaseException:
            await end(process)
            raise
        return process.returncode or 0, errors.decode(errors="replace")

    async def _set_up(self) -> Passwords:
        """The owner of the tables, who is no superuser, and their database. Done again where the passwords were lost.

        For as long as it takes, the superuser may come in without a password, through a socket that only this user
        (and root) can reach.
        """
        made = await asyncio.to_thread(self._directory.make_passwords)
        async with await connect(self._dsn("postgres", "", "postgres")) as superuser:
            roles = await superuser.execute("select from pg_roles where rolname = %s", (OWNER,))
            verb = "alter" if roles.rowcount else "create"
            await superuser.execute(
                f"{verb} role {OWNER} login createrole createdb nosuperuser nobypassrls password '{made.owner}'"
            )
            databases = await superuser.execute("select from pg_database where datname = %s", (DATABASE,))
            if not databases.rowcount:
                await superuser.execute(f"create database {DATABASE} owner {OWNER}")
            await asyncio.to_thread(self._directory.write_access_rules, _ACCESS_RULES)
            await superuser.execute("select pg_reload_conf()")
        await asyncio.to_thread(self._directory.keep_passwords, made)
        return made

    def _place(self, data: Path) -> Place:
        program = program_directory()
        if os.geteuid() != 0:
            return Place(program, data)
        program = readable_by_all(program, self._directory.path)
        if reachable(program / "pginstall", POSTGRES_UID) and reachable(data, POSTGRES_UID):
            return Place(program, data, POSTGRES_UID)
        # Under a directory that only root may enter, such as /root. Nothing of it is opened to others: Postgres gets a
        # view of its own, where just these directories stand.
        point = mount_point(program, data)
        libraries = program.with_name("embedded_postgres.libs")
        shown = [(str(program), program.name), (str(libraries), libraries.name), (str(data), "data")]
        return Place(point / program.name, point / "data", POSTGRES_UID, str(point), tuple(shown))

    async def _launch(self, place: Place) -> None:
        """Start Postgres and wait until it takes connections. Raises DatabaseUnavailable."""
        options = [text for name, value in _OPTIONS.items() for text in ("-c", f"{name}={value}")]
        descriptor = await asyncio.to_thread(self._directory.open_log)
        try:
            self._process = await spawn(place, ["postgres", "-D", str(place.data), *options], stderr=descriptor)
        finally:
            os.close(descriptor)
        deadline = time.monotonic() + READY_SECONDS
        while not _says_ready(self._directory.data, self._process.pid):
            if self._process.returncode is not None or time.monotonic() > deadline:
                await end(self._process)
                tail = last_words(await asyncio.to_thread(self._directory.log_tail), self._process.returncode, place)
                raise DatabaseUnavailable(f"the embedded Postgres did not start: {tail}")
            await asyncio.sleep(0.01)

    async def _keep_running(self, place: Place) -> None:
        """Start it again whenever it ends by itself: killed, out of memory, out of disk."""
        pause = 0.1
        while True:
            started = time.monotonic()
            assert self._process is not None
            code = await self._process.wait()
            pause = 0.1 if time.monotonic() - started > 30 else min(pause * 2, 5.0)
            log.error("postgres_ended", code=code, next_start_seconds=pause)
            await asyncio.sleep(pause)
            try:
                await asyncio.to_thread(self._directory.clear_crash, 5.0)
                await self._launch(place)
                log.info("postgres_restarted")
            except Exception as error:
                log.error("postgres_restart_failed", error=str(error))

    def _dsn(self, user: str, password: str, database: str = DATABASE) -> str:
        host = str(self._directory.data)
        # A socket's address has 107 bytes. The directory's descriptor is a short way there, for this process.
        if len(os.fsencode(f"{host}/{_SOCKET}")) > 107:
            if self._socket_directory < 0:
                self._socket_directory = os.open(host, os.O_PATH | os.O_DIRECTORY)
            host = f"/proc/self/fd/{self._socket_directory}"
        return f"postgresql://{user}:{password}@/{database}?host={quote(host, safe='')}"


def _named(place: Place) -> Place:
    """initdb, unlike Postgres, insists that its user has a name: it sees one where the system has none."""
    uid = os.geteuid() if place.uid is None else place.uid
    try:
        pwd.getpwuid(uid)
    except KeyError:
        point = place.mount_point or str(mount_point(place.program, place.data))
        return replace(place, mount_point=point, passwd=f"postgres:x:{uid}:{uid}::/:/bin/false\n")
    return place


def _initdb_arguments(place: Place) -> list[str]:
    return [
        f"--pgdata={place.data}",
        "--username=postgres",
        "--auth=reject",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        "--no-instructions",
    ]


def _says_ready(data: Path, pid: int) -> bool:
    """Postgres keeps its state in the eighth line of its lock file."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"
