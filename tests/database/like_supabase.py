"""A Postgres as Supabase sets up its own: its roles, its schema `auth`, and what it grants by itself. The owner of the
tests' databases is what `postgres` is there: bound by no policy, but no superuser."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from service.database.embedded import OWNER, EmbeddedPostgres
from tests.debian_postgres import debian_postgres
from tests.postgres import DEBIAN, Addresses, Server, superuser

_ROLES = f"""
create role supabase_admin superuser createdb createrole replication bypassrls;
create role supabase_auth_admin noinherit createrole;
create role anon nologin inherit;
create role authenticated nologin inherit;
create role service_role nologin inherit bypassrls;
create role authenticator login noinherit password '{{authenticator_password}}';
grant anon, authenticated, service_role to authenticator;
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role {OWNER} replication bypassrls;
alter role {OWNER} set search_path = "$user", public, extensions;
grant anon, authenticated, service_role to {OWNER} with admin option;
"""

_DATABASE = f"""
create schema extensions;
grant usage on schema extensions to {OWNER}, anon, authenticated, service_role;
-- Extensions have functions of names that the core has too.
create function extensions.gen_random_uuid() returns uuid language sql as $$ select null::uuid $$;

grant usage on schema public to {OWNER}, anon, authenticated, service_role;
grant create on schema public to {OWNER};
alter default privileges for role {OWNER} in schema public
  grant all on tables to {OWNER}, anon, authenticated, service_role;
alter default privileges for role {OWNER} in schema public
  grant all on functions to {OWNER}, anon, authenticated, service_role;
alter default privileges for role {OWNER} in schema public
  grant all on sequences to {OWNER}, anon, authenticated, service_role;

create schema auth authorization supabase_admin;
create table auth.users (
  instance_id uuid,
  id uuid primary key,
  aud varchar(255),
  role varchar(255),
  email varchar(255),
  is_anonymous boolean not null default false,
  created_at timestamptz
);
comment on table auth.users is 'Auth: Stores user login data within a secure schema.';
alter table auth.users enable row level security;
create function auth.jwt() returns jsonb language sql stable as $$
  select coalesce(nullif(current_setting('request.jwt.claim', true), ''),
    nullif(current_setting('request.jwt.claims', true), ''))::jsonb $$;
create function auth.uid() returns uuid language sql stable as $$
  select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
create function auth.role() returns text language sql stable as $$
  select coalesce(nullif(current_setting('request.jwt.claim.role', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')::text $$;
alter table auth.users owner to supabase_auth_admin;
alter function auth.jwt() owner to supabase_auth_admin;
alter function auth.uid() owner to supabase_auth_admin;
alter function auth.role() owner to supabase_auth_admin;
grant usage on schema auth to {OWNER}, anon, authenticated, service_role;
grant all on schema auth to supabase_auth_admin;
grant all on auth.users to {OWNER};
"""


@asynccontextmanager
async def supabase_postgres(kind: str) -> AsyncIterator[Server]:
    """A server of its own, whose empty databases are like a new project's."""
    async with AsyncExitStack() as stack:
        if kind == DEBIAN:
            data_dir, connections = await stack.enter_async_context(debian_postgres())
        else:
            data_dir = Path(stack.enter_context(TemporaryDirectory(prefix="ah")))
            embedded = EmbeddedPostgres(data_dir)
            stack.push_async_callback(embedded.stop)
            connections = await embedded.start()
        server = Server(Addresses(connections.owner_dsn, connections.serving_dsn), data_dir)
        async with superuser(server) as root:
            await root.execute(_ROLES.format(authenticator_password=server.authenticator_password).encode())
        async with superuser(server, "template1") as root:
            await root.execute(_DATABASE.encode())
        yield server
