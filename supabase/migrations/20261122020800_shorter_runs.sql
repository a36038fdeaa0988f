-- A run in fewer and shorter statements. What a table checks by constraints is compiled anew by every statement, what a
-- function of plpgsql checks once a session; and a statement that a function runs costs more than what most of them do.

create or replace function agenthost_private.fits(p_value json, p_max_bytes int) returns boolean
language plpgsql immutable strict parallel safe set search_path = '' as $$
begin
  return case
    when octet_length(p_value::text) > p_max_bytes then false
    when strpos(p_value::text, '\u') = 0
      and length(p_value::text) - length(translate(p_value::text, '[{', '')) < 200 then true
    else not jsonb_path_exists(p_value::jsonb, 'strict $.**{200}')
  end;
end $$;

create or replace function agenthost_private.first_id_at(p_time timestamptz) returns uuid
language plpgsql immutable strict set search_path = '' as $$
begin
  return lpad(to_hex((extract(epoch from p_time) * 1000)::bigint), 12, '0') || '70008000000000000000';
end $$;

-- All that a row of runs must be. True, or the error names what is not, as a constraint of its own would.
create function agenthost_private.check_run(
  p_status text, p_finished_at timestamptz, p_agent_name text, p_trigger text, p_idempotency_key text, p_signature text,
  p_input json, p_output json, p_error json, p_logs json, p_usage json
) returns boolean
language plpgsql immutable parallel safe set search_path = '' as $$
declare
  v_broken text := case
    when p_status not in ('running', 'succeeded', 'failed', 'timed_out', 'cancelled') then 'runs_status_check'
    when (p_status = 'running') <> (p_finished_at is null) then 'runs_finished_check'
    when octet_length(p_agent_name) > 63 or octet_length(p_trigger) > 63
      or octet_length(p_idempotency_key) > 255 or octet_length(p_signature) > 1024 then 'runs_names_check'
  end;
  v_longest int := greatest(octet_length(p_input::text), octet_length(p_output::text), octet_length(p_error::text),
    octet_length(p_logs::text), octet_length(p_usage::text));
begin
  -- Nearly every run is small and shallow: then one look is enough.
  if v_broken is null
    and (v_longest > 65536 or not agenthost_private.fits(
      json_build_array(p_input, p_output, p_error, p_logs, p_usage), 400000)) then
    v_broken := case
      when not agenthost_private.fits(p_input, 16777216) then 'runs_input_check'
      when not agenthost_private.fits(p_output, 16777216) then 'runs_output_check'
      when not agenthost_private.fits(p_error, 131072) then 'runs_error_check'
      when not agenthost_private.fits(p_logs, 16777216) then 'runs_logs_check'
      when not agenthost_private.fits(p_usage, 65536) then 'runs_usage_check'
    end;
  end if;
  if v_broken is not null then
    raise check_violation using schema = 'agenthost', table = 'runs', constraint = v_broken,
      message = format('new row for relation "runs" violates check constraint "%s"', v_broken);
  end if;
  return true;
end $$;

-- What is there has passed the same checks.
alter table agenthost.runs
  drop constraint runs_status_check, drop constraint runs_finished_check, drop constraint runs_names_check,
  drop constraint runs_input_check, drop constraint runs_output_check, drop constraint runs_error_check,
  drop constraint runs_logs_check, drop constraint runs_usage_check,
  add constraint runs_check check (agenthost_private.check_run(
    status, finished_at, agent_name, trigger, idempotency_key, signature, input, output, error, logs, usage)) not valid;

-- The user of a run that names an agent is known, or its foreign key to that agent refuses it.
do $$
begin
  if obj_description('auth.users'::regclass, 'pg_class') = 'made by agenthost' then
    create or replace trigger a_know_user before insert on agenthost.runs
      for each row when (new.agent_id is null) execute function agenthost_private.know_user();
  end if;
end $$;

-- AFTER INSERT, per statement, with the transition table `changed`: counts, and bounds whoever comes past the host.
create function agenthost_private.count_runs() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_user uuid := auth.uid();
  v_over bigint;
begin
  with counted as (
    insert into agenthost_private.kept_rows as kept (user_id, table_name, rows_kept)
    select user_id, 'runs', count(*) from changed group by user_id order by user_id
    on conflict (user_id, table_name) do update set rows_kept = kept.rows_kept + excluded.rows_kept
    returning user_id, rows_kept
  )
  select rows_kept - 1000000 into v_over from counted where user_id = v_user;
  if v_over > 0 then
    delete from agenthost.runs where user_id = v_user and id = any (array(
      select id from agenthost.runs where user_id = v_user order by id limit v_over));
  end if;
  return null;
end $$;
drop trigger a_count_inserts on agenthost.runs;
create trigger a_count_inserts after insert on agenthost.runs referencing new table as changed
  for each statement execute function agenthost_private.count_runs();
drop trigger bound_runs on agenthost.runs;
drop function agenthost_private.bound_runs;

-- Leases are places that are taken again and again, by updates: rows that came and went would leave as many dead entries
-- in the index, which each begin_run would pass over until the next vacuum. In a free place the lease has expired.
alter table agenthost_private.run_leases add column place int;
update agenthost_private.run_leases as lease set place = numbered.place
  from (
    select user_id, run_id, row_number() over (partition by user_id) as place from agenthost_private.run_leases
  ) as numbered
  where lease.user_id = numbered.user_id and lease.run_id = numbered.run_id;
alter table agenthost_private.run_leases
  drop constraint run_leases_pkey, add primary key (user_id, place), alter lease_id drop default, set (fillfactor = 50);

-- When the oldest rows of a table were last looked at: up to when there was none left.
alter table agenthost_private.kept_rows add column none_before timestamptz not null default '-infinity';

drop function agenthost_private.admit_run, agenthost_private.lease_run, agenthost_private.release_run,
  agenthost_private.prune_runs;

-- May the caller start a run of this agent now? Null when they may, and then it has its lease; else the answer of
-- begin_run. The lock makes two begin_runs of one user take turns, so that neither the limit nor a key is passed twice;
-- it goes with the transaction. A lease counts against its user alone, whatever run it names.
create function agenthost_private.admit_run(
  p_agent_id uuid, p_run_id uuid, p_lease_id uuid, p_lasts interval, p_max_in_flight int, p_key text,
  p_request_hash text
) returns json
language plpgsql security definer set search_path = '' as $$
declare
  v_user uuid := auth.uid();
  v_now timestamptz;
  v_key agenthost_private.run_keys;
  v_in_flight int;
  v_first timestamptz;
  v_free int;
  v_last int;
begin
  perform pg_advisory_xact_lock(hashtextextended('agenthost.begin_run ' || v_user, 0));
  v_now := clock_timestamp();
  if p_key is not null then
    select * into v_key from agenthost_private.run_keys
      where user_id = v_user and agent_id = p_agent_id and idempotency_key = p_key and expires_at > v_now;
    if found and v_key.request_hash is distinct from p_request_hash then
      return json_build_object('outcome', 'key_reused');
    elsif found then
      return json_build_object('outcome', 'recorded', 'run_id', v_key.run_id);
    end if;
  end if;
  select count(*) filter (where expires_at > v_now), min(expires_at) filter (where expires_at > v_now),
      min(place) filter (where expires_at <= v_now), coalesce(max(place), 0)
    into v_in_flight, v_first, v_free, v_last
    from agenthost_private.run_leases where user_id = v_user;
  if v_in_flight >= coalesce(p_max_in_flight, 0) then
    return json_build_object('outcome', 'too_many_runs', 'retry_after_seconds',
      coalesce(least(greatest(ceil(extract(epoch from v_first - v_now)), 1), 5), 5)::int);
  end if;
  if v_free is not null then
    update agenthost_private.run_leases
      set run_id = p_run_id, lease_id = p_lease_id, expires_at = v_now + least(p_lasts, interval '2 days')
      where user_id = v_user and place = v_free;
  elsif v_last < 10000 then
    insert into agenthost_private.run_leases (user_id, place, run_id, lease_id, expires_at)
      values (v_user, v_last + 1, p_run_id, p_lease_id, v_now + least(p_lasts, interval '2 days'));
  else
    -- No host allows so many: somebody comes past it.
    raise check_violation using message = 'too many leases', constraint = 'run_leases_user_check';
  end if;
  return null;
end $$;

-- The key of a run. A run or an agent that is not the caller's is refused: both are foreign keys.
create function agenthost_private.key_run(p_run_id uuid, p_agent_id uuid, p_key text, p_request_hash text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_user uuid := auth.uid();
begin
  delete from agenthost_private.run_keys where user_id = v_user and expires_at <= clock_timestamp();
  insert into agenthost_private.run_keys (user_id, agent_id, idempotency_key, request_hash, run_id, expires_at)
    values (v_user, p_agent_id, p_key, p_request_hash, p_run_id, clock_timestamp() + interval '24 hours');
end $$;

-- Gives back the lease, and deletes a few of the caller's oldest runs that are past their keeping: of those past the
-- number from twenty on, of those past the days once an hour until none is left. The floors keep a caller who comes past
-- the host from wiping their history with it; the batch makes it rare, since the count is a row that other runs of the
-- user wait for.
create function agenthost_private.end_run(p_run_id uuid, p_lease_id uuid, p_keep_days int, p_keep_runs int) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_user uuid := auth.uid();
  v_before timestamptz :=
    greatest(now() - make_interval(days => least(greatest(coalesce(p_keep_days, 30), 1), 36500)), 'epoch');
  v_over bigint;
  v_none_before timestamptz;
begin
  update agenthost_private.run_leases set expires_at = '-infinity'
    where user_id = v_user and run_id = p_run_id and lease_id = p_lease_id;
  select rows_kept - greatest(coalesce(p_keep_runs, 10000), 100), none_before into v_over, v_none_before
    from agenthost_private.kept_rows where user_id = v_user and table_name = 'runs';
  if v_over < 20 then
    if v_none_before > v_before - interval '1 hour' then
      return;
    end if;
    v_over := 0;
  end if;
  delete from agenthost.runs where user_id = v_user and id = any (array(
    select id from (
      select id, status, deadline_at, row_number() over (order by id) as place
      from (select id, status, deadline_at from agenthost.runs where user_id = v_user order by id limit 40) as oldest
    ) as ranked
    where (place <= v_over or id < agenthost_private.first_id_at(v_before)) and not (status = 'running' and deadline_at > now())
  ));
  if not found then
    update agenthost_private.kept_rows set none_before = v_before where user_id = v_user and table_name = 'runs';
  end if;
end $$;

create or replace function agenthost.begin_run(
  p_agent_name text,
  p_input json,
  p_test boolean,
  p_trigger text,
  p_wall_seconds float8,
  p_max_in_flight int,
  p_idempotency_key text default null,
  p_request_hash text default null,
  p_parent_run_id uuid default null
) returns json
language plpgsql security invoker set search_path = '' as $$
declare
  v_user uuid := auth.uid();
  v_run_id uuid := agenthost.uuid_v7();
  v_lasts interval := make_interval(secs => least(greatest(coalesce(p_wall_seconds, 0), 0), 90000));
  v_agent_id uuid;
  v_version int;
  v_agent json;
  v_parent agenthost.runs;
  v_lease_id uuid;
  v_answer json;
  v_now timestamptz;
  v_deadline timestamptz;
begin
  if v_user is null then
    raise insufficient_privilege using message = 'begin_run needs a caller';
  end if;
  -- finish_run's commit makes this one durable too. Not with a key: it promises that a repeat does not act again.
  if p_idempotency_key is null then
    perform set_config('synchronous_commit', 'off', true);
  end if;
  select id, version, row_to_json(agent) into v_agent_id, v_version, v_agent from agenthost.agents as agent
    where user_id = v_user and agent_name = p_agent_name and is_active;
  if not found then
    return json_build_object('outcome', 'agent_not_found');
  end if;
  if p_parent_run_id is null then
    v_lease_id := gen_random_uuid();
    v_answer := agenthost_private.admit_run(v_agent_id, v_run_id, v_lease_id, v_lasts + interval '10 seconds',
      p_max_in_flight, p_idempotency_key, p_request_hash);
    if v_answer ->> 'outcome' = 'recorded' then
      return agenthost.recorded_run((v_answer ->> 'run_id')::uuid);
    elsif v_answer is not null then
      return v_answer;
    end if;
  else
    -- A child has its parent's lease and deadline.
    select * into v_parent from agenthost.runs where user_id = v_user and id = p_parent_run_id and status = 'running';
    if not found then
      raise foreign_key_violation using message = 'the parent is not a run in flight';
    end if;
  end if;
  v_now := clock_timestamp();
  v_deadline := least(v_now + v_lasts, v_parent.deadline_at);
  insert into agenthost.runs (id, user_id, agent_id, agent_name, version, test, trigger, input, started_at, deadline_at,
    parent_run_id, idempotency_key)
  values (v_run_id, v_user, v_agent_id, p_agent_name, v_version, coalesce(p_test, true), p_trigger, p_input, v_now,
    v_deadline, p_parent_run_id, p_idempotency_key);
  if p_parent_run_id is null and p_idempotency_key is not null then
    perform agenthost_private.key_run(v_run_id, v_agent_id, p_idempotency_key, p_request_hash);
  end if;
  return json_build_object('outcome', 'started', 'run_id', v_run_id, 'lease_id', v_lease_id, 'started_at', v_now,
    'deadline_at', v_deadline, 'agent', v_agent);
end $$;

create or replace function agenthost.finish_run(
  p_run_id uuid,
  p_lease_id uuid,
  p_status text,
  p_input json,
  p_output json,
  p_error json,
  p_logs json,
  p_usage json,
  p_signature text,
  p_effects json,
  p_keep_days int,
  p_keep_runs int
) returns json
language plpgsql security invoker set search_path = '' as $$
declare
  v_user uuid := auth.uid();
  v_agent_id uuid;
  v_recorded boolean;
begin
  if json_typeof(p_effects) = 'array' and json_array_length(p_effects) > 0 then
    -- Effects come before the record, while the run is running; of two records at once one waits here.
    select agent_id into v_agent_id from agenthost.runs
      where user_id = v_user and id = p_run_id and status = 'running' for update;
    if found then
      insert into agenthost.run_effects (user_id, run_id, agent_id, seq, service, action, args, result, granted,
        performed, source, at_ms, took_ms, call_hash, recording)
      select v_user, p_run_id, v_agent_id, seq, service, action, args, result, granted, performed, source,
        coalesce(at_ms, 0), coalesce(took_ms, 0), call_hash, recording
      from json_to_recordset(p_effects) as effect (seq int, service text, action text, args json, result json,
        granted boolean, performed boolean, source text, at_ms float8, took_ms float8, call_hash text, recording json);
    end if;
  end if;
  update agenthost.runs set status = p_status, input = coalesce(p_input, input), output = p_output, error = p_error,
    logs = p_logs, usage = p_usage, signature = p_signature, finished_at = clock_timestamp()
    where user_id = v_user and id = p_run_id and status = 'running';
  v_recorded := found;
  -- The same record again, whose first answer was lost on the way, is recorded; another one is not.
  if not v_recorded then
    v_recorded := exists (
      select from agenthost.runs where user_id = v_user and id = p_run_id and signature = p_signature);
  end if;
  perform agenthost_private.end_run(p_run_id, p_lease_id, p_keep_days, p_keep_runs);
  return json_build_object('recorded', v_recorded);
end $$;

-- Any number that a double can hold may be kept; until now those above 1e308 were refused.
create or replace function agenthost_private.fits(p_value jsonb, p_max_bytes int) returns boolean
language sql immutable strict parallel safe set search_path = '' as $$
  select case
    when pg_column_size(p_value) > p_max_bytes then false
    when jsonb_path_exists(p_value, 'strict $.**{200}') then false
    when jsonb_path_exists(p_value, 'strict $.** ? (@.type() == "number"
      && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))') then false
    when jsonb_path_exists(p_value,
      'strict $.** ? (@.type() == "number" && @ < 1e-400 && @ > -1e-400 && @ != 0)') then false
    else octet_length(p_value::text) <= p_max_bytes
  end
$$;
