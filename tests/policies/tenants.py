"""Two tenants with a row in every table, and the catalogue that says which tables there are."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import psycopg

from service.auth import Caller
from service.database.gateway import Database, Row
from tests.database.runs import STANDARD, begin, finish

ANY_TEXT = "'; drop table agenthost.agents; --\"$$\\%s{}:xé👋<b>"
EFFECT = {"seq": 1, "service": "kv", "action": "set", "args": {}, "granted": True, "performed": True}

VERBS = {
    "agents": {"select", "insert", "update", "delete"},
    "agent_versions": {"select"},
    "runs": {"select", "insert", "update"},
    "run_effects": {"select", "insert"},
    "agent_kv": {"select", "insert", "update", "delete"},
    "agent_notifications": {"select", "insert", "update", "delete"},
    "user_secrets": {"select", "insert", "update", "delete"},
}
"""Every table, and what its owner may do by plain verbs. A new table fails the tests until it stands here."""

CHANGE: dict[str, Row] = {
    "agents": {"description": "changed"},
    "agent_versions": {"description": "changed"},
    "runs": {"output": "changed"},
    "run_effects": {"result": "changed"},
    "agent_kv": {"value": "changed"},
    "agent_notifications": {"read": True},
    "user_secrets": {"ciphertext": "changed"},
}
"""An update of each table."""


async def furnish(database: Database, caller: Caller) -> None:
    """A row in every table; two runs, one finished and one still running."""
    [agent] = await database.insert(caller, "agents", [STANDARD])
    await finish(database, caller, await begin(database, caller), p_effects=[EFFECT])
    await begin(database, caller)
    await database.call(caller, "kv_set", p_agent_id=agent["id"], p_key="k", p_value={"secret": str(caller.user_id)})
    await database.insert(caller, "agent_notifications", [{"title": "hello", "agent_id": agent["id"]}])
    await database.call(caller, "put_secret", p_name="KEY", p_hosts=["api.example.com"], p_ciphertext="k:x")
    await database.call(caller, "take_quota", p_name="checks", p_amount=1, p_limit=9)


async def everything(database: Database, caller: Caller) -> dict[str, list[Row]]:
    """All that a caller sees."""
    return {table: await database.select(caller, table, order="user_id") for table in VERBS}


def fresh(table: str, caller: Caller, agent_id: str, run_id: str) -> Row:
    """A row that `caller` may insert, if the agent and the running run are theirs."""
    mine: dict[str, Any] = {"user_id": str(caller.user_id)}
    rows: dict[str, Row] = {
        "agents": {**STANDARD, "agent_name": f"a{uuid4().hex[:8]}"},
        "agent_versions": {"agent_id": agent_id, "agent_name": "x", "version": 9, "description": "", "origin": {}}
        | {"agent_config": {}},
        "runs": {"agent_id": agent_id, "agent_name": "digest", "status": "running"},
        "run_effects": {**EFFECT, "run_id": run_id, "seq": 7},
        "agent_kv": {"agent_id": agent_id, "key": f"k{uuid4()}", "value": 1},
        "agent_notifications": {"title": "hello"},
        "user_secrets": {"name": f"S{uuid4().hex.upper()}", "hosts": ["a.example.com"], "ciphertext": "k:y"},
    }
    return mine | rows[table]


async def tables(owner: psycopg.AsyncConnection[tuple[object, ...]], schema: str) -> Sequence[str]:
    found = await owner.execute(
        "select relname from pg_class where relnamespace = %s::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f') "
        "order by relname",
        (schema,),
    )
    return [str(name) for (name,) in await found.fetchall()]
