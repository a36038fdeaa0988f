"""llm through the door: live against a real server of the providers' wire format, dry without a byte to it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from sandbox.job import Call
from service.app import create_app
from service.auth import Caller
from service.capabilities.broker import Broker
from service.capabilities.capability import Budget
from service.capabilities.effects import call_hash
from service.capabilities.llm import DEFAULT_MAX_TOKENS, LLM, MADE_UP, Complete
from service.capabilities.registry import Registry
from service.database.gateway import Database
from service.local import LocalIdentity
from service.outside.model import Model
from service.settings import Settings
from tests.database.runs import STANDARD, begin
from tests.peers.aimock import Aimock
from tests.postgres import someone
from tests.service.conftest import LocalHost, User
from tests.service.contexts import context, outside_with
from tests.service.scripted_provider import HANGS, READY, Scripted, answer, said, scripted
from tests.service.served import served

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
USAGE = {"prompt_tokens": 20, "completion_tokens": 4, "total_tokens": 24}


@pytest.fixture(scope="module")
async def asking_host(aimock: Aimock, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalHost]:
    """A host whose operator has a model."""
    data_dir = tmp_path_factory.mktemp("asking")
    name = f"model-{uuid4()}"
    model = {"openai_model": name, "openai_base_url": f"{aimock.url}/v1", "openai_api_key": "sk-canary"}
    settings = Settings.model_validate({"data_dir": data_dir, "limit_wall_seconds": 8.0} | model)
    ready = '{"ready": true}'
    await aimock.teach({"match": {"userMessage": ready, "model": name}, "response": {"content": ready}})
    app = create_app(settings)
    async with served(app, settings) as url:
        yield LocalHost(url, app, LocalIdentity.in_directory(data_dir))


@pytest.fixture
async def eva(asking_host: LocalHost) -> AsyncIterator[User]:
    async with asking_host.user() as user:
        yield user


def program(*calls: str) -> str:
    lines = "\n".join(f"    said.append(attempt(lambda: services.llm.complete({call})))" for call in calls)
    return f"""
def attempt(call):
    try:
        return call()
    except (TypeError, ValueError, RuntimeError, PermissionError) as error:
        return type(error).__name__ + ": " + str(error)

def run(services):
    said = []
{lines}
    return said
"""


def same(run: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: each[name] for name in ("seq", "service", "action", "args", "granted")} for each in run["effects"]]


async def test_text_and_objects_live_and_dry(eva: User, aimock: Aimock) -> None:
    mark = str(uuid4())
    await aimock.teach(
        {"match": {"userMessage": f"greet {mark}"}, "response": {"content": "Hello, Ada!", "usage": USAGE}},
        {"match": {"userMessage": f"where {mark}"}, "response": {"content": {"city": "Turin"}, "usage": USAGE}},
    )
    calls = (f"'greet {mark}', system='Be kind.', temperature=0, max_tokens=50", f"'where {mark}', schema={CITY}")
    fixture = {"contains": "nobody asks this", "answer": "no"}
    await eva.define("agent", program(*calls), fixtures={"llm": [fixture]}, capabilities={"llm": {}})
    dry = (await eva.run("agent", test="true")).json()
    assert dry["output"] == [MADE_UP, {"city": "made up"}]
    assert await aimock.requests(mark) == []
    live = (await eva.run("agent", test="false")).json()
    assert live["output"] == ["Hello, Ada!", {"city": "Turin"}]
    assert same(dry) == same(live)
    assert (live["usage"]["input_tokens"], live["usage"]["output_tokens"]) == (40, 8)
    assert [(each["performed"], each["source"]) for each in dry["effects"]] == [(False, "made_up")] * 2
    assert [(each["performed"], each["source"]) for each in live["effects"]] == [(True, "live")] * 2
    greeting, _ = await aimock.requests(mark)
    assert greeting["body"]["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": f"greet {mark}"},
    ]
    assert "sk-canary" not in json.dumps([dry, live, await eva.recorded(live["run_id"])])


async def test_a_dry_run_answers_from_fixtures_then_from_the_record_then_with_something_made_up(
    eva: User, aimock: Aimock
) -> None:
    mark = str(uuid4())
    await aimock.teach({"match": {"userMessage": mark}, "response": {"content": '{"city": "Turin"}'}})
    calls = (f"'one {mark}'", f"'two {mark}', schema={CITY}", f"'three {mark}'", f"'four {mark}', schema={CITY}")
    fixtures = [
        {"contains": f"one {mark}", "answer": "of a fixture"},
        {"contains": f"two {mark}", "answer": {"city": "Rome"}},
    ]
    await eva.define("agent", program(*calls), fixtures={"llm": fixtures})
    first = (await eva.run("agent", test="true")).json()
    assert first["output"] == ["of a fixture", {"city": "Rome"}, MADE_UP, {"city": "made up"}]
    assert [each["source"] for each in first["effects"]] == ["fixture", "fixture", "made_up", "made_up"]
    await eva.run("agent", test="false")
    asked = len(await aimock.requests(mark))
    again = (await eva.run("agent", test="true")).json()
    assert again["output"] == ["of a fixture", {"city": "Rome"}, '{"city": "Turin"}', {"city": "Turin"}]
    assert [each["source"] for each in again["effects"]] == ["fixture", "fixture", "recorded", "recorded"]
    assert len(await aimock.requests(mark)) == asked == 4


WRONG = [
    ("", "TypeError: "),
    ("7", "TypeError: llm.complete: prompt"),
    ("''", "ValueError: llm.complete: prompt"),
    ("'{mark}\\0'", "ValueError: "),
    ("'{mark}' + chr(0xD800)", "ValueError: "),
    ("'{mark}', system=7", "TypeError: llm.complete: system"),
    ("'{mark}', model=''", "ValueError: llm.complete: model"),
    ("'{mark}', model='../../v2/x\\n'", "ValueError: llm.complete: model"),
    ("'{mark}', temperature='hot'", "TypeError: llm.complete: temperature"),
    ("'{mark}', temperature=2.5", "ValueError: llm.complete: temperature"),
    ("'{mark}', temperature=float('nan')", "ValueError: "),
    ("'{mark}', max_tokens=0", "ValueError: llm.complete: max_tokens"),
    ("'{mark}', max_tokens=True", "TypeError: llm.complete: max_tokens"),
    ("'{mark}', max_tokens=10**9", "ValueError: llm.complete: max_tokens"),
    ("'{mark}', schema='text'", "TypeError: llm.complete: schema"),
    (
        "'{mark}', schema={{'type': 'string'}}",
        'ValueError: llm.complete: schema: should be a JSON Schema with "type": "object"',
    ),
    (
        "'{mark}', schema={{'type': 'object', '$ref': 'http://127.0.0.1/'}}",
        "ValueError: llm.complete: schema: /$ref is not understood",
    ),
    ("'{mark}', 'x', 'm', 1, 1, None, 'stream'", "TypeError: "),
]


async def test_bad_arguments_are_refused_before_anything_acts(eva: User, aimock: Aimock) -> None:
    mark = str(uuid4())
    await eva.define("agent", program(*(call.format(mark=mark) for call, _ in WRONG)), capabilities={"llm": {}})
    live = (await eva.run("agent", test="false")).json()
    dry = (await eva.run("agent", test="true")).json()
    assert dry["output"] == live["output"]
    for (_, told), error in zip(WRONG, live["output"], strict=True):
        assert told in error
    assert same(dry) == same(live)
    assert not any(each["performed"] for each in live["effects"])
    assert await aimock.requests(mark) == []


async def test_an_agent_without_the_grant_asks_nobody(eva: User, aimock: Aimock) -> None:
    mark = str(uuid4())
    await eva.define("agent", program(f"'{mark}'"), capabilities={})
    for test in ("true", "false"):
        run = (await eva.run("agent", test=test)).json()
        assert "CapabilityDenied: " in run["output"][0]
        assert [each["granted"] for each in run["effects"]] == [False]
    assert await aimock.requests(mark) == []


async def test_what_a_provider_does_wrong_is_an_error_the_agent_can_handle(eva: User, aimock: Aimock) -> None:
    mark = str(uuid4())
    error = {"message": "the account org-secret is out of tokens", "type": "rate_limit_error", "code": "slow_down"}

    def match(name: str) -> dict[str, Any]:
        return {"userMessage": f"{name} {mark}"}

    await aimock.teach(
        {
            "match": match("down"),
            "response": {"error": {"message": "org-secret", "type": "server_error"}, "status": 500},
        },
        {"match": match("busy"), "response": {"error": error, "status": 429, "retryAfter": 600}},
        {"match": match("broken"), "response": {"content": "x"}, "chaos": {"malformedRate": 1}},
        {"match": match("gone"), "response": {"content": "x"}, "chaos": {"disconnectRate": 1}},
        {"match": match("filtered"), "response": {"content": "x", "finishReason": "content_filter"}},
        {"match": match("prose"), "response": {"content": "I would say Turin."}},
        {"match": match("unfit"), "response": {"content": {"city": 7}}},
    )
    names = ("down", "busy", "broken", "gone", "filtered", "prose", "unfit")
    schemas = {"prose": f", schema={CITY}", "unfit": f", schema={CITY}"}
    await eva.define("agent", program(*(f"'{name} {mark}'{schemas.get(name, '')}" for name in names)))
    run = (await eva.run("agent", test="false")).json()
    told = [
        "the model provider failed (500): try again later",
        "(429, slow_down): try again in 600 seconds",
        "is not JSON",
        "was cut short",
        "failed in the middle",
        "did not answer with JSON",
        "does not fit the schema: /city should be a string",
    ]
    for text, error_text in zip(told, run["output"], strict=True):
        assert error_text.startswith("ServiceError: llm.complete: ")
        assert text in error_text
        assert "org-secret" not in error_text
        assert aimock.url not in error_text


def broker(
    caller: Caller, database: Database, *, model: Model | None = None, test: bool = False, **given: Any
) -> Broker:
    given = {"manifest": {"llm": {}}} | given
    return Broker(Registry([LLM]), context(caller, database, test=test, outside=outside_with(model=model), **given))


async def completed(answering: Broker, prompt: str = "x" * 40, **args: Any) -> Any:
    """The text of the answer, or the error's."""
    reply = await answering.handle(Call("llm", "complete", {"prompt": prompt, **args}))
    if reply.error is None:
        return reply.result
    assert reply.error["type"] == "ServiceError"
    return reply.error["message"]


@pytest.fixture
async def models() -> AsyncIterator[Any]:
    """Makes models of addresses, and closes them."""
    made: list[Model] = []

    def make(provider: Scripted) -> Model:
        made.append(Model(api_key=None, base_url=provider.url, model="m"))
        return made[-1]

    yield make
    for model in made:
        await model.close()


def counted(text: str, input_tokens: int, output_tokens: int, **more: Any) -> bytes:
    return answer(said(text, usage={"input_tokens": input_tokens, "output_tokens": output_tokens}, **more))


async def used_today(database: Database, caller: Caller) -> int:
    quota = await database.call(caller, "take_quota", p_name="model_tokens", p_amount=0, p_limit=10**9)
    return int(quota["used"])


async def test_a_host_without_a_model_says_so_and_can_dry_run(database: Database) -> None:
    ada = someone()
    assert "this host has no model; its operator may set OPENAI_MODEL" in await completed(broker(ada, database))
    assert await completed(broker(ada, database, test=True)) == {"text": MADE_UP}
    assert await used_today(database, ada) == 0


@pytest.mark.parametrize("test", [False, True])
async def test_the_tokens_of_a_run_end_with_its_grant_and_with_the_operators_limit(
    database: Database, models: Any, test: bool
) -> None:
    ada = someone()
    answers = [counted(MADE_UP, 10, 10)] * 3
    async with scripted(READY, *answers) as provider:
        model = models(provider)
        granted = broker(ada, database, model=model, test=test, manifest={"llm": {"max_tokens_per_run": 30}})
        assert await completed(granted, max_tokens=20) == {"text": MADE_UP}
        told = (
            "about 10 tokens, and 9 are left of the 30 model tokens a run: max_tokens_per_run"
            if test
            else "10 are left"
        )
        assert told in await completed(granted, max_tokens=1)
        budget = Budget(deadline=time.monotonic() + 30, max_effects=9, output_tokens=975)
        limited = broker(
            ada, database, model=model, test=test, budget=budget, limits=Settings(limit_tokens_per_run=1000)
        )
        assert await completed(limited, max_tokens=15) == {"text": MADE_UP}
        assert "are left of the 1000 model tokens of a run and its child runs" in await completed(limited, max_tokens=1)
        assert budget.input_tokens == 10
        assert len(provider.requests) == (0 if test else 3)


async def test_an_answer_may_be_as_long_as_what_is_left(database: Database, models: Any) -> None:
    cut = counted("Once upon", 10, 20, status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    async with scripted(READY, cut, cut, cut) as provider:
        model = models(provider)
        text = {"text": "Once upon"}
        assert await completed(broker(someone(), database, model=model), max_tokens=20) == text
        told = await completed(broker(someone(), database, model=model))
        assert f"cut at {DEFAULT_MAX_TOKENS} tokens; give a larger max_tokens" in told
        small = broker(someone(), database, model=model, manifest={"llm": {"max_tokens_per_run": 30}})
        told = await completed(small, max_tokens=500)
        assert "cut at 20 tokens by the 30 model tokens a run: max_tokens_per_run of [capabilities.llm]" in told
        assert small.effects[0].performed


async def test_the_tokens_of_a_day_end_for_all_runs_of_a_user_and_for_nobody_else(
    database: Database, models: Any
) -> None:
    ada, eve = someone(), someone()
    limits = Settings(limit_tokens_per_day=1000)
    async with scripted(READY, *[counted("x", 10, 10)] * 4) as provider:
        model = models(provider)
        first = broker(ada, database, model=model, limits=limits)
        assert await completed(first, max_tokens=490) == {"text": "x"}
        assert await used_today(database, ada) == 500  # what it may have cost at most
        assert await completed(first, max_tokens=470) == {"text": "x"}
        assert await used_today(database, ada) == 500  # the rest of the first did for the second
        second = broker(ada, database, model=model, limits=limits)
        assert await completed(second, max_tokens=800) == {"text": "x"}
        assert await used_today(database, ada) == 1000
        told = await completed(broker(ada, database, model=model, limits=limits), max_tokens=1)
        assert "1000 of the 1000 model tokens of your day are used" in told
        assert "begin again at 2" in told
        assert await completed(broker(eve, database, model=model, limits=limits)) == {"text": "x"}
        assert len(provider.requests) == 5


async def test_a_dry_run_takes_nothing_from_the_day(database: Database) -> None:
    ada = someone()
    limits = Settings(limit_tokens_per_day=1)
    assert await completed(broker(ada, database, test=True, limits=limits)) == {"text": MADE_UP}
    assert await used_today(database, ada) == 0


async def test_what_an_answer_cost_beyond_its_limit_is_counted_too(database: Database, models: Any) -> None:
    ada = someone()
    limits = Settings(limit_tokens_per_day=100)
    async with scripted(READY, counted("x", 900, 100)) as provider:
        answering = broker(ada, database, model=models(provider), limits=limits)
        assert await completed(answering, max_tokens=10) == {"text": "x"}
        assert await used_today(database, ada) == 1000
        assert "1000 of the 100 model tokens" in await completed(answering, max_tokens=1)


@pytest.mark.parametrize(
    ("lost", "spent"),
    [(answer({}, status=400), 0), (answer(b"not JSON"), 12), (counted("", 5, 7), 12), (HANGS, 60)],
)
async def test_an_error_costs_what_the_provider_may_have_done(
    database: Database, models: Any, lost: bytes, spent: int
) -> None:
    ada = someone()
    async with scripted(READY, lost) as provider:
        budget = Budget(deadline=time.monotonic() + 3, max_effects=9)
        answering = broker(ada, database, model=models(provider), budget=budget)
        assert "the model" in await completed(answering, max_tokens=50)
        assert budget.input_tokens + budget.output_tokens == spent
        assert await used_today(database, ada) == 60
        assert answering.effects[0].performed


@pytest.mark.parametrize("counts", [True, False])
async def test_tokens_that_the_provider_did_not_count_are_marked_as_estimated(
    database: Database, models: Any, counts: bool
) -> None:
    async with scripted(READY, counted("x", 10, 1) if counts else answer(said("x"))) as provider:
        budget = Budget(deadline=time.monotonic() + 30, max_effects=9)
        assert await completed(broker(someone(), database, model=models(provider), budget=budget)) == {"text": "x"}
        assert (budget.input_tokens, budget.output_tokens) == (10, 1)
        assert budget.tokens_estimated is not counts


async def test_a_call_that_is_cut_off_costs_all_it_may_have_cost(database: Database, models: Any) -> None:
    ada = someone()
    async with scripted(READY) as provider:
        budget = Budget(deadline=time.monotonic() + 30, max_effects=9)
        answering = broker(ada, database, model=models(provider), budget=budget)
        asking = asyncio.create_task(completed(answering, max_tokens=50))
        await provider.hanging.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (budget.input_tokens, budget.output_tokens) == (10, 50)
        assert await used_today(database, ada) == 60


async def test_an_answer_is_json_as_the_host_keeps_it(database: Database, models: Any) -> None:
    odd = answer(said("a\0b\ud800c"))
    refusal = {"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "no\0\ud800"}]}]}
    deep = answer(said('{"city": "x", "deep": ' + "[" * 80 + "]" * 80 + "}"))
    huge = answer(said("\u00e9" * 300_000))
    async with scripted(READY, odd, deep, huge, answer(refusal)) as provider:
        limits = Settings(limit_tokens_per_run=10**6, limit_tokens_per_day=10**6)
        answering = broker(someone(), database, model=models(provider), limits=limits)
        assert await completed(answering) == {"text": "a\ufffdb\ufffdc"}
        assert "did not answer with JSON" in await completed(answering, schema=CITY)
        assert "the limit is 1048576 bytes" in await completed(answering)
        assert "refused to answer: no\ufffd\ufffd" in await completed(answering)


@pytest.mark.parametrize(
    ("fixture", "args", "told"),
    [
        ("a text", {"schema": CITY}, "the answer of the fixture does not fit the schema: it should be an object"),
        ({"city": 7}, {"schema": CITY}, "the answer of the fixture does not fit the schema: /city should be a string"),
        ({"city": "x"}, {}, {"text": '{"city": "x"}'}),
    ],
)
async def test_a_fixture_answers_as_a_model_would(database: Database, fixture: Any, args: Any, told: Any) -> None:
    fixtures = {"llm": [{"contains": "", "answer": fixture}]}
    said_then = await completed(broker(someone(), database, test=True, fixtures=fixtures), **args)
    assert told in said_then if isinstance(told, str) else told == said_then


@pytest.mark.parametrize(
    ("recording", "taken"),
    [
        ({"result": {"value": {"city": "Turin"}}}, True),
        ({"result": {"value": {"city": 7}}}, False),
        ({"result": {"value": {"city": "Turin"}, "more": 1}}, False),
        ({"result": {"text": "Turin"}}, False),
        ({"result": [{"value": {"city": "Turin"}}]}, False),
        ({"error": {"type": "ServiceError", "message": "x"}}, False),
        ("text", False),
        (None, False),
    ],
)
async def test_a_record_that_its_user_wrote_is_taken_only_in_the_shape_of_an_answer(
    database: Database, recording: Any, taken: bool
) -> None:
    ada = someone()
    [agent] = await database.insert(ada, "agents", [STANDARD])
    run = await begin(database, ada)
    arguments = Complete.model_validate({"prompt": "where", "schema": CITY})
    forged = {
        "run_id": run["run_id"],
        "agent_id": agent["id"],
        "service": "llm",
        "action": "complete",
        "source": "live",
    }
    hashed = call_hash("llm", "complete", arguments.model_dump(mode="json"))
    more = {"seq": 1, "granted": True, "performed": True, "call_hash": hashed, "recording": recording}
    await database.insert(ada, "run_effects", [forged | more])
    answering = broker(ada, database, test=True, agent_id=agent["id"])
    told = await completed(answering, "where", schema=CITY)
    assert told == {"value": {"city": "Turin" if taken else "made up"}}
    assert answering.effects[0].source == ("recorded" if taken else "made_up")
