"""Brings a database to this code's schema: the shim, then the migrations, of which the last carries the policies. All
in one transaction under a lock, so that replicas may start at once; what was applied is recorded with its checksum and
never changes. The Supabase CLI applies the same files, and what it has recorded counts as done."""

import asyncio
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final
from uuid import UUID

import psycopg
from psycopg import sql

from service.database.gateway import DatabaseUnavailable, DatabaseUnfit

_INSTALLED: Final = Path(__file__).with_name("supabase")
SUPABASE_DIRECTORY: Final = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[2] / "supabase"
SERVING_LOGIN: Final = "agenthost_api"
_LOCK: Final = 0x6167656E74  # "agent"
_CLI_TABLE: Final = "supabase_migrations.schema_migrations"

_LOCK_ATTEMPTS: Final = (0.5,) * 20 + (2,) * 4
"""Seconds that the tables are waited for, and that whoever uses them is then left alone."""

_TABLES: Final = """
select string_agg(oid::regclass::text, ', ' order by oid) from pg_catalog.pg_class
where relkind in ('r', 'p') and relnamespace in (to_regnamespace('agenthost'), to_regnamespace('agenthost_private'))"""

Connection = psycopg.AsyncConnection[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Script:
    """A migration. `name` is what is recorded: <timestamp>_<title>."""

    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def version(self) -> str:
        """The timestamp in front, by which the Supabase CLI records it."""
        return self.name.partition("_")[0]

    @property
    def title(self) -> str:
        return self.name.partition("_")[2]


async def migrate(
    owner_dsn: str, *, serving_password: str | None = None, directory: Path = SUPABASE_DIRECTORY
) -> tuple[str, ...]:
    """Apply what is missing and return its names. With `serving_password`, make the login agenthost_api or set its own.

    Raises DatabaseUnfit for a database that is newer, was changed, or does not let its owner do this;
    DatabaseUnavailable when it cannot be reached.
    """
    ours = scripts(directory)
    try:
        async with await psycopg.AsyncConnection.connect(owner_dsn, prepare_threshold=None, connect_timeout=5) as owner:
            await owner.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
            await owner.execute("set local search_path = ''")
            await owner.execute("set local client_min_messages = warning")
            await _require_not_newer(owner, ours)
            recorded = await _recorded(owner, ours)
            pushed = await _pushed(owner, ours)
            if not recorded and not pushed:
                await _run(owner, (directory / "shim.sql").read_text())
            applied = [script for script in ours if script.name not in recorded | pushed]
            if applied:
                await _lock_tables(owner)
            for script in applied:
                await _run(owner, script.text)
            await _record(owner, [script for script in ours if script.name not in recorded])
            if pushed:
                await _tell_cli(owner, applied)
            if serving_password is not None:
                await _make_login(owner, serving_password)
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(f"migrating: {_message(error)}") from error
    except psycopg.Error as error:
        raise DatabaseUnfit(f"migrating: {_message(error)}") from error
    return tuple(script.name for script in applied)


async def furnish_demo(owner_dsn: str, user_id: UUID, *, directory: Path = SUPABASE_DIRECTORY) -> None:
    """Make the demo table with rows for this user, whole or not at all. Raises as `migrate` does."""
    try:
        async with await psycopg.AsyncConnection.connect(owner_dsn, connect_timeout=5) as owner:
            await owner.execute("select set_config('agenthost.demo_user', %s, true)", (str(user_id),))
            await _run(owner, (directory / "demo.sql").read_text())
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(f"making the demo table: {_message(error)}") from error
    except psycopg.Error as error:
        raise DatabaseUnfit(f"making the demo table: {_message(error)}") from error


def scripts(directory: Path = SUPABASE_DIRECTORY) -> list[Script]:
    """The migrations, in their order."""
    found = [Script(path.stem, path.read_text()) for path in sorted((directory / "migrations").glob("*.sql"))]
    if not found:
        raise DatabaseUnfit(f"{directory} does not hold agenthost's migrations")
    return found


@cache
def newest_migration() -> str:
    """The name of the last migration that this code has: what `agenthost.schema_version` answers once it is applied."""
    return scripts()[-1].name


@cache
def first_migration() -> str:
    """What is applied to a database once: to one that had nothing of agenthost."""
    return scripts()[0].name


async def _lock_tables(owner: Connection) -> None:
    """All tables at once, before any is changed: hosts may be serving. The first attempts are over before Postgres
    looks for a deadlock (after a second), so that it ends no run of theirs; the last few make a vacuum give way."""
    row = await (await owner.execute(_TABLES)).fetchone()
    if not row or row[0] is None:
        return
    for seconds in _LOCK_ATTEMPTS:
        try:
            async with owner.transaction():
                await owner.execute("select set_config('statement_timeout', %s, true)", (f"{seconds}s",))
                await owner.execute(f"lock table {row[0]} in access exclusive mode".encode())
                await owner.execute("set local statement_timeout = 0")
                return
        except (psycopg.errors.QueryCanceled, psycopg.errors.DeadlockDetected):
            await asyncio.sleep(seconds)
    raise DatabaseUnavailable("migrating: agenthost's tables stay in use by a long transaction: end it, then try again")


async def _require_not_newer(owner: Connection, ours: list[Script]) -> None:
    cursor = await owner.execute("select pg_catalog.to_regprocedure('agenthost.schema_version()') is not null")
    if await cursor.fetchone() == (True,):
        row = await (await owner.execute("select agenthost.schema_version()")).fetchone()
        version = str(row[0] or "") if row else ""
        if version > ours[-1].name:
            raise DatabaseUnfit(
                f"the database has the migration {version}, newer than this agenthost: upgrade agenthost"
            )


async def _recorded(owner: Connection, ours: list[Script]) -> set[str]:
    """What `agenthost migrate` has applied here. Raises DatabaseUnfit when that is not what we have."""
    if not await _exists(owner, "agenthost_private.migrations"):
        return set()
    rows = await (await owner.execute("select name, checksum from agenthost_private.migrations")).fetchall()
    recorded = {str(name): str(checksum) for name, checksum in rows}
    for script in ours:
        if recorded.get(script.name, script.checksum) != script.checksum:
            raise DatabaseUnfit(
                f"the migration {script.name} is not the one that this database has: add one, never edit one"
            )
    return set(recorded)


async def _pushed(owner: Connection, ours: list[Script]) -> set[str]:
    """What the Supabase CLI has applied here. Its table also holds the migrations of the user's own project."""
    if not await _exists(owner, _CLI_TABLE):
        return set()
    rows = await (await owner.execute(f"select version, name from {_CLI_TABLE}".encode())).fetchall()
    return {script.name for script in ours if (script.version, script.title) in rows}


async def _record(owner: Connection, scripts: list[Script]) -> None:
    for script in scripts:
        await owner.execute(
            "insert into agenthost_private.migrations (name, checksum) values (%s, %s)", (script.name, script.checksum)
        )


async def _tell_cli(owner: Connection, scripts: list[Script]) -> None:
    """So that the next `supabase db push` does not apply these again."""
    for script in scripts:
        await owner.execute(
            f"insert into {_CLI_TABLE} (version, name, statements) values (%s, %s, array[%s])".encode(),
            (script.version, script.title, script.text),
        )


async def _make_login(owner: Connection, password: str) -> None:
    """The login that serves: it may become `authenticated` for a transaction, and by itself may do nothing."""
    login = sql.Identifier(SERVING_LOGIN)
    cursor = await owner.execute("select from pg_catalog.pg_roles where rolname = %s", (SERVING_LOGIN,))
    verb = sql.SQL("alter" if cursor.rowcount else "create")
    await owner.execute(sql.SQL("{} role {} login noinherit password {}").format(verb, login, sql.Literal(password)))
    cursor = await owner.execute("select pg_catalog.pg_has_role(%s, 'authenticated', 'member')", (SERVING_LOGIN,))
    if await cursor.fetchone() == (False,):
        # It inherits nothing of it, like the role: since Postgres 16 the membership keeps what the role was then.
        await owner.execute(sql.SQL("grant authenticated to {}").format(login))


async def _exists(owner: Connection, table: str) -> bool:
    row = await (await owner.execute("select pg_catalog.to_regclass(%s) is not null", (table,))).fetchone()
    return row == (True,)


async def _run(owner: Connection, script: str) -> None:
    # Without parameters a script of many statements goes as it is; psycopg reads no % in it.
    await owner.execute(sql.SQL(script))


def _message(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error)
