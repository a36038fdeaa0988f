"""The contract of the user's own tables, on both implementations: statements that count, and those of a dry run."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from service.auth import Caller
from service.database.gateway import DatabaseUnavailable
from service.database.postgres import PostgresDatabase
from service.database.rehearsals import PostgresRehearsals
from service.database.supabase_tables import SupabaseTables
from service.database.tables import ANSWER_BYTES, PLACES_OF_A_USER, PostgresTables
from service.database.transactions import STATEMENT_SECONDS
from service.database.user_tables import Refused, UserTables
from tests.database.own_tables import as_user, committed, make_tables
from tests.peers.supabase import Project, serving
from tests.policies.tenants import ANY_TEXT, furnish
from tests.postgres import Addresses, Server, someone

pytestmark = pytest.mark.both_postgres

MOST_ROWS = 20

Of = Callable[[Caller], UserTables]


@pytest.fixture(scope="module")
async def own(postgres: Server) -> AsyncIterator[Addresses]:
    """One database for all of these tests: each has users of its own."""
    addresses = await postgres.clone()
    await make_tables(addresses)
    yield addresses
    await postgres.drop(addresses)


@pytest.fixture(scope="module")
async def own_project(
    postgres: Server, own: Addresses, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Project]:
    async with serving(postgres, own, tmp_path_factory.mktemp("project")) as running:
        yield running


@pytest.fixture(params=["live", "rehearsed", "over_rest"])
def kind(request: pytest.FixtureRequest) -> str | Project:
    """What is told apart: statements that count, those of a dry run, and those that count over REST."""
    found: str | Project = request.getfixturevalue("own_project") if request.param == "over_rest" else request.param
    return found


@pytest.fixture
async def of(kind: str | Project, own: Addresses) -> AsyncIterator[Of]:
    """Whose tables: those of any caller. A caller of a test has one rehearsal, like a run."""
    if kind != "rehearsed":
        tables = (
            SupabaseTables(kind.url, kind.publishable_key, most_rows=MOST_ROWS)
            if isinstance(kind, Project)
            else PostgresTables(own.serving_dsn, most_rows=MOST_ROWS)
        )
        await tables.start()
        yield tables.of
        await tables.stop()
        return
    rehearsals = PostgresRehearsals(own.serving_dsn, most_rows=MOST_ROWS)
    opened: dict[UUID, UserTables] = {}
    async with AsyncExitStack() as stack:
        stack.push_async_callback(rehearsals.stop)
        yield lambda caller: opened.setdefault(caller.user_id, rehearsals.of(caller))


@pytest.fixture
def ada() -> Caller:
    return someone()


@pytest.fixture
def bob() -> Caller:
    return someone()


async def names(tables: UserTables, **options: Any) -> list[str]:
    return [row["name"] for row in await tables.select("leads", **options)]


async def refused(attempt: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await attempt
    return caught.value


async def test_rows_come_back_as_stored_and_as_postgres_writes_json(of: Of, ada: Caller) -> None:
    leads = of(ada)
    row = {
        "name": ANY_TEXT,
        "price": "1234567.80",
        "due": "2026-11-21T10:00:00+02:00",
        "tags": ["a", 'b"c'],
        "extra": {"deep": [1, None, {"x": ANY_TEXT}]},
        "done": True,
    }
    [stored] = await leads.insert("leads", [row])
    assert stored["user_id"] == str(ada.user_id)
    assert type(stored["id"]) is int
    assert {**row, "price": 1234567.8, "due": "2026-11-21T08:00:00+00:00"}.items() <= stored.items()
    assert await leads.select("leads") == [stored]
    [changed] = await leads.update("leads", {"name": "b", "row": 1, "new": 2}, where={"id": stored["id"], "row": None})
    assert changed == {**stored, "name": "b", "row": 1, "new": 2}
    assert await leads.delete("leads", where={"name": "b", "new": 2}) == [changed]
    assert await leads.select("leads") == []
    assert await leads.insert("leads", []) == []


async def test_another_tenants_rows_do_not_exist(of: Of, own: Addresses, ada: Caller, bob: Caller) -> None:
    async with await own.owner() as owner:
        await owner.execute("insert into public.leads (user_id, name) values (%s, 'hers')", (ada.user_id,))
    assert await names(of(ada)) == ["hers"]
    assert await names(of(bob)) == []
    assert await of(bob).update("leads", {"name": "stolen"}, where={"name": "hers"}) == []
    assert await of(bob).delete("leads", where={"name": "hers"}) == []
    error = await refused(of(bob).insert("leads", [{"name": "forged", "user_id": str(ada.user_id)}]))
    assert "no grant or policy allows it" in error.message
    assert await names(of(ada)) == ["hers"]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (None, "abcd"),
        ({}, "abcd"),
        ({"name": "b"}, "b"),
        ({"name": {"neq": "b"}}, "acd"),
        ({"name": {"eq": "b"}, "score": {"gte": 1}}, "b"),
        ({"score": {"gt": 0, "lt": 3}}, "bc"),
        ({"score": {"lte": 1}}, "ab"),
        ({"name": {"in": ["a", "d", ANY_TEXT]}}, "ad"),
        ({"name": {"in": []}}, ""),
        ({"name": {"like": "%c%"}}, "c"),
        ({"name": {"like": ANY_TEXT}}, ""),
        ({"email": None}, "abc"),
        ({"email": {"is": None}}, "abc"),
        ({"email": {"eq": None}}, "abc"),
        ({"email": {"neq": None}}, "d"),
        ({"done": True}, "d"),
        ({"done": {"is": False}}, "abc"),
        ({"price": 2.5}, "c"),
        ({"due": {"gte": "2026-01-01"}}, "d"),
    ],
)
async def test_a_condition_selects_what_it_says(of: Of, ada: Caller, where: Any, found: str) -> None:
    rows: list[dict[str, Any]] = [{"name": name, "score": score} for score, name in enumerate("abcd")]
    rows[2] |= {"price": "2.50"}
    rows[3] |= {"email": "d@example.com", "done": True, "due": "2026-11-21"}
    for row in rows:
        await of(ada).insert("leads", [row])
    assert await names(of(ada), where=where, order="name") == list(found)


async def test_rows_are_ordered_by_several_columns_limited_and_cut_to_columns(of: Of, ada: Caller) -> None:
    await of(ada).insert("leads", [{"name": name, "score": score} for name, score in ("a1", "b2", "c1", "d2")])
    assert await names(of(ada), order=["score desc", "name"]) == ["b", "d", "a", "c"]
    assert await names(of(ada), order="name desc", limit=2) == ["d", "c"]
    assert await of(ada).select("leads", columns=["name"], limit=1, order="name asc") == [{"name": "a"}]


NOT_PLAIN = [
    "leads; drop table public.leads",
    'leads" --',
    "public.leads",
    "agenthost.agents",
    "leads(id)",
    "notes!inner(*)",
    "*, notes(*)",
    "count()",
    "name::text",
    "name->>x",
    "alias:name",
    "Capitals",
    "ägents",
    "",
    "a" * 64,
    "name\n",
    "%s",
    "$1",
]


@pytest.mark.parametrize("name", NOT_PLAIN)
async def test_what_is_no_plain_name_is_refused_wherever_a_name_stands(of: Of, ada: Caller, name: str) -> None:
    tables = of(ada)
    for attempt in (
        tables.select(name),
        tables.select("leads", columns=[name]),
        tables.select("leads", where={name: 1}),
        tables.select("leads", order=name),
        tables.select("leads", order=["name", name]),
        tables.insert(name, [{"a": 1}]),
        tables.insert("leads", [{name: 1}]),
        tables.update(name, {"a": 1}, where={"id": 1}),
        tables.update("leads", {name: 1}, where={"id": 1}),
        tables.update("leads", {"name": "x"}, where={name: 1}),
        tables.delete(name, where={"id": 1}),
        tables.delete("leads", where={name: 1}),
    ):
        with pytest.raises(ValueError, match=r"not a plain name|not an order"):
            await attempt


@pytest.mark.parametrize(
    "attempt",
    [
        lambda tables: tables.select("leads", where={"name": {"or": "1"}}),
        lambda tables: tables.select("leads", where={"name": {"= '' or name =": "1"}}),
        lambda tables: tables.select("leads", where={"name": ["a"]}),
        lambda tables: tables.select("leads", where={"name": {"in": "abc"}}),
        lambda tables: tables.select("leads", where={"name": {"in": {"a": 1}}}),
        lambda tables: tables.select("leads", where={"name": {"eq": {"a": 1}}}),
        lambda tables: tables.select("leads", where={"name": {"in": ["a"] * 1001}}),
        lambda tables: tables.select("leads", where={name: {"in": ["a"] * 501} for name in ("name", "email")}),
        lambda tables: tables.select("leads", where={"name": {"is": "null; select"}}),
        lambda tables: tables.select("leads", order="name desc; select 1"),
        lambda tables: tables.select("leads", order="name nulls first"),
        lambda tables: tables.select("leads", limit=MOST_ROWS + 1),
        lambda tables: tables.select("leads", limit=-1),
        lambda tables: tables.update("leads", {"name": "x"}, where={}),
        lambda tables: tables.update("leads", {}, where={"id": 1}),
        lambda tables: tables.delete("leads", where={}),
        lambda tables: tables.delete("leads", where={"id": {}}),
        lambda tables: tables.insert("leads", [{}]),
        lambda tables: tables.insert("leads", [{"name": "a"}, {"email": "b"}]),
        lambda tables: tables.insert("leads", [{"name": "a"}] * (MOST_ROWS + 1)),
    ],
)
async def test_operators_orders_and_numbers_that_are_none_are_refused(of: Of, ada: Caller, attempt: Any) -> None:
    await of(ada).insert("leads", [{"name": "a"}])
    with pytest.raises(ValueError, match=r".") as caught:
        await attempt(of(ada))
    assert type(caught.value) is ValueError
    assert await names(of(ada)) == ["a"]


@pytest.mark.parametrize(
    ("attempt", "mistaken", "said"),
    [
        (lambda t: t.select("nothing"), True, "there is no table nothing in the schema public"),
        (lambda t: t.select("agents"), True, "there is no table agents in the schema public"),
        (lambda t: t.select("pg_roles"), True, "there is no table pg_roles in the schema public"),
        (lambda t: t.select("leads", columns=["nothing"]), True, "leads has no column nothing"),
        (lambda t: t.select("leads", where={"nothing": 1}), True, "leads has no column nothing"),
        (lambda t: t.select("leads", order="nothing"), True, "leads has no column nothing"),
        (lambda t: t.insert("leads", [{"nothing": 1}]), True, "leads has no column nothing"),
        (lambda t: t.update("leads", {"nothing": 1}, where={"id": 1}), True, "leads has no column nothing"),
        (lambda t: t.update("leads", {"name": "x"}, where={"nothing": 1}), True, "leads has no column nothing"),
        (lambda t: t.delete("leads", where={"nothing": 1}), True, "leads has no column nothing"),
        (lambda t: t.select("leads", where={"score": "many"}), True, "invalid input syntax for type integer"),
        (lambda t: t.insert("leads", [{"name": "x", "score": "many"}]), True, "invalid input syntax for type integer"),
        (lambda t: t.insert("leads", [{"name": "x", "score": 10**12}]), True, "out of range"),
        (lambda t: t.insert("leads", [{"name": "x", "due": "soon"}]), True, "a value does not fit"),
        (lambda t: t.insert("leads", [{"name": "\0"}]), True, "a value does not fit"),
        (lambda t: t.select("leads", where={"name": "\0"}), True, "a value does not fit"),
        (lambda t: t.select("leads", where={"score": {"like": "1%"}}), True, "does not fit the type"),
        (lambda t: t.insert("leads", [{"name": "x", "id": 7}]), True, "id"),
        (lambda t: t.insert("spying", [{"found": "x"}]), True, "spying cannot be used like this"),
        (lambda t: t.insert("leads", [{"name": None}]), False, "name of leads must have a value"),
        (lambda t: t.insert("leads", [{"name": "x", "score": -1}]), False, "leads_score_check"),
        (lambda t: t.insert("leads", [{"name": "x", "email": "taken"}]), False, "leads_email_key"),
        (lambda t: t.insert("notes", [{"lead_id": 777}]), False, "notes_lead_id_fkey"),
        (lambda t: t.insert("leads", [{"name": "forbidden"}]), False, "leads may not be called forbidden"),
        (lambda t: t.select("closed"), False, "no grant or policy allows it"),
        (lambda t: t.insert("closed", [{"id": 1}]), False, "no grant or policy allows it"),
        (lambda t: t.insert("traps", [{"does": "select nothing from leads"}]), False, "SQLSTATE 42703"),
        (lambda t: t.insert("traps", [{"does": "delete from agenthost.gone"}]), False, "SQLSTATE 42P01"),
    ],
)
async def test_a_refusal_says_what_is_wrong_and_nothing_of_the_server(
    of: Of, own: Addresses, ada: Caller, attempt: Any, mistaken: bool, said: str
) -> None:
    await of(ada).insert("leads", [{"name": "a", "email": "taken"}])
    error = await refused(attempt(of(ada)))
    assert said in error.message
    assert error.mistaken == mistaken
    for inside in ("json_populate", "$1", "select ", "PL/pgSQL", "agenthost", "row.", "new.", "LINE", "\n"):
        assert inside not in error.message
    assert await names(of(ada)) == ["a"]


async def test_a_column_is_never_taken_for_an_instruction(of: Of, ada: Caller) -> None:
    words = ["select", "order", "limit", "or", "and", "columns", "not", "offset"]
    for value in ("eq.0", "(id.gt.0)", "0"):
        await of(ada).insert("words", [dict.fromkeys(words, value)])
    for word in words:
        [row] = await of(ada).select("words", columns=[word], where={word: "0"}, order=f"{word} desc", limit=3)
        assert row == {word: "0"}
        assert len(await of(ada).update("words", {word: "1"}, where={word: "(id.gt.0)"})) == 1
        assert len(await of(ada).select("words", where={word: {"in": ["1", "eq.0"]}})) == 2
    assert len(await of(ada).delete("words", where={"or": "eq.0"})) == 1
    assert len(await of(ada).select("words")) == 2


async def test_more_rows_than_one_call_may_answer_are_an_error_and_never_half_the_truth(of: Of, ada: Caller) -> None:
    for _ in range(2):
        await of(ada).insert("leads", [{"name": "a"}] * MOST_ROWS)
    assert len(await names(of(ada), limit=MOST_ROWS)) == MOST_ROWS
    for attempt in (
        of(ada).select("leads"),
        of(ada).update("leads", {"name": "b"}, where={"name": "a"}),
        of(ada).delete("leads", where={"name": "a"}),
    ):
        error = await refused(attempt)
        assert f"more than {MOST_ROWS} rows of leads" in error.message
    assert await of(ada).select("leads", where={"name": {"neq": "a"}}) == []
    assert len(await of(ada).select("leads", where={"name": "a"}, limit=MOST_ROWS)) == MOST_ROWS


async def test_rows_that_are_too_large_together_are_an_error_and_change_nothing(of: Of, ada: Caller) -> None:
    half = "x" * (ANSWER_BYTES // 2)
    for name in "ab":
        await of(ada).insert("leads", [{"name": name, "answer": half}])
    for attempt in (of(ada).select("leads"), of(ada).update("leads", {"done": True}, where={"done": False})):
        assert f"more than {ANSWER_BYTES} bytes" in (await refused(attempt)).message
    assert [row["done"] for row in await of(ada).select("leads", columns=["done"])] == [False, False]


async def test_a_value_nested_too_deeply_is_refused(of: Of, own: Addresses, ada: Caller) -> None:
    async with await own.owner() as owner:
        deep = "[" * 3000 + "]" * 3000
        await owner.execute("insert into leads (user_id, name, extra) values (%s, 'a', %s)", (ada.user_id, deep))
    assert "nested too deeply" in (await refused(of(ada).select("leads"))).message


async def test_agenthosts_tables_are_shut_to_views_and_triggers_of_its_owner(
    of: Of, own: Addresses, ada: Caller
) -> None:
    database = PostgresDatabase(own.serving_dsn)
    await database.start()
    await furnish(database, ada)
    await database.stop()
    async with await psycopg.AsyncConnection.connect(own.serving_dsn, autocommit=True) as raw:
        await as_user(raw, ada.claims)
        seen = await (await raw.execute("select found from public.spying")).fetchall()
        assert {("digest",), ("KEY",), ("runs",)} <= set(seen)
    secrets = "select ciphertext from agenthost.user_secrets"
    before = await committed(own, secrets)
    assert await of(ada).select("spying") == []
    [row] = await of(ada).insert("traps", [{"does": "select 1"}])
    assert row["found"] == 0
    for does in (
        "insert into agenthost.agents (agent_name, agent_config, description) values ('p', '{}', 'planted')",
        "insert into agenthost_private.daily_quotas values (auth.uid(), 'x', now(), 1)",
        "select agenthost.take_quota('tokens', 1, 10)",
        "select agenthost.put_secret('STOLEN', '[]', 'x')",
    ):
        assert "no grant or policy allows it" in (await refused(of(ada).insert("traps", [{"does": does}]))).message
    for does in (
        "update agenthost.agents set description = 'changed'",
        "delete from agenthost.agents",
        "delete from agenthost.user_secrets",
        "delete from agenthost_private.run_leases",
    ):
        await of(ada).insert("traps", [{"does": does}])
    assert await committed(own, "select 1 from agenthost.agents where description in ('changed', 'planted')") == []
    assert await committed(own, secrets) == before != []


async def test_a_lock_that_another_holds_is_an_error_within_seconds(of: Of, own: Addresses, ada: Caller) -> None:
    async with await own.owner() as owner:
        await owner.execute("insert into public.leads (user_id, name) values (%s, 'a')", (ada.user_id,))
        async with owner.transaction():
            await owner.execute("update public.leads set name = 'b' where user_id = %s", (ada.user_id,))
            async with asyncio.timeout(STATEMENT_SECONDS - 1):
                error = await refused(of(ada).update("leads", {"name": "c"}, where={"name": "a"}))
            assert "locked by another" in error.message
            assert await names(of(ada)) == ["a"]


async def test_a_statement_that_takes_too_long_is_ended(of: Of, ada: Caller) -> None:
    error = await refused(of(ada).insert("traps", [{"does": "select pg_sleep(60)"}]))
    assert "took too long" in error.message
    await of(ada).insert("leads", [{"name": "a"}])


async def test_slow_statements_of_one_user_do_not_stand_in_the_way_of_others(own: Addresses) -> None:
    tables = PostgresTables(own.serving_dsn, most_rows=MOST_ROWS, wait_seconds=0.5)
    await tables.start()
    ada, bob = someone(), someone()
    slow = [{"does": "select pg_sleep(2)"}]
    held = [asyncio.create_task(tables.of(ada).insert("traps", slow)) for _ in range(PLACES_OF_A_USER)]
    await asyncio.sleep(0.2)
    assert "busy with other runs of yours" in (await refused(tables.of(ada).select("leads"))).message
    assert await tables.of(bob).select("leads") == []
    await asyncio.gather(*held)
    assert await tables.of(ada).select("leads") == []
    await tables.stop()


async def test_tables_that_cannot_be_reached_are_unavailable(own: Addresses) -> None:
    nowhere = own.serving_dsn.replace("host=", "host=%2Fnowhere")
    tables = PostgresTables(own.serving_dsn, most_rows=MOST_ROWS)
    for unreachable in (tables.of(someone()), PostgresRehearsals(nowhere, most_rows=MOST_ROWS).of(someone())):
        with pytest.raises(DatabaseUnavailable):
            await unreachable.select("leads")


async def test_many_callers_at_once_see_their_own_rows(of: Of) -> None:
    async def one() -> None:
        caller = someone()
        for _ in range(3):
            name = str(uuid4())
            [row] = await of(caller).insert("leads", [{"name": name}])
            assert row["user_id"] == str(caller.user_id)
            assert name in await names(of(caller))

    await asyncio.gather(*(one() for _ in range(4)))
