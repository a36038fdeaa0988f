-- Which functions a user may call; every other one nobody may (PostgreSQL lets everybody call new ones).

revoke all on all functions in schema agenthost, agenthost_private from public, anon, authenticated;

grant execute on function
  agenthost.begin_run, agenthost.finish_run, agenthost.recorded_run,
  agenthost.kv_get, agenthost.kv_set, agenthost.kv_increment, agenthost.kv_delete, agenthost.kv_list,
  agenthost.put_secret, agenthost.take_quota, agenthost.schema_version, agenthost.uuid_v7
to authenticated;

-- What the functions above and the check constraints call in the caller's name; the schema is not exposed over REST.
grant execute on function
  agenthost_private.admit_run, agenthost_private.key_run, agenthost_private.end_run, agenthost_private.check_run,
  agenthost_private.rows_kept, agenthost_private.kv_expiry, agenthost_private.kv_has_room,
  agenthost_private.fits(jsonb, int), agenthost_private.fits(json, int)
to authenticated;

-- What the host asks a project before anybody has come: over REST, that is the role `anon`.
grant execute on function agenthost.schema_version, agenthost.is_guest to anon;
