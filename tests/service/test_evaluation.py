"""The evaluation judges what agents do: right ones pass, at once or after repair, and wrong ones count as failed."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.evaluation.behaviour import wrong
from benchmarks.evaluation.descriptions import Case, Description, descriptions, scripted_answers
from benchmarks.evaluation.evaluate import Evaluated, Verdict, evaluate
from benchmarks.evaluation.patterns import fault
from benchmarks.evaluation.report import report
from tests.docs.document import ROOT
from tests.service.conftest import LocalHost
from tests.service.scripted_provider import READY, answer, scripted
from tests.service.writing import writes, writing_host

DESCRIPTIONS = {each.name: each for each in descriptions()}
HEAD_LINES = 3


@pytest.mark.parametrize(
    ("wanted", "right", "other"),
    [
        ({"a": 1}, {"a": 1}, {"a": 1, "b": 2}),
        ([1, [2]], [1, [2]], [1, [3]]),
        (1, 1.0, True),
        (True, True, 1),
        ("x", "x", None),
        ({"$has": {"a": 1}}, {"a": 1, "b": 2}, {"b": 2}),
        ({"$has": {"a": 1}}, {"a": 1}, [1]),
        ({"$contains": "frost"}, "FROST in Oslo", "sun"),
        ({"$contains": 2}, [1, 2], [1, 3]),
        ({"$contains": "a"}, "cab", 5),
        ({"$matches": "^https://a/"}, "https://a/b", "http://a/b"),
        ({"$near": [1, 0.1]}, 1.05, 1.2),
        ({"$near": [1, 0.1]}, 1, True),
        ({"$near": [1, 0.1]}, 1, float("nan")),
        ({"$length": 2}, [1, 2], [1]),
        ({"$any_order": [1, 2]}, [2, 1], [1, 1]),
        ({"$all": [{"$contains": "a"}, {"$contains": "b"}]}, "ab", "a"),
        ({"$one_of": [1, 2]}, 2, 3),
        ({"$not": 1}, 2, 1),
    ],
)
def test_a_pattern_takes_what_fits_and_tells_what_does_not(wanted: Any, right: Any, other: Any) -> None:
    assert fault(wanted, right) is None
    assert fault(wanted, other)


def effect(service: str, action: str, granted: bool = True, **args: Any) -> dict[str, Any]:
    return {"service": service, "action": action, "args": args, "granted": granted}


def ran(output: Any, *effects: dict[str, Any]) -> dict[str, Any]:
    return {"status": "succeeded", "output": output, "effects": list(effects)}


SENDS = Case(output=1, effects=[{"service": "email", "action": "send", "args": {"to": "me"}}])
SENT = effect("email", "send", to="me", subject="s")


@pytest.mark.parametrize(
    ("case", "run", "reason"),
    [
        (SENDS, ran(1, SENT), None),
        (SENDS, ran(1, SENT, effect("kv", "get", key="k"), effect("http", "request", method="GET")), None),
        (SENDS, ran(2, SENT), "output is 2, not 1"),
        (SENDS, ran(1), "there is no effect"),
        (SENDS, ran(1, effect("email", "send", to="eve@example.com")), "there is no effect"),
        (SENDS, ran(1, SENT, SENT), "it also calls email.send"),
        (SENDS, ran(1, SENT, effect("http", "request", method="POST")), "it also calls http.request"),
        (SENDS, ran(1, {**SENT, "granted": False}), "is not granted"),
        (SENDS, {"status": 502, "code": "agent_error", "detail": "no"}, "it fails: agent_error"),
        (Case(fails=True), {"status": 502, "code": "agent_error"}, None),
        (Case(fails=True), {"status": 422, "code": "invalid_input"}, None),
        (Case(fails=True), {"status": 502, "code": "sandbox_violation"}, "should fail by itself"),
        (Case(fails=True), ran(None), "it answers null, and should fail"),
    ],
)
def test_a_run_is_judged_by_its_output_and_by_all_that_it_does(
    case: Case, run: dict[str, Any], reason: str | None
) -> None:
    found = wrong(case, run)
    assert (found is None) if reason is None else (found is not None and reason in found)


def test_there_are_enough_descriptions_and_each_says_what_is_right() -> None:
    assert len(DESCRIPTIONS) >= 12
    for each in DESCRIPTIONS.values():
        assert all(case.fails or case.output is not None for case in each.cases), each.name
        assert scripted_answers(each.name)
    cases = [case for each in DESCRIPTIONS.values() for case in each.cases]
    services = {
        found["service"] for case in cases for effect in case.effects for found in effect.get("$one_of", [effect])
    }
    assert services == {"http", "llm", "kv", "db", "email", "notify"}


async def evaluated(local_host: LocalHost, asked: Description, answers: Sequence[bytes], **settings: Any) -> Evaluated:
    async with writing_host(local_host, *answers, **settings) as writing:
        user = writing.user
        (found,) = [each async for each in evaluate(user.http, str(user.user_id), [asked])]
        return found


RIGHT_FROST = scripted_answers("frost_warning")[-1].code


@pytest.mark.parametrize(
    ("old", "new", "reason", "passed"),
    [
        ('"warned": warned', '"warned": not warned', "output.warned is false, not true", 0),
        ("services.notify.send(", "dict(", "there is no effect", 2),
        ("if warned:", "for _ in range(2):", "it also calls notify.send", 0),
        ("/v1/forecast", "/v2/forecast", "output.minimum is null", 1),
        ("minimum < 0", "minimum <= 0", "output.warned is true, not false", 2),
        ("Frost in", "Beware of frost in", "", 3),
    ],
)
async def test_an_agent_that_runs_and_does_the_wrong_thing_has_failed(
    local_host: LocalHost, old: str, new: str, reason: str, passed: int
) -> None:
    assert old in RIGHT_FROST
    answers = [writes(RIGHT_FROST.replace(old, new), {"place": "Oslo"})]
    found = await evaluated(local_host, DESCRIPTIONS["frost_warning"], answers)
    assert reason in found.reason
    assert (found.verdict is Verdict.FAILED) is bool(reason)
    assert (found.passed, found.cases, found.attempts) == (passed, 3, 1)


async def test_a_model_that_never_writes_an_agent_has_failed(local_host: LocalHost) -> None:
    answers = [writes("import os\n\n\ndef run():\n    return 1\n")] * 2
    found = await evaluated(local_host, DESCRIPTIONS["invoice"], answers, generation_attempts=2)
    assert (found.verdict, found.attempts, found.passed) == (Verdict.FAILED, 2, 0)
    assert found.input_tokens == 2000
    assert found.reason.startswith("no agent: generation_failed")


async def test_an_agent_that_is_right_after_repair_is_counted_so(local_host: LocalHost) -> None:
    answers = [writes(each.code, each.example_input) for each in scripted_answers("iban_check")]
    found = await evaluated(local_host, DESCRIPTIONS["iban_check"], answers)
    assert (found.verdict, found.attempts, found.passed) == (Verdict.REPAIRED, 2, 5)


async def test_a_provider_that_is_down_says_nothing_of_its_model(local_host: LocalHost) -> None:
    down = [answer({"error": "down"}, status=500)] * 20
    found = await evaluated(local_host, DESCRIPTIONS["invoice"], down, limit_generation_seconds=2.0)
    assert (found.verdict, found.attempts) == (Verdict.NOT_MEASURED, 0)
    assert "model_unavailable" in found.reason


async def test_the_configured_provider_is_the_one_that_is_evaluated(tmp_path: Path) -> None:
    wrong, right = scripted_answers("invoice")[0].code.replace("/ 100", "/ 10"), scripted_answers("visit_counter")[0]
    for name, code, example, verdict in (
        ("invoice", wrong, {"items": []}, "failed"),
        ("visit_counter", right.code, right.example_input, "first attempt"),
    ):
        async with scripted(READY, writes(code, example)) as provider:
            environment = {"OPENAI_BASE_URL": provider.url, "OPENAI_MODEL": "model-of-tests", "OPENAI_API_KEY": "sk-x"}
            done = await asyncio.to_thread(evaluation, tmp_path, "--only", name, **environment)
        assert done.returncode == 0, done.stderr
        assert "Provider: 127.0.0.1. Model: `model-of-tests`." in done.stdout
        assert "scripted" not in done.stdout
        assert "sk-x" not in done.stdout + done.stderr
        cells = rows_of(done.stdout)[name]
        assert (cells[0], cells[3:5]) == (verdict, ["1000", "100"])


def evaluation(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`make eval`, with nothing configured but this."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.evaluation", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(directory), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_without_a_provider_it_says_how_to_configure_one(tmp_path: Path) -> None:
    done = evaluation(tmp_path, "--output", str(tmp_path / "EVAL.md"))
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    for name in ("OPENAI_MODEL", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        assert name in done.stderr
    assert not (tmp_path / "EVAL.md").exists()


def test_the_scripted_answers_pass_and_the_page_says_that_they_are_scripted(tmp_path: Path) -> None:
    page = tmp_path / "EVAL.md"
    done = evaluation(tmp_path, "--scripted", "--output", str(page))
    assert done.returncode == 0, done.stderr
    rows = rows_of(page.read_text())
    assert set(rows) == set(DESCRIPTIONS)
    for name, cells in rows.items():
        answers = len(scripted_answers(name))
        assert cells[:2] == ["first attempt" if answers == 1 else "after repair", str(answers)], name
    assert sum(cells[0] == "after repair" for cells in rows.values()) >= 3
    assert_says_that_it_is_scripted(page.read_text())


def test_the_committed_page_claims_nothing_that_was_not_measured() -> None:
    text = ROOT.joinpath("benchmarks/EVAL.md").read_text()
    assert set(rows_of(text)) == set(DESCRIPTIONS)
    if "`scripted`" in text:
        assert_says_that_it_is_scripted(text)


def test_a_page_of_a_model_has_its_name_and_what_failed() -> None:
    failed = Evaluated(
        name="invoice",
        verdict=Verdict.FAILED,
        attempts=2,
        cases=4,
        passed=1,
        input_tokens=10,
        output_tokens=5,
        seconds=1.5,
        reason="output is `1`\n# not 2",
    )
    text = report([failed], provider="api.example.com", model="m-1", date="2026-01-01", scripted=False)
    assert "Provider: api.example.com. Model: `m-1`. Date: 2026-01-01." in text
    assert "scripted" not in text
    assert rows_of(text) == {"invoice": ["failed", "2", "1 of 4", "10", "5", "1.5"]}
    assert "1 failed, and 0 could not be measured" in text
    assert "- `invoice`: `output is '1' # not 2`" in text


def rows_of(page: str) -> dict[str, list[str]]:
    """The table's cells behind each description."""
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    return {name.strip("`"): cells for name, *cells in lines}


def assert_says_that_it_is_scripted(page: str) -> None:
    head = " ".join(page.splitlines()[:HEAD_LINES])
    assert "The answers of this page are scripted." in head
    assert "Nothing about the quality of any model follows" in head


def test_the_descriptions_are_data() -> None:
    for each in DESCRIPTIONS.values():
        json.dumps(each.model_dump(), allow_nan=False)
