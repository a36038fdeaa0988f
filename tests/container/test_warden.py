"""The warden is out of the guest's reach: it cannot be signalled, read, spoken for, starved, or lied to."""

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.container.engine import ContainerEngine
from sandbox.limits import MIB, Limits
from tests.container.looking import failure, output, run, runtimes
from tests.containers import container_settings, require_runtime

LIMITS = Limits(wall_seconds=6, cpu_seconds=1, memory_bytes=128 * MIB)
pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=runtimes())
async def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ContainerEngine]:
    require_runtime(request.param)
    settings = container_settings(tmp_path_factory.mktemp("containers"), pool=2, runtime=request.param)
    engine = ContainerEngine(settings, limits=LIMITS)
    await engine.start()
    assert engine.status().ready, engine.status()
    yield engine
    await engine.stop()


TRY = """
import ctypes, os, resource, signal, time
LIBC = ctypes.CDLL(None, use_errno=True)
def tried(what):
    try:
        result = what()
    except OSError as error:
        return "refused"
    return "refused" if result == -1 else f"done: {result!r}"[:200]
"""


async def test_it_cannot_be_read(engine: ContainerEngine) -> None:
    source = (
        TRY
        + """
def read(path):
    with open(path, "rb") as file:
        return file.read(64)
def run(files: list):
    spot = ctypes.create_string_buffer(64)
    here, there = (ctypes.c_size_t * 2)(ctypes.addressof(spot), 64), (ctypes.c_size_t * 2)(0x400000, 64)
    ways = {path: lambda path=path: read("/proc/1/" + path) for path in files}
    ways["memory"] = lambda: LIBC.process_vm_readv(1, here, 1, there, 1, 0)
    ways["writing"] = lambda: LIBC.process_vm_writev(1, here, 1, there, 1, 0)
    ways["attach"] = lambda: LIBC.ptrace(16, 1, 0, 0)
    ways["seize"] = lambda: LIBC.ptrace(0x4206, 1, 0, 0)
    ways["descriptor"] = lambda: LIBC.syscall(438, os.pidfd_open(1), 2, 0)
    return {name: tried(way) for name, way in ways.items()}
"""
    )
    files = ["mem"]
    if "runtime:runsc" not in engine.status().isolation:  # which shows a process to all of its user
        files += ["environ", "fd/0", "fd/1", "fd/2", "auxv", "maps", "task/1/mem"]
    found = await output(engine, source, files=files)
    assert {name: way for name, way in found.items() if way != "refused"} == {}


async def test_it_cannot_be_limited_or_made_slow(engine: ContainerEngine) -> None:
    source = (
        TRY
        + """
def run():
    ways = {
        "descriptors": lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0)),
        "memory": lambda: resource.prlimit(1, resource.RLIMIT_AS, (0, 0)),
        "time": lambda: resource.prlimit(1, resource.RLIMIT_CPU, (0, 0)),
        "priority": lambda: os.setpriority(os.PRIO_PROCESS, 1, 19),
        "group": lambda: os.setpriority(os.PRIO_PGRP, 0, 19),
        "user": lambda: os.setpriority(os.PRIO_USER, 0, 19),
        "processor": lambda: os.sched_setaffinity(1, {0}),
        "scheduler": lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)),
        "memory first": lambda: open("/proc/1/oom_score_adj", "w").write("1000"),
    }
    own = [tried(lambda: os.nice(1)), tried(lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)))]
    return [{name: tried(way) for name, way in ways.items()}, own]
"""
    )
    found, own = await output(engine, source)
    assert {name: way for name, way in found.items() if way != "refused"} == {}
    assert [way[:4] for way in own] == ["done", "done"]


SIGNALS = (
    TRY
    + """
import fcntl, socket, struct
ONE_END, OTHER_END = socket.socketpair()
OTHER_END.setblocking(False)
FIRST = os.open("/proc/1", os.O_DIRECTORY)
def owner(kind, process):
    return fcntl.fcntl(ONE_END, 15, struct.pack("ii", kind, process))
def by_input(name, number):
    name()
    fcntl.fcntl(ONE_END, fcntl.F_SETSIG, number)
    fcntl.fcntl(ONE_END, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    OTHER_END.send(b"x")
NAMES = {
    "own": lambda: fcntl.fcntl(ONE_END, fcntl.F_SETOWN, 1),
    "own group": lambda: fcntl.fcntl(ONE_END, fcntl.F_SETOWN, -1),
    "own thread": lambda: owner(0, 1),
    "own process": lambda: owner(1, 1),
    "own process group": lambda: owner(2, 1),
    "own as a file": lambda: fcntl.ioctl(ONE_END, 0x8901, struct.pack("i", 1)),
    "own as a socket": lambda: fcntl.ioctl(ONE_END, 0x8902, struct.pack("i", 1)),
}
WAYS = {
    "kill": lambda number: os.kill(1, number),
    "tkill": lambda number: LIBC.tgkill(1, 1, number),
    "queue": lambda number: LIBC.sigqueue(1, number, 0),
    "queue for a thread": lambda number: LIBC.syscall(297, 1, 1, number, ctypes.create_string_buffer(128)),
    "descriptor": lambda number: signal.pidfd_send_signal(os.pidfd_open(1), number),
    "directory": lambda number: signal.pidfd_send_signal(FIRST, number),
    **{name: lambda number, way=way: by_input(way, number) for name, way in NAMES.items()},
}
"""
)


async def test_no_signal_can_name_it(engine: ContainerEngine) -> None:
    source = SIGNALS + "def run():\n    return {name: tried(lambda: way(0)) for name, way in WAYS.items()}\n"
    found = await output(engine, source)
    assert {name: way for name, way in found.items() if way != "refused"} == {}


async def test_no_signal_reaches_it(engine: ContainerEngine) -> None:
    source = (
        SIGNALS
        + """
def run():
    for number in range(1, 65):
        for way in WAYS.values():
            tried(lambda: way(number))
    time.sleep(0.5)
    return "alive"
"""
    )
    assert await output(engine, source) == "alive"


async def test_it_buries_what_the_guest_orphans(engine: ContainerEngine) -> None:
    source = """
        import os
        def run(many: int):
            orphans = 0
            while orphans < many:
                if os.fork() == 0:
                    if os.fork() == 0:
                        os._exit(0)
                    os._exit(0)
                os.wait()
                orphans += 1
            return orphans
        """
    many = 10 if "runtime:runsc" in engine.status().isolation else 300
    assert await output(engine, source, many=many) == many


async def test_nobody_else_speaks_on_its_stream(engine: ContainerEngine) -> None:
    """The report of an end is written wherever there is something to write to; none of it counts."""
    source = """
        import fcntl, os
        REPORT = b'{"ended": {"signal": null, "cpu_ms": 0.001, "max_rss_bytes": 1, "out_of_memory": false}}\\n'
        def run():
            end = sum(n * n for n in range(2_000_000))
            paths = ["/dev/stderr", "/dev/console", "/dev/tty", "/proc/1/fd/2", "/proc/1/fd/1", "/dev/ptmx"]
            paths += [f"/proc/self/fd/{number}" for number in range(20)]
            for path in paths:
                try:
                    descriptor = os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
                    os.write(descriptor, REPORT)
                except OSError:
                    pass
            for number in range(256):
                try:
                    os.write(number, REPORT)
                except OSError:
                    pass
            os._exit(0)
        """
    outcome = await run(engine, source, limits=LIMITS)
    assert outcome.failure is not None
    assert outcome.failure.code == "sandbox_violation"
    assert outcome.usage.max_rss_bytes != 1
    assert outcome.usage.cpu_ms == 0 or outcome.usage.cpu_ms > 10


@pytest.mark.parametrize("last", ["return 1", "time.sleep(60)", "os._exit(0)"])
async def test_a_forged_or_garbled_report_is_no_report(last: str, engine: ContainerEngine) -> None:
    source = f"""
import os, time
FORGED = b'{{"ended": {{"signal": null, "cpu_ms": 0.001, "max_rss_bytes": 1, "out_of_memory": false}}}}\\n'
def run():
    spent = sum(n * n for n in range(1_000_000))
    for data in (FORGED, b'nonsense\\n', b'the beginning of a line'):
        try:
            os.write(os.open("/proc/1/fd/2", os.O_WRONLY | os.O_NONBLOCK), data)
        except OSError:
            pass
    {last}
"""
    outcome = await run(engine, source, limits=Limits(wall_seconds=2, cpu_seconds=1))
    assert outcome.failure is None or outcome.failure.code in ("sandbox_violation", "wall_time_exceeded")
    assert outcome.failure is not None or outcome.usage.cpu_ms > 10
    assert outcome.usage.max_rss_bytes != 1


async def test_what_others_used_is_counted_too(engine: ContainerEngine) -> None:
    source = """
        import os, time
        def run():
            children = []
            for _ in range(3):
                pid = os.fork()
                if pid == 0:
                    os.setsid()
                    end = time.process_time() + 0.2
                    while time.process_time() < end:
                        pass
                    os._exit(0)
                children.append(pid)
            time.sleep(0.1)
            for pid in children:
                os.waitpid(pid, 0)
        """
    outcome = await run(engine, source, limits=LIMITS)
    assert outcome.failure is None
    assert outcome.usage.cpu_ms >= 400


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ("spread()\n    time.sleep(60)", {"cpu_time_exceeded"}),
        ("signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n    spin()", {"cpu_time_exceeded"}),
        (
            "signal.setitimer(signal.ITIMER_REAL, 0)\n    signal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
            "    time.sleep(60)",
            {"wall_time_exceeded"},
        ),
        ("signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n    spread()\n    spin()", {"cpu_time_exceeded"}),
        ("os.kill(0, signal.SIGSTOP)", {"wall_time_exceeded"}),
        ("spread()\n    os.kill(-1, signal.SIGSTOP)\n    time.sleep(60)", {"wall_time_exceeded", "cpu_time_exceeded"}),
        ("spread()\n    os.kill(-1, signal.SIGKILL)\n    os.abort()", {"sandbox_violation", "cpu_time_exceeded"}),
        ("os.kill(0, signal.SIGKILL)", {"sandbox_violation"}),
        ("os.closerange(0, 256)\n    time.sleep(60)", {"sandbox_violation"}),
        ("os._exit(0)", {"sandbox_violation"}),
        ("os.execv('/bin/sleep', ['sleep', '60'])", {"wall_time_exceeded", "sandbox_violation"}),
        ("os.abort()", {"sandbox_violation"}),
    ],
)
async def test_it_ends_what_does_not_end(body: str, codes: set[str], engine: ContainerEngine) -> None:
    source = f"""
import os, signal, time
def spin():
    while True:
        pass
def spread():
    for _ in range(5):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                spin()
            os._exit(0)
def run():
    {body}
"""
    started = time.monotonic()
    wall_seconds = 2 if "wall_time_exceeded" in codes else 20
    found = await failure(engine, source, limits=Limits(wall_seconds=wall_seconds, cpu_seconds=1))
    assert found in codes
    assert time.monotonic() - started < wall_seconds + 10
