"""When the host itself fails: what has happened is told and recorded, and nothing is claimed that is not so."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox.job import Checked, Engine, EngineStatus, Job, OnCall, OnLog, Outcome, SandboxUnavailable
from service.app import create_app
from service.auth import Caller
from service.database.gateway import Database, DatabaseStatus, DatabaseUnavailable, Row, Where
from tests.service.conftest import LocalHost, User
from tests.service.served import served
from tests.service.test_agents import COUNTER, GREETER, code_of

Fault = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


async def unreachable(act: Callable[[], Awaitable[Any]]) -> Any:
    raise DatabaseUnavailable("connection to db.internal:5432 failed")


async def answer_lost(act: Callable[[], Awaitable[Any]]) -> Any:
    await act()
    raise DatabaseUnavailable("server closed the connection")


class FaultyDatabase:
    """The real database, somebody else's, with the next calls of some functions failing."""

    def __init__(self, real: Database, **faults: list[Fault]) -> None:
        self._real = real
        self._faults = faults

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def status(self) -> DatabaseStatus:
        return await self._real.status()

    @property
    def ends_with_token(self) -> bool:
        return self._real.ends_with_token

    async def select(
        self,
        caller: Caller,
        table: str,
        *,
        columns: Sequence[str] | None = None,
        where: Where | None = None,
        order: str | Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[Row]:
        return await self._real.select(caller, table, columns=columns, where=where, order=order, limit=limit)

    async def insert(self, caller: Caller, table: str, rows: Sequence[Mapping[str, Any]]) -> list[Row]:
        return await self._real.insert(caller, table, rows)

    async def update(self, caller: Caller, table: str, values: Mapping[str, Any], *, where: Where) -> list[Row]:
        return await self._real.update(caller, table, values, where=where)

    async def delete(self, caller: Caller, table: str, *, where: Where) -> list[Row]:
        return await self._real.delete(caller, table, where=where)

    async def call(self, caller: Caller, function: str, **arguments: Any) -> Any:
        async def act() -> Any:
            return await self._real.call(caller, function, **arguments)

        faults = self._faults.get(function, [])
        return await (faults.pop(0)(act) if faults else act())


class LentEngine:
    """Somebody else's engine; `fault` is raised instead of running, if given."""

    name = "restricted"

    def __init__(self, real: Engine, fault: Exception | None = None) -> None:
        self._real = real
        self._fault = fault

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def status(self) -> EngineStatus:
        return self._real.status()

    def known(self, source: str) -> Checked | None:
        return self._real.known(source)

    async def check(self, source: str) -> Checked:
        return await self._real.check(source)

    async def run(self, job: Job, *, on_call: OnCall, on_log: OnLog | None = None) -> Outcome:
        if self._fault is not None:
            raise self._fault
        return await self._real.run(job, on_call=on_call, on_log=on_log)


@asynccontextmanager
async def failing(
    local_host: LocalHost, user: User, *, fault: Exception | None = None, **faults: list[Fault]
) -> AsyncIterator[User]:
    """The user, at a second host on the same database that fails as told."""
    host = local_host.host
    app = create_app(
        host.settings,
        database=FaultyDatabase(host.database, **faults),
        engines={"restricted": LentEngine(host.engines["restricted"], fault)},
        verifier=host.verifier,
        signer=host.signer,
    )
    async with served(app, host.settings) as url, local_host.user(user.user_id, url=url) as there:
        yield there


def kill_postgres(data_dir: Path) -> None:
    [lock] = data_dir.glob("**/postmaster.pid")
    os.kill(int(lock.read_text().splitlines()[0]), signal.SIGKILL)


@pytest.mark.parametrize(
    "faults", [[unreachable], [unreachable, unreachable], [answer_lost], [unreachable, answer_lost]]
)
async def test_recording_a_run_is_tried_again(ada: User, local_host: LocalHost, faults: list[Fault]) -> None:
    await ada.define("counter", COUNTER)
    async with failing(local_host, ada, finish_run=list(faults)) as there:
        answer = await there.run("counter")
    assert (answer.status_code, answer.json()["output"]) == (200, 1)
    kept = await ada.recorded(answer.json()["run_id"])
    assert (kept["status"], kept["verified"], kept["effects"]) == ("succeeded", True, answer.json()["effects"])


async def test_a_run_that_cannot_be_recorded_says_so_with_its_whole_outcome(ada: User, local_host: LocalHost) -> None:
    await ada.define("counter", "def run(services):\n    print('x')\n    return services.kv.increment('n')\n")
    async with failing(local_host, ada, finish_run=[unreachable] * 9) as there:
        answer = await there.run("counter")
    assert (answer.status_code, code_of(answer)) == (503, "run_not_recorded")
    document = answer.json()
    assert (document["run_status"], document["output"], document["logs"]) == ("succeeded", 1, ["x"])
    assert [effect["action"] for effect in document["effects"]] == ["increment"]
    assert "db.internal" not in answer.text
    assert (await ada.recorded(document["run_id"]))["status"] == "running"


async def test_a_database_that_fails_a_call_ends_the_run_and_it_is_recorded(ada: User, local_host: LocalHost) -> None:
    code = "try:\n        services.kv.get('k')\n    except Exception:\n        return 1\n"
    await ada.define("agent", f"def run(services):\n    print('x')\n    {code}")
    async with failing(local_host, ada, kv_get=[unreachable]) as there:
        answer = await there.run("agent")
    assert (answer.status_code, code_of(answer)) == (503, "database_unavailable")
    assert "retry-after" in answer.headers
    document = answer.json()
    assert (document["run_status"], document["logs"], len(document["effects"])) == ("failed", ["x"], 1)
    kept = await ada.recorded(document["run_id"])
    assert (kept["status"], kept["error"]["code"], kept["verified"]) == ("failed", "database_unavailable", True)
    assert "db.internal" not in answer.text + str(kept)


async def test_a_database_that_cannot_begin_a_run_begins_none(ada: User, local_host: LocalHost) -> None:
    await ada.define("counter", COUNTER)
    async with failing(local_host, ada, begin_run=[unreachable]) as there:
        answer = await there.run("counter")
        assert (answer.status_code, code_of(answer)) == (503, "database_unavailable")
        assert "run_id" not in answer.json()
        assert (await there.run("counter")).status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (SandboxUnavailable("zygote 4711 died"), 503, "engine_unavailable"),
        (ZeroDivisionError("a secret of the host"), 500, "internal_error"),
    ],
)
async def test_an_engine_that_fails_ends_the_run_and_it_is_recorded(
    ada: User, local_host: LocalHost, fault: Exception, status: int, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await ada.define("greeter", GREETER)
    async with failing(local_host, ada, fault=fault) as there:
        answer = await there.run("greeter", name="Ada Canary")
    printed = capsys.readouterr()
    logged = printed.out + printed.err
    assert code in logged
    assert "Canary" not in logged
    assert (code == "internal_error") != (str(fault) in logged)
    assert (answer.status_code, code_of(answer)) == (status, code)
    kept = await ada.recorded(answer.json()["run_id"])
    assert (kept["status"], kept["error"]["code"], kept["verified"]) == ("failed", code, True)
    assert kept["input"] == {"name": "Ada Canary"}
    assert str(fault) not in answer.text + str(kept)


async def test_runs_in_flight_are_cancelled_and_recorded_when_the_host_stops(ada: User, local_host: LocalHost) -> None:
    await ada.define("sleeper", "import time\n\ndef run():\n    print('begun')\n    time.sleep(5)\n")
    async with failing(local_host, ada) as there:
        running = asyncio.create_task(ada.http.get(there.http.base_url.join(there.url("sleeper"))))
        [run] = await ada.listed(status="running")
    answer = await running
    assert (answer.status_code, code_of(answer)) == (503, "cancelled")
    assert answer.json()["run_id"] == run["run_id"]
    kept = await ada.recorded(run["run_id"])
    assert (kept["status"], kept["error"]["code"], kept["verified"]) == ("cancelled", "cancelled", True)
    assert kept["logs"] == ["begun"]


async def test_a_run_outlives_a_crash_of_postgres(ada: User, local_host: LocalHost) -> None:
    await ada.define("sleeper", "import time\n\ndef run():\n    time.sleep(3)\n    return 7\n")
    running = asyncio.create_task(ada.run("sleeper"))
    await ada.listed(status="running")
    await asyncio.sleep(1)
    await asyncio.to_thread(kill_postgres, local_host.host.settings.data_dir)
    answer = await running
    assert (answer.status_code, answer.json()["output"]) == (200, 7)
    kept = await ada.recorded(answer.json()["run_id"])
    assert (kept["status"], kept["verified"]) == ("succeeded", True)
