-- What agents keep (agent_kv) and what they tell their owner (agent_notifications), both bounded per user.

create table agenthost.agent_kv (
  user_id uuid not null default auth.uid(),
  agent_id uuid not null,
  key text collate "C" not null,
  value jsonb not null,
  expires_at timestamptz,
  updated_at timestamptz not null default now(),
  primary key (user_id, agent_id, key),
  foreign key (user_id, agent_id) references agenthost.agents (user_id, id) on delete cascade,
  constraint agent_kv_key_check check (octet_length(key) between 1 and 1024 and strpos(key, chr(1114111)) = 0),
  -- The host allows 64 KiB as it writes JSON (settable); jsonb writes a space after each comma and colon.
  constraint agent_kv_value_check check (agenthost_private.fits(value, 262144))
);
alter table agenthost.agent_kv enable row level security, force row level security;
create index agent_kv_expires_at_idx on agenthost.agent_kv (user_id, expires_at) where expires_at is not null;

create trigger a_count_inserts after insert on agenthost.agent_kv referencing new table as changed
  for each statement execute function agenthost_private.count_rows();
create trigger a_count_deletes after delete on agenthost.agent_kv referencing old table as changed
  for each statement execute function agenthost_private.count_rows();
create trigger bound_rows after insert on agenthost.agent_kv
  for each statement execute function agenthost_private.bound_rows(100000);

create function agenthost_private.kv_expiry(p_ttl_seconds float8) returns timestamptz
language sql stable set search_path = '' as $$
  select now() + make_interval(secs => least(greatest(p_ttl_seconds, 0), 3e9))
    where p_ttl_seconds is not null
$$;

-- May the caller keep one more key? Expired keys are removed first, a batch at a time.
create function agenthost_private.kv_has_room(p_max_keys int) returns boolean
language plpgsql security invoker set search_path = '' as $$
begin
  if agenthost_private.rows_kept('agent_kv') < coalesce(p_max_keys, 0) then
    return true;
  end if;
  delete from agenthost.agent_kv where user_id = auth.uid() and (agent_id, key) in (
    select agent_id, key from agenthost.agent_kv
      where user_id = auth.uid() and expires_at <= now() order by expires_at limit 1000);
  return agenthost_private.rows_kept('agent_kv') < coalesce(p_max_keys, 0);
end $$;

create function agenthost.kv_get(p_agent_id uuid, p_key text) returns json
language sql stable security invoker set search_path = '' as $$
  select coalesce(
    (select json_build_object('found', true, 'value', value) from agenthost.agent_kv
      where user_id = (select auth.uid()) and agent_id = p_agent_id and key = p_key
        and (expires_at is null or expires_at > now())),
    json_build_object('found', false, 'value', null))
$$;

create function agenthost.kv_set(
  p_agent_id uuid, p_key text, p_value jsonb, p_ttl_seconds float8 default null, p_max_keys int default 10000
) returns json
language plpgsql security invoker set search_path = '' as $$
begin
  update agenthost.agent_kv
    set value = coalesce(p_value, 'null'), expires_at = agenthost_private.kv_expiry(p_ttl_seconds), updated_at = now()
    where user_id = auth.uid() and agent_id = p_agent_id and key = p_key;
  if not found then
    if not agenthost_private.kv_has_room(p_max_keys) then
      return json_build_object('stored', false, 'reason', 'too_many_keys');
    end if;
    insert into agenthost.agent_kv as kv (user_id, agent_id, key, value, expires_at)
      values (auth.uid(), p_agent_id, p_key, coalesce(p_value, 'null'), agenthost_private.kv_expiry(p_ttl_seconds))
      on conflict (user_id, agent_id, key) do update
        set value = excluded.value, expires_at = excluded.expires_at, updated_at = now();
  end if;
  return json_build_object('stored', true);
end $$;

-- Adds to a number; a missing or expired key counts as 0. Without a time to live an existing key keeps the one it has.
create function agenthost.kv_increment(
  p_agent_id uuid, p_key text, p_by numeric, p_ttl_seconds float8 default null, p_max_keys int default 10000
) returns json
language plpgsql security invoker set search_path = '' as $$
declare
  v_value jsonb;
begin
  if p_by is null or p_by in ('NaN', 'Infinity', '-Infinity') or abs(p_by) > 1e308 then
    raise invalid_parameter_value using message = 'p_by must be a finite number';
  end if;
  if not exists (select from agenthost.agent_kv where user_id = auth.uid() and agent_id = p_agent_id and key = p_key)
    and not agenthost_private.kv_has_room(p_max_keys) then
    return json_build_object('stored', false, 'reason', 'too_many_keys');
  end if;
  insert into agenthost.agent_kv as kv (user_id, agent_id, key, value, expires_at)
    values (auth.uid(), p_agent_id, p_key, to_jsonb(p_by), agenthost_private.kv_expiry(p_ttl_seconds))
    on conflict (user_id, agent_id, key) do update set
      value = case when kv.expires_at <= now() then excluded.value
        when jsonb_typeof(kv.value) = 'number' then to_jsonb((kv.value #>> '{}')::numeric + p_by) end,
      expires_at = case when kv.expires_at <= now() or p_ttl_seconds is not null then excluded.expires_at
        else kv.expires_at end,
      updated_at = now()
      where kv.expires_at <= now() or jsonb_typeof(kv.value) = 'number'
    returning value into v_value;
  if v_value is null then
    return json_build_object('stored', false, 'reason', 'not_a_number');
  end if;
  return json_build_object('value', v_value);
end $$;

create function agenthost.kv_delete(p_agent_id uuid, p_key text) returns json
language sql volatile security invoker set search_path = '' as $$
  with gone as (
    delete from agenthost.agent_kv where user_id = (select auth.uid()) and agent_id = p_agent_id and key = p_key
    returning expires_at is null or expires_at > now() as present
  )
  select json_build_object('deleted', coalesce((select present from gone), false))
$$;

create function agenthost.kv_list(
  p_agent_id uuid, p_prefix text default '', p_after text default null, p_limit int default 100
) returns json
language plpgsql stable security invoker set search_path = '' as $$
declare
  -- Under a policy only bare values bound an index scan: an expression might leak, so it is a filter.
  v_from text := coalesce(p_prefix, '');
  v_to text := v_from || chr(1114111);
  v_after text := coalesce(p_after, '');
  v_limit int := least(greatest(coalesce(p_limit, 100), 0), 1000);
begin
  return (select coalesce(json_agg(key order by key), '[]'::json) from (
    select key from agenthost.agent_kv
      where user_id = (select auth.uid()) and agent_id = p_agent_id
        and key > v_after and key >= v_from and key < v_to
        and (expires_at is null or expires_at > now())
      order by key limit v_limit
  ) as page);
end $$;

create table agenthost.agent_notifications (
  id uuid not null default agenthost.uuid_v7(),
  user_id uuid not null default auth.uid() references auth.users on delete cascade,
  agent_id uuid,
  run_id uuid,
  type text not null default 'info',
  title text not null,
  content text not null default '',
  priority text not null default 'normal',
  read boolean not null default false,
  actionable boolean not null default false,
  actions jsonb not null default '[]',
  created_at timestamptz not null default now(),
  primary key (user_id, id),
  foreign key (user_id, agent_id) references agenthost.agents (user_id, id) on delete set null (agent_id),
  constraint agent_notifications_text_check check (
    octet_length(type) <= 64 and octet_length(title) <= 2000
    and octet_length(content) <= 65536 and octet_length(priority) <= 64
  ),
  constraint agent_notifications_actions_check check (
    jsonb_typeof(actions) = 'array' and agenthost_private.fits(actions, 65536)
  )
);
alter table agenthost.agent_notifications enable row level security, force row level security;
create index agent_notifications_agent_id_idx on agenthost.agent_notifications (user_id, agent_id)
  where agent_id is not null;

create function agenthost_private.bound_notifications() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_user uuid := auth.uid();
  v_over bigint := agenthost_private.rows_kept('agent_notifications') - 1000;
begin
  if v_over > 0 then
    delete from agenthost.agent_notifications where user_id = v_user and id = any (array(
      select id from agenthost.agent_notifications where user_id = v_user order by id limit v_over));
  end if;
  return null;
end $$;

select agenthost_private.know_users_of('agenthost.agent_notifications');
create trigger a_count_inserts after insert on agenthost.agent_notifications referencing new table as changed
  for each statement execute function agenthost_private.count_rows();
create trigger a_count_deletes after delete on agenthost.agent_notifications referencing old table as changed
  for each statement execute function agenthost_private.count_rows();
create trigger bound_notifications after insert on agenthost.agent_notifications
  for each statement execute function agenthost_private.bound_notifications();
