"""Tables as users make them in `public`, with policies, constraints, triggers, and views that look where they should
not. The owner of the database makes them: whatever runs with an owner's rights, runs with those of agenthost's tables.
"""

import json
from typing import Any

import psycopg

from tests.postgres import Addresses

SCRIPT = """
create table public.leads (
  id bigint generated always as identity primary key,
  user_id uuid not null default auth.uid(),
  name text not null,
  email text,
  score int check (score >= 0),
  price numeric(12, 2),
  due timestamptz,
  tags text[],
  extra jsonb,
  done boolean not null default false,
  "row" int,
  "new" int,
  answer text,
  constraint leads_email_key unique (user_id, email)
);
create table public.notes (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null default auth.uid(),
  lead_id bigint references public.leads deferrable initially deferred,
  text text
);
create table public.journal (
  number int generated always as identity primary key,
  user_id uuid not null default auth.uid(),
  said text
);
create table public."Capitals" (id int);
-- Columns that are words of a request over REST, or of SQL.
create table public.words (
  "select" text, "order" text, "limit" text, "or" text, "and" text, "columns" text, "not" text, "offset" text,
  user_id uuid not null default auth.uid()
);
grant select, insert, update, delete on public.words to authenticated;
create table public.closed (id int, user_id uuid default auth.uid());
grant select, insert, update, delete on public.leads, public.notes, public.journal, public."Capitals" to authenticated;

do $$ declare t text; begin
  foreach t in array array['leads', 'notes', 'journal', 'words'] loop
    execute format('alter table public.%I enable row level security', t);
    execute format('create policy own on public.%I for all to authenticated
      using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id)', t);
  end loop;
end $$;

-- As users write triggers: without a search path of their own.
create function public.keep_journal() returns trigger language plpgsql as $$
begin
  insert into journal (user_id, said) values (new.user_id, tg_op || ' ' || new.name);
  if new.name = 'forbidden' then
    raise exception 'leads may not be called forbidden';
  end if;
  return new;
end $$;
create trigger keep_journal after insert or update on public.leads
  for each row execute function public.keep_journal();

-- Two that run as the owner of everything, agenthost's tables included.
create view public.spying as
  select agent_name as found from agenthost.agents union all select name from agenthost.user_secrets
  union all select table_name from agenthost_private.kept_rows;
grant select on public.spying to authenticated;
create table public.traps (user_id uuid default auth.uid(), does text, found bigint);
grant all on public.traps to authenticated;
create function public.spring() returns trigger language plpgsql security definer as $$
begin
  execute new.does;
  new.found := (select count(*) from agenthost.agents) + (select count(*) from agenthost.user_secrets)
    + (select count(*) from agenthost_private.kept_rows);
  return new;
end $$;
create trigger spring before insert on public.traps for each row execute function public.spring();
"""


async def make_tables(addresses: Addresses) -> None:
    async with await addresses.owner() as owner:
        await owner.execute(SCRIPT)


async def contents(addresses: Addresses) -> dict[str, str]:
    """A checksum of every table's rows, of users and of agenthost."""
    sums: dict[str, str] = {}
    async with await addresses.owner() as owner:
        found = await owner.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables "
            "where schemaname in ('public', 'auth', 'agenthost', 'agenthost_private')"
        )
        for (table,) in await found.fetchall():
            query = f"select coalesce(md5(string_agg(t::text, ';' order by t::text)), '') from {table} t"
            [[total]] = await (await owner.execute(query.encode())).fetchall()
            sums[str(table)] = str(total)
    return sums


async def committed(addresses: Addresses, query: str) -> list[Any]:
    """What everybody sees, as the first column of each row."""
    async with await addresses.owner() as owner:
        return [row[0] for row in await (await owner.execute(query.encode())).fetchall()]


async def as_user(raw: psycopg.AsyncConnection[tuple[object, ...]], claims: Any) -> None:
    """Make a session the user's, for any SQL."""
    await raw.execute("select set_config('request.jwt.claims', %s, false)", (json.dumps(dict(claims)),))
    await raw.execute("set role authenticated")
