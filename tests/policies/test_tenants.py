"""Two tenants x every table x four verbs: the other's rows are not seen, not touched, not made."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest

from service.auth import Caller
from service.database.gateway import Conflict, Database, DatabaseError, Forbidden, Invalid, Row
from service.database.supabase import SupabaseDatabase
from tests.policies.tenants import ANY_TEXT, CHANGE, VERBS, everything, fresh, furnish, tables
from tests.postgres import someone
from tests.ways import Way
from tests.ways import database as database
from tests.ways import way as way


@pytest.fixture
async def ada(database: Database) -> Caller:
    caller = someone()
    await furnish(database, caller)
    return caller


@pytest.fixture
async def bob(database: Database) -> Caller:
    caller = someone()
    await furnish(database, caller)
    return caller


async def of(database: Database, caller: Caller) -> tuple[str, str]:
    """The ids of a caller's agent and of their running run."""
    [agent] = await database.select(caller, "agents")
    [run] = await database.select(caller, "runs", where={"status": "running"})
    return agent["id"], run["id"]


async def test_every_table_is_tested(way: Way) -> None:
    async with await way.addresses.owner() as owner:
        assert await tables(owner, "agenthost") == sorted(VERBS)
    assert CHANGE.keys() == VERBS.keys()


@pytest.mark.parametrize("table", VERBS)
async def test_select_sees_ones_own_rows_and_never_anothers(
    database: Database, ada: Caller, bob: Caller, table: str
) -> None:
    rows = await database.select(ada, table)
    assert rows
    assert {row["user_id"] for row in rows} == {str(ada.user_id)}
    assert await database.select(ada, table, where={"user_id": bob.user_id}) == []
    assert await database.select(ada, table, where={"user_id": {"neq": ada.user_id}}) == []


@pytest.mark.parametrize("table", VERBS)
async def test_insert_in_anothers_name_fails_and_under_anothers_parent_too(
    database: Database, ada: Caller, bob: Caller, table: str
) -> None:
    before = await everything(database, bob)
    mine, theirs = await of(database, ada), await of(database, bob)
    for agent_id, run_id in (theirs, mine):
        with pytest.raises(Forbidden):
            await database.insert(ada, table, [fresh(table, bob, agent_id, run_id)])
    if table in ("runs", "run_effects", "agent_kv"):
        with pytest.raises((Invalid, Forbidden)):
            await database.insert(ada, table, [fresh(table, ada, *theirs)])
    if "insert" in VERBS[table]:
        await database.insert(ada, table, [fresh(table, ada, *mine)])
    else:
        with pytest.raises(Forbidden):
            await database.insert(ada, table, [fresh(table, ada, *mine)])
    assert await everything(database, bob) == before


@pytest.mark.parametrize("table", VERBS)
async def test_update_touches_none_of_anothers_rows(database: Database, ada: Caller, bob: Caller, table: str) -> None:
    before = await everything(database, bob)
    for where in ({"user_id": bob.user_id}, {"user_id": {"neq": ada.user_id}}):
        if "update" in VERBS[table]:
            assert await database.update(ada, table, CHANGE[table], where=where) == []
        else:
            with pytest.raises(Forbidden):
                await database.update(ada, table, CHANGE[table], where=where)
    if "update" in VERBS[table]:
        assert await database.update(ada, table, CHANGE[table], where={"user_id": ada.user_id})
    with pytest.raises(Forbidden):
        await database.update(ada, table, {"user_id": str(bob.user_id)}, where={"user_id": ada.user_id})
    assert await everything(database, bob) == before


@pytest.mark.parametrize("table", VERBS)
async def test_delete_touches_none_of_anothers_rows(database: Database, ada: Caller, bob: Caller, table: str) -> None:
    before = await everything(database, bob)
    for where in ({"user_id": bob.user_id}, {"user_id": {"neq": ada.user_id}}):
        if "delete" in VERBS[table]:
            assert await database.delete(ada, table, where=where) == []
        else:
            with pytest.raises(Forbidden):
                await database.delete(ada, table, where=where)
    if "delete" in VERBS[table]:
        assert await database.delete(ada, table, where={"user_id": ada.user_id})
        assert await database.select(ada, table) == []
    assert await everything(database, bob) == before


@pytest.mark.parametrize("table", VERBS)
async def test_the_role_anon_is_refused(way: Way, table: str) -> None:
    async with await way.addresses.owner() as owner:
        await owner.execute("grant anon to current_user")
        await owner.execute("set role anon")
        for query in (
            f"select * from agenthost.{table}",
            f"insert into agenthost.{table} default values",
            f"update agenthost.{table} set user_id = null",
            f"delete from agenthost.{table}",
            "select agenthost.take_quota('x', 1, 1)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await owner.execute(query.encode())


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("agents", "description"),
        ("agents", "agent_config"),
        ("agents", "origin"),
        ("runs", "agent_name"),
        ("runs", "trigger"),
        ("runs", "input"),
        ("runs", "output"),
        ("runs", "error"),
        ("runs", "logs"),
        ("runs", "usage"),
        ("runs", "idempotency_key"),
        ("runs", "signature"),
        ("run_effects", "service"),
        ("run_effects", "action"),
        ("run_effects", "args"),
        ("run_effects", "result"),
        ("run_effects", "source"),
        ("run_effects", "call_hash"),
        ("run_effects", "recording"),
        ("agent_kv", "key"),
        ("agent_kv", "value"),
        ("agent_notifications", "type"),
        ("agent_notifications", "title"),
        ("agent_notifications", "content"),
        ("agent_notifications", "priority"),
        ("agent_notifications", "actions"),
        ("user_secrets", "hosts"),
        ("user_secrets", "ciphertext"),
    ],
)
async def test_sql_in_a_text_field_is_data(database: Database, ada: Caller, table: str, column: str) -> None:
    text: Any = ANY_TEXT
    value = {"x": [text, {text: text}]} if column in ("agent_config", "origin") else text
    value = [value] if column in ("actions", "hosts") else value
    row = fresh(table, ada, *await of(database, ada)) | {column: value}
    [stored] = await database.insert(ada, table, [row])
    assert stored[column] == value
    if isinstance(value, str) and column not in ("value", *JSON_COLUMNS):
        assert stored in await database.select(ada, table, where={column: text})
        assert stored in await database.select(ada, table, where={column: {"in": [text, "x"]}})
    assert await database.select(ada, "agents")


JSON_COLUMNS = ("input", "output", "error", "logs", "usage", "args", "result", "recording")


async def test_every_text_column_that_a_user_may_write_is_tested(way: Way) -> None:
    [mark] = [mark for mark in test_sql_in_a_text_field_is_data.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    async with await way.addresses.owner() as owner:
        found = await owner.execute(
            "select table_name, column_name from information_schema.columns where table_schema = 'agenthost' "
            "and data_type in ('text', 'json', 'jsonb') and has_column_privilege('authenticated', "
            "format('agenthost.%I', table_name)::regclass, column_name, 'insert')"
        )
        written = set(await found.fetchall())
    # Names of agents and secrets and their kind are bound to a pattern; a status is one of a list.
    bound = {("agents", "agent_name"), ("agents", "kind"), ("runs", "status"), ("user_secrets", "name")}
    assert written - set(mark.args[1]) == bound


async def test_a_forged_run_changes_nothing_for_anybody_else(database: Database, ada: Caller, bob: Caller) -> None:
    """Ids are the user's own: taking another's run id for a row of one's own collides with nothing."""
    theirs = await everything(database, bob)
    forged: list[Row] = [{**run, "user_id": str(ada.user_id), "agent_id": None} for run in theirs["runs"]]
    await database.insert(ada, "runs", forged)
    assert await everything(database, bob) == theirs
    assert len(await database.select(ada, "runs")) == 4
    with pytest.raises(Conflict):
        await database.insert(ada, "runs", forged)


@pytest.mark.parametrize("claims", [{"sub": "not-a-uuid"}, {"role": "service_role"}, {"role": "postgres"}])
async def test_claims_do_not_choose_role_or_user(database: Database, ada: Caller, claims: dict[str, Any]) -> None:
    """The port says who the caller is; what else the token holds changes neither. A project refuses such a token."""
    stranger = someone(uuid4(), **claims)
    for table in VERBS:
        try:
            assert await database.select(stranger, table) == []
        except DatabaseError:
            assert isinstance(database, SupabaseDatabase)
    with pytest.raises(DatabaseError):
        await database.update(stranger, "agents", {"user_id": str(stranger.user_id)}, where={"user_id": ada.user_id})
