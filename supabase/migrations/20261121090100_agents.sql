-- Agents and their versions. A row is its owner's input: the version, the revision and the hash are the trigger's alone.

create table agenthost.agents (
  id uuid not null default agenthost.uuid_v7(),
  user_id uuid not null default auth.uid() references auth.users on delete cascade,
  agent_name text collate "C" not null,
  description text not null default '',
  kind text not null default 'code',
  agent_config jsonb not null,
  origin jsonb not null default '{"how": "created"}',
  version int not null default 1,
  revision int not null default 1,
  code_hash text,
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (user_id, id),
  constraint agents_agent_name_key unique (user_id, agent_name),
  constraint agents_agent_name_check check (
    agent_name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'
    and agent_name not in ('check', 'generate')
    and replace(agent_name, '-', '') !~ '^[0-9a-f]{32}$'
  ),
  constraint agents_description_check check (octet_length(description) <= 65536),
  constraint agents_kind_check check (kind in ('code')),
  constraint agents_agent_config_check check (agenthost_private.fits(agent_config, 4194304)),
  constraint agents_code_check check (octet_length(agent_config ->> 'code') <= 1048576),
  constraint agents_origin_check check (jsonb_typeof(origin) = 'object' and agenthost_private.fits(origin, 65536))
);
alter table agenthost.agents enable row level security, force row level security;

create table agenthost.agent_versions (
  id uuid not null default agenthost.uuid_v7(),
  user_id uuid not null,
  agent_id uuid not null,
  agent_name text not null,
  version int not null,
  description text not null,
  agent_config jsonb not null,
  origin jsonb not null,
  code_hash text,
  created_at timestamptz not null default now(),
  primary key (user_id, agent_id, version),
  foreign key (user_id, agent_id) references agenthost.agents (user_id, id) on delete cascade
);
alter table agenthost.agent_versions enable row level security, force row level security;

create function agenthost_private.number_version() returns trigger
language plpgsql set search_path = '' as $$
declare
  v_code text := case jsonb_typeof(new.agent_config)
    when 'string' then new.agent_config #>> '{}'
    else new.agent_config ->> 'code'
  end;
begin
  if tg_op = 'INSERT' then
    new.version := 1;
    new.revision := 1;
    new.created_at := now();
  else
    new.id := old.id;
    new.user_id := old.user_id;
    new.created_at := old.created_at;
    new.revision := old.revision + 1;
    if new.agent_config is distinct from old.agent_config then
      new.version := old.version + 1;
    else
      new.version := old.version;
      new.origin := old.origin;
    end if;
  end if;
  new.updated_at := now();
  new.code_hash := encode(sha256(convert_to(v_code, 'UTF8')), 'hex');
  return new;
end $$;

create function agenthost_private.keep_version() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'INSERT' or new.version <> old.version then
    insert into agenthost.agent_versions
      (user_id, agent_id, agent_name, version, description, agent_config, origin, code_hash)
    values
      (new.user_id, new.id, new.agent_name, new.version, new.description, new.agent_config, new.origin, new.code_hash);
    delete from agenthost.agent_versions
      where user_id = new.user_id and agent_id = new.id and version <= new.version - 1000;
  end if;
  return null;
end $$;

-- Triggers of one event fire in the order of their names.
select agenthost_private.know_users_of('agenthost.agents');
create trigger number_version before insert or update on agenthost.agents
  for each row execute function agenthost_private.number_version();
create trigger keep_version after insert or update on agenthost.agents
  for each row execute function agenthost_private.keep_version();
create trigger a_count_inserts after insert on agenthost.agents referencing new table as changed
  for each statement execute function agenthost_private.count_rows();
create trigger a_count_deletes after delete on agenthost.agents referencing old table as changed
  for each statement execute function agenthost_private.count_rows();
create trigger bound_rows after insert on agenthost.agents
  for each statement execute function agenthost_private.bound_rows(10000);
