"""The adapter of models, over the wire: what is asked, in which way, and what becomes of every kind of answer."""

import asyncio
import gzip
import json
import math
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from uuid import uuid4

import pytest

from service.outside.model import PROBE_SCHEMA, Model
from service.outside.model_dialects import closed, strict
from service.outside.model_question import Completion, ModelError, Question, Tokens
from tests.peers.aimock import Aimock
from tests.service.scripted_provider import HANGS, READY, answer, said, scripted
from tests.service.writing import streamed

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TEXT = answer(said("hello"))
ERROR_500 = answer({"error": {"message": "sk-secret at http://127.0.0.1/", "code": "server_error"}}, status=500)
PROBE = {"userMessage": '{"ready": true}'}
REFUSED = {"error": {"message": "no such thing", "type": "invalid_request_error", "code": "unknown"}, "status": 404}


@asynccontextmanager
async def model_at(url: str, *, name: str = "m", key: str | None = "sk-secret") -> AsyncIterator[Model]:
    model = Model(api_key=key, base_url=url, model=name)
    try:
        yield model
    finally:
        await model.close()


async def asked(model: Model, prompt: str = "hello", *, seconds: float = 20.0, **options: Any) -> Completion:
    question = Question(**{"prompt": prompt, "model": model.default_model, "max_tokens": 100, **options})
    return await model.complete(question, deadline=time.monotonic() + seconds)


async def refused(*answers: bytes | Sequence[bytes], seconds: float = 5.0, **options: Any) -> tuple[ModelError, int]:
    """The error, and how often the provider was asked after it was found out how."""
    async with scripted(READY, *answers) as provider, model_at(provider.url) as model:
        with pytest.raises(ModelError) as error:
            await asked(model, seconds=seconds, **options)
        assert "sk-secret" not in str(error.value)
        assert "127.0.0.1" not in str(error.value)
        return error.value, len(provider.requests) - 1


async def a_provider(aimock: Aimock, understands: str) -> str:
    """The name of a model that is asked in one way only."""
    name = f"{understands}-{uuid4()}"
    takes: dict[str, dict[str, Any]] = {
        "responses": {},
        "chat": {"responseFormat": "json_schema"},
        "fenced": {"systemMessage": "fenced block"},
    }
    ready = {"content": '{"ready": true}'}
    await aimock.teach({"match": PROBE | {"model": name} | takes[understands], "response": ready})
    await aimock.teach({"match": PROBE | {"model": name}, "response": REFUSED})
    return name


PATHS = {"responses": "/v1/responses", "chat": "/v1/chat/completions", "fenced": "/v1/chat/completions"}


@pytest.mark.parametrize("understands", PATHS)
async def test_every_provider_is_asked_in_the_best_way_it_understands(aimock: Aimock, understands: str) -> None:
    name = await a_provider(aimock, understands)
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    fence = "Here it is:\n```json\n{}\n```\nAnything else?" if understands == "fenced" else "{}"
    object_answer = {"content": fence.replace("{}", '{"n": 7}'), "usage": usage}
    await aimock.teach({"match": {"userMessage": "a number", "model": name}, "response": object_answer})
    await aimock.teach(
        {"match": {"userMessage": "a text", "model": name}, "response": {"content": "x", "usage": usage}}
    )
    async with model_at(f"{aimock.url}/v1", name=name) as model:
        texts = [await asked(model, "a text", system="Be brief.", temperature=0.5) for _ in range(2)]
        value = await asked(model, "a number", system="Be brief.", schema=SCHEMA)
    assert [(each.text, each.value, each.cut) for each in texts] == [("x", None, False)] * 2
    assert value.value == {"n": 7}
    assert {each.tokens for each in (*texts, value)} == {Tokens(input=11, output=7)}
    requests = await aimock.requests(name)
    assert len([each for each in requests if "ready" in json.dumps(each["body"])]) == 1 + list(PATHS).index(understands)
    for request in requests[-3:]:
        assert request["path"] == PATHS[understands]
        assert "Be brief." in request["body"]["messages"][0]["content"]
    assert requests[-2]["body"]["temperature"] == 0.5
    assert ("fenced block" in requests[-1]["body"]["messages"][0]["content"]) == (understands == "fenced")


async def test_how_to_ask_is_found_out_once_for_all_who_wait(aimock: Aimock) -> None:
    name = await a_provider(aimock, "chat")
    await aimock.teach({"match": {"userMessage": "at once", "model": name}, "response": {"content": "x"}})
    async with model_at(f"{aimock.url}/v1", name=name) as model:
        await asyncio.gather(*(asked(model, "at once") for _ in range(8)))
    assert len([each for each in await aimock.requests(name) if "ready" in json.dumps(each["body"])]) == 2


async def test_what_one_agent_asks_cannot_change_how_the_others_are_asked() -> None:
    bad_request = answer({"error": {"code": "invalid_json_schema", "param": "text.format.schema"}}, status=400)
    async with scripted(READY, bad_request, answer(said("hello"))) as provider, model_at(provider.url) as model:
        with pytest.raises(ModelError, match=r"400, invalid_json_schema, text\.format\.schema"):
            await asked(model, schema=SCHEMA)
        assert (await asked(model)).text == "hello"
        assert [head.split()[1] for head in provider.requests] == [b"/v1/responses"] * 3


async def test_a_provider_that_takes_a_schema_and_ignores_it_is_asked_for_a_fenced_block() -> None:
    prose = answer(said("Of course! I am ready."))
    chat = {"choices": [{"message": {"content": "Yes, ready."}, "finish_reason": "stop"}]}
    fenced = {"choices": [{"message": {"content": '```json\n{"ready": true}\n```'}, "finish_reason": "stop"}]}
    text = {"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}
    answers = (prose, *map(answer, (chat, fenced, text)))
    async with scripted(*answers) as provider, model_at(provider.url) as model:
        assert (await asked(model)).text == "hello"
        assert provider.requests[-1].split()[1] == b"/v1/chat/completions"


@pytest.mark.parametrize("other", [b"<html>Welcome</html>", {"error": "Unexpected endpoint"}])
async def test_a_provider_that_answers_any_path_is_asked_at_the_one_that_it_means(other: Any) -> None:
    ready, text = ({"choices": [{"message": {"content": each}}]} for each in ('{"ready": true}', "hello"))
    async with scripted(answer(other), answer(ready), answer(text)) as provider, model_at(provider.url) as model:
        assert (await asked(model)).text == "hello"
        assert [head.split()[1] for head in provider.requests[1:]] == [b"/v1/chat/completions"] * 2


async def test_an_address_that_is_no_provider_is_an_error_that_costs_nothing() -> None:
    async with scripted(*[answer(b"<html>Welcome</html>")] * 3) as provider, model_at(provider.url) as model:
        with pytest.raises(ModelError, match="is not JSON") as error:
            await asked(model)
        assert error.value.spent == Tokens()


async def test_a_provider_that_was_down_is_found_out_when_it_is_back() -> None:
    down = answer({}, status=503)
    async with scripted(down, down, READY, answer(said("hello"))) as provider, model_at(provider.url) as model:
        with pytest.raises(ModelError, match="failed") as error:
            await asked(model)
        assert error.value.spent == Tokens()
        assert (await asked(model)).text == "hello"


async def test_nothing_but_the_settings_reaches_the_provider() -> None:
    """A process with every variable set that the client library reads, and one of its debug log."""
    program = """
import asyncio, time
from service.outside.model import Model
from service.outside.model_question import Question

async def main():
    model = Model(api_key={key!r}, base_url={url!r}, model="m")
    question = Question(prompt="private", model="m", max_tokens=5)
    print((await model.complete(question, deadline=time.monotonic() + 20)).text)
    await model.close()

asyncio.run(main())
"""
    nowhere = "http://127.0.0.1:9/"
    environment = {
        **dict.fromkeys(("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"), "ambient"),
        **dict.fromkeys(("OPENAI_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"), nowhere),
        "OPENAI_CUSTOM_HEADERS": "Authorization: Bearer ambient\nX-Ambient: ambient",
        "OPENAI_WEBHOOK_SECRET": "ambient",
        "OPENAI_LOG": "debug",
        "PATH": os.defpath,
    }
    for key, authorization in (("sk-secret", {"bearer sk-secret"}), (None, set())):
        async with scripted(READY, TEXT) as provider:
            command = program.format(key=key, url=provider.url)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", command, env=environment, stdout=-1, stderr=-1
            )
            assert await process.communicate() == (b"hello\n", b"")
        assert len(provider.requests) == 2
        for head in provider.requests:
            headers = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:] if line)
            assert {headers.pop("authorization", None)} - {None} == authorization
            assert headers.keys() == {
                "host",
                "accept",
                "accept-encoding",
                "content-type",
                "content-length",
                "user-agent",
            }
            assert (headers["user-agent"], headers["accept-encoding"]) == ("agenthost", "identity")
            assert "ambient" not in str(headers)


async def test_the_host_starts_without_the_client_library() -> None:
    program = "import service.app, service.capabilities.llm, sys; print({'openai', 'httpx2'} & set(sys.modules))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=-1)
    output, _ = await process.communicate()
    assert output == b"set()\n"


async def test_an_error_that_passes_is_asked_again_once() -> None:
    for first in (ERROR_500, answer({}, status=429), answer({}, status=429, headers={"Retry-After": "1"})):
        async with scripted(READY, first, TEXT) as provider, model_at(provider.url) as model:
            assert (await asked(model)).text == "hello"
            assert len(provider.requests) == 3


@pytest.mark.parametrize(
    ("error", "told", "times"),
    [
        (ERROR_500, "failed (500, server_error)", 2),
        (answer(b"<html>Bad Gateway</html>", status=502), "failed (502)", 2),
        (answer({"error": {"code": "slow_down"}}, status=429), "(429, slow_down): try again later", 2),
        (answer({}, status=429, headers={"Retry-After": "3600"}), "(429): try again in 3600 seconds", 1),
        (answer({}, status=429, headers={"Retry-After": "-1"}), "try again in 0 seconds", 2),
        (answer({}, status=429, headers={"Retry-After": "nan"}), "try again later", 2),
        (answer({}, status=429, headers={"Retry-After": "soon\u00e9"}), "try again later", 2),
        (answer({"error": {"message": "Incorrect key sk-secret"}}, status=401), "refused this host's key (401)", 1),
        (answer({}, status=403), "its operator must look at it", 1),
        (answer({"error": {"code": "model_not_found"}}, status=404), "(404, model_not_found)", 1),
        (answer({"error": {"code": "sk-secret\n" * 50}}, status=400), "refused the request (400)", 1),
        (answer({"error": "text"}, status=422), "refused the request (422)", 1),
        (answer({"error": [1]}, status=418), "answered with status 418", 1),
        (answer({}, status=302, headers={"Location": "http://127.0.0.1:9/"}), "answered with status 302", 1),
    ],
)
async def test_an_error_status_is_told_in_our_words_and_costs_nothing(error: bytes, told: str, times: int) -> None:
    failure, asked_times = await refused(error, error)
    assert told in failure.message
    assert len(failure.message) < 200
    assert failure.spent == Tokens()
    assert asked_times == times


async def test_a_date_to_try_again_is_understood() -> None:
    later = datetime.now(UTC) + timedelta(minutes=10)
    failure, times = await refused(answer({}, status=429, headers={"Retry-After": format_datetime(later, usegmt=True)}))
    assert failure.wait_seconds is not None
    assert 500 < failure.wait_seconds <= 600
    assert times == 1


async def test_no_wait_outlasts_the_deadline() -> None:
    began = time.monotonic()
    failure, times = await refused(answer({}, status=429, headers={"Retry-After": "5"}), seconds=3.0)
    assert (times, "try again in 5 seconds" in failure.message) == (1, True)
    assert time.monotonic() - began < 3


WORST = Tokens(input=2, output=100, estimated=True)
HUGE_PART = b"x" * 65536


@pytest.mark.parametrize(
    ("lost", "told", "output"),
    [
        (HANGS, "did not answer within", 100),
        (answer(said("hello"), cut_by=10), "was cut short", 100),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{", "was cut short", 100),
        (b"nonsense\r\n\r\n", "was cut short", 100),
        (answer(gzip.compress(b"0" * 10**7), headers={"Content-Encoding": "gzip"}), "was cut short", 100),
        (answer(b"not JSON"), "is not JSON", 2),
        (answer(b""), "is not JSON", 0),
        (answer(b"[" * 100_000), "is not JSON", 100),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n", *[HUGE_PART] * 1000], "the limit", 100),
    ],
)
async def test_an_answer_of_no_use_counts_as_what_came_of_it_and_a_lost_one_as_all_it_may_have_cost(
    lost: bytes | list[bytes], told: str, output: int
) -> None:
    began = time.monotonic()
    failure, times = await refused(lost, seconds=2.0)
    assert told in failure.message
    assert failure.spent == replace(WORST, output=output)
    assert times == 1
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "lost",
    [
        streamed({"type": "response.output_text.delta", "delta": "he"}, cut=True),
        streamed({"type": "response.output_text.delta", "delta": "he"}),
    ],
)
async def test_a_stream_that_breaks_off_counts_as_what_came_of_it(lost: list[bytes]) -> None:
    pieces: list[str] = []
    question = Question(prompt="hello", model="m", max_tokens=100)
    async with scripted(READY, lost) as provider, model_at(provider.url) as model:
        with pytest.raises(ModelError, match="was cut short") as error:
            await model.complete(question, deadline=time.monotonic() + 5, on_text=pieces.append)
    assert pieces == ["he"]
    assert error.value.spent.input == WORST.input
    assert 0 < error.value.spent.output < 30


async def test_a_refused_key_is_nothing_to_try_again_with() -> None:
    for status in (401, 403):
        failure, _ = await refused(answer({}, status=status))
        assert "only whoever runs this host can mend its key" in str(failure.hint)
        async with scripted(answer({}, status=status)) as provider, model_at(provider.url) as model:
            with pytest.raises(ModelError) as at_first:
                await asked(model)
        assert at_first.value.hint == failure.hint


@pytest.mark.parametrize(
    "body",
    [
        [],
        None,
        "text",
        {},
        {"output": "text"},
        {"output": {"type": "message"}},
        {"choices": []},
        {"object": "error", "message": "sk-secret"},
    ],
)
async def test_json_that_is_no_answer_is_an_error(body: Any) -> None:
    failure, _ = await refused(answer(body))
    assert "not one of an OpenAI-compatible API" in failure.message
    assert failure.spent == replace(WORST, output=math.ceil(len(json.dumps(body)) / 4))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (said(""), "answered nothing"),
        (said(" \n"), "answered nothing"),
        (
            {"output": [None, 7, {"type": "message"}, {"type": "message", "content": [None, {"type": "output_text"}]}]},
            "nothing",
        ),
        (said("", status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "cut at max_tokens=100"),
        (said("x", status="incomplete", incomplete_details={"reason": "content_filter"}), "content filter"),
        (said("x", status="failed", error={"code": "server_error"}), "failed in the middle"),
        (
            {"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "I will not." * 999}]}]},
            "I will not.",
        ),
    ],
)
async def test_an_answer_without_use_says_why(body: Any, told: str) -> None:
    failure, times = await refused(answer(body | {"usage": {"input_tokens": 9, "output_tokens": 3}}))
    assert told in failure.message
    assert len(failure.message) < 400
    assert failure.spent == Tokens(input=9, output=3)
    assert times == 1


@pytest.mark.parametrize(
    "text", ["I cannot.", "[1]", '{"n": 7', "{'n': 7}", '{"n": NaN}', '{"n": 1, "n": 2}', "{" * 99_999]
)
async def test_an_answer_that_is_not_json_is_an_error_where_json_was_asked_for(text: str) -> None:
    failure, times = await refused(answer(said(text)), schema=SCHEMA)
    assert "did not answer with JSON" in failure.message
    assert failure.spent.estimated
    assert times == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"n": 7}',
        ' {"n": 7}\n',
        'Sure: {"n": 7}. Done!',
        'In {short}:\n```json\n{"n": 7}\n```',
        '```\n{"n": 7}\n```\n}',
    ],
)
async def test_json_is_found_in_what_a_model_writes_around_it(text: str) -> None:
    async with scripted(READY, answer(said(text))) as provider, model_at(provider.url) as model:
        assert (await asked(model, schema=SCHEMA)).value == {"n": 7}


async def test_an_answer_that_was_cut_is_marked() -> None:
    cut = said("Once upon", status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    async with scripted(READY, answer(cut)) as provider, model_at(provider.url) as model:
        completion = await asked(model)
        assert (completion.text, completion.cut) == ("Once upon", True)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        7,
        [],
        {},
        {"input_tokens": 0, "output_tokens": 0},
        {"input_tokens": "9"},
        {"output_tokens": -1},
        {"output_tokens": 1e9},
    ],
)
async def test_tokens_that_nobody_counted_are_estimated_and_marked(usage: Any) -> None:
    async with scripted(READY, answer(said("hello world!", usage=usage))) as provider, model_at(provider.url) as model:
        assert (await asked(model)).tokens == Tokens(input=2, output=3, estimated=True)


async def test_a_provider_that_is_not_there_is_an_error_that_costs_nothing() -> None:
    async with model_at("http://127.0.0.1:9/v1") as model:
        with pytest.raises(ModelError, match="cannot be reached") as error:
            await asked(model, seconds=5)
        assert error.value.spent == Tokens()


async def test_who_stops_waiting_leaves_no_request_behind() -> None:
    async with scripted(READY) as provider, model_at(provider.url) as model:
        asking = asyncio.create_task(asked(model))
        await provider.hanging.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        async with asyncio.timeout(5):
            await provider.left.wait()


def test_a_schema_is_closed_and_strict_where_that_takes_nothing_away() -> None:
    assert strict(closed(SCHEMA))
    assert strict(PROBE_SCHEMA)
    assert not strict(SCHEMA)
    optional = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a"]}
    inside = {"type": "object", "properties": {"list": {"type": "array", "items": optional}}, "required": ["list"]}
    either = {"type": "object", "properties": {"x": {"anyOf": [SCHEMA, {"type": "null"}]}}, "required": ["x"]}
    assert not strict(closed(optional))
    assert not strict(closed(inside))
    assert closed(inside)["properties"]["list"]["items"]["additionalProperties"] is False
    assert strict(closed(either))
    assert not strict(closed({"type": "object", "properties": {"x": {}}, "required": ["x"]}))
    assert not strict(closed({"type": "object"}))
    assert closed({"type": "object", "properties": {}, "additionalProperties": True})["additionalProperties"] is True
