-- The schemas, and what every table needs: ids that sort by time, bounds for JSON, and counts of rows per user.
-- `agenthost` is exposed over REST; `agenthost_private` is not, and holds what a user may not even see.

create schema if not exists agenthost;
create schema if not exists agenthost_private;
revoke all on schema agenthost, agenthost_private from public, anon, authenticated;
grant usage on schema agenthost, agenthost_private to authenticated;

-- UUIDv7 (RFC 9562) with 12 bits below the millisecond, so that ids made one after the other also sort so.
create function agenthost.uuid_v7() returns uuid
language plpgsql volatile parallel safe set search_path = '' as $$
declare
  v_us bigint := extract(epoch from clock_timestamp()) * 1000000;
  v_fraction int := v_us % 1000 * 4096 / 1000;
  v_bytes bytea := overlay(uuid_send(gen_random_uuid()) placing substring(int8send(v_us / 1000) from 3) from 1 for 6);
begin
  return encode(set_byte(set_byte(v_bytes, 6, 112 | (v_fraction >> 8)), 7, v_fraction & 255), 'hex')::uuid;
end $$;

-- The smallest id that a row of this time or later can have.
create function agenthost_private.first_id_at(p_time timestamptz) returns uuid
language sql immutable strict set search_path = '' as $$
  select (lpad(to_hex((extract(epoch from p_time) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid
$$;

-- Is this a JSON value that every reader can take: bounded in bytes and in depth? A number such as 1e131071 is ten bytes
-- stored and 131,072 written, hence the bound on numbers before the text is made.
create function agenthost_private.fits(p_value jsonb, p_max_bytes int) returns boolean
language sql immutable strict parallel safe set search_path = '' as $$
  select case
    when pg_column_size(p_value) > p_max_bytes then false
    when jsonb_path_exists(p_value, 'strict $.**{200}') then false
    when jsonb_path_exists(p_value, 'strict $.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))') then false
    when jsonb_path_exists(p_value,
      'strict $.** ? (@.type() == "number" && @ < 1e-400 && @ > -1e-400 && @ != 0)') then false
    else octet_length(p_value::text) <= p_max_bytes
  end
$$;

-- The same for `json`, whose text is kept as it came. The cast refuses what text cannot hold (U+0000, lone surrogates);
-- it is made only where such an escape, or great depth, is possible.
create function agenthost_private.fits(p_value json, p_max_bytes int) returns boolean
language sql immutable strict parallel safe set search_path = '' as $$
  select case
    when octet_length(p_value::text) > p_max_bytes then false
    when strpos(p_value::text, '\u') = 0
      and length(p_value::text) - length(translate(p_value::text, '[{', '')) < 200 then true
    else not jsonb_path_exists(p_value::jsonb, 'strict $.**{200}')
  end
$$;

-- Rows kept per user and table: a bound that is checked without counting. Written by triggers alone.
create table agenthost_private.kept_rows (
  user_id uuid not null references auth.users on delete cascade,
  table_name text not null,
  rows_kept bigint not null,
  primary key (user_id, table_name)
) with (fillfactor = 50);
alter table agenthost_private.kept_rows enable row level security, force row level security;

create function agenthost_private.rows_kept(p_table_name text) returns bigint
language sql stable security definer set search_path = '' as $$
  select coalesce(
    (select rows_kept from agenthost_private.kept_rows where user_id = auth.uid() and table_name = p_table_name), 0)
$$;

-- AFTER INSERT and AFTER DELETE, per statement, with the transition table `changed`.
create function agenthost_private.count_rows() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'INSERT' then
    insert into agenthost_private.kept_rows as kept (user_id, table_name, rows_kept)
    select user_id, tg_table_name, count(*) from changed group by user_id order by user_id
    on conflict (user_id, table_name) do update set rows_kept = kept.rows_kept + excluded.rows_kept;
  else
    update agenthost_private.kept_rows as kept set rows_kept = kept.rows_kept - gone.n
    from (select user_id, count(*) as n from changed group by user_id) as gone
    where kept.user_id = gone.user_id and kept.table_name = tg_table_name;
  end if;
  return null;
end $$;

-- Where auth.users is ours, the subject of a verified token is a user from its first row on. On Supabase it never is:
-- there a deleted user's last token must not bring them back.
create function agenthost_private.know_user() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if new.user_id = auth.uid() and not exists (select from auth.users where id = new.user_id) then
    insert into auth.users (id) values (new.user_id) on conflict do nothing;
  end if;
  return new;
end $$;

create function agenthost_private.know_users_of(p_table regclass) returns void
language plpgsql set search_path = '' as $$
begin
  if obj_description('auth.users'::regclass, 'pg_class') = 'made by agenthost' then
    execute format(
      'create trigger a_know_user before insert on %s for each row execute function agenthost_private.know_user()',
      p_table);
  end if;
end $$;

-- A bound that nothing prunes to: AFTER INSERT, per statement, with the most rows that a user may keep.
create function agenthost_private.bound_rows() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if agenthost_private.rows_kept(tg_table_name) > tg_argv[0]::bigint then
    raise check_violation using message = format('at most %s rows a user', tg_argv[0]),
      constraint = tg_table_name || '_rows_check';
  end if;
  return null;
end $$;

-- Which migrations and policies this database has. Written by `agenthost migrate`.
create table agenthost_private.migrations (
  name text primary key,
  checksum text not null,
  applied_at timestamptz not null default now()
);
alter table agenthost_private.migrations enable row level security, force row level security;
create policy migrations_owner on agenthost_private.migrations for all to current_user using (true) with check (true);

create function agenthost.schema_version() returns text
language sql stable security definer set search_path = '' as $$
  select max(name) from agenthost_private.migrations where name not like 'policies/%'
$$;
