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
