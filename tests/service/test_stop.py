"""Ending the part of a run that may be ended, and no other."""

import asyncio

import pytest

from service.runs.stop import Stop, Stopped


async def test_what_is_inside_is_cancelled_and_what_follows_goes_on() -> None:
    stop = Stop()
    asyncio.get_running_loop().call_soon(stop.ask, "enough")
    with pytest.raises(Stopped, match="enough"), stop.interruptible():
        await asyncio.sleep(60)
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_asked_before_it_begins_nothing_begins() -> None:
    stop = Stop()
    stop.ask("first")
    stop.ask("second")
    with pytest.raises(Stopped, match="first"), stop.interruptible():
        pytest.fail("it began")


async def test_asked_after_it_has_ended_nothing_happens() -> None:
    stop = Stop()
    with stop.interruptible():
        await asyncio.sleep(0)
    stop.ask("late")
    await asyncio.sleep(0)


async def test_another_cancellation_stays_one() -> None:
    stop = Stop()

    async def run() -> None:
        with stop.interruptible():
            await asyncio.sleep(60)

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
