"""A doubt is never a live run: every odd spelling of `test` is refused."""

import json
from typing import Any

import pytest
from starlette.requests import Request

from service.errors import ApiError
from service.runs.asked import Asked, asked_in_body, asked_in_query
from service.settings import Settings


def request(query: str | bytes = "", *, headers: dict[str, str] | None = None, body: bytes = b"") -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    raw = query.encode() if isinstance(query, str) else query
    pairs = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": raw, "headers": pairs}
    return Request(scope, receive)


async def asked(query: str | bytes, **headers: str) -> Asked:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await asked_in_query(request(query, headers=names), "agent")


async def code_of(query: str | bytes, **headers: str) -> str:
    with pytest.raises(ApiError) as raised:
        await asked(query, **headers)
    return raised.value.code


@pytest.mark.parametrize(
    ("query", "test"),
    [
        ("", False),
        ("test=true", True),
        ("test=1", True),
        ("test=false", False),
        ("test=0", False),
        ("a=1&test=1", True),
    ],
)
async def test_the_four_values_are_taken(query: str, test: bool) -> None:
    assert (await asked(query)).test is test


@pytest.mark.parametrize(
    "query",
    [
        *(
            "test",
            "test=",
            "test=True",
            "test=TRUE",
            "test=yes",
            "test=on",
            "test=t",
            "test=2",
            "test=01",
            "test=true%20",
        ),
        *("test=+true", "test=true%00", "test=null", "test=true,true", "test=%22true%22", "test=true;a=1"),
        *("test=true&test=true", "test=true&test=false", "test=false&a=1&test=false"),
        *("Test=true", "TEST=1", "tEsT=false", "%54est=true", "+test=true", "test+=true", "%09test=1", "test%00=1"),
        *(
            "test[]=true",
            "test[0]=true",
            "test%5B%5D=1",
            "test%3Dtrue",
            "test%3Dtrue=1",
            ".test=1",
            "test.=1",
            "-test=1",
        ),
        *("a=1&amp;test=true", "a=1;test=true", "a=1;%20test=true", "a=1;TEST=true", "?test=true", "%26test=true"),
        *(
            "%EF%BD%94%EF%BD%85%EF%BD%93%EF%BD%94=true",
            "'test'=true",
            "%22test%22=true",
            "te%C5%BFt=1",
            "%E2%80%8Btest=1",
        ),
        *("_test=true", "test_=1", "__test__=1", "te-st=1", "te_st=1", "te%20st=1", "t.e.s.t=1", "-_test._=1"),
        *("x=1?test=true", "x=1?TEST=1", "x=1?%20test=true", "x=1?+test", "x=1?%74est=1", "x=1?_test=1", "x=1?te-st=1"),
        *("a=1&x=1?test=true", "x=1&amp;test=true", "x=1;amp;test=1", "x=1%3Ftest=true", "x=1%26test=true", "x=?test"),
    ],
)
async def test_every_odd_spelling_is_refused(query: str) -> None:
    assert await code_of(query) == "invalid_test_flag"


@pytest.mark.parametrize(
    "query",
    [
        *(
            "testing=1",
            "latest=1",
            "tests=1",
            "test_mode=1",
            "test_id=1",
            "is-test=1",
            "contest=x",
            "q=test",
            "q=a%3Btest",
        ),
        *("q=why?", "q=a?b=1", "q=a?latest=1", "q=a?tests=1", "q=a?test_id=1", "q=%3Ftest", "q=a%3Ftest%3D1"),
    ],
)
async def test_other_names_are_input(query: str) -> None:
    found = await asked(query)
    assert found.test is False
    assert found.input.raw() != {}


@pytest.mark.parametrize("query", [b"a=\xff", b"a=%ff", b"a=%ED%A0%80", b"%ff=1"])
async def test_a_query_that_is_not_utf8_is_refused(query: bytes) -> None:
    assert await code_of(query) == "invalid_input"


async def test_a_query_of_too_many_fields_is_refused() -> None:
    assert await code_of("a=1&" * 1001) == "invalid_input"


@pytest.mark.parametrize("key", ["test", "Test", "TEST", " test", "test[]"])
async def test_a_flag_in_the_body_is_refused(key: str) -> None:
    with pytest.raises(ApiError) as raised:
        await asked_in_body(request(body=json.dumps({key: False}).encode()), "agent", Settings())
    assert raised.value.code == "invalid_test_flag"


async def test_the_query_of_a_post_holds_only_the_flag() -> None:
    found = await asked_in_body(request("test=1", body=b'{"a": 1}'), "agent", Settings())
    assert (found.test, found.input.raw()) == (True, {"a": 1})
    with pytest.raises(ApiError) as raised:
        await asked_in_body(request("a=1", body=b"{}"), "agent", Settings())
    assert raised.value.code == "invalid_input"


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null"])
async def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as raised:
        await asked_in_body(request(body=body), "agent", Settings())
    assert raised.value.code == "invalid_input"


async def test_an_empty_body_is_no_input() -> None:
    assert (await asked_in_body(request(), "agent", Settings())).input.raw() == {}


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "naïve"])
async def test_a_senseless_idempotency_key_is_refused(key: str) -> None:
    assert await code_of("", idempotency_key=key) == "invalid_request"


async def test_an_idempotency_key_is_taken_as_it_is() -> None:
    assert (await asked("", idempotency_key="2f6c!~")).idempotency_key == "2f6c!~"


async def test_a_resumed_stream_starts_no_run() -> None:
    assert await code_of("", last_event_id="7") == "resume_not_supported"


async def test_a_fingerprint_tells_questions_apart_and_not_the_order_of_fields() -> None:
    same = {(await asked(query)).fingerprint() for query in ("a=1&b=2", "b=2&a=1")}
    assert len(same) == 1
    others = {
        (await asked(query)).fingerprint() for query in ("a=1", "a=2", "a=1&test=1", "a=1&a=1", "a=1&a=2", "a=2&a=1")
    }
    assert len(others) == 6
