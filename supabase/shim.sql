-- What Supabase provides, for a Postgres that is not Supabase's: made only where it is missing, and safe to run again.
-- Roles are shared by all databases of a cluster, so another database may be making the same ones at this moment.

do $$
declare
  v_role text;
  v_bypass boolean := (select rolsuper from pg_catalog.pg_roles where rolname = current_user);
begin
  foreach v_role in array array['anon', 'authenticated', 'service_role'] loop
    continue when exists (select from pg_catalog.pg_roles where rolname = v_role);
    begin
      execute format('create role %I nologin noinherit', v_role);
      if v_role = 'service_role' and v_bypass then
        alter role service_role bypassrls;
      end if;
    exception when duplicate_object or unique_violation then null;
    end;
  end loop;
end $$;

do $$
begin
  if pg_catalog.to_regnamespace('auth') is null then
    create schema auth;
    revoke all on schema auth from public;
    grant usage on schema auth to anon, authenticated, service_role;
  end if;

  if pg_catalog.to_regclass('auth.users') is null then
    create table auth.users (
      id uuid primary key,
      email text,
      created_at timestamptz not null default now()
    );
    -- Later migrations read this comment: only in a table of ours may a token's subject be added on first use.
    comment on table auth.users is 'made by agenthost';
    revoke all on auth.users from public, anon, authenticated, service_role;
  end if;

  -- Without a search path of their own, so that the planner can put them in line: policies call them.
  if pg_catalog.to_regprocedure('auth.jwt()') is null then
    create function auth.jwt() returns jsonb language sql stable as
      $f$ select nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb $f$;
    revoke all on function auth.jwt() from public;
    grant execute on function auth.jwt() to anon, authenticated, service_role;
  end if;

  if pg_catalog.to_regprocedure('auth.uid()') is null then
    create function auth.uid() returns uuid language sql stable as
      $f$ select (nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $f$;
    revoke all on function auth.uid() from public;
    grant execute on function auth.uid() to anon, authenticated, service_role;
  end if;

  if pg_catalog.to_regprocedure('auth.role()') is null then
    create function auth.role() returns text language sql stable as
      $f$ select nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb ->> 'role' $f$;
    revoke all on function auth.role() from public;
    grant execute on function auth.role() to anon, authenticated, service_role;
  end if;
end $$;
