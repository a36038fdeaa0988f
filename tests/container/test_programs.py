"""Ordinary Python just runs in a container: programs of the corpus, and those that need files, threads, processes."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.container.engine import ContainerEngine
from sandbox.job import Job
from sandbox.limits import Limits
from tests.container.looking import no_calls, run
from tests.containers import container_settings
from tests.sandbox.languages import PROGRAMS, Program, plain
from tests.sandbox.languages import run as run_here

LIMITS = Limits(wall_seconds=20, cpu_seconds=5)
pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ContainerEngine]:
    engine = ContainerEngine(container_settings(tmp_path_factory.mktemp("containers"), pool=3), limits=LIMITS)
    await engine.start()
    yield engine
    await engine.stop()


SAMPLE = [program for program in PROGRAMS[::2] if program.name != "json_tools"]  # it has the messages of one version


@pytest.mark.parametrize("program", SAMPLE, ids=lambda program: program.name)
async def test_a_program_of_the_corpus_gives_the_same(program: Program, engine: ContainerEngine) -> None:
    checked = await engine.check(program.source)
    assert not checked.problems, checked.problems

    async def one(given: dict[str, object]) -> None:
        job = Job(code=checked.code, entry=checked.entry, input=given, test=True, limits=LIMITS)
        outcome = await engine.run(job, on_call=no_calls)
        expected, log = run_here(program.source, plain(), given)
        assert (outcome.failure, outcome.output) == (None, json.loads(json.dumps(expected)))
        assert "\n".join(outcome.logs) == "\n".join(log)

    await asyncio.gather(*(one(dict(example)) for example in program.examples[:2]))


ORDINARY: dict[str, tuple[str, object, list[str]]] = {
    "a program's output": (
        """
        import subprocess, sys
        def run():
            echo = subprocess.run(["echo", "hello"], capture_output=True, text=True, check=True).stdout
            child = subprocess.check_output([sys.executable, "-c", "print(6 * 7)"], text=True)
            piped = subprocess.run("printf 'b\\na\\n' | sort", shell=True, capture_output=True, text=True).stdout
            return [echo, child, piped]
        """,
        ["hello\n", "42\n", "a\nb\n"],
        [],
    ),
    "threads": (
        """
        from concurrent.futures import ThreadPoolExecutor
        def run():
            with ThreadPoolExecutor(8) as pool:
                return sum(pool.map(lambda n: n * n, range(100)))
        """,
        328350,
        [],
    ),
    "asyncio": (
        """
        import asyncio
        async def one(n):
            await asyncio.sleep(0.01)
            return n
        async def main():
            process = await asyncio.create_subprocess_exec("echo", "x", stdout=asyncio.subprocess.PIPE)
            out, _ = await process.communicate()
            return [await asyncio.gather(*(one(n) for n in range(3))), out.decode()]
        def run():
            return asyncio.run(main())
        """,
        [[0, 1, 2], "x\n"],
        [],
    ),
    "processes": (
        """
        import multiprocessing
        def square(n):
            return n * n
        def run():
            context = multiprocessing.get_context("fork")
            with context.Pool(3) as pool:
                return pool.map(square, range(5))
        """,
        [0, 1, 4, 9, 16],
        [],
    ),
    "a database": (
        """
        import sqlite3
        def run():
            with sqlite3.connect("/tmp/test.db") as connection:
                connection.execute("create table t (n int)")
                connection.executemany("insert into t values (?)", [(1,), (2,)])
            return sqlite3.connect("/tmp/test.db").execute("select sum(n) from t").fetchone()[0]
        """,
        3,
        [],
    ),
    "files": (
        """
        import os, pathlib, shutil, tempfile
        def run():
            with tempfile.TemporaryDirectory() as directory:
                path = pathlib.Path(directory, "a", "b.txt")
                path.parent.mkdir()
                path.write_text("é")
                shutil.make_archive(directory + "/c", "zip", path.parent)
                found = sorted(os.listdir(directory))
            open("here.txt", "w").write("x")
            return [found, os.getcwd(), os.path.exists(directory), os.path.expanduser("~") != ""]
        """,
        [["a", "c.zip"], "/tmp", False, True],
        [],
    ),
    "standard streams": (
        """
        import contextlib, io, sys
        def run():
            print("one")
            sys.stdout.write("two\\n")
            print("three", file=sys.stderr)
            with contextlib.redirect_stdout(io.StringIO()) as caught:
                print("caught")
            print("end", end="")
            return [caught.getvalue(), sys.stdin.read()]
        """,
        ["caught\n", ""],
        ["one", "two", "three", "end"],
    ),
    "logging": (
        """
        import logging
        def run():
            logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
            logging.getLogger("agent").info("hello")
            logging.getLogger("agent").debug("not shown")
        """,
        None,
        ["INFO hello"],
    ),
    "types and modules": (
        """
        import ctypes, decimal, enum, importlib, inspect, pickle, platform, sys, typing, dataclasses
        @dataclasses.dataclass
        class Point:
            x: int = 1
        def run():
            copy = pickle.loads(pickle.dumps(Point(3)))
            return [copy.x, inspect.signature(run).parameters == {}, importlib.import_module("json").dumps([1]),
                    platform.system(), sys.argv, __name__]
        """,
        [3, True, "[1]", "Linux", [""], "agent"],
        [],
    ),
    "signals and time": (
        """
        import signal, time
        def run():
            told = []
            signal.signal(signal.SIGALRM, lambda *_: told.append("alarm"))
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            time.sleep(0.2)
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                told.append("interrupt")
            return told
        """,
        ["alarm", "interrupt"],
        [],
    ),
}
"""Source, output, log."""


@pytest.mark.parametrize("name", ORDINARY)
async def test_all_of_python_is_there(name: str, engine: ContainerEngine) -> None:
    source, expected, log = ORDINARY[name]
    outcome = await run(engine, source, limits=LIMITS)
    assert (outcome.failure, outcome.output) == (None, expected)
    assert "\n".join(outcome.logs).splitlines() == log
