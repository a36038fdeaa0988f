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
