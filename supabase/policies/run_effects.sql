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
