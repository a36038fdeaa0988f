"""Whatever is wrong with a request gets a problem document with its code; nothing of the host's inside gets out."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter
from pydantic import BaseModel, ValidationError

from sandbox.job import SandboxUnavailable
from service.app import create_app
from service.body import read_json
from service.database.gateway import Conflict, DatabaseError, DatabaseUnavailable, Forbidden, Invalid
from service.errors import ERRORS, ApiError, invalid_fields, json_pointer
from service.local import DEMO_USER_ID, LocalIdentity
from service.settings import Settings
from service.strict_json import MAX_DEPTH, NotJson, parse_json
from tests.service.served import AbsentDatabase, bearer, client, served

LIMIT = 64 * 1024
SECRETS = ("sekret", "/work", "Traceback", ".py", "127.0.0.1", "postgresql")


@dataclass
class Edge:
    """A served host without a database, and a token that it believes."""

    http: httpx.AsyncClient
    url: str
    token: str

    async def check(self, body: bytes, content_type: str | None = "application/json") -> httpx.Response:
        headers = bearer(self.token) | ({"Content-Type": content_type} if content_type else {})
        return await self.http.post("/agents/check", content=body, headers=headers)


RAISED: dict[str, tuple[Exception, int, str]] = {
    "a mistake": (KeyError("sekret"), 500, "internal_error"),
    "recursion": (RecursionError("sekret"), 500, "internal_error"),
    "database down": (DatabaseUnavailable("postgresql://u:sekret@db"), 503, "database_unavailable"),
    "policy": (Forbidden("policy sekret"), 403, "forbidden"),
    "unique": (Conflict("key sekret", "agents_name"), 409, "conflict"),
    "column": (Invalid("value sekret", "check"), 422, "validation_failed"),
    "deleted user": (Invalid("user sekret", "agents_user_id_fkey"), 401, "invalid_token"),
    "database": (DatabaseError("syntax sekret"), 500, "internal_error"),
    "engine": (SandboxUnavailable("zygote sekret"), 503, "engine_unavailable"),
    "own": (ApiError("agent_exists", "It is there."), 409, "agent_exists"),
}


def raising() -> APIRouter:
    router = APIRouter()

    async def fail(name: str) -> None:
        raise RAISED[name][0]

    router.add_api_route("/raise/{name}", fail)
    return router


@pytest.fixture(scope="module")
async def edge(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("edge"), limit_body_bytes=LIMIT, limit_body_seconds=0.5, limit_url_bytes=4096
    )
    app = create_app(settings, database=AbsentDatabase(), engines={})
    app.include_router(raising())
    token = LocalIdentity.in_directory(settings.data_dir).mint(DEMO_USER_ID)
    async with served(app, settings) as url, client(url) as http:
        yield Edge(http, url, token)


def require_problem(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    document: dict[str, object] = answer.json()
    assert (answer.status_code, document["code"], document["status"]) == (status, code, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == document["request_id"]
    assert {"type", "title", "detail", "instance", "hint", "errors"} <= document.keys()
    assert document["title"] == ERRORS[code].title
    for secret in SECRETS:
        assert secret not in answer.text, answer.text
    return document


@pytest.mark.parametrize("name", RAISED)
async def test_every_exception_becomes_its_problem(edge: Edge, name: str) -> None:
    _, status, code = RAISED[name]
    answer = await edge.http.get(f"/raise/{name}")
    require_problem(answer, status, code)
    assert ("retry-after" in answer.headers) == (status == 503)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("GET", "/health/", 404, "not_found"),
        ("POST", "/health", 405, "method_not_allowed"),
        ("HEAD", "/health", 405, "method_not_allowed"),
        ("PUT", "/agents", 405, "method_not_allowed"),
        ("PROPFIND", "/limits", 405, "method_not_allowed"),
        ("BREW", "/limits", 400, "invalid_request"),
        ("OPTIONS", "/limits", 405, "method_not_allowed"),
        ("GET", "/nowhere/" + "x" * 4096, 414, "uri_too_long"),
        ("GET", "/health?q=" + "x" * 4096, 414, "uri_too_long"),
        ("GET", "/%00%ff%fe/../..//%2e%2e", 404, "not_found"),
        ("GET", "/%F0%9F%92%A9<script>", 404, "not_found"),
    ],
)
async def test_wrong_paths_and_methods(edge: Edge, method: str, path: str, status: int, code: str) -> None:
    answer = await edge.http.request(method, path)
    if method == "HEAD":
        assert (answer.status_code, answer.content) == (status, b"")
    else:
        require_problem(answer, status, code)
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize("size", [32 * 1024 + 1, 65_535, 65_536, 100_000])
async def test_a_url_that_is_too_long_is_told_so_at_the_default(tmp_path: Path, size: int) -> None:
    settings = Settings(data_dir=tmp_path)
    async with served(create_app(settings, database=AbsentDatabase(), engines={}), settings) as url:
        document = await asked_raw(url, b"GET /?" + b"x" * (size - 1) + b" HTTP/1.1")
        assert (document["status"], document["code"]) == (414, "uri_too_long")
        assert (await asked_raw(url, b"GET /?" + b"x" * 30_000 + b" HTTP/1.1"))["status"] == 404


async def test_a_url_that_is_not_encoded_is_told_how(edge: Edge) -> None:
    for url in ("/health?name=é", "/agents/é"):
        document = await asked_raw(edge.url, f"GET {url} HTTP/1.1".encode())
        assert (document["status"], document["code"]) == (400, "invalid_request")
        assert "percent-encode" in str(document["detail"])


async def test_a_token_without_its_scheme_is_told_how_it_is_sent(edge: Edge) -> None:
    for value in (edge.token, f"Token {edge.token}", "Bearer"):
        answer = await edge.http.get("/agents", headers={"Authorization": value})
        document = require_problem(answer, 401, "invalid_token")
        assert document["detail"] == "Authorization should be 'Bearer <token>'."


async def asked_raw(url: str, line: bytes) -> dict[str, object]:
    """The document answered to a request as these bytes."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    document: dict[str, object] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return document


async def test_a_405_names_every_method_of_the_path(edge: Edge) -> None:
    assert (await edge.http.put("/agents")).headers["allow"] == "GET, POST"
    assert (await edge.http.put("/agents/x")).headers["allow"] == "DELETE, GET, PATCH"


DEEP = b"[" * 10_000 + b"]" * 10_000

BODIES: dict[str, tuple[bytes, str | None, int, str]] = {
    "empty": (b"", "application/json", 400, "not_json"),
    "blank": (b" \n ", "application/json", 400, "not_json"),
    "not JSON": (b"hello", "application/json", 400, "not_json"),
    "half": (b'{"code": "x', "application/json", 400, "not_json"),
    "two values": (b"{} {}", "application/json", 400, "not_json"),
    "NaN": (b'{"code": NaN}', "application/json", 400, "not_json"),
    "Infinity": (b'{"code": -Infinity}', "application/json", 400, "not_json"),
    "infinity in disguise": (b'{"code": 1e999}', "application/json", 400, "not_json"),
    "5,000 digits": (b'{"code": ' + b"9" * 5000 + b"}", "application/json", 400, "not_json"),
    "10,000 deep": (DEEP, "application/json", 400, "not_json"),
    "10,000 deep in objects": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "application/json", 400, "not_json"),
    "unclosed and deep": (b"[" * 60_000, "application/json", 400, "not_json"),
    "too deep by one": (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "application/json", 400, "not_json"),
    "a key twice": (b'{"code": "a", "code": "b"}', "application/json", 400, "not_json"),
    "a line break": (b'{"code": "a\nb"}', "application/json", 400, "not_json"),
    "U+0000": (b'{"code": "a\\u0000"}', "application/json", 400, "not_json"),
    "U+0000 in a key": (b'{"a\\u0000": 1}', "application/json", 400, "not_json"),
    "U+0000 as it is": (b'{"code": "a\x00"}', "application/json", 400, "not_json"),
    "half a surrogate pair": (b'{"code": "\\ud83d"}', "application/json", 400, "not_json"),
    "latin-1": ('{"code": "é"}'.encode("latin-1"), "application/json", 400, "not_json"),
    "UTF-16": ('{"code": "x"}'.encode("utf-16"), "application/json", 400, "not_json"),
    "overlong UTF-8": (b'{"code": "\xc0\xaf"}', "application/json", 400, "not_json"),
    "surrogate in UTF-8": (b'{"code": "\xed\xa0\x80"}', "application/json", 400, "not_json"),
    "byte order mark": (b'\xef\xbb\xbf{"code": "x"}', "application/json", 400, "not_json"),
    "a form": (b"code=x", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    "text": (b'{"code": "x"}', "text/plain", 415, "unsupported_media_type"),
    "another charset": (b'{"code": "x"}', "application/json; charset=utf-16", 415, "unsupported_media_type"),
    "senseless type": (b'{"code": "x"}', ";;;", 415, "unsupported_media_type"),
    "too large": (b'{"code": "' + b"x" * LIMIT + b'"}', "application/json", 413, "body_too_large"),
    "20 MiB": (b"x" * (20 * 1024 * 1024), "application/json", 413, "body_too_large"),
    "a list": (b"[]", "application/json", 422, "validation_failed"),
    "a number": (b"1", "application/json", 422, "validation_failed"),
    "null": (b"null", "application/json", 422, "validation_failed"),
    "unknown field": (b'{"code": "x", "user_id": "y"}', "application/json", 422, "validation_failed"),
    "wrong type": (b'{"code": 1}', None, 422, "validation_failed"),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_bad_body_gets_its_documented_error(edge: Edge, name: str) -> None:
    body, content_type, status, code = BODIES[name]
    require_problem(await edge.check(body, content_type), status, code)


async def test_a_line_break_in_a_text_is_told_how_it_is_written(edge: Edge) -> None:
    document = (await edge.check(b'{"agent_config": "def run():\n    return 1"}')).json()
    assert r"line break in a text as \n" in document["detail"]
    assert "agenthost push" in document["hint"]
    [place] = document["errors"]
    assert (place["line"], place["column"]) == (1, 28)


async def test_a_large_body_is_refused_while_it_arrives(edge: Edge) -> None:
    host, port = edge.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /agents/check HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {edge.token}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    answering = asyncio.create_task(reader.readuntil(b"\r\n"))
    chunk = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
    for _ in range(10_000):
        if answering.done():
            break
        writer.write(chunk)
        await writer.drain()
        await asyncio.sleep(0)
    assert b" 413 " in await asyncio.wait_for(answering, 20)
    writer.close()


async def test_a_body_that_does_not_arrive_is_not_waited_for(edge: Edge) -> None:
    host, port = edge.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /agents/check HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {edge.token}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
    answer = await asyncio.wait_for(reader.read(), 20)
    assert b" 408 " in answer.split(b"\r\n")[0]
    assert b'"code":"request_timeout"' in answer
    writer.close()


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 1_000_000,
        b"GET /" + b"x" * 1_000_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 100,
    ],
    ids=["text", "negative length", "bad header", "endless header", "endless path", "TLS", "NUL"],
)
async def test_what_is_not_http_is_refused_as_a_problem(edge: Edge, bytes_sent: bytes) -> None:
    host, port = edge.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answer = b""
    try:
        writer.write(bytes_sent)
        answer = await asyncio.wait_for(reader.read(), 20)
    except ConnectionError:
        pass  # closed with unread bytes of ours: the answer may be lost on the way
    finally:
        writer.close()
    if answer:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert json.loads(body)["code"] == "invalid_request"
    assert (await edge.http.get("/health")).status_code == 200


async def test_a_connection_serves_on_after_a_refused_body(edge: Edge) -> None:
    for _ in range(3):
        assert (await edge.check(b" " * (LIMIT * 4))).status_code == 413
        assert (await edge.http.get("/health")).status_code == 200


@pytest.mark.parametrize("sane", ["abc-123", "A.b_c", "x" * 128])
async def test_a_sane_request_id_is_kept(edge: Edge, sane: str) -> None:
    assert (await edge.http.get("/health", headers={"X-Request-Id": sane})).headers["x-request-id"] == sane


@pytest.mark.parametrize("strange", ["x" * 129, "a b", "<script>", "a\tb", ""])
async def test_a_strange_request_id_is_replaced(edge: Edge, strange: str) -> None:
    answer = await edge.http.get("/health", headers={"X-Request-Id": strange})
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-request-id"])


async def test_errors_need_a_token_before_anything_is_read(edge: Edge) -> None:
    answer = await edge.http.post("/agents/check", content=b"x" * 20_000_000)
    require_problem(answer, 401, "invalid_token")


def test_strict_json_reads_what_is_json() -> None:
    assert parse_json(b'{"a": [1, 2.5, null, true, "\\ud83d\\ude00", "\\\\u0000"]}') == {
        "a": [1, 2.5, None, True, "\N{GRINNING FACE}", "\\u0000"]
    }
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None
    assert parse_json(b"[" + b"{}," * 1000 + b"{}]") == [{}] * 1001
    with pytest.raises(NotJson) as refused:
        parse_json(b'{\n  "a": x}')
    assert (refused.value.line, refused.value.column) == (2, 7)


def test_pointers_lead_to_the_field_and_values_are_not_repeated() -> None:
    class Inner(BaseModel):
        number: int

    class Outer(BaseModel):
        inner: list[Inner]

    with pytest.raises(ValidationError) as refused:
        Outer.model_validate({"inner": [{"number": 1}, {"number": "sekret"}]})
    error = invalid_fields(refused.value.errors(), within=("body",))
    assert error.errors[0]["pointer"] == "/body/inner/1/number"
    assert "sekret" not in str(error.document(instance="/", request_id="x"))
    assert json_pointer(("a/b", "c~d", 0)) == "/a~1b/c~0d/0"


def test_every_code_has_a_sane_status_a_title_and_a_hint() -> None:
    for code, kind in ERRORS.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)
        assert 400 <= kind.status <= 599
        assert kind.title
        assert kind.hint.endswith(".")
    assert callable(read_json)
