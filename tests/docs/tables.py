"""The tables and functions of a migrated database, as the technical specification lists them."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any, Final

import psycopg

from service.database.embedded import EmbeddedPostgres
from service.database.migrations import migrate
from tests.docs.markdown import table

_TABLES: Final = """
select c.relname::text,
  (select string_agg(format('`%s` %s', attname, format_type(atttypid, atttypmod)), ', ' order by attnum)
   from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped),
  (select string_agg(lower(cmd), ', ' order by array_position(array['SELECT', 'INSERT', 'UPDATE', 'DELETE'], cmd))
   from pg_policies where schemaname = 'agenthost' and tablename = c.relname and 'authenticated' = any(roles))
from pg_class c where c.relnamespace = 'agenthost'::regnamespace and c.relkind = 'r' order by 1
"""
_FUNCTIONS: Final = """
select format('%s(%s)', proname, pg_get_function_arguments(oid))
from pg_proc where pronamespace = 'agenthost'::regnamespace and prorettype <> 'trigger'::regtype
  and has_function_privilege('authenticated', oid, 'execute')
order by 1
"""


async def tables_section(owner: psycopg.AsyncConnection[Any]) -> str:
    tables = await (await owner.execute(_TABLES)).fetchall()
    rows = [(f"`{name}`", columns, allowed or "") for name, columns, allowed in tables]
    return table("table | columns | a user may, of their own rows", rows)


async def functions_section(owner: psycopg.AsyncConnection[Any]) -> str:
    functions = await (await owner.execute(_FUNCTIONS)).fetchall()
    return "".join(f"- `{signature}`\n" for (signature,) in functions)


async def database_sections() -> dict[str, str]:
    """Both, from a database made for it."""
    with tempfile.TemporaryDirectory() as directory:
        embedded = EmbeddedPostgres(Path(directory, "data"))
        connections = await embedded.start()
        try:
            await migrate(connections.owner_dsn)
            async with await psycopg.AsyncConnection.connect(connections.owner_dsn) as owner:
                return {"tables": await tables_section(owner), "functions": await functions_section(owner)}
        finally:
            await embedded.stop()


def from_a_new_database() -> dict[str, str]:
    return asyncio.run(database_sections())
