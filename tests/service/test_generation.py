"""Agents from descriptions, over the wire: what a model writes is stored when it passed, and nothing else is."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

import pytest

from tests.peers.aimock import Aimock
from tests.service.conftest import LocalHost, User
from tests.service.scripted_provider import READY, answer
from tests.service.test_agents import code_of
from tests.service.writing import (
    FAILING,
    GREETER,
    MISFIT,
    REFUSED,
    host_at,
    told,
    writes,
    writing_host,
    written,
)

AIMOCK_USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
READY_QUESTION = '{"ready": true}'


@pytest.fixture(scope="module")
async def writer(aimock: Aimock, local_host: LocalHost) -> AsyncIterator[tuple[LocalHost, str]]:
    """A host whose model is aimock, and the name of the model."""
    name = f"writer-{uuid4()}"
    await aimock.teach(
        {"match": {"userMessage": READY_QUESTION, "model": name}, "response": {"content": READY_QUESTION}}
    )
    async with host_at(local_host, f"{aimock.url}/v1", name=name) as (host, _):
        yield host, name


@pytest.fixture
async def wanda(writer: tuple[LocalHost, str]) -> AsyncIterator[User]:
    async with writer[0].user() as user:
        yield user


async def teach(aimock: Aimock, mark: str, *answers: str | dict[str, Any], **fixture: Any) -> None:
    """What the model answers to the mark: first, and each time that it was not accepted."""
    for index, each in enumerate(answers):
        response = {"content": each, "usage": AIMOCK_USAGE} if isinstance(each, str) else each
        match = {"userMessage": mark} | ({"sequenceIndex": index} if len(answers) > 1 else {})
        await aimock.teach({"match": match, "response": response, **fixture})


async def rows(host: LocalHost, user: User) -> int:
    database = host.host.database
    return sum([len(await database.select(user.caller, table)) for table in ("agents", "agent_versions")])


async def test_a_description_becomes_an_agent_that_runs(wanda: User, aimock: Aimock) -> None:
    mark = f"Greet people politely. {uuid4()}"
    await teach(aimock, mark, written(GREETER, {"name": "Ada"}))
    made = await wanda.http.post("/agents", json={"agent_name": "polite", "description": mark})
    assert made.status_code == 201, made.text
    agent = made.json()
    assert made.headers["location"] == "/agents/polite"
    assert made.headers["etag"] == '"1"'
    assert (agent["agent_config"]["code"], agent["summary"]) == (GREETER, "It greets.")
    assert agent["dry_run"] == {"input": {"name": "Ada"}, "output": {"message": "Hello, Ada"}, "effects": []}
    assert agent["generation"]["attempts"] == 1
    assert agent["generation"]["tokens"] == {"input": 1000, "output": 100}
    assert (await wanda.run("polite", name="Bob")).json()["output"] == {"message": "Hello, Bob"}


async def test_where_it_comes_from_is_kept_with_the_version(wanda: User, aimock: Aimock, writer: Any) -> None:
    mark = str(uuid4())
    await teach(aimock, mark, written(REFUSED), written(GREETER))
    await wanda.http.post("/agents", json={"agent_name": "kept", "description": f"Greet. {mark}"})
    stored = (await wanda.http.get("/agents/kept")).json()
    [version] = (await wanda.http.get("/agents/kept/versions")).json()["data"]
    assert stored["origin"] == version["origin"]
    origin = stored["origin"]
    assert (origin["how"], origin["model"], origin["attempts"]) == ("generated", writer[1], 2)
    assert origin["tokens"] == {"input": 2000, "output": 200}
    assert origin["seconds"] > 0
    assert origin["dry_run"] == {"input": {}, "output": {"message": "Hello, World"}, "calls": []}
    assert "generation" not in stored


async def test_a_draft_is_not_stored(wanda: User, aimock: Aimock, writer: Any) -> None:
    mark = str(uuid4())
    await teach(aimock, mark, written(GREETER))
    drafted = await wanda.http.post("/agents/generate", json={"description": f"Greet. {mark}"})
    assert drafted.status_code == 200, drafted.text
    draft = drafted.json()
    assert draft["agent_config"] == {"code": GREETER}
    assert draft["valid"]
    assert draft["generation"]["attempts"] == 1
    assert "etag" not in drafted.headers
    assert await rows(writer[0], wanda) == 0


async def test_an_instruction_makes_a_new_version(wanda: User, aimock: Aimock) -> None:
    mark = str(uuid4())
    french = GREETER.replace("Hello", "Bonjour")
    await teach(aimock, mark, written(french))
    await wanda.define("greeter", GREETER, limits={"wall_seconds": 2})
    changed = await wanda.http.patch("/agents/greeter", json={"instruction": f"In French. {mark}"})
    assert changed.status_code == 200, changed.text
    agent = changed.json()
    assert (agent["version"], agent["agent_config"]["code"]) == (2, french)
    assert agent["agent_config"]["limits"] == {"wall_seconds": 2}
    assert (agent["origin"]["how"], agent["origin"]["instruction"]) == ("edited", f"In French. {mark}")
    [asked] = await aimock.requests(mark)
    assert 'f\\"Hello, {name}\\"' in json.dumps(asked["body"])
    assert (await wanda.run("greeter")).json()["output"] == {"message": "Bonjour, World"}


async def test_an_instruction_honours_the_etag_and_stands_alone(wanda: User) -> None:
    await wanda.define("greeter", GREETER)
    stale = {"If-Match": '"7"'}
    refused = await wanda.http.patch("/agents/greeter", json={"instruction": "In French."}, headers=stale)
    assert (refused.status_code, code_of(refused)) == (412, "precondition_failed")
    both = {"instruction": "In French.", "agent_config": {"code": GREETER}}
    refused = await wanda.http.patch("/agents/greeter", json=both)
    assert (refused.status_code, code_of(refused)) == (422, "validation_failed")
    assert refused.json()["errors"][0]["pointer"] == "/instruction"
    missing = await wanda.http.patch("/agents/nobody", json={"instruction": "In French."})
    assert (missing.status_code, code_of(missing)) == (404, "agent_not_found")


async def test_an_agent_that_changes_meanwhile_is_not_overwritten(local_host: LocalHost) -> None:
    async def meanwhile() -> bytes:
        changed = await host.user.http.patch("/agents/made", json={"agent_config": {"code": MISFIT}})
        assert changed.status_code == 200
        return writes(GREETER.replace("Hello", "Bonjour"))

    async with writing_host(local_host, meanwhile) as host:
        await host.user.define("made", GREETER)
        refused = await host.user.http.patch("/agents/made", json={"instruction": "In French."})
        assert (refused.status_code, code_of(refused)) == (409, "conflict")
        stored = (await host.user.http.get("/agents/made")).json()
        assert (stored["version"], stored["agent_config"]["code"]) == (2, MISFIT)


async def test_an_agent_of_that_name_that_is_made_meanwhile_is_not_overwritten(local_host: LocalHost) -> None:
    async def meanwhile() -> bytes:
        await host.user.define("made", MISFIT)
        return writes(GREETER)

    async with writing_host(local_host, meanwhile) as host:
        refused = await host.write()
        assert (refused.status_code, code_of(refused)) == (409, "agent_exists")
        assert await host.agents() == 2


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"agent_name": "made"}, "/description"),
        ({"agent_name": "made", "description": " \n"}, "/description"),
        ({"agent_name": "NO", "description": "Greets."}, "/agent_name"),
        ({"agent_name": "made", "description": "x" * 10_001}, "/description"),
        ({"agent_name": "made", "description": "a\u0000b"}, None),
    ],
)
async def test_what_is_no_wish_is_refused_before_a_model_is_asked(
    local_host: LocalHost, body: dict[str, Any], pointer: str | None
) -> None:
    async with writing_host(local_host) as host:
        refused = await host.user.http.post("/agents", json=body)
        assert refused.status_code in (400, 422)
        if pointer is not None:
            assert refused.json()["errors"][0]["pointer"] == pointer
        assert host.provider.requests == []


async def test_a_name_that_is_taken_costs_nothing(local_host: LocalHost) -> None:
    async with writing_host(local_host) as host:
        await host.user.define("made", GREETER)
        refused = await host.write()
        assert (refused.status_code, code_of(refused)) == (409, "agent_exists")
        assert host.provider.requests == []


async def test_a_host_without_a_model_says_how_to_get_one(ada: User) -> None:
    await ada.define("greeter", GREETER)
    for request in (
        ada.http.post("/agents", json={"agent_name": "made", "description": "Greets."}),
        ada.http.post("/agents/generate", json={"description": "Greets."}),
        ada.http.patch("/agents/greeter", json={"instruction": "In French."}),
    ):
        refused = await request
        assert (refused.status_code, code_of(refused)) == (503, "model_not_configured")
        for setting in ("OPENAI_MODEL", "OPENAI_BASE_URL", "OPENAI_API_KEY", "agent_config"):
            assert setting in refused.json()["hint"]


WRONG = {
    "an import": (written(REFUSED), "line 1, column 1: module 'os' is not available to agents. Agents have no"),
    "no syntax": (written("def run(:\n"), "line 1"),
    "no entry": (written("def other():\n    return 1\n"), "there is no function run, agent_main or main. Write"),
    "too long": (written("x" * 300_000), "The code has 300000 bytes, the limit is"),
    "a wrong example": (written(MISFIT, {"count": "many"}), "example_input_json: /count should be an integer"),
    "an example that is no JSON": (written(MISFIT, "{count: 1}"), "`example_input_json` is not JSON"),
    "an example that is no object": (written(MISFIT, "[1]"), "should be a text that holds a JSON object"),
    "a huge example": (written(MISFIT, {"x": "y" * 3_000_000}), "`example_input_json` has more than"),
    "an exception": (written(FAILING, {"rows": []}), "IndexError: list index out of range"),
    "an exception in no language": (
        written("def run():\n    raise ValueError('odd \\0 end')\n"),
        "odd \ufffd end",
    ),
    "no output": (written("def run():\n    return object()\n"), "return dicts, lists, strings"),
    "an endless loop": (written("def run():\n    while True:\n        pass\n"), "cpu_time_exceeded"),
    "endless sleep": (written("import time\n\ndef run():\n    time.sleep(99)\n"), "wall_time_exceeded"),
    "endless calls": (
        written("def run(services):\n    while True:\n        services.kv.get('k')\n"),
        "more than 20 calls",
    ),
    "endless output": (written("def run():\n    return 'x' * 200_000\n"), "at most 100000 are allowed"),
    "endless memory": (written("def run():\n    return len('x' * 10**10)\n"), "memory"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_is_wrong_goes_back_to_the_model_which_mends_it(local_host: LocalHost, case: str) -> None:
    first, says = WRONG[case]
    async with writing_host(local_host, told(first), writes(GREETER)) as host:
        made = await host.write()
        assert made.status_code == 201, made.text
        assert made.json()["generation"]["attempts"] == 2
        question = json.loads(host.provider.bodies[-1])["input"]
        assert "Greets people." in question
        assert "It was not accepted:" in question
        assert says in question


async def test_a_lost_answer_does_not_lose_what_was_wrong_before(local_host: LocalHost) -> None:
    async with writing_host(local_host, writes(REFUSED), told("Once upon a time"), writes(GREETER)) as host:
        assert (await host.write()).json()["generation"]["attempts"] == 3
        assert "module 'os' is not available" in json.loads(host.provider.bodies[-1])["input"]


async def test_what_never_passes_is_not_stored_and_every_attempt_is_told(local_host: LocalHost) -> None:
    answers = (writes(REFUSED), writes(FAILING, {"rows": []}), told("no"), writes(MISFIT, {}))
    async with writing_host(local_host, *answers) as host:
        failed = await host.write()
        assert (failed.status_code, code_of(failed)) == (422, "generation_failed")
        problem = failed.json()
        assert [each["step"] for each in problem["attempts"]] == ["check", "dry_run", "model", "input"]
        assert all(each["problems"] for each in problem["attempts"])
        assert problem["last_code"] == MISFIT
        assert problem["generation"]["tokens"] == {"input": 4000, "output": 400}
        assert await host.agents() == 0
        assert len(host.provider.requests) == 1 + 4


async def test_the_operator_says_how_many_attempts_there_are(local_host: LocalHost) -> None:
    async with writing_host(local_host, writes(REFUSED), generation_attempts=1) as host:
        failed = await host.write()
        assert (failed.status_code, code_of(failed)) == (422, "generation_failed")
        assert len(failed.json()["attempts"]) == 1
        assert host.provider.hanging.is_set() is False


PROSE = "Of course! Here is your agent:\n\n```json\n{}\n```\n\nLet me know if it does what you want."


@pytest.mark.parametrize("around", ["{}", PROSE, PROSE.replace("```json", "").replace("```", ""), "```\n{}\n```"])
async def test_prose_around_the_answer_is_no_harm(wanda: User, aimock: Aimock, around: str) -> None:
    mark = str(uuid4())
    await teach(aimock, mark, around.replace("{}", written(GREETER)))
    made = await wanda.http.post("/agents/generate", json={"description": mark})
    assert made.status_code == 200, made.text
    assert made.json()["agent_config"]["code"] == GREETER


@pytest.mark.parametrize(
    "nonsense",
    [
        "Once upon a time",
        "{}",
        "[]",
        '{"code": ""}',
        '{"code": 1, "summary": "", "example_input_json": "{}"}',
        "{" * 5000,
    ],
)
async def test_nonsense_ends_as_no_answer_and_nothing_is_stored(
    wanda: User, writer: Any, aimock: Aimock, nonsense: str
) -> None:
    mark = str(uuid4())
    await teach(aimock, mark, nonsense)
    failed = await wanda.http.post("/agents", json={"agent_name": "made", "description": mark})
    assert (failed.status_code, code_of(failed)) == (502, "model_unavailable")
    problem = failed.json()
    assert [each["step"] for each in problem["attempts"]] == ["model"] * 4
    assert problem["last_code"] is None
    assert await rows(writer[0], wanda) == 0
    assert len(await aimock.requests(mark)) == 4


async def test_nonsense_that_is_followed_by_sense_is_forgiven(wanda: User, aimock: Aimock) -> None:
    mark = str(uuid4())
    await teach(aimock, mark, "Once upon a time", written(GREETER))
    made = await wanda.http.post("/agents/generate", json={"description": mark})
    assert made.json()["generation"]["attempts"] == 2


BUSY = {"error": {"message": "slow down", "type": "rate_limit_error", "code": "slow_down"}, "status": 429}
BROKEN = {"error": {"message": "sk-canary at 127.0.0.1", "type": "server_error", "code": "oops"}, "status": 500}


@pytest.mark.parametrize("fault", [BUSY, BUSY | {"retryAfter": 1}, BROKEN])
async def test_a_provider_that_is_busy_or_broken_for_a_moment_is_waited_for(
    wanda: User, aimock: Aimock, fault: dict[str, Any]
) -> None:
    mark = str(uuid4())
    await teach(aimock, mark, fault, fault, written(GREETER))
    made = await wanda.http.post("/agents/generate", json={"description": mark})
    assert made.status_code == 200, made.text
    assert made.json()["generation"]["attempts"] == 1
    assert len(await aimock.requests(mark)) == 3


@pytest.mark.parametrize(
    ("fault", "retry_after", "says"),
    [(BUSY | {"retryAfter": 600}, "600", "slow_down"), (BUSY, "1", "429"), (BROKEN, "1", "500")],
)
async def test_a_provider_that_stays_so_is_no_answer_and_says_when_to_come_back(
    local_host: LocalHost, aimock: Aimock, fault: dict[str, Any], retry_after: str, says: str
) -> None:
    mark = str(uuid4())
    name = f"writer-{uuid4()}"
    await aimock.teach(
        {"match": {"userMessage": READY_QUESTION, "model": name}, "response": {"content": READY_QUESTION}}
    )
    await teach(aimock, mark, fault)
    async with host_at(local_host, f"{aimock.url}/v1", name=name, limit_generation_seconds=4.0) as (host, user):
        failed = await user.http.post("/agents", json={"agent_name": "made", "description": mark})
        assert (failed.status_code, code_of(failed)) == (502, "model_unavailable")
        assert failed.headers["retry-after"] == retry_after
        assert says in failed.json()["detail"]
        assert "sk-canary" not in failed.text
        assert "127.0.0.1" not in failed.text
        assert await rows(host, user) == 0


NO_KEY = answer({"error": {"message": "sk-canary", "code": "invalid_api_key"}}, status=401)
NO_MODEL = answer({"error": {"message": "no such model", "code": "model_not_found"}}, status=404)
NOT_AN_API = answer(b"<html>Welcome</html>")


@pytest.mark.parametrize(
    ("answers", "asked", "hint"),
    [
        ([NO_KEY], 1, "only whoever runs this host can mend its key"),
        ([NO_MODEL] * 3, 3, "look at OPENAI_BASE_URL and OPENAI_MODEL"),
        ([NOT_AN_API] * 3, 3, "look at OPENAI_BASE_URL and OPENAI_MODEL"),
        ([READY, NO_KEY], 2, "only whoever runs this host can mend its key"),
        ([READY, NO_MODEL], 2, "send agent_config"),
    ],
)
async def test_a_provider_that_is_set_up_wrongly_is_no_answer_at_once(
    local_host: LocalHost, answers: Sequence[bytes], asked: int, hint: str
) -> None:
    async with writing_host(local_host, *answers, asks=False) as host:
        failed = await host.write()
        assert (failed.status_code, code_of(failed)) == (502, "model_unavailable")
        assert "retry-after" not in failed.headers
        assert hint in failed.json()["hint"]
        assert "sk-canary" not in failed.text
        assert len(host.provider.requests) == asked
        assert await host.agents() == 0


@pytest.mark.parametrize("asks", [True, False])
async def test_a_provider_that_does_not_answer_ends_with_the_time(local_host: LocalHost, asks: bool) -> None:
    async with writing_host(local_host, asks=asks, limit_generation_seconds=1.0) as host:
        failed = await host.write()
        assert (failed.status_code, code_of(failed)) == (502, "model_unavailable")
        assert "did not answer" in failed.json()["detail"]
        async with asyncio.timeout(10):
            await host.provider.left.wait()
        assert await host.agents() == 0


async def test_a_host_that_is_not_there_is_no_answer(local_host: LocalHost) -> None:
    async with host_at(local_host, "http://127.0.0.1:9/v1", limit_generation_seconds=3.0) as (_, user):
        failed = await user.http.post("/agents/generate", json={"description": "Greets."})
        assert (failed.status_code, code_of(failed)) == (502, "model_unavailable")
        assert failed.headers["retry-after"] == "1"


REFUSAL = {
    "status": "completed",
    "output": [{"type": "message", "content": [{"type": "refusal", "refusal": "I won't."}]}],
}


async def test_a_model_that_will_not_is_told_as_it_says(local_host: LocalHost) -> None:
    async with writing_host(local_host, *[answer(REFUSAL)] * 4) as host:
        failed = await host.write()
        assert (failed.status_code, code_of(failed)) == (422, "generation_failed")
        assert [each["step"] for each in failed.json()["attempts"]] == ["refusal"] * 4
        assert "I won't." in failed.json()["detail"]
        assert await host.agents() == 0


CUT = answer(
    {
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": [{"type": "message", "content": [{"type": "output_text", "text": written(GREETER)[:60]}]}],
    }
)
HUGE = answer(b"{" + b" " * (5 * 1024 * 1024) + b"}")


FENCED = f"Here is your agent:\n\n```python\n{GREETER}```\n\nIt greets."
WITH_OBJECT = 'Sure.\n```Python\ndef run():\n    return {"message": "Hello, World"}\n```'


@pytest.mark.parametrize("text", [FENCED, WITH_OBJECT, FENCED + "\n```sh\nagenthost run made\n```"])
async def test_a_block_of_python_instead_of_json_is_taken_as_the_code(local_host: LocalHost, text: str) -> None:
    async with writing_host(local_host, told(text)) as host:
        made = await host.write()
        assert made.status_code == 201, made.text
        document = made.json()
        assert document["agent_config"]["code"].strip() in text
        assert (document["summary"], document["dry_run"]["input"]) == ("", {})
        assert document["dry_run"]["output"] == {"message": "Hello, World"}


@pytest.mark.parametrize("text", [FENCED * 2, FENCED.replace("```\n", ""), "```python\n```", "```\n" + GREETER + "```"])
async def test_anything_else_than_one_block_of_python_is_no_answer(local_host: LocalHost, text: str) -> None:
    async with writing_host(local_host, told(text), generation_attempts=1) as host:
        failed = await host.write()
        assert (failed.status_code, code_of(failed)) == (502, "model_unavailable")
        assert await host.agents() == 0


@pytest.mark.parametrize("bad", [CUT, HUGE, answer({"status": "failed", "output": []}), answer(b"{}", cut_by=1)])
async def test_answers_that_are_cut_huge_or_lost_are_asked_for_again(local_host: LocalHost, bad: bytes) -> None:
    async with writing_host(local_host, bad, writes(GREETER)) as host:
        made = await host.write()
        assert made.status_code == 201, made.text
        assert made.json()["generation"]["attempts"] == 2


async def test_what_was_asked_counts_against_the_users_day(local_host: LocalHost) -> None:
    async with writing_host(local_host, writes(REFUSED), writes(GREETER), limit_tokens_per_day=9_000) as host:
        assert (await host.write()).status_code == 201
        quota = await host.local_host.host.database.call(
            host.user.caller, "take_quota", p_name="model_tokens", p_amount=0, p_limit=1
        )
        assert 2 * 1100 <= quota["used"] <= 9_000
        for _ in range(3):
            refused = await host.write(agent_name="another")
            if refused.status_code == 429:
                break
        assert code_of(refused) == "quota_exceeded"
        assert int(refused.headers["retry-after"]) > 0


@pytest.mark.parametrize("bad", [answer(b"<html>"), HUGE, answer({"status": "?"})])
async def test_a_broken_provider_hardly_costs_anything_of_the_users_day(local_host: LocalHost, bad: bytes) -> None:
    async with writing_host(local_host, *[bad] * 4) as host:
        failed = await host.write()
        assert (failed.status_code, code_of(failed)) == (502, "model_unavailable")
        assert "look at OPENAI_BASE_URL" in failed.json()["hint"]
        tokens = failed.json()["generation"]["tokens"]
        assert tokens["output"] <= (4 * 8000 if bad is HUGE else 4 * 10)


async def test_a_day_that_ends_between_attempts_is_told_with_the_attempts(local_host: LocalHost) -> None:
    async with writing_host(local_host, HUGE, limit_tokens_per_day=10_000) as host:
        refused = await host.write()
        assert (refused.status_code, code_of(refused)) == (429, "quota_exceeded")
        assert int(refused.headers["retry-after"]) > 0
        problem = refused.json()
        assert [each["step"] for each in problem["attempts"]] == ["model"]
        assert problem["generation"]["attempts"] == 1
        assert "bytes, the limit" in problem["detail"]


async def test_a_user_has_five_generations_at_the_same_time(local_host: LocalHost) -> None:
    wish = {"description": "Greets."}
    async with writing_host(local_host, limit_generations_per_day=6) as host:
        waiting = [asyncio.create_task(host.user.http.post("/agents/generate", json=wish)) for _ in range(5)]
        async with asyncio.timeout(10):
            while len(host.provider.requests) < 6:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        for headers in ({}, {"Accept": "text/event-stream"}):
            refused = await host.user.http.post("/agents/generate", json=wish, headers=headers)
            assert (refused.status_code, code_of(refused)) == (429, "too_many_generations")
            assert int(refused.headers["retry-after"]) > 0
        assert len(host.provider.requests) == 6
        async with host.local_host.user() as other:
            others = asyncio.create_task(other.http.post("/agents/generate", json=wish))
            async with asyncio.timeout(10):
                while len(host.provider.requests) < 7:  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.01)
            for task in (*waiting, others):
                task.cancel()
            await asyncio.gather(*waiting, others, return_exceptions=True)
        async with asyncio.timeout(10):
            while host.local_host.host.drafts.generations[host.user.user_id]:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        again = asyncio.create_task(host.user.http.post("/agents/generate", json=wish))
        async with asyncio.timeout(10):
            while len(host.provider.requests) < 8:  # noqa: ASYNC110 - those refused took nothing of the day
                await asyncio.sleep(0.01)
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)


async def test_generations_of_a_day_are_limited(local_host: LocalHost) -> None:
    async with writing_host(local_host, writes(GREETER), limit_generations_per_day=1) as host:
        assert (await host.write()).status_code == 201
        refused = await host.user.http.post("/agents/generate", json={"description": "Another."})
        assert (refused.status_code, code_of(refused)) == (429, "quota_exceeded")
        assert int(refused.headers["retry-after"]) > 0
        assert len(host.provider.requests) == 2
