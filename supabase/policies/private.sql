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
