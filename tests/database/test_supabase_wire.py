"""What a project, or whoever answers in its place, may do to the host: be slow, fail, lie, answer too much. Against a
server of this test, on a real connection."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import pytest

from service.auth import Caller
from service.database.gateway import DatabaseError, DatabaseUnavailable, DatabaseUnfit, Forbidden, Invalid
from service.database.migrations import newest_migration
from service.database.supabase import PLACES_OF_A_USER, SupabaseDatabase
from service.database.supabase_tables import SupabaseTables
from service.database.user_tables import Refused
from tests.postgres import someone

KEY: Final = "sb_publishable_canary"


@dataclass
class Scripted:
    """Gives its answers in turn, the last one again and again, and keeps the heads of what it was asked."""

    port: int = 0
    answers: list[bytes] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(
                    (line.split(":")[1] for line in head.split("\r\n") if "content-length" in line.lower()), 0
                )
                await reader.readexactly(int(length))
                self.heads.append(head)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer == HANG:
                    await asyncio.sleep(60)
                if answer == CUT:
                    return
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def say(self, *answers: bytes) -> None:
        self.heads.clear()
        self.answers = list(answers)

    def tokens(self) -> list[str]:
        return [line for head in self.heads for line in head.split("\r\n") if line.lower().startswith("authorization")]


HANG, CUT = b"hang", b"cut"


def answer(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} .", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


GUEST: Final = answer(200, b"true")
FIT: Final = answer(200, f'"{newest_migration()}"'.encode())


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    scripted = Scripted()
    listening = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    scripted.port = listening.sockets[0].getsockname()[1]
    yield scripted
    listening.close()


@pytest.fixture
async def database(server: Scripted) -> AsyncIterator[SupabaseDatabase]:
    server.say(FIT)
    started = SupabaseDatabase(f"http://127.0.0.1:{server.port}", KEY)
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
def ada() -> Caller:
    return someone()


async def test_the_key_goes_as_apikey_and_the_token_as_the_callers(
    server: Scripted, database: SupabaseDatabase, ada: Caller
) -> None:
    assert server.tokens() == []
    server.say(answer(200, b"[]"))
    await database.select(ada, "agents")
    [head] = server.heads
    assert head.startswith("GET /rest/v1/agents?")
    assert f"apikey: {KEY}" in head.replace("apiKey", "apikey").replace("Apikey", "apikey")
    [line] = server.tokens()
    assert line.endswith(f": Bearer {ada.token}")
    assert "timezone=UTC" in head


async def test_what_one_answer_sets_is_not_sent_with_the_next(server: Scripted, database: SupabaseDatabase) -> None:
    """Functions of a project may set headers of the answer, and read those of a request."""
    server.say(answer(200, b"[]", "Set-Cookie: who=ada; Path=/"))
    await database.select(someone(), "agents")
    await database.select(someone(), "agents")
    assert len(set(server.tokens())) == 2
    assert not any("cookie" in head.lower() for head in server.heads)


@pytest.mark.parametrize("status", [502, 503, 504, 520])
async def test_a_read_is_tried_again_with_the_same_token_and_a_change_is_not(
    server: Scripted, database: SupabaseDatabase, ada: Caller, status: int
) -> None:
    failed, done = answer(status, b"<html>busy</html>"), answer(200, b"[]")
    server.say(failed, done)
    assert await database.select(ada, "agents") == []
    assert len(server.tokens()) == 2
    assert all(line.endswith(ada.token) for line in server.tokens())
    for change in (
        lambda: database.insert(ada, "agents", [{"agent_name": "a"}]),
        lambda: database.update(ada, "agents", {"description": ""}, where={"id": "x"}),
        lambda: database.delete(ada, "agents", where={"id": "x"}),
        lambda: database.call(ada, "begin_run"),
    ):
        server.say(failed, done)
        with pytest.raises(DatabaseUnavailable):
            await change()
        assert len(server.heads) == 1


async def test_a_connection_that_breaks_off_is_unavailable_after_one_more_try(
    server: Scripted, database: SupabaseDatabase, ada: Caller
) -> None:
    server.say(CUT)
    with pytest.raises(DatabaseUnavailable):
        await database.select(ada, "agents")
    assert len(server.heads) == 2
    server.say(CUT)
    with pytest.raises(DatabaseUnavailable):
        await database.call(ada, "begin_run")
    assert len(server.heads) == 1


async def test_a_project_that_hangs_is_given_up(server: Scripted, database: SupabaseDatabase, ada: Caller) -> None:
    server.say(HANG)
    async with asyncio.timeout(20):
        with pytest.raises(DatabaseUnavailable):
            await database.select(ada, "agents")
    server.say(answer(200, b"[]"))
    assert await database.select(ada, "agents") == []


async def test_a_user_whose_requests_hang_leaves_connections_to_others(
    server: Scripted, database: SupabaseDatabase, ada: Caller
) -> None:
    server.say(HANG)
    hanging = [asyncio.create_task(database.select(ada, "agents")) for _ in range(40)]
    async with asyncio.timeout(10):
        while len(server.heads) < PLACES_OF_A_USER:  # noqa: ASYNC110 - the server has no events
            await asyncio.sleep(0.01)
    server.say(answer(200, b"[]"))
    async with asyncio.timeout(2):
        assert await database.select(someone(), "agents") == []
    for task in hanging:
        task.cancel()
    ended = await asyncio.gather(*hanging, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in ended)


@pytest.mark.parametrize(
    "hostile",
    [
        answer(200, b"[" * 100_000),
        answer(200, b"<html>"),
        answer(200, b"\xff\xfe"),
        answer(200, b""),
        answer(200, b"5"),
        answer(200, b'{"id": 1}'),
        answer(200, b'[["id", 1]]'),
        answer(200, gzip.compress(b"[" + b" " * 10_000_000 + b"]"), "Content-Encoding: gzip"),
        answer(302, b"", "Location: http://127.0.0.1:9/rest/v1/agents"),
        answer(500, b'{"code": ["x"], "message": {}}'),
        answer(500, b"[" * 100_000),
        b"HTTP/1.1 200 .\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n[]   ",
        b"nonsense\r\n\r\n",
    ],
)
async def test_nonsense_is_an_error_of_the_database_and_never_rows(
    server: Scripted, database: SupabaseDatabase, ada: Caller, hostile: bytes
) -> None:
    server.say(hostile)
    with pytest.raises(DatabaseError) as caught:
        await database.select(ada, "agents")
    assert ada.token not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert len(server.heads) <= 2
    server.say(answer(200, b"[]"))
    assert await database.select(ada, "agents") == []


async def test_more_bytes_than_are_read_are_an_error(server: Scripted, ada: Caller) -> None:
    tables = SupabaseTables(f"http://127.0.0.1:{server.port}", KEY, most_rows=10)
    server.say(GUEST)
    await tables.start()
    server.say(answer(200, b'["' + b"x" * 5_000_000 + b'"]'))
    with pytest.raises(Refused, match="bytes as JSON"):
        await tables.of(ada).select("leads")
    with pytest.raises(DatabaseUnavailable):
        await tables.of(ada).insert("leads", [{"name": "x"}])
    assert all("agenthost-guest: on" in head.lower() for head in server.heads)
    await tables.stop()


def refusal(status: int, code: str, message: str = "") -> bytes:
    return answer(status, f'{{"code": "{code}", "message": "{message}", "details": null, "hint": null}}'.encode())


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (refusal(401, "PGRST301", "JWT expired"), Forbidden),
        (refusal(401, "PGRST303", "JWT expired"), Forbidden),
        (answer(401, b'{"message": "Invalid API key"}'), DatabaseUnavailable),
        (refusal(406, "PGRST106", "The schema must be one of the following: public"), DatabaseUnavailable),
        (refusal(403, "42501"), Forbidden),
        (refusal(400, "22P02", "invalid input syntax: SEKRET"), Invalid),
        (answer(414, b""), Invalid),
        (refusal(503, "PGRST002"), DatabaseUnavailable),
        (refusal(500, "57014"), DatabaseUnavailable),
        (refusal(409, "40P01"), DatabaseUnavailable),
        (answer(429, b""), DatabaseUnavailable),
        (refusal(500, "XX000"), DatabaseError),
    ],
)
async def test_what_a_project_refuses_is_told_as_postgres_would(
    server: Scripted, database: SupabaseDatabase, ada: Caller, said: bytes, error: type[DatabaseError]
) -> None:
    server.say(said)
    with pytest.raises(error) as caught:
        await database.select(ada, "agents")
    assert type(caught.value) is error
    assert "SEKRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (refusal(406, "PGRST106"), "add it to the exposed schemas"),
        (refusal(404, "PGRST202"), "agenthost migrate"),
        (refusal(401, "42501"), "agenthost migrate"),
        (answer(401, b'{"message": "Invalid API key"}'), "SUPABASE_PUBLISHABLE_KEY"),
        (answer(404, b"<html>"), "SUPABASE_URL"),
        (answer(200, b'"20200101000000_old"'), "agenthost migrate"),
        (answer(200, b'"29990101000000_new"'), "upgrade agenthost"),
        (answer(200, b"null"), "agenthost migrate"),
        (answer(200, b'{"version": 1}'), "agenthost migrate"),
    ],
)
async def test_a_project_that_does_not_fit_is_refused_and_says_what_to_do(
    server: Scripted, said: bytes, advice: str
) -> None:
    server.say(said)
    database = SupabaseDatabase(f"http://127.0.0.1:{server.port}", KEY)
    with pytest.raises(DatabaseUnfit, match=advice) as caught:
        await database.start()
    assert KEY not in str(caught.value)
    status = await database.status()
    # A host that serves already goes on while the next release migrates.
    assert status.ready == (advice == "upgrade agenthost")
    assert status.ready or advice in status.detail
    await database.stop()


async def test_a_condition_that_no_url_can_carry_says_what_could(database: SupabaseDatabase, ada: Caller) -> None:
    with pytest.raises(Invalid, match="DATABASE_URL"):
        await database.select(ada, "agents", where={"agent_name": {"in": ["x" * 100] * 200}})
    with pytest.raises(ValueError, match="DATABASE_URL"):
        await database.select(ada, "agents", where={"agent_name": {"like": "a*"}})


async def test_an_answer_that_the_project_cut_short_is_read_to_its_end(
    server: Scripted, database: SupabaseDatabase, ada: Caller
) -> None:
    """`max_rows` of the project ends an answer without a word."""
    page = answer(200, b"[" + b",".join([b'{"id": 1}'] * 100) + b"]")
    server.say(page, page, answer(200, b'[{"id": 2}]'))
    assert len(await database.select(ada, "agents", order="id")) == 201
    assert [head.partition("offset=")[2][:3] for head in server.heads] == ["", "100", "200"]


async def test_rows_that_the_project_cut_short_are_never_half_the_truth(server: Scripted, ada: Caller) -> None:
    tables = SupabaseTables(f"http://127.0.0.1:{server.port}", KEY, most_rows=1000)
    server.say(GUEST)
    await tables.start()
    page = answer(200, b"[" + b",".join([b'{"id": 1}'] * 100) + b"]")
    server.say(page, answer(200, b'[{"id": 2}]'))
    with pytest.raises(Refused, match="more than 100 rows"):
        await tables.of(ada).select("leads")
    server.say(page, answer(200, b"[]"))
    assert len(await tables.of(ada).select("leads")) == 100
    server.say(page, answer(200, b'[{"id": 2}]'))
    with pytest.raises(Refused, match="more than 100 rows"):
        await tables.of(ada).delete("leads", where={"id": 1})
    assert [head.split()[0] for head in server.heads] == ["GET", "GET"]
    await tables.stop()


@pytest.mark.parametrize("said", [answer(200, b"false"), answer(200, b"null"), answer(404, b"<html>")])
async def test_where_the_header_of_agents_does_not_arrive_their_tables_do_not_start(
    server: Scripted, said: bytes
) -> None:
    tables = SupabaseTables(f"http://127.0.0.1:{server.port}", KEY, most_rows=10)
    server.say(said)
    with pytest.raises(DatabaseUnfit):
        await tables.start()
    [head] = server.heads
    assert "agenthost-guest: on" in head.lower()
    await tables.stop()
