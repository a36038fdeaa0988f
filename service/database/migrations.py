"""Brings a database to this code's schema: the shim, the migrations in order, the policies. All of it in one
transaction under a lock, so that replicas may start at once; what was applied is recorded with its checksum and never
changes."""

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

Connection = psycopg.AsyncConnection[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Script:
    """One SQL file. `name` is what is recorded; policies are recorded as "policies/<file>"."""

    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def version(self) -> str:
        """The timestamp in front, by which the Supabase CLI records it."""
        return self.name.partition("_")[0]


async def migrate(
    owner_dsn: str, *, serving_password: str | None = None, directory: Path = SUPABASE_DIRECTORY
) -> tuple[str, ...]:
    """Apply what is missing and return its names. With `serving_password`, make the login agenthost_api or set its own.

    Raises DatabaseUnfit for a database that is newer, was changed, or does not let its owner do this;
    DatabaseUnavailable when it cannot be reached.
    """
    migrations, policies = scripts(directory)
    try:
        async with await psycopg.AsyncConnection.connect(owner_dsn, prepare_threshold=None, connect_timeout=5) as owner:
            await owner.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
            await owner.execute("set local search_path = ''")
            await owner.execute("set local client_min_messages = warning")
            recorded = await _recorded(owner, migrations)
            if not recorded:
                await _run(owner, (directory / "shim.sql").read_text())
            applied = [script for script in migrations if script.name not in recorded]
            for script in applied:
                await _run(owner, script.text)
            # Policies are written to be run again: all of them when any one changed, or the tables did.
            if applied or any(recorded.get(script.name) != script.checksum for script in policies):
                for script in policies:
                    await _run(owner, script.text)
                    applied.append(script)
            await _record(owner, [*migrations, *policies] if applied else [])
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


def scripts(directory: Path = SUPABASE_DIRECTORY) -> tuple[list[Script], list[Script]]:
    """The migrations and the policies, each in the order of their names."""
    migrations = [Script(path.stem, path.read_text()) for path in sorted((directory / "migrations").glob("*.sql"))]
    policies = [
        Script(f"policies/{path.stem}", path.read_text()) for path in sorted((directory / "policies").glob("*.sql"))
    ]
    if not migrations or not policies:
        raise DatabaseUnfit(f"{directory} does not hold agenthost's migrations and policies")
    return migrations, policies


@cache
def newest_migration() -> str:
    """The name of the last migration that this code has."""
    return scripts()[0][-1].name


@cache
def first_migration() -> str:
    """What is applied to a database once: to one that had nothing of agenthost."""
    return scripts()[0][0].name


async def _recorded(owner: Connection, migrations: list[Script]) -> dict[str, str]:
    """Name -> checksum of what this database has. Raises DatabaseUnfit when that is not a beginning of what we have."""
    recorded: dict[str, str] = {}
    if await _exists(owner, "agenthost_private.migrations"):
        rows = await (await owner.execute("select name, checksum from agenthost_private.migrations")).fetchall()
        recorded = {str(name): str(checksum) for name, checksum in rows}
    if not recorded and await _exists(owner, "supabase_migrations.schema_migrations"):
        rows = await (await owner.execute("select version from supabase_migrations.schema_migrations")).fetchall()
        recorded = {script.name: script.checksum for script in migrations if (script.version,) in rows}
    ours = {script.name: script.checksum for script in migrations}
    newer = sorted(name for name in recorded if name not in ours and not name.startswith("policies/"))
    if newer:
        raise DatabaseUnfit(f"the database has the migration {newer[-1]}, newer than this agenthost: upgrade agenthost")
    changed = [name for name in ours if recorded.get(name, ours[name]) != ours[name]]
    if changed:
        raise DatabaseUnfit(
            f"the migration {changed[0]} is not the one that this database has: add one, never edit one"
        )
    return recorded


async def _record(owner: Connection, applied: list[Script]) -> None:
    for script in applied:
        await owner.execute(
            "insert into agenthost_private.migrations (name, checksum) values (%s, %s) "
            "on conflict (name) do update set checksum = excluded.checksum",
            (script.name, script.checksum),
        )


async def _make_login(owner: Connection, password: str) -> None:
    """The login that serves: it may become `authenticated` for a transaction, and by itself may do nothing."""
    login = sql.Identifier(SERVING_LOGIN)
    cursor = await owner.execute("select from pg_catalog.pg_roles where rolname = %s", (SERVING_LOGIN,))
    verb = sql.SQL("alter" if cursor.rowcount else "create")
    await owner.execute(sql.SQL("{} role {} login noinherit password {}").format(verb, login, sql.Literal(password)))
    cursor = await owner.execute("select pg_catalog.pg_has_role(%s, 'authenticated', 'member')", (SERVING_LOGIN,))
    if await cursor.fetchone() == (False,):
        # Since Postgres 16 a membership itself says whether it inherits; before, the role does (noinherit).
        inherit = sql.SQL(" with inherit false" if owner.info.server_version >= 160000 else "")
        await owner.execute(sql.SQL("grant authenticated to {}{}").format(login, inherit))


async def _exists(owner: Connection, table: str) -> bool:
    row = await (await owner.execute("select pg_catalog.to_regclass(%s) is not null", (table,))).fetchone()
    return row == (True,)


async def _run(owner: Connection, script: str) -> None:
    # Without parameters a script of many statements goes as it is; psycopg reads no % in it.
    await owner.execute(sql.SQL(script))


def _message(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error)
