-- What the REST interface needs: nobody may ask which migration this is, and a bound that was passed names itself in its
-- message, since of a constraint that is all that REST tells.

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
