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
