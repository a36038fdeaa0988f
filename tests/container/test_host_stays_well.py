"""Whatever an agent does to its container: it fails with the right code, and the host is as it was."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.container.engine import ContainerEngine
from sandbox.job import Call, Reply
from sandbox.limits import MIB, Limits
from tests.container.looking import containers_of, output, run, runtimes
from tests.container.running import until
from tests.containers import container_settings, require_runtime

POOL = 2
LIMITS = Limits(wall_seconds=6, cpu_seconds=2, memory_bytes=128 * MIB)
FLOOD_BYTES = 512 * MIB
"""More than any of these attacks may cost the host."""

TIMED_OUT: set[str | None] = {"wall_time_exceeded", "cpu_time_exceeded"}
pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=runtimes())
async def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ContainerEngine]:
    require_runtime(request.param)
    settings = container_settings(tmp_path_factory.mktemp("containers"), pool=POOL, runtime=request.param)
    engine = ContainerEngine(settings, limits=LIMITS)
    await engine.start()
    assert engine.status().ready, engine.status()
    yield engine
    await engine.stop()
    assert containers_of(settings.instance.read_text()) == []


ATTACKS: dict[str, tuple[str, set[str | None]]] = {
    "fork bomb": (
        """
        while True:
            try:
                os.fork()
            except OSError:
                pass
        """,
        TIMED_OUT | {"sandbox_violation", "memory_exceeded"},
    ),
    "threads without end": (
        """
        import threading
        while True:
            try:
                threading.Thread(target=time.sleep, args=(60,)).start()
            except (RuntimeError, MemoryError):
                time.sleep(0.01)
        """,
        TIMED_OUT | {"sandbox_violation", "memory_exceeded"},
    ),
    "zombies": (
        """
        while True:
            try:
                if os.fork() == 0:
                    os._exit(0)
            except OSError:
                time.sleep(0.01)
        """,
        TIMED_OUT | {"sandbox_violation"},
    ),
    "memory of one process": ("held = [bytearray(1 << 20) for _ in range(4096)]", {"memory_exceeded"}),
    "memory of many processes": (
        """
        for _ in range(20):
            if os.fork() == 0:
                held = [bytearray(b"x" * (1 << 20)) for _ in range(60)]
                time.sleep(60)
        time.sleep(60)
        """,
        TIMED_OUT | {"memory_exceeded", "sandbox_violation"},
    ),
    "memory in files": (
        """
        for place in ("/tmp", "/dev/shm", "/dev/mqueue"):
            for number in range(100):
                try:
                    with open(f"{place}/{number}", "wb") as file:
                        for _ in range(100):
                            file.write(bytes(1 << 20))
                except OSError:
                    pass
        """,
        TIMED_OUT | {None, "memory_exceeded"},
    ),
    "empty files": (
        """
        for number in range(1_000_000):
            try:
                open(f"/tmp/{number}", "w").close()
            except OSError:
                break
        """,
        TIMED_OUT | {None, "memory_exceeded"},
    ),
    "shared memory": (
        """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.shmat.restype = ctypes.c_void_p
        for _ in range(100):
            part = libc.shmget(0, 1 << 24, 0o1600)
            place = libc.shmat(part, None, 0)
            if place is not None and place < 1 << 62:
                ctypes.memset(place, 1, 1 << 24)
        """,
        TIMED_OUT | {None, "memory_exceeded", "sandbox_violation"},
    ),
    "disk": (
        """
        for directory, _, _ in os.walk("/"):
            if not directory.startswith(("/proc", "/sys")):
                try:
                    with open(directory + "/full", "wb") as file:
                        file.write(bytes(1 << 26))
                except OSError:
                    pass
        """,
        TIMED_OUT | {None, "memory_exceeded"},
    ),
    "print": ("while True:\n    print('x' * 1000)", {"logs_too_large"}),
    "standard error": ("while True:\n    sys.stderr.write('x' * 1000 + chr(10))", {"logs_too_large"}),
    "a line without end": (
        "while True:\n    print('x' * 100000, end='')",
        TIMED_OUT | {"logs_too_large", "memory_exceeded"},
    ),
    "output of programs": (
        "while True:\n    print(subprocess.run(['cat', '/usr/bin/python3'], capture_output=True).stdout)",
        TIMED_OUT | {"logs_too_large", "memory_exceeded"},
    ),
    "every descriptor": (
        """
        while True:
            for number in range(256):
                try:
                    os.write(number, b"x" * 65536)
                except OSError:
                    pass
        """,
        {"sandbox_violation"},
    ),
    "frames without end": (
        """
        frame = b'{"kind":"log","lines":[""]}'
        flood = (len(frame).to_bytes(4, "big") + frame) * 1000
        while True:
            for number in range(3, 20):
                try:
                    os.write(number, flood)
                except OSError:
                    pass
        """,
        {"logs_too_large", "sandbox_violation"},
    ),
    "all is closed": ("os.closerange(0, 256)\ntime.sleep(60)", {"sandbox_violation"}),
    "nothing is read": (
        """
        import gc
        channel = next(each for each in gc.get_objects() if type(each).__name__ == "Channel" and each._descriptor > 0)
        call = b'{"kind":"call","service":"kv","action":"get","args":{"key":"x"}}'
        while True:
            os.write(channel._write_to, len(call).to_bytes(4, "big") + call)
        """,
        TIMED_OUT | {"too_many_effects"},
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_it_fails_and_the_host_is_as_it_was(attack: str, engine: ContainerEngine) -> None:
    body, codes = ATTACKS[attack]
    source = "import os, subprocess, sys, time\ndef run(services):\n" + indented(body)
    memory, disk = available_memory_bytes(), shutil.disk_usage("/").free

    async def on_call(call: Call) -> Reply:
        return Reply(result={"found": True, "value": "x" * MIB})

    outcome = await run(engine, source, limits=LIMITS, on_call=on_call)
    found = outcome.failure.code if outcome.failure else None
    assert found in codes, outcome
    assert sum(map(len, outcome.logs)) <= LIMITS.log_bytes
    assert await output(engine, "def run():\n    return 'served'\n") == "served"
    instance = engine._settings.instance.read_text()
    await until(lambda: len(containers_of(instance)) <= POOL)
    assert memory - available_memory_bytes() < FLOOD_BYTES
    assert disk - shutil.disk_usage("/").free < FLOOD_BYTES


def indented(body: str) -> str:
    lines = body.strip("\n").splitlines()
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return "".join(f"    {line[margin:]}\n" for line in lines)


def available_memory_bytes() -> int:
    (line,) = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable")]
    return int(line.split()[1]) * 1024
