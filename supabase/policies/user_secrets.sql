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
