-- Runs, their effects, and the two functions that a run is: begin_run and finish_run. `json` keeps the text as it came, so
-- that what was signed is read back byte for byte.

create table agenthost.runs (
  id uuid not null default agenthost.uuid_v7(),
  user_id uuid not null default auth.uid() references auth.users on delete cascade,
  agent_id uuid,
  agent_name text collate "C" not null,
  version int,
  test boolean not null default false,
  trigger text not null default 'http',
  status text not null default 'running',
  input json,
  output json,
  error json,
  logs json,
  usage json,
  started_at timestamptz not null default now(),
  deadline_at timestamptz not null default now(),
  finished_at timestamptz,
  parent_run_id uuid,
  idempotency_key text,
  signature text,
  primary key (user_id, id),
  foreign key (user_id, agent_id) references agenthost.agents (user_id, id) on delete set null (agent_id),
  foreign key (user_id, parent_run_id) references agenthost.runs (user_id, id) on delete set null (parent_run_id),
  constraint runs_status_check check (status in ('running', 'succeeded', 'failed', 'timed_out', 'cancelled')),
  constraint runs_finished_check check ((status = 'running') = (finished_at is null)),
  constraint runs_names_check check (
    octet_length(agent_name) <= 63 and octet_length(trigger) <= 63
    and octet_length(idempotency_key) <= 255 and octet_length(signature) <= 1024
  ),
  constraint runs_input_check check (agenthost_private.fits(input, 16777216)),
  constraint runs_output_check check (agenthost_private.fits(output, 16777216)),
  constraint runs_error_check check (agenthost_private.fits(error, 131072)),
  constraint runs_logs_check check (agenthost_private.fits(logs, 16777216)),
  constraint runs_usage_check check (agenthost_private.fits(usage, 65536))
);
alter table agenthost.runs enable row level security, force row level security;
create index runs_agent_name_idx on agenthost.runs (user_id, agent_name, id);
create index runs_agent_id_idx on agenthost.runs (user_id, agent_id) where agent_id is not null;
create index runs_parent_run_id_idx on agenthost.runs (user_id, parent_run_id) where parent_run_id is not null;

create table agenthost.run_effects (
  user_id uuid not null default auth.uid(),
  run_id uuid not null,
  seq int not null,
  agent_id uuid,
  service text not null,
  action text not null,
  args json,
  result json,
  granted boolean not null,
  performed boolean not null,
  source text,
  at_ms float8 not null default 0,
  took_ms float8 not null default 0,
  call_hash text,
  recording json,
  primary key (user_id, run_id, seq),
  foreign key (user_id, run_id) references agenthost.runs (user_id, id) on delete cascade,
  constraint run_effects_seq_check check (seq between 0 and 10000),
  constraint run_effects_names_check check (
    octet_length(service) <= 63 and octet_length(action) <= 63 and octet_length(source) <= 63
    and octet_length(call_hash) <= 128
  ),
  constraint run_effects_args_check check (agenthost_private.fits(args, 2097152)),
  constraint run_effects_result_check check (agenthost_private.fits(result, 2097152)),
  constraint run_effects_recording_check check (agenthost_private.fits(recording, 2097152))
);
alter table agenthost.run_effects enable row level security, force row level security;
create index run_effects_call_hash_idx on agenthost.run_effects (user_id, agent_id, call_hash, run_id)
  where call_hash is not null;

-- One row a run in flight. Without any grant: who could delete these rows would have no limit. For the same reason a lease
-- does not go with its run, which a user can get pruned: it is released, or it expires.
create table agenthost_private.run_leases (
  user_id uuid not null references auth.users on delete cascade,
  run_id uuid not null,
  lease_id uuid not null default gen_random_uuid(),
  expires_at timestamptz not null,
  primary key (user_id, run_id)
);
alter table agenthost_private.run_leases enable row level security, force row level security;

create table agenthost_private.run_keys (
  user_id uuid not null,
  agent_id uuid not null,
  idempotency_key text collate "C" not null,
  request_hash text,
  run_id uuid not null,
  expires_at timestamptz not null,
  primary key (user_id, agent_id, idempotency_key),
  foreign key (user_id, agent_id) references agenthost.agents (user_id, id) on delete cascade,
  foreign key (user_id, run_id) references agenthost.runs (user_id, id) on delete cascade,
  constraint run_keys_check check (octet_length(idempotency_key) <= 255 and octet_length(request_hash) <= 255)
);
alter table agenthost_private.run_keys enable row level security, force row level security;
create index run_keys_run_id_idx on agenthost_private.run_keys (user_id, run_id);
create index run_keys_expires_at_idx on agenthost_private.run_keys (user_id, expires_at);

-- May the caller start a run of this agent now? Null when they may; else the answer of begin_run. The lock makes two
-- begin_runs of one user take turns, so that neither the limit nor a key is passed twice; it goes with the transaction.
create function agenthost_private.admit_run(p_agent_id uuid, p_max_in_flight int, p_key text, p_request_hash text)
returns json
language plpgsql security definer set search_path = '' as $$
declare
  v_user uuid := auth.uid();
  v_now timestamptz;
  v_key agenthost_private.run_keys;
  v_in_flight int;
  v_first timestamptz;
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
  select count(*), min(expires_at) into v_in_flight, v_first
    from agenthost_private.run_leases where user_id = v_user and expires_at > v_now;
  if v_in_flight >= coalesce(p_max_in_flight, 0) then
    return json_build_object('outcome', 'too_many_runs', 'retry_after_seconds',
      coalesce(least(greatest(ceil(extract(epoch from v_first - v_now)), 1), 5), 5)::int);
  end if;
  return null;
end $$;

-- The lease of a run of the caller's, and its key. A run or an agent that is not the caller's is refused.
create function agenthost_private.lease_run(
  p_run_id uuid, p_agent_id uuid, p_expires_at timestamptz, p_key text, p_request_hash text
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_user uuid := auth.uid();
  v_lease_id uuid;
begin
  if not exists (select from agenthost.runs where user_id = v_user and id = p_run_id) then
    raise foreign_key_violation using message = 'the run is not the caller''s', constraint = 'run_leases_run_id_fkey';
  end if;
  delete from agenthost_private.run_leases where user_id = v_user and expires_at <= now();
  -- No host allows so many. Past the host runs can be made and pruned without end, and their leases stay.
  if (select count(*) from agenthost_private.run_leases where user_id = v_user) >= 10000 then
    raise check_violation using message = 'too many leases', constraint = 'run_leases_user_check';
  end if;
  insert into agenthost_private.run_leases (user_id, run_id, expires_at)
    values (v_user, p_run_id, least(p_expires_at, now() + interval '2 days')) returning lease_id into v_lease_id;
  if p_key is not null then
    delete from agenthost_private.run_keys where user_id = v_user and expires_at <= now();
    insert into agenthost_private.run_keys (user_id, agent_id, idempotency_key, request_hash, run_id, expires_at)
      values (v_user, p_agent_id, p_key, p_request_hash, p_run_id, now() + interval '24 hours');
  end if;
  return v_lease_id;
end $$;

create function agenthost_private.release_run(p_run_id uuid, p_lease_id uuid) returns void
language sql security definer set search_path = '' as $$
  delete from agenthost_private.run_leases
    where user_id = auth.uid() and run_id = p_run_id and lease_id = p_lease_id
$$;

-- A few of the caller's oldest runs that are past their keeping. The floors keep a caller who comes past the host from
-- wiping their history with it; the batch makes it rare, since the count is a row that other runs of the user wait for.
create function agenthost_private.prune_runs(p_keep_days int, p_keep_runs int) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_user uuid := auth.uid();
  v_over bigint := agenthost_private.rows_kept('runs') - greatest(coalesce(p_keep_runs, 10000), 100);
  v_days int := least(greatest(coalesce(p_keep_days, 30), 1), 36500);
  v_floor uuid := agenthost_private.first_id_at(greatest(now() - make_interval(days => v_days), 'epoch'));
  v_oldest uuid;
begin
  select id into v_oldest from agenthost.runs where user_id = v_user order by id limit 1;
  if v_over < 20 and (v_oldest is null or v_oldest >= v_floor) then
    return;
  end if;
  delete from agenthost.runs where user_id = v_user and id = any (array(
    select id from (
      select id, status, deadline_at, row_number() over (order by id) as place
      from (select id, status, deadline_at from agenthost.runs where user_id = v_user order by id limit 40) as oldest
    ) as ranked
    where (place <= v_over or id < v_floor) and not (status = 'running' and deadline_at > now())
  ));
end $$;

-- Whoever comes past the host is bounded too.
create function agenthost_private.bound_runs() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_user uuid := auth.uid();
  v_over bigint := agenthost_private.rows_kept('runs') - 1000000;
begin
  if v_over > 0 then
    delete from agenthost.runs where user_id = v_user and id = any (array(
      select id from agenthost.runs where user_id = v_user order by id limit v_over));
  end if;
  return null;
end $$;

-- The effects of a run are read together, so together they are bounded.
create function agenthost_private.bound_effects() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if exists (
    select from agenthost.run_effects
      where (user_id, run_id) in (select distinct user_id, run_id from changed)
      group by user_id, run_id
      having coalesce(sum(octet_length(args::text)::bigint), 0) + coalesce(sum(octet_length(result::text)::bigint), 0)
        + coalesce(sum(octet_length(recording::text)::bigint), 0) > 33554432
  ) then
    raise check_violation using message = 'too much in the effects of one run', constraint = 'run_effects_bytes_check';
  end if;
  return null;
end $$;

select agenthost_private.know_users_of('agenthost.runs');
create trigger bound_effects after insert on agenthost.run_effects referencing new table as changed
  for each statement execute function agenthost_private.bound_effects();
create trigger a_count_inserts after insert on agenthost.runs referencing new table as changed
  for each statement execute function agenthost_private.count_rows();
create trigger a_count_deletes after delete on agenthost.runs referencing old table as changed
  for each statement execute function agenthost_private.count_rows();
create trigger bound_runs after insert on agenthost.runs
  for each statement execute function agenthost_private.bound_runs();

create function agenthost.begin_run(
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
  v_agent agenthost.agents;
  v_run agenthost.runs;
  v_parent agenthost.runs;
  v_answer json;
  v_now timestamptz;
  v_lease_id uuid;
begin
  if v_user is null then
    raise insufficient_privilege using message = 'begin_run needs a caller';
  end if;
  -- finish_run's commit makes this one durable too. Not with a key: it promises that a repeat does not act again.
  if p_idempotency_key is null then
    perform set_config('synchronous_commit', 'off', true);
  end if;
  select * into v_agent from agenthost.agents where user_id = v_user and agent_name = p_agent_name and is_active;
  if not found then
    return json_build_object('outcome', 'agent_not_found');
  end if;
  if p_parent_run_id is null then
    v_answer := agenthost_private.admit_run(v_agent.id, p_max_in_flight, p_idempotency_key, p_request_hash);
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
  insert into agenthost.runs
    (user_id, agent_id, agent_name, version, test, trigger, input, started_at, deadline_at, parent_run_id, idempotency_key)
  values
    (v_user, v_agent.id, v_agent.agent_name, v_agent.version, coalesce(p_test, true), p_trigger, p_input, v_now,
     least(v_now + make_interval(secs => least(greatest(coalesce(p_wall_seconds, 0), 0), 86400)), v_parent.deadline_at),
     p_parent_run_id, p_idempotency_key)
  returning * into v_run;
  if p_parent_run_id is null then
    v_lease_id := agenthost_private.lease_run(
      v_run.id, v_agent.id, v_run.deadline_at + interval '10 seconds', p_idempotency_key, p_request_hash);
  end if;
  return json_build_object('outcome', 'started', 'run_id', v_run.id, 'lease_id', v_lease_id,
    'started_at', v_run.started_at, 'deadline_at', v_run.deadline_at, 'agent', row_to_json(v_agent));
end $$;

-- What begin_run answers for a key that has a run: the run as recorded, or that it is still going on.
create function agenthost.recorded_run(p_run_id uuid) returns json
language plpgsql volatile security invoker set search_path = '' as $$
declare
  v_run agenthost.runs;
begin
  select * into v_run from agenthost.runs where user_id = auth.uid() and id = p_run_id;
  if not found then
    return null;
  end if;
  if v_run.status = 'running' and v_run.deadline_at + interval '10 seconds' > clock_timestamp() then
    return json_build_object('outcome', 'run_in_progress', 'run_id', v_run.id);
  end if;
  return json_build_object('outcome', 'recorded', 'run', row_to_json(v_run), 'effects', coalesce(
    (select json_agg(effect order by seq) from agenthost.run_effects as effect
      where user_id = auth.uid() and run_id = p_run_id), '[]'::json));
end $$;

create function agenthost.finish_run(
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
begin
  perform agenthost_private.release_run(p_run_id, p_lease_id);
  select agent_id into v_agent_id from agenthost.runs
    where user_id = v_user and id = p_run_id and status = 'running' for update;
  if not found then
    -- The same record again, whose first answer was lost on the way, is recorded; another one is not.
    return json_build_object('recorded', exists (
      select from agenthost.runs where user_id = v_user and id = p_run_id and signature = p_signature));
  end if;
  if json_typeof(p_effects) = 'array' and json_array_length(p_effects) > 0 then
    insert into agenthost.run_effects (user_id, run_id, agent_id, seq, service, action, args, result, granted, performed,
      source, at_ms, took_ms, call_hash, recording)
    select v_user, p_run_id, v_agent_id, seq, service, action, args, result, granted, performed, source,
      coalesce(at_ms, 0), coalesce(took_ms, 0), call_hash, recording
    from json_to_recordset(p_effects) as effect (seq int, service text, action text, args json, result json,
      granted boolean, performed boolean, source text, at_ms float8, took_ms float8, call_hash text, recording json);
  end if;
  update agenthost.runs set status = p_status, input = coalesce(p_input, input), output = p_output, error = p_error,
    logs = p_logs, usage = p_usage, signature = p_signature, finished_at = clock_timestamp()
    where user_id = v_user and id = p_run_id and status = 'running';
  perform agenthost_private.prune_runs(p_keep_days, p_keep_runs);
  return json_build_object('recorded', true);
end $$;
