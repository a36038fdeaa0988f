-- What agents may send and nobody may read: values that the host has sealed, bound to their owner, name and hosts. A row is
-- its owner's input all the same: whatever was changed in it past the host does not open.

create table agenthost.user_secrets (
  user_id uuid not null default auth.uid() references auth.users on delete cascade,
  name text collate "C" not null,
  hosts jsonb not null,
  ciphertext text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (user_id, name),
  constraint user_secrets_name_check check (name ~ '^[A-Z][A-Z0-9_]{0,62}$'),
  constraint user_secrets_hosts_check check (
    jsonb_typeof(hosts) = 'array' and agenthost_private.fits(hosts, 16384)
  ),
  constraint user_secrets_ciphertext_check check (octet_length(ciphertext) <= 131072)
);
alter table agenthost.user_secrets enable row level security, force row level security;

select agenthost_private.know_users_of('agenthost.user_secrets');
create trigger a_count_inserts after insert on agenthost.user_secrets referencing new table as changed
  for each statement execute function agenthost_private.count_rows();
create trigger a_count_deletes after delete on agenthost.user_secrets referencing old table as changed
  for each statement execute function agenthost_private.count_rows();
create trigger bound_rows after insert on agenthost.user_secrets
  for each statement execute function agenthost_private.bound_rows(1000);

-- Replaces a secret, or keeps a new one while the caller has fewer than p_max_secrets.
create function agenthost.put_secret(p_name text, p_hosts jsonb, p_ciphertext text, p_max_secrets int default 100)
returns json
language plpgsql security invoker set search_path = '' as $$
begin
  update agenthost.user_secrets set hosts = p_hosts, ciphertext = p_ciphertext, updated_at = now()
    where user_id = auth.uid() and name = p_name;
  if not found then
    if agenthost_private.rows_kept('user_secrets') >= coalesce(p_max_secrets, 0) then
      return json_build_object('stored', false, 'reason', 'too_many_secrets');
    end if;
    insert into agenthost.user_secrets (user_id, name, hosts, ciphertext)
      values (auth.uid(), p_name, p_hosts, p_ciphertext)
      on conflict (user_id, name) do update
        set hosts = excluded.hosts, ciphertext = excluded.ciphertext, updated_at = now();
  end if;
  return json_build_object('stored', true);
end $$;
