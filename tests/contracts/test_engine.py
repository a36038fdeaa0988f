"""The engine port's contract. Every engine that there is runs all of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from sandbox.container.engine import ContainerEngine
from sandbox.job import Call, Checked, EndRun, Engine, Job, Outcome, Reply
from sandbox.limits import Limits
from sandbox.restricted.engine import RestrictedEngine
from tests.containers import container_settings, require_runtime

LIMITS = Limits(wall_seconds=10, cpu_seconds=2)


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["restricted", "container", "gvisor"])
async def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    if request.param == "restricted":
        engine: Engine = RestrictedEngine(limits=LIMITS, parked=2)
    else:
        runtime = "runsc" if request.param == "gvisor" else None
        require_runtime(runtime)
        settings = container_settings(tmp_path_factory.mktemp("containers"), pool=2, runtime=runtime)
        engine = ContainerEngine(settings, limits=LIMITS)
    await engine.start()
    yield engine
    await engine.stop()


async def no_calls(call: Call) -> Reply:
    raise AssertionError(f"unexpected {call}")


async def checked(engine: Engine, source: str) -> Checked:
    found = await engine.check(source)
    assert not found.problems, found.problems
    return found


async def run(
    engine: Engine, source: str, arguments: dict[str, Any] | None = None, *, on_call: Any = no_calls, **options: Any
) -> Outcome:
    found = await checked(engine, source)
    limits = options.pop("limits", LIMITS)
    test = options.pop("test", False)
    job = Job(code=found.code, entry=found.entry, input=arguments or {}, test=test, limits=limits, source=source)
    return await engine.run(job, on_call=on_call, **options)


async def failure(engine: Engine, source: str, **options: Any) -> str:
    outcome = await run(engine, source, **options)
    assert outcome.failure is not None
    assert outcome.output is None
    return outcome.failure.code


async def test_a_value_comes_back(engine: Engine) -> None:
    outcome = await run(engine, "def run(name: str, n: int = 2):\n    return {'hello': [name] * n}\n", {"name": "é"})
    assert (outcome.status, outcome.output, outcome.failure) == ("succeeded", {"hello": ["é", "é"]}, None)


async def test_usage_is_what_the_kernel_says(engine: Engine) -> None:
    outcome = await run(engine, "def run():\n    return sum(i * i for i in range(300000))\n")
    assert outcome.usage.engine == engine.name
    assert outcome.usage.wall_ms > 0
    assert outcome.usage.cpu_ms > 5
    assert outcome.usage.max_rss_bytes > 1_000_000


async def test_print_is_the_log(engine: Engine) -> None:
    seen: list[str] = []
    outcome = await run(engine, "def run():\n    print('one', 2)\n    print('three')\n", on_log=seen.append)
    assert outcome.logs == ("one 2", "three")
    assert seen == ["one 2", "three"]


async def test_many_lines_are_all_kept_in_order(engine: Engine) -> None:
    outcome = await run(engine, "def run():\n    for i in range(5000):\n        print(i)\n")
    assert outcome.logs == tuple(str(i) for i in range(5000))


async def test_logs_before_a_death_are_kept(engine: Engine) -> None:
    source = "def run():\n    print('last words')\n    while True:\n        pass\n"
    outcome = await run(engine, source, limits=Limits(wall_seconds=5, cpu_seconds=1))
    assert outcome.logs == ("last words",)
    assert outcome.status == "timed_out"


async def test_a_call_is_answered(engine: Engine) -> None:
    async def on_call(call: Call) -> Reply:
        assert call == Call("kv", "get", {"key": "a"})
        return Reply(result={"found": True, "value": {"x": [1]}})

    outcome = await run(engine, "def run(services):\n    return services.kv.get('a')['x']\n", on_call=on_call)
    assert outcome.output == [1]


@pytest.mark.parametrize("kind", ["CapabilityDenied", "ValueError", "TypeError", "KeyError", "ServiceError"])
async def test_a_refused_call_raises_in_the_agent(engine: Engine, kind: str) -> None:
    async def on_call(call: Call) -> Reply:
        return Reply(error={"type": kind, "message": "add it"})

    source = """
def run(services):
    try:
        services.kv.get('a')
    except Exception as error:
        return [type(error).__name__, str(error).strip("'")]
"""
    assert (await run(engine, source, on_call=on_call)).output == [kind, "add it"]


async def test_an_argument_that_is_not_json_never_leaves(engine: Engine) -> None:
    source = """
def run(services):
    told = []
    for value in (float('nan'), chr(0), {1, 2}, object, 'x' * 3000000):
        try:
            services.kv.set('a', value)
        except ValueError as error:
            told.append('services' not in str(error))
    return told
"""
    assert (await run(engine, source)).output == [True] * 5


async def test_the_brokers_verdict_ends_the_run(engine: Engine) -> None:
    async def on_call(call: Call) -> Reply:
        raise EndRun("too_many_effects", "enough")

    outcome = await run(engine, "def run(services):\n    services.kv.get('a')\n", on_call=on_call)
    assert outcome.failure is not None
    assert (outcome.status, outcome.failure.code, outcome.failure.message) == ("failed", "too_many_effects", "enough")


async def test_a_host_failure_in_a_call_is_raised_as_it_is(engine: Engine) -> None:
    class Broken(Exception):
        pass

    async def on_call(call: Call) -> Reply:
        raise Broken

    with pytest.raises(Broken):
        await run(engine, "def run(services):\n    services.kv.get('a')\n", on_call=on_call)


async def test_an_exception_is_told_with_the_agents_own_lines(engine: Engine) -> None:
    source = "def helper(n):\n    return 1 / n\n\ndef run():\n    return helper(0)\n"
    outcome = await run(engine, source)
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.type) == ("agent_error", "ZeroDivisionError")
    assert outcome.failure.traceback == (
        "  line 5, in run\n    return helper(0)\n  line 2, in helper\n    return 1 / n"
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("raise ValueError('x')", "agent_error"),
        ("raise SystemExit(1)", "agent_error"),
        ("return print", "output_not_json"),
        ("return {1: 2}", "output_not_json"),
        ("return float('inf')", "output_not_json"),
        ("return chr(0)", "output_not_json"),
        ("return 10 ** 3600", "output_not_json"),
        ("return -(10 ** 5000)", "output_not_json"),
        ("a = []\n    a.append(a)\n    return a", "output_not_json"),
        ("return 'x' * 1100000", "output_too_large"),
        ("return 'x' * 5000000", "output_too_large"),
        ("return 'x' * (1 << 33)", "memory_exceeded"),
        ("a = []\n    while True:\n        a.append('x' * 1000000)", "memory_exceeded"),
        ("while True:\n        print('x' * 100)", "logs_too_large"),
        ("while True:\n        print('x' * 10000000)", "logs_too_large"),
        ("def f(n):\n        return f(n + 1)\n    return f(0)", "agent_error"),
    ],
)
async def test_failures_have_their_codes(engine: Engine, body: str, code: str) -> None:
    assert await failure(engine, f"def run():\n    {body}\n") == code


@pytest.mark.parametrize(
    ("imported", "returned", "output"),
    [
        ("from datetime import date", "date(2026, 1, 2)", "2026-01-02"),
        ("from datetime import datetime", "datetime(2026, 1, 2, 3)", "2026-01-02T03:00:00"),
        ("from datetime import time", "time(3, 4)", "03:04:00"),
        ("from datetime import timedelta", "timedelta(minutes=1)", 60.0),
        ("from decimal import Decimal", "Decimal('1.50')", "1.50"),
        ("from fractions import Fraction", "Fraction(1, 3)", "1/3"),
        ("from uuid import UUID", "UUID(int=1)", "00000000-0000-0000-0000-000000000001"),
        ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int", "P([1])", {"x": [1]}),
        ("from enum import Enum\nclass E(Enum):\n    A = 1", "E.A", 1),
        ("", "{'b', 'a'}", ["a", "b"]),
    ],
)
async def test_values_of_the_standard_library_have_their_form_in_json(
    engine: Engine, imported: str, returned: str, output: Any
) -> None:
    assert (await run(engine, f"{imported}\ndef run():\n    return {returned}\n")).output == output


async def test_cpu_time_is_limited(engine: Engine) -> None:
    outcome = await run(engine, "def run():\n    while True:\n        pass\n", limits=Limits(cpu_seconds=1))
    assert outcome.failure is not None
    assert (outcome.status, outcome.failure.code) == ("timed_out", "cpu_time_exceeded")


async def test_wall_time_is_limited(engine: Engine) -> None:
    source = "import time\ndef run():\n    time.sleep(60)\n"
    outcome = await run(engine, source, limits=Limits(wall_seconds=0.3))
    assert outcome.failure is not None
    assert (outcome.status, outcome.failure.code) == ("timed_out", "wall_time_exceeded")
    assert outcome.usage.wall_ms < 5000


async def test_a_slow_call_cannot_outlast_the_run(engine: Engine) -> None:
    ended = asyncio.Event()

    async def on_call(call: Call) -> Reply:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return Reply()

    source = "def run(services):\n    services.kv.get('a')\n"
    assert await failure(engine, source, on_call=on_call, limits=Limits(wall_seconds=0.3)) == "wall_time_exceeded"
    assert ended.is_set()


async def test_a_lower_memory_limit_holds(engine: Engine) -> None:
    source = "def run():\n    return len('x' * 40000000)\n"
    assert (await run(engine, source)).output == 40000000
    lower = Limits(memory_bytes=16 * 1024 * 1024)
    assert await failure(engine, source, limits=lower) == "memory_exceeded"


async def test_the_dry_run_flag_is_seen(engine: Engine) -> None:
    source = "def run(test):\n    return [test, IS_TEST_MODE]\n"
    assert (await run(engine, source, test=True)).output == [True, True]
    assert (await run(engine, source, test=False)).output == [False, False]


async def test_input_holds_all_and_kwargs_the_rest(engine: Engine) -> None:
    source = "def run(a: int, input=None, **more):\n    return [a, input, more]\n"
    assert (await run(engine, source, {"a": 1, "b": 2})).output == [1, {"a": 1, "b": 2}, {"b": 2}]


async def test_nothing_of_one_run_is_seen_by_the_next(engine: Engine) -> None:
    source = """
import random
seen = []
def run():
    seen.append(1)
    return [len(seen), random.random()]
"""
    outputs = [(await run(engine, source)).output for _ in range(4)]
    assert [count for count, _ in outputs] == [1] * 4
    assert len({chance for _, chance in outputs}) == 4


async def test_cancelling_kills_and_the_engine_goes_on(engine: Engine) -> None:
    source = "import time\ndef run():\n    time.sleep(60)\n"
    running = asyncio.create_task(run(engine, source))
    await asyncio.sleep(0.3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await run(engine, "def run():\n    return 1\n")).output == 1


async def test_many_at_once_do_not_mix(engine: Engine) -> None:
    source = "def run(n: int, services):\n    return [n, services.kv.get(str(n))]\n"

    async def one(number: int) -> None:
        async def on_call(call: Call) -> Reply:
            await asyncio.sleep(0)
            return Reply(result={"found": True, "value": call.args["key"]})

        assert (await run(engine, source, {"n": number}, on_call=on_call)).output == [number, str(number)]

    await asyncio.gather(*(one(number) for number in range(60 if engine.name == "restricted" else 12)))


@pytest.mark.parametrize(
    "source",
    [
        "",
        "def run(:\n",
        "x = 1\n",
        "def run():\n    return 1\n\0",
        "def run():\n    return '\ud800'\n",
        "x = " + "(" * 5000 + ")" * 5000,
        "x = " + "-" * 100_000 + "1",
        "x = " + "1+" * 100_000 + "1",
        "def run():\n" + "".join(" " * i + "if 1:\n" for i in range(1, 200)),
        "x" * 300_000,
    ],
)
async def test_a_source_that_is_no_agent_is_refused_with_reasons(engine: Engine, source: str) -> None:
    found = await engine.check(source)
    assert found.problems
    assert not found.code
    for problem in found.problems:
        assert problem.message
        assert problem.hint


async def test_checking_executes_nothing(engine: Engine) -> None:
    source = "def slow():\n    while True:\n        pass\nvalue = slow()\ndef run(a: int = 3):\n    return 1\n"
    found = await checked(engine, source)
    assert found.entry == "run"
    assert found.input_schema["properties"]["a"]["type"] == "integer"


async def test_integers_up_to_the_bound_come_back(engine: Engine) -> None:
    source = "def run(services):\n    return [10 ** 3600 - 1, -(10 ** 3599), '9' * 5000]\n"
    assert (await run(engine, source)).output == [10**3600 - 1, -(10**3599), "9" * 5000]


async def test_an_argument_with_too_many_digits_never_leaves(engine: Engine) -> None:
    source = """
def run(services):
    try:
        services.kv.set('a', 10 ** 3600)
    except ValueError as error:
        return 'digits' in str(error)
"""
    assert (await run(engine, source)).output is True


async def test_running_out_of_memory_says_how_much_there_was(engine: Engine) -> None:
    outcome = await run(engine, "def run():\n    return len('x' * (1 << 33))\n")
    assert outcome.failure is not None
    assert str(LIMITS.memory_bytes) in outcome.failure.message


async def test_a_traceback_counts_lines_as_python_does(engine: Engine) -> None:
    outcome = await run(engine, "text = '\\x0c\u2028\x0c'\ndef run():\n    raise ValueError('here')\n")
    assert outcome.failure is not None
    assert outcome.failure.traceback == "  line 3, in run\n    raise ValueError('here')"


async def test_one_source_asked_for_many_times_at_once_is_checked_alike(engine: Engine) -> None:
    source = "def run():\n    return 'many'\n"
    found = await asyncio.gather(*(engine.check(source) for _ in range(40)))
    assert all(each == found[0] and not each.problems for each in found)


async def test_a_time_out_in_a_call_is_the_hosts_and_not_the_runs(engine: Engine) -> None:
    async def on_call(call: Call) -> Reply:
        raise TimeoutError("of the broker's own")

    with pytest.raises(TimeoutError, match="of the broker's own"):
        await run(engine, "def run(services):\n    services.kv.get('a')\n", on_call=on_call)


async def test_only_what_was_checked_is_known(engine: Engine) -> None:
    source = "def run():\n    return 'known'\n"
    assert engine.known(source) is None
    found = await checked(engine, source)
    assert engine.known(source) == found
