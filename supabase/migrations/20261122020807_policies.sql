-- Made from supabase/policies by `python -m tests.policies.migration`: change those files, never this one.

-- agent_kv.sql
-- What a user's own agents keep.

revoke all on agenthost.agent_kv from public, anon, authenticated;
grant select, delete on agenthost.agent_kv to authenticated;
grant insert (user_id, agent_id, key, value, expires_at) on agenthost.agent_kv to authenticated;
grant update (value, expires_at, updated_at) on agenthost.agent_kv to authenticated;

drop policy if exists agent_kv_owner on agenthost.agent_kv;
create policy agent_kv_owner on agenthost.agent_kv for all to current_user using (true) with check (true);
drop policy if exists agent_kv_no_guest on agenthost.agent_kv;
create policy agent_kv_no_guest on agenthost.agent_kv as restrictive for all to public
  using ((select current_setting('agenthost.guest', true)) is distinct from 'on'
    and (select nullif(current_setting('request.headers', true), '')::json ->> 'agenthost-guest') is null);
drop policy if exists agent_kv_select on agenthost.agent_kv;
create policy agent_kv_select on agenthost.agent_kv for select to authenticated
  using ((select auth.uid()) = user_id);
drop policy if exists agent_kv_insert on agenthost.agent_kv;
create policy agent_kv_insert on agenthost.agent_kv for insert to authenticated
  with check ((select auth.uid()) = user_id);
drop policy if exists agent_kv_update on agenthost.agent_kv;
create policy agent_kv_update on agenthost.agent_kv for update to authenticated
  using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
drop policy if exists agent_kv_delete on agenthost.agent_kv;
create policy agent_kv_delete on agenthost.agent_kv for delete to authenticated
  using ((select auth.uid()) = user_id);

-- agent_notifications.sql
-- A user's own notifications: what they say stays, whether they are read may change.

revoke all on agenthost.agent_notifications from public, anon, authenticated;
grant select, delete on agenthost.agent_notifications to authenticated;
grant insert (user_id, agent_id, run_id, type, title, content, priority, actionable, actions) on agenthost.agent_notifications to authenticated;
grant update (read) on agenthost.agent_notifications to authenticated;

drop policy if exists agent_notifications_owner on agenthost.agent_notifications;
create policy agent_notifications_owner on agenthost.agent_notifications for all to current_user using (true) with check (true);
drop policy if exists agent_notifications_no_guest on agenthost.agent_notifications;
create policy agent_notifications_no_guest on agenthost.agent_notifications as restrictive for all to public
  using ((select current_setting('agenthost.guest', true)) is distinct from 'on'
    and (select nullif(current_setting('request.headers', true), '')::json ->> 'agenthost-guest') is null);
drop policy if exists agent_notifications_select on agenthost.agent_notifications;
create policy agent_notifications_select on agenthost.agent_notifications for select to authenticated
  using ((select auth.uid()) = user_id);
drop policy if exists agent_notifications_insert on agenthost.agent_notifications;
create policy agent_notifications_insert on agenthost.agent_notifications for insert to authenticated
  with check ((select auth.uid()) = user_id);
drop policy if exists agent_notifications_update on agenthost.agent_notifications;
create policy agent_notifications_update on agenthost.agent_notifications for update to authenticated
  using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
drop policy if exists agent_notifications_delete on agenthost.agent_notifications;
create policy agent_notifications_delete on agenthost.agent_notifications for delete to authenticated
  using ((select auth.uid()) = user_id);

-- agent_versions.sql
-- A user's own versions, to read. Only the trigger on agents writes them.

revoke all on agenthost.agent_versions from public, anon, authenticated;
grant select on agenthost.agent_versions to authenticated;

drop policy if exists agent_versions_owner on agenthost.agent_versions;
create policy agent_versions_owner on agenthost.agent_versions for all to current_user using (true) with check (true);
drop policy if exists agent_versions_no_guest on agenthost.agent_versions;
create policy agent_versions_no_guest on agenthost.agent_versions as restrictive for all to public
  using ((select current_setting('agenthost.guest', true)) is distinct from 'on'
    and (select nullif(current_setting('request.headers', true), '')::json ->> 'agenthost-guest') is null);
drop policy if exists agent_versions_select on agenthost.agent_versions;
create policy agent_versions_select on agenthost.agent_versions for select to authenticated
  using ((select auth.uid()) = user_id);

-- agents.sql
-- A user's own agents. Ids, versions, revisions, hashes and times are not theirs to write; a name stays.

revoke all on agenthost.agents from public, anon, authenticated;
grant select, delete on agenthost.agents to authenticated;
grant insert (user_id, agent_name, description, kind, agent_config, origin, is_active) on agenthost.agents to authenticated;
grant update (description, kind, agent_config, origin, is_active) on agenthost.agents to authenticated;

drop policy if exists agents_owner on agenthost.agents;
create policy agents_owner on agenthost.agents for all to current_user using (true) with check (true);
drop policy if exists agents_no_guest on agenthost.agents;
create policy agents_no_guest on agenthost.agents as restrictive for all to public
  using ((select current_setting('agenthost.guest', true)) is distinct from 'on'
    and (select nullif(current_setting('request.headers', true), '')::json ->> 'agenthost-guest') is null);
drop policy if exists agents_select on agenthost.agents;
create policy agents_select on agenthost.agents for select to authenticated
  using ((select auth.uid()) = user_id);
drop policy if exists agents_insert on agenthost.agents;
create policy agents_insert on agenthost.agents for insert to authenticated
  with check ((select auth.uid()) = user_id);
drop policy if exists agents_update on agenthost.agents;
create policy agents_update on agenthost.agents for update to authenticated
  using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
drop policy if exists agents_delete on agenthost.agents;
create policy agents_delete on agenthost.agents for delete to authenticated
  using ((select auth.uid()) = user_id);

-- functions.sql
-- Which functions a user may call; every other one nobody may (PostgreSQL lets everybody call new ones).

revoke all on all functions in schema agenthost, agenthost_private from public, anon, authenticated;

grant execute on function
  agenthost.begin_run, agenthost.finish_run, agenthost.recorded_run,
  agenthost.kv_get, agenthost.kv_set, agenthost.kv_increment, agenthost.kv_delete, agenthost.kv_list,
  agenthost.put_secret, agenthost.take_quota, agenthost.schema_version, agenthost.uuid_v7
to authenticated;

-- What the functions above and the check constraints call in the caller's name; the schema is not exposed over REST.
grant execute on function
  agenthost_private.admit_run, agenthost_private.key_run, agenthost_private.end_run, agenthost_private.check_run,
  agenthost_private.rows_kept, agenthost_private.kv_expiry, agenthost_private.kv_has_room,
  agenthost_private.fits(jsonb, int), agenthost_private.fits(json, int)
to authenticated;

-- What the host asks a project before anybody has come: over REST, that is the role `anon`.
grant execute on function agenthost.schema_version, agenthost.is_guest to anon;

-- private.sql
-- Tables that no user may see: no grant to anybody, and a policy for their owner alone, who runs the definer functions.

revoke all on all tables in schema agenthost_private from public, anon, authenticated;

drop policy if exists kept_rows_owner on agenthost_private.kept_rows;
create policy kept_rows_owner on agenthost_private.kept_rows for all to current_user using (true) with check (true);
drop policy if exists kept_rows_no_guest on agenthost_private.kept_rows;
create policy kept_rows_no_guest on agenthost_private.kept_rows as restrictive for all to public
  using ((select current_setting('agenthost.guest', true)) is distinct from 'on'
    and (select nullif(current_setting('request.headers', true), '')::json ->> 'agenthost-guest') is null);
drop policy if exists run_leases_owner on agenthost_private.run_leases;
create policy run_leases_owner on agenthost_private.run_leases for all to current_user using (true) with check (true);
drop policy if exists run_leases_no_guest on agenthost_private.run_leases;
create policy run_leases_no_guest on agenthost_private.run_leases as restrictive for all to public
  using ((select current_setting('agenthost.guest', true)) is distinct from 'on'
    and (select nullif(current_setting('request.headers', true), '')::json ->> 'agenthost-guest') is null);
drop policy if exists run_keys_owner on agenthost_private.run_keys;
create policy run_keys_owner on agenthost_private.run_keys for all to current_user using (true) with check (true);
drop policy if exists run_keys_no_guest on agenthost_private.run_keys;
create policy run_keys_no_guest on agenthost_private.run_keys as restrictive for all to public
  using ((select current_setting('agenthost.guest', true)) is distinct from 'on'
    and (select nullif(current_setting('request.headers', true), '')::json ->> 'agenthost-guest') is null);
drop policy if exists daily_quotas_owner on agenthost_private.daily_quotas;
create policy daily_quotas_owner on agenthost_private.daily_quotas for all to current_user using (true) with check (true);
drop policy if exists daily_quotas_no_guest on agenthost_private.daily_quotas;
create policy daily_quotas_no_guest on agenthost_private.daily_quotas as restrictive for all to public
  using ((select current_setting('agenthost.guest', true)) is distinct from 'on'
    and (select nullif(current_setting('request.headers', true), '')::json ->> 'agenthost-guest') is null);
drop policy if exists migrations_owner on agenthost_private.migrations;
create policy migrations_owner on agenthost_private.migrations for all to current_user using (true) with check (true);
drop policy if exists migrations_no_guest on agenthost_private.migrations;
create policy migrations_no_guest on agenthost_private.migrations as restrictive for all to public
  using ((select current_setting('agenthost.guest', true)) is distinct from 'on'
    and (select nullif(current_setting('request.headers', true), '')::json ->> 'agenthost-guest') is null);

-- run_effects.sql
-- The effects of a user's own runs: added while the run is running, then never changed.

revoke all on agenthost.run_effects from public, anon, authenticated;
grant select, insert on agenthost.run_effects to authenticated;

drop policy if exists run_effects_owner on agenthost.run_effects;
create policy run_effects_owner on agenthost.run_effects for all to current_user using (true) with check (true);
drop policy if exists run_effects_no_guest on agenthost.run_effects;
create policy run_effects_no_guest on agenthost.run_effects as restrictive for all to public
  using ((select current_setting('agenthost.guest', true)) is distinct from 'on'
    and (select nullif(current_setting('request.headers', true), '')::json ->> 'agenthost-guest') is null);
drop policy if exists run_effects_select on agenthost.run_effects;
create policy run_effects_select on agenthost.run_effects for select to authenticated
  using ((select auth.uid()) = user_id);
drop policy if exists run_effects_insert on agenthost.run_effects;
create policy run_effects_insert on agenthost.run_effects for insert to authenticated
  with check (
    (select auth.uid()) = user_id
    and exists (select from agenthost.runs as run
      where run.user_id = run_effects.user_id and run.id = run_effects.run_id and run.status = 'running')
  );

-- runs.sql
-- A user's own runs. A run changes only while it is running, and is never deleted by hand.

revoke all on agenthost.runs from public, anon, authenticated;
grant select, insert on agenthost.runs to authenticated;
grant update (status, input, output, error, logs, usage, signature, finished_at) on agenthost.runs to authenticated;

drop policy if exists runs_owner on agenthost.runs;
create policy runs_owner on agenthost.runs for all to current_user using (true) with check (true);
drop policy if exists runs_no_guest on agenthost.runs;
create policy runs_no_guest on agenthost.runs as restrictive for all to public
  using ((select current_setting('agenthost.guest', true)) is distinct from 'on'
    and (select nullif(current_setting('request.headers', true), '')::json ->> 'agenthost-guest') is null);
drop policy if exists runs_select on agenthost.runs;
create policy runs_select on agenthost.runs for select to authenticated
  using ((select auth.uid()) = user_id);
drop policy if exists runs_insert on agenthost.runs;
create policy runs_insert on agenthost.runs for insert to authenticated
  with check ((select auth.uid()) = user_id);
drop policy if exists runs_update on agenthost.runs;
create policy runs_update on agenthost.runs for update to authenticated
  using ((select auth.uid()) = user_id and status = 'running') with check ((select auth.uid()) = user_id);

-- user_secrets.sql
-- A user's own secrets, sealed: without the host's key the ciphertext is worthless, to its owner too. A name stays.

revoke all on agenthost.user_secrets from public, anon, authenticated;
grant select, delete on agenthost.user_secrets to authenticated;
grant insert (user_id, name, hosts, ciphertext) on agenthost.user_secrets to authenticated;
grant update (hosts, ciphertext, updated_at) on agenthost.user_secrets to authenticated;

drop policy if exists user_secrets_owner on agenthost.user_secrets;
create policy user_secrets_owner on agenthost.user_secrets for all to current_user using (true) with check (true);
drop policy if exists user_secrets_no_guest on agenthost.user_secrets;
create policy user_secrets_no_guest on agenthost.user_secrets as restrictive for all to public
  using ((select current_setting('agenthost.guest', true)) is distinct from 'on'
    and (select nullif(current_setting('request.headers', true), '')::json ->> 'agenthost-guest') is null);
drop policy if exists user_secrets_select on agenthost.user_secrets;
create policy user_secrets_select on agenthost.user_secrets for select to authenticated
  using ((select auth.uid()) = user_id);
drop policy if exists user_secrets_insert on agenthost.user_secrets;
create policy user_secrets_insert on agenthost.user_secrets for insert to authenticated
  with check ((select auth.uid()) = user_id);
drop policy if exists user_secrets_update on agenthost.user_secrets;
create policy user_secrets_update on agenthost.user_secrets for update to authenticated
  using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
drop policy if exists user_secrets_delete on agenthost.user_secrets;
create policy user_secrets_delete on agenthost.user_secrets for delete to authenticated
  using ((select auth.uid()) = user_id);

-- What a host asks before it serves: the migration that the database is at.
create or replace function agenthost.schema_version() returns text
language sql stable set search_path = '' as $$ select '20261122020807_policies' $$;
