-- Daily counters per user. Without any grant: taking is all that a user can do to them, and only to their own.

create table agenthost_private.daily_quotas (
  user_id uuid not null references auth.users on delete cascade,
  name text not null,
  day date not null,
  used bigint not null,
  primary key (user_id, name),
  constraint daily_quotas_name_check check (name ~ '^[a-z][a-z0-9_]{0,62}$')
);
alter table agenthost_private.daily_quotas enable row level security, force row level security;
select agenthost_private.know_users_of('agenthost_private.daily_quotas');

-- Takes p_amount of the day's (UTC) quota if all of it is left, else nothing.
create function agenthost.take_quota(p_name text, p_amount int, p_limit int) returns json
language plpgsql security definer set search_path = '' as $$
declare
  v_user uuid := auth.uid();
  v_day date := (now() at time zone 'UTC')::date;
  v_limit bigint := greatest(coalesce(p_limit, 0), 0);
  v_used bigint;
  v_allowed boolean;
begin
  if v_user is null then
    raise insufficient_privilege using message = 'take_quota needs a caller';
  end if;
  if p_amount is null or p_amount < 0 then
    raise invalid_parameter_value using message = 'p_amount must not be negative';
  end if;
  if not exists (select from agenthost_private.daily_quotas where user_id = v_user and name = p_name) then
    if (select count(*) from agenthost_private.daily_quotas where user_id = v_user) >= 100 then
      raise check_violation using message = 'too many quotas', constraint = 'daily_quotas_rows_check';
    end if;
    insert into agenthost_private.daily_quotas (user_id, name, day, used) values (v_user, p_name, v_day, 0)
      on conflict do nothing;
  end if;
  select case when day = v_day then used else 0 end into v_used from agenthost_private.daily_quotas
    where user_id = v_user and name = p_name for update;
  v_allowed := v_used + p_amount <= v_limit;
  if v_allowed then
    v_used := v_used + p_amount;
    update agenthost_private.daily_quotas set day = v_day, used = v_used where user_id = v_user and name = p_name;
  end if;
  return json_build_object('allowed', v_allowed, 'used', v_used, 'limit', v_limit,
    'resets_at', (v_day + 1)::timestamp at time zone 'UTC');
end $$;
