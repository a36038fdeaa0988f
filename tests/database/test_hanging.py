"""A database that is there and does not answer: every call ends in bounded time, and the next ones work again."""

import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.database.gateway import DatabaseUnavailable
from service.database.postgres import PostgresDatabase
from service.database.transactions import ANSWER_SECONDS, WAIT_SECONDS
from tests.postgres import Addresses, Server, someone


@contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


async def backends(addresses: Addresses) -> list[int]:
    """The processes of the server that serve the port."""
    query = "select pid from pg_stat_activity where usename = 'agenthost_api' and datname = current_database()"
    async with await addresses.owner() as owner:
        return [int(str(pid)) for (pid,) in await (await owner.execute(query)).fetchall()]


async def bounded(database: PostgresDatabase) -> None:
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable):
        await database.insert(someone(), "agents", [{"agent_name": "a", "agent_config": {}}])
    assert time.monotonic() - started < ANSWER_SECONDS + WAIT_SECONDS + 5


@pytest.mark.parametrize("whole", [False, True], ids=["its_backends", "the_whole_server"])
async def test_a_hanging_database_is_unavailable_in_bounded_time(
    database: PostgresDatabase, postgres: Server, cloned: Addresses, caplog: pytest.LogCaptureFixture, whole: bool
) -> None:
    if postgres.data_dir is None:
        pytest.skip("the server is not ours")
    caplog.set_level(logging.CRITICAL, "psycopg.pool")  # a kept record of a failed attempt keeps its socket
    lock = postgres.data_dir / "postgres" / "data" / "postmaster.pid"
    caller = someone()
    await asyncio.gather(*(database.select(caller, "agents") for _ in range(4)))
    pids = await backends(cloned)
    assert pids
    with frozen([int(lock.read_text().split()[0]), *pids] if whole else pids):
        await asyncio.gather(*(bounded(database) for _ in pids))
        if whole:
            await bounded(database)
            assert not (await database.status()).ready
        else:
            assert await database.select(caller, "agents") == []
    assert await database.select(caller, "agents") == []
    assert (await database.status()).ready
    await database.stop()
    gc.collect()  # attempts to connect that the stop cut off are closed only now, and the clone is not dropped before
