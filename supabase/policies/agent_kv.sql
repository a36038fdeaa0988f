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
