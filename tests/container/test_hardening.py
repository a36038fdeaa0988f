"""Each flag of a container, looked at from inside it, by an agent."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sandbox.container.engine import (
    HEADROOM_BYTES,
    OWN_KERNEL_LAYERS,
    PROCESSES,
    PROCESSES_OF_OWN_KERNEL,
    SCRATCH_BYTES,
    ContainerEngine,
)
from sandbox.container.inside.layers import LAYERS
from sandbox.container.pool import USERS
from sandbox.limits import MIB
from tests.container.looking import (
    LIMITS,
    LOOK,
    containers_of,
    failure,
    output,
    run,
    runtimes,
)
from tests.container.running import until
from tests.containers import container_settings, require_runtime
from tests.deploy.engine import docker

POOL = 2
pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def engine_of(
    directory: Path, kind: type[ContainerEngine] = ContainerEngine, **changes: Any
) -> AsyncIterator[ContainerEngine]:
    engine = kind(container_settings(directory, pool=POOL, **changes), limits=LIMITS)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=runtimes())
async def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ContainerEngine]:
    require_runtime(request.param)
    async with engine_of(tmp_path_factory.mktemp("containers"), runtime=request.param) as engine:
        assert engine.status().ready, engine.status()
        yield engine


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def seen(engine: ContainerEngine) -> dict[str, Any]:
    os.environ["AGENTHOST_TEST_SECRET"] = "of the host"
    found: dict[str, Any] = await output(engine, LOOK)
    return found


def own_kernel(engine: ContainerEngine) -> bool:
    return "runtime:runsc" in engine.status().isolation


async def test_there_is_no_network(seen: dict[str, Any]) -> None:
    assert set(seen["interfaces"]) <= {"lo"}
    assert seen["routes"] == []
    assert [seen[way][0] for way in ("connect", "datagram", "resolve")] == ["refused"] * 3


async def test_nothing_can_be_written_but_in_memory(seen: dict[str, Any]) -> None:
    assert "ro" in seen["mounts"]["/"]
    assert {path: way for path, (way, _) in seen["writes"].items() if way != "refused"} == {}
    assert set(seen["writable"]) <= {"/tmp", "/dev/shm", "/dev/mqueue", "/dev/pts"}


@pytest.mark.parametrize("path", ["/tmp", "/dev/shm"])
async def test_memory_for_files_is_bounded_and_runs_nothing(
    path: str, seen: dict[str, Any], engine: ContainerEngine
) -> None:
    kept_out = {"noexec"} if own_kernel(engine) else {"noexec", "nosuid", "nodev"}
    assert seen["execute"][f"{path}/true"] == ["refused", "PermissionError"]
    assert kept_out <= set(seen["mounts"][path])
    filled = await output(
        engine,
        """
        def run(path: str):
            written = 0
            try:
                with open(path + "/full", "wb", buffering=0) as file:
                    while written < 1 << 28:
                        written += file.write(bytes(1 << 20))
            except OSError:
                return written
            return written
        """,
        path=path,
    )
    assert filled <= SCRATCH_BYTES


async def test_there_is_no_power(seen: dict[str, Any]) -> None:
    assert {int(seen["status"][kind], 16) for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd")} == {0}
    assert int(seen["status"].get("CapAmb", "0"), 16) == 0
    assert set(seen["ids"]) <= set(USERS)


async def test_what_the_kernel_counts_by_user_is_used_up_for_nobody_else(engine: ContainerEngine) -> None:
    source = """
        import ctypes, time
        LIBC = ctypes.CDLL(None)
        def run(seconds: int):
            instances = 0
            while LIBC.inotify_init() != -1 and (seconds or not instances):
                instances += 1
            time.sleep(seconds)
            return instances
        """
    hog = asyncio.create_task(output(engine, source, seconds=3))
    await asyncio.sleep(1.5)
    assert await output(engine, source, seconds=0) == 1
    assert await hog > 1


async def test_no_program_gains_power(seen: dict[str, Any], engine: ContainerEngine) -> None:
    assert await output(engine, "import ctypes\ndef run():\n    return ctypes.CDLL(None).prctl(39, 0, 0, 0, 0)\n") == 1
    assert seen["status"].get("NoNewPrivs", "1") == "1"


async def test_system_calls_are_filtered(seen: dict[str, Any]) -> None:
    assert seen["status"]["Seccomp"] == "2"


async def test_the_environment_says_nothing_of_host_or_image(seen: dict[str, Any]) -> None:
    assert seen["environ"] == {}
    at_start = [entry for entry in seen["environ at start"].split("\n") if entry]
    assert {entry.partition("=")[0] for entry in at_start} <= {"PATH", "PWD"}


async def test_no_name_of_the_host_is_known(seen: dict[str, Any], engine: ContainerEngine) -> None:
    assert {name.strip() for name in seen["name"]} == {"agent"}
    everything = json.dumps(seen)
    assert "AGENTHOST" not in everything
    assert "nameserver 127.0.0.1" in seen["resolver"] or "nameserver" not in seen["resolver"]
    assert "docker/" not in seen["control groups"]


async def test_no_engine_and_no_device_is_in_reach(seen: dict[str, Any], engine: ContainerEngine) -> None:
    assert seen["sockets"] == []
    assert not {"mem", "kmem", "port", "kmsg", "kvm", "console", "sda", "vda"} & set(seen["devices"])
    assert own_kernel(engine) or "fuse" not in seen["devices"]
    assert set(seen["masked"].values()) <= {"", "FileNotFoundError", "PermissionError"}
    assert seen["firmware"] in (["done", "[]"], ["refused", "FileNotFoundError"], ["refused", "PermissionError"])


async def test_only_the_warden_and_the_guest_are_there(seen: dict[str, Any]) -> None:
    assert seen["self"][1] == 1
    assert set(seen["processes"]) == {1, seen["self"][0]}


async def test_what_is_open_is_the_wire_and_nothing_else(seen: dict[str, Any]) -> None:
    ours = [target for way, target in seen["descriptors"] if way == "done" and "/dev/null" not in target]
    assert len(ours) == 3  # two of the wire, one that says that the job is done
    assert all("pipe:" in target or "host:" in target for target in ours), ours


async def test_limits_hold(seen: dict[str, Any], engine: ContainerEngine) -> None:
    assert seen["limits"]["NOFILE"] == [256, 256]
    assert seen["limits"]["CORE"] == [0, 0]
    assert seen["limits"]["AS"][1] < LIMITS.memory_bytes + 256 * MIB
    assert seen["limits"]["CPU"] == [LIMITS.cpu_seconds, LIMITS.cpu_seconds + 1]
    if not own_kernel(engine):
        numbers = [int(text) for text in seen["memory limit"] if text.strip().isdecimal()]
        assert numbers == [LIMITS.memory_bytes + HEADROOM_BYTES]


async def test_processes_and_descriptors_are_few(engine: ContainerEngine) -> None:
    source = """
        import os, signal, time
        def run():
            children, files = 0, 0
            try:
                while children < 1000:
                    if os.fork() == 0:
                        signal.pause()
                    children += 1
            except OSError:
                pass
            try:
                while files < 1000:
                    os.open("/dev/null", os.O_RDONLY)
                    files += 1
            except OSError:
                pass
            return [children, files]
        """
    if own_kernel(engine):  # which the fork bomb brings down, itself and nothing else
        assert await failure(engine, source) in ("sandbox_violation", "memory_exceeded", "cpu_time_exceeded")
        return
    children, files = await output(engine, source)
    assert 8 <= children < PROCESSES
    assert 100 <= files < 256


async def test_there_is_one_processor_s_time_for_all(engine: ContainerEngine) -> None:
    source = """
        import os, time
        def run():
            for _ in range(3):
                if os.fork() == 0:
                    while True:
                        pass
            end = time.monotonic() + 2
            while time.monotonic() < end:
                pass
        """
    outcome = await run(engine, source)
    assert outcome.failure is None or outcome.failure.code == "cpu_time_exceeded"
    if not own_kernel(engine):  # which counts generously
        assert outcome.usage.cpu_ms < 1000 * LIMITS.cpu_seconds + 500


async def test_the_engine_is_told_each_flag(engine: ContainerEngine) -> None:
    instance = engine._settings.instance.read_text()
    await until(lambda: len(containers_of(instance)) > 0)
    container = json.loads(docker("inspect", containers_of(instance)[0]))[0]
    flags, config = container["HostConfig"], container["Config"]
    limit_bytes = LIMITS.memory_bytes + HEADROOM_BYTES
    assert flags["NetworkMode"] == "none"
    assert flags["ReadonlyRootfs"]
    assert not flags["Privileged"]
    assert flags["CapDrop"] == ["ALL"]
    assert not flags["CapAdd"]
    assert "no-new-privileges" in flags["SecurityOpt"]
    assert (flags["Memory"], flags["MemorySwap"]) == (limit_bytes, limit_bytes)
    assert flags["NanoCpus"] == 10**9
    assert flags["PidsLimit"] == (PROCESSES_OF_OWN_KERNEL if own_kernel(engine) else PROCESSES)
    assert (flags["IpcMode"], flags["PidMode"], flags["CgroupnsMode"]) == ("private", "", "private")
    assert not flags["Binds"]
    assert container["Mounts"] == []
    assert not flags["Devices"]
    assert flags["LogConfig"]["Type"] == "none"
    assert flags["RestartPolicy"]["Name"] in ("", "no")
    user, group = config["User"].split(":")
    assert user == group
    assert int(user) in USERS
    assert set(config["Labels"]) - {"agenthost.recipe"} == {"agenthost.instance"}  # the former is the base's own
    assert all(entry.startswith("PATH=") for entry in config["Env"] or [])


FLAGS: dict[str, dict[str, Any]] = {
    "user": {"user": "0:0"},
    "capabilities": {"cap_drop": []},
    "no-new-privileges": {"security_opt": []},
    "seccomp": {"security_opt": ["no-new-privileges", "seccomp=unconfined"]},
    "warden": {"security_opt": []},  # without no-new-privileges a process may not add a filter
    "network": {"network_mode": "host", "network_disabled": False, "hostname": None, "dns": None, "dns_search": None},
    "read-only": {"read_only": False},
    "memory": {"mem_limit": None, "memswap_limit": None},
    "processes": {"pids_limit": None},
}
"""By layer: the options that take it away."""


def without(changes: dict[str, Any]) -> type[ContainerEngine]:
    """An engine whose containers have other options."""

    class Weaker(ContainerEngine):
        async def _options(self) -> dict[str, Any]:
            options = dict(await super()._options())
            options["host"] = {name: changes.get(name, value) for name, value in options["host"].items()}
            return {**options, **{name: value for name, value in changes.items() if name not in options["host"]}}

    return Weaker


@pytest.mark.parametrize("layer", LAYERS)
async def test_a_container_that_lacks_a_layer_is_refused(layer: str, tmp_path: Path) -> None:
    async with engine_of(tmp_path, without(FLAGS[layer]), start_seconds=20.0) as engine:
        status = engine.status()
        assert not status.ready
        assert layer in status.missing
        assert "the container does not hold" in status.detail
        assert layer in status.detail


async def test_the_engine_s_own_filter_is_not_taken_for_the_warden_s(tmp_path: Path) -> None:
    """The engine's refuses a call that the warden's refuses too; the warden's cannot be put in force."""
    rule = {"names": ["sched_setaffinity"], "action": "SCMP_ACT_ERRNO"}
    profile = json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})
    async with engine_of(tmp_path, without({"security_opt": [f"seccomp={profile}"]}), start_seconds=20.0) as engine:
        assert engine.status().missing == ("no-new-privileges", "warden")


@pytest.mark.parametrize("layer", sorted(OWN_KERNEL_LAYERS))
async def test_no_runtime_but_gvisor_is_spared_a_layer(layer: str, tmp_path: Path) -> None:
    """runc, by a name that every Docker knows it by as well."""
    runtime = "io.containerd.runc.v2"
    async with engine_of(tmp_path, without(FLAGS[layer]), runtime=runtime, start_seconds=20.0) as engine:
        assert not engine.status().ready
        assert layer in engine.status().missing


async def test_a_volume_that_reaches_the_disk_is_refused(tmp_path: Path) -> None:
    async with engine_of(tmp_path, without({"volumes": ["/data"]}), start_seconds=20.0) as engine:
        assert engine.status().missing == ("read-only",)


async def test_nothing_of_one_run_is_seen_by_the_next(engine: ContainerEngine) -> None:
    leave = """
        import ctypes, os
        from multiprocessing import shared_memory
        def run():
            for path in ("/tmp/left", "/dev/shm/left"):
                open(path, "w").write("left")
            ctypes.CDLL(None).shmget(4711, 4096, 0o1666)
            ctypes.CDLL(None).semget(4711, 1, 0o1666)
        """
    look = """
        import ctypes, os
        def run():
            libc = ctypes.CDLL(None)
            return [*os.listdir("/tmp"), *os.listdir("/dev/shm"), libc.shmget(4711, 0, 0), libc.semget(4711, 0, 0)]
        """
    await output(engine, leave)
    for _ in range(POOL + 1):
        assert await output(engine, look) == [-1, -1]


async def test_nothing_is_alive_after_a_run(engine: ContainerEngine) -> None:
    mark = f"98{os.getpid()}"
    source = """
        import os, subprocess, time
        def run(mark: str):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    os.execv("/bin/sleep", ["sleep", mark])
                os._exit(0)
            time.sleep(0.5)
            return [open(f"/proc/{pid}/cmdline").read().split(chr(0)) for pid in os.listdir("/proc") if pid.isdecimal()]
        """
    assert ["sleep", mark, ""] in await output(engine, source, mark=mark)
    instance = engine._settings.instance.read_text()
    await until(lambda: len(containers_of(instance)) <= POOL)
    await until(lambda: not any(mark in line for line in command_lines()))


def command_lines() -> list[str]:
    """Of every process of this machine."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            found.append((directory / "cmdline").read_text())
        except OSError:
            continue
    return found


async def test_a_limit_that_is_reached_has_its_code(engine: ContainerEngine) -> None:
    assert await failure(engine, "def run():\n    return len(bytes(1 << 30))\n") == "memory_exceeded"
