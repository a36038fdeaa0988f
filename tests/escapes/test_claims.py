"""What a guest says of itself is never believed, and what it does after its last word is not waited for."""

import time

from sandbox.job import Call, Job, Outcome, Reply
from sandbox.limits import MIB, Limits
from tests.escapes.attack import program
from tests.escapes.harness import Arena
from tests.escapes.protocol import SPEAK

LONG = Limits(wall_seconds=20.0, cpu_seconds=10, memory_bytes=64 * MIB)


async def outcome_of(arena: Arena, source: str) -> Outcome:
    async def nothing(call: Call) -> Reply:
        raise AssertionError(f"nothing is asked for here: {call}")

    checked = await arena.engine.check(source)
    assert checked.problems == ()
    job = Job(code=checked.code, entry="run", input={}, test=False, limits=LONG, source=source)
    return await arena.engine.run(job, on_call=nothing)


async def test_usage_is_what_the_kernel_measured(bare: Arena) -> None:
    burn = program("""
        import time
        def run():
            started = time.monotonic()
            while time.monotonic() - started < 0.5:
                pass
            put(frame(b'{"kind":"done","output":0}'))
            os._exit(0)
        """)
    outcome = await outcome_of(bare, SPEAK + burn)
    assert outcome.status == "succeeded"
    assert outcome.usage.cpu_ms > 100
    assert outcome.usage.wall_ms >= 500
    assert outcome.usage.max_rss_bytes > 1 * MIB


async def test_a_guest_that_stays_after_its_answer_is_not_waited_for(bare: Arena) -> None:
    stay = program("""
        import time
        def run():
            put(frame(DONE))
            time.sleep(15)
        """)
    started = time.monotonic()
    outcome = await outcome_of(bare, SPEAK + stay)
    assert time.monotonic() - started < 6
    assert outcome.output == "forged"
    assert await bare.watch.remains() == []


async def test_a_guest_that_works_on_after_its_answer_is_not_waited_for(bare: Arena) -> None:
    busy = program("""
        def run():
            put(frame(DONE))
            while True:
                pass
        """)
    started = time.monotonic()
    await outcome_of(bare, SPEAK + busy)
    assert time.monotonic() - started < 6
    assert await bare.watch.remains() == []


async def test_two_runs_of_one_engine_share_no_process(bare: Arena) -> None:
    remember = "import sys\ndef run():\n    sys.seen = getattr(sys, 'seen', 0) + 1\n    return sys.seen\n"
    assert [(await outcome_of(bare, remember)).output for _ in range(5)] == [1] * 5
