"""All that Postgres knows of some schemas, as plain rows: two databases with the same rows are the same to whoever uses
them."""

import psycopg

Rows = list[tuple[object, ...]]

# Who may do what, by name: the order of a list of privileges is that of the statements that made it.
_GRANTS = """(select array_agg(concat_ws(' ', coalesce(nullif(grantee, 0)::regrole::text, 'public'), privilege_type,
  case when is_grantable then 'and pass it on' end, 'from', grantor::regrole) order by 1)
  from aclexplode(coalesce({acl}, acldefault('{kind}', {owner}))))"""


def _grants(kind: str, prefix: str) -> str:
    return _GRANTS.format(kind=kind, acl=f"{prefix}acl", owner=f"{prefix}owner")


_QUERIES = {
    "schemas": f"""
        select nspname, nspowner::regrole::text, {_grants("n", "nsp")}, obj_description(oid, 'pg_namespace')
        from pg_namespace where oid = any (%(schemas)s::regnamespace[])""",
    "relations": f"""
        select oid::regclass::text, relkind::text, relpersistence::text, relowner::regrole::text, relrowsecurity,
          relforcerowsecurity, relreplident::text, reloptions, {_grants("r", "rel")}, obj_description(oid, 'pg_class')
        from pg_class where relnamespace = any (%(schemas)s::regnamespace[])""",
    "columns": """
        select attrelid::regclass::text, attnum, attname, format_type(atttypid, atttypmod), attnotnull,
          attcollation::regcollation::text, attidentity::text, attgenerated::text, attstorage::text, attoptions,
          pg_get_expr(adbin, adrelid), col_description(attrelid, attnum),
          (select array_agg(concat_ws(' ', grantee::regrole, privilege_type, is_grantable) order by 1)
           from aclexplode(attacl))
        from pg_attribute join pg_class on pg_class.oid = attrelid
        left join pg_attrdef on adrelid = attrelid and adnum = attnum
        where relnamespace = any (%(schemas)s::regnamespace[]) and attnum > 0 and not attisdropped""",
    "constraints": """
        select conrelid::regclass::text, conname, contype::text, convalidated, condeferrable, pg_get_constraintdef(oid)
        from pg_constraint where connamespace = any (%(schemas)s::regnamespace[])""",
    "indexes": """
        select indrelid::regclass::text, indisvalid, indisunique, indisprimary, indisreplident, indnullsnotdistinct,
          pg_get_indexdef(indexrelid)
        from pg_index join pg_class on pg_class.oid = indrelid
        where relnamespace = any (%(schemas)s::regnamespace[])""",
    "functions": f"""
        select oid::regprocedure::text, proowner::regrole::text, prosecdef, provolatile::text, proparallel::text,
          proleakproof, proconfig, {_grants("f", "pro")}, obj_description(oid, 'pg_proc'), pg_get_functiondef(oid)
        from pg_proc where pronamespace = any (%(schemas)s::regnamespace[]) and prokind in ('f', 'p')""",
    "triggers": """
        select tgrelid::regclass::text, tgname, tgenabled::text, tgisinternal, tgfoid::regprocedure::text,
          case when not tgisinternal then pg_get_triggerdef(pg_trigger.oid) end
        from pg_trigger join pg_class on pg_class.oid = tgrelid
        where relnamespace = any (%(schemas)s::regnamespace[]) and not tgisinternal""",
    "policies": """
        select polrelid::regclass::text, polname, polcmd::text, polpermissive,
          (select array_agg(coalesce(nullif(role, 0)::regrole::text, 'public') order by 1) from unnest(polroles) role),
          pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)
        from pg_policy join pg_class on pg_class.oid = polrelid
        where relnamespace = any (%(schemas)s::regnamespace[])""",
    "default privileges": """
        select defaclrole::regrole::text, nullif(defaclnamespace, 0)::regnamespace::text, defaclobjtype::text,
          (select array_agg(concat_ws(' ', grantee::regrole, privilege_type) order by 1) from aclexplode(defaclacl))
        from pg_default_acl""",
    "types": """
        select oid::regtype::text, typtype::text, typowner::regrole::text
        from pg_type where typnamespace = any (%(schemas)s::regnamespace[])""",
    "extensions": "select extname, extnamespace::regnamespace::text from pg_extension",
    "event triggers": "select evtname, evtevent, evtfoid::regprocedure::text from pg_event_trigger",
    "publications": "select pubname, puballtables from pg_publication",
}


async def catalogue(
    owner: psycopg.AsyncConnection[tuple[object, ...]],
    *,
    schemas: tuple[str, ...] = ("agenthost", "agenthost_private", "auth", "public"),
) -> dict[str, Rows]:
    """What each query of the catalogue answers, sorted."""
    await owner.execute("set search_path = ''")
    return {
        name: sorted(await (await owner.execute(query.encode(), {"schemas": list(schemas)})).fetchall(), key=repr)
        for name, query in _QUERIES.items()
    }
