"""Which way into the database the settings choose, and the parts that it is made of."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

from service.database.embedded import EmbeddedPostgres
from service.database.gateway import Database, DatabaseUnfit
from service.database.migrations import first_migration, furnish_demo, migrate
from service.database.postgres import PostgresDatabase
from service.database.rehearsals import PostgresRehearsals
from service.database.tables import PostgresTables
from service.database.user_tables import Tables
from service.local import DEMO_USER_ID
from service.settings import Settings


class StartedTables(Tables, Protocol):
    """An implementation of the port, with its connections."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Data:
    """Where agents, runs and the users' own tables are. Without `rehearsals` no dry run can use `db`."""

    database: Database
    tables: StartedTables | None = None
    rehearsals: PostgresRehearsals | None = None


async def data_of(settings: Settings, stack: AsyncExitStack) -> Data:
    """Where everything is kept, not started: Postgres wherever there is a connection to it, since it is faster than a
    project's REST interface and can roll back what a dry run did."""
    if settings.over_rest:
        return _project_of(settings)
    dsn = await _serving_dsn(settings, stack)
    rows = settings.limit_db_rows
    return Data(PostgresDatabase(dsn), PostgresTables(dsn, most_rows=rows), PostgresRehearsals(dsn, most_rows=rows))


def _project_of(settings: Settings) -> Data:
    # Half a second to import, which only this way in has to wait for.
    from service.database.supabase import SupabaseDatabase
    from service.database.supabase_tables import SupabaseTables

    if settings.supabase_publishable_key is None:
        raise DatabaseUnfit(
            "SUPABASE_URL is set, and nothing to reach its database with. Set SUPABASE_PUBLISHABLE_KEY to the "
            "project's publishable key, or DATABASE_URL to its Postgres with the login agenthost_api, which `agenthost "
            "migrate` makes"
        )
    url, key = str(settings.supabase_url), settings.supabase_publishable_key.get_secret_value()
    return Data(SupabaseDatabase(url, key), SupabaseTables(url, key, most_rows=settings.limit_db_rows))


async def _serving_dsn(settings: Settings, stack: AsyncExitStack) -> str:
    """The configured Postgres, or in local mode the embedded one, brought to this code's schema."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    embedded = EmbeddedPostgres(settings.data_dir)
    stack.push_async_callback(embedded.stop)
    connections = await embedded.start()
    applied = await migrate(connections.owner_dsn, serving_password=connections.serving_password)
    if first_migration() in applied:
        await furnish_demo(connections.owner_dsn, DEMO_USER_ID)
    return connections.serving_dsn
