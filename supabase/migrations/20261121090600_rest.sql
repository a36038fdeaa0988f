-- What the REST interface needs: nobody may ask which migration this is and whether a header arrived, and a bound that was
-- passed names itself in its message, since of a constraint that is all that REST tells.

grant usage on schema agenthost to anon;

create or replace function agenthost_private.bound_rows() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if agenthost_private.rows_kept(tg_table_name) > tg_argv[0]::bigint then
    raise check_violation using
      message = format('at most %s rows a user: constraint "%s"', tg_argv[0], tg_table_name || '_rows_check'),
      constraint = tg_table_name || '_rows_check';
  end if;
  return null;
end $$;

-- Does this request count as an agent's? A gateway that kept its header back would open agenthost's tables to it.
create function agenthost.is_guest() returns boolean
language sql stable set search_path = '' as $$
  select nullif(current_setting('request.headers', true), '')::json ->> 'agenthost-guest' is not null
$$;
