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
