"""What the catalogue must say of every table and function, those that come later included."""

import pytest

from tests.postgres import Addresses

pytestmark = pytest.mark.both_postgres

OURS = "('agenthost'::regnamespace, 'agenthost_private'::regnamespace)"

GUEST_SHUT_OUT = (
    "$$((( SELECT current_setting('agenthost.guest'::text, true) AS current_setting) IS DISTINCT FROM 'on'::text) AND "
    "(( SELECT ((NULLIF(current_setting('request.headers'::text, true), ''::text))::json ->> 'agenthost-guest'::text)) "
    "IS NULL))$$"
)

CALLABLE = {
    "begin_run",
    "finish_run",
    "recorded_run",
    "kv_get",
    "kv_set",
    "kv_increment",
    "kv_delete",
    "kv_list",
    "put_secret",
    "take_quota",
    "schema_version",
    "uuid_v7",
}

RULES = {
    "every table has row-level security, enabled and forced": f"""
        select relname from pg_class where relnamespace in {OURS} and relkind in ('r', 'p')
        and not (relrowsecurity and relforcerowsecurity)""",
    "there is no view, sequence or foreign table that policies would not bind": f"""
        select relname from pg_class where relnamespace in {OURS} and relkind in ('v', 'm', 'f', 'S')""",
    "every table has a user_id that is required": f"""
        select relname from pg_class c where relnamespace in {OURS} and relkind in ('r', 'p')
        and relname <> 'migrations'
        and not exists (select from pg_attribute where attrelid = c.oid and attname = 'user_id' and attnotnull)""",
    "every table has an index that begins with user_id, for its policies": f"""
        select relname from pg_class c where relnamespace in {OURS} and relkind in ('r', 'p')
        and relname <> 'migrations'
        and not exists (select from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
          where i.indrelid = c.oid and i.indpred is null and a.attname = 'user_id')""",
    "every foreign key to a table of ours carries the user": f"""
        select conname from pg_constraint k where contype = 'f' and confrelid in
          (select oid from pg_class where relnamespace in {OURS})
        and not exists (select from pg_attribute where attrelid = k.confrelid and attnum = any (k.confkey)
          and attname = 'user_id')""",
    "every foreign key has an index for its deletes": f"""
        select conname from pg_constraint k where contype = 'f' and connamespace in {OURS}
        and not exists (select from pg_index i where i.indrelid = k.conrelid
          and i.indkey::int2[] @> k.conkey and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] <@ k.conkey)""",
    "a policy is for `authenticated` or the owner, and binds to the caller": f"""
        select polname from pg_policy p join pg_class c on c.oid = polrelid where relnamespace in {OURS}
        and polpermissive
        and not (polroles = array[c.relowner] or (polroles = array['authenticated'::regrole::oid] and polcmd <> '*'
          and coalesce(pg_get_expr(polqual, polrelid), '( SELECT auth.uid() AS uid) = user_id')
            like '%( SELECT auth.uid() AS uid) = user_id%'
          and coalesce(pg_get_expr(polwithcheck, polrelid), '( SELECT auth.uid() AS uid) = user_id')
            like '%( SELECT auth.uid() AS uid) = user_id%'
          and (polcmd not in ('a', 'w') or polwithcheck is not null)))""",
    "every table has a policy for its owner, who may be bound by it": f"""
        select relname from pg_class c where relnamespace in {OURS} and relkind in ('r', 'p') and not exists
          (select from pg_policy where polrelid = c.oid and polcmd = '*' and polroles = array[c.relowner])""",
    "every table shuts out what an agent's statement sets off, its owner's own functions included": f"""
        select relname from pg_class c where relnamespace in {OURS} and relkind in ('r', 'p') and not exists
          (select from pg_policy where polrelid = c.oid and not polpermissive and polcmd = '*' and polroles = '{{0}}'
            and polwithcheck is null and pg_get_expr(polqual, polrelid) = {GUEST_SHUT_OUT})""",
    "private tables have no other policy and no grant": """
        select relname from pg_class c where relnamespace = 'agenthost_private'::regnamespace and relkind = 'r'
        and ((select count(*) from pg_policy where polrelid = c.oid and polpermissive) <> 1
          or exists (select from aclexplode(relacl) where grantee <> relowner))""",
    "nothing is granted to everybody, to anon or to service_role, but what a host asks before anybody comes": f"""
        select object || ' to ' || grantee::regrole from (
          select relname::text as object, (aclexplode(relacl)).grantee from pg_class where relnamespace in {OURS}
          union all select proname, (aclexplode(coalesce(proacl, acldefault('f', proowner)))).grantee from pg_proc
            where pronamespace in {OURS}
          union all select attname, (aclexplode(attacl)).grantee from pg_attribute
            join pg_class on pg_class.oid = attrelid where relnamespace in {OURS}
          union all select nspname, (aclexplode(nspacl)).grantee from pg_namespace where oid in {OURS}
        ) as grants where grantee in (0, 'anon'::regrole, 'service_role'::regrole)
        and not (grantee = 'anon'::regrole and object in ('agenthost', 'schema_version', 'is_guest'))""",
    "no grant can be passed on, and none truncates, references or triggers": f"""
        select relname || ' ' || privilege_type from pg_class, aclexplode(relacl) where relnamespace in {OURS}
        and grantee = 'authenticated'::regrole
        and (is_grantable or privilege_type not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE'))""",
    "every function of ours has a pinned, empty search path, but those that the planner puts in line": f"""
        select proname from pg_proc where pronamespace in {OURS}
        and coalesce(proconfig, '{{}}') <> array['search_path=""']""",
    "a definer function that may be called is one of those that were looked at": f"""
        select proname from pg_proc where pronamespace in {OURS} and prosecdef
        and has_function_privilege('authenticated', oid, 'execute')
        and proname not in ('admit_run', 'key_run', 'end_run', 'rows_kept', 'take_quota')""",
    "no trigger function may be called": f"""
        select proname from pg_proc where pronamespace in {OURS} and prorettype = 'trigger'::regtype
        and has_function_privilege('authenticated', oid, 'execute')""",
    "the owner of all is no superuser here": f"""
        select relname from pg_class join pg_roles on pg_roles.oid = relowner where relnamespace in {OURS}
        and (rolsuper or rolbypassrls)""",
}


@pytest.mark.parametrize("rule", RULES)
async def test_the_catalogue_says_that(cloned: Addresses, rule: str) -> None:
    async with await cloned.owner() as owner:
        exceptions = await (await owner.execute(RULES[rule].encode())).fetchall()
        assert exceptions == []


async def test_the_functions_that_rest_exposes_are_known(cloned: Addresses) -> None:
    async with await cloned.owner() as owner:
        found = await owner.execute(
            "select proname from pg_proc where pronamespace = 'agenthost'::regnamespace "
            "and has_function_privilege('authenticated', oid, 'execute')"
        )
        assert {name for (name,) in await found.fetchall()} == CALLABLE
