"""What an agent sees of the container that it runs in: one program that looks at everything, and what it found."""

from textwrap import dedent
from typing import Any

import pytest

from sandbox.container.engine import ContainerEngine
from sandbox.job import Call, Job, Outcome, Reply
from sandbox.limits import MIB, Limits
from tests.deploy.engine import docker

LIMITS = Limits(wall_seconds=10, cpu_seconds=3, memory_bytes=128 * MIB)

LOOK = """
import ctypes, os, re, resource, shutil, socket

def attempt(what):
    try:
        return ["done", repr(what())[:200]]
    except OSError as error:
        return ["refused", type(error).__name__]

def text(path, size=65536):
    try:
        with open(path, "rb") as file:
            return file.read(size).decode("utf-8", "replace").replace("\\0", "\\n")
    except OSError as error:
        return type(error).__name__

def write(path):
    with open(path, "w") as file:
        file.write("x")

def execute(path):
    shutil.copy("/bin/true", path)
    os.chmod(path, 0o755)
    return os.execv(path, [path])

def status(pid):
    return dict(re.findall(r"^(\\w+):\\s*(.*)$", text(f"/proc/{pid}/status"), re.MULTILINE))

def writable_directories():
    found = []
    for directory, names, _ in os.walk("/"):
        names[:] = [name for name in names if os.path.join(directory, name) not in ("/proc", "/sys")]
        if os.access(directory, os.W_OK):
            found.append(directory)
    return found

def run():
    return {
        "interfaces": [name for _, name in socket.if_nameindex()],
        "routes": text("/proc/net/route").splitlines()[1:],
        "connect": attempt(lambda: socket.create_connection(("1.1.1.1", 53), 2)),
        "datagram": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("1.1.1.1", 53))),
        "resolve": attempt(lambda: socket.getaddrinfo("example.org", 80)),
        "resolver": text("/etc/resolv.conf"),
        "hosts": text("/etc/hosts"),
        "mounts": {line.split()[4]: line.split()[5].split(",") for line in text("/proc/self/mountinfo").splitlines()},
        "writes": {
            path: attempt(lambda: write(path))
            for path in ("/x", "/etc/x", "/etc/hosts", "/usr/x", "/opt/agenthost/x", "/var/tmp/x", "/run/lock/x",
                         "/dev/x", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/sys/kernel/x",
                         "/sys/fs/cgroup/x")
        },
        "writable": writable_directories(),
        "execute": {path: attempt(lambda: execute(path)) for path in ("/tmp/true", "/dev/shm/true")},
        "status": status("self"),
        "ids": [*os.getresuid(), *os.getresgid(), *os.getgroups()],
        "limits": {
            name: resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in ("NOFILE", "CORE", "AS", "CPU")
        },
        "environ": dict(os.environ),
        "environ at start": text("/proc/self/environ"),
        "name": [os.uname().nodename, socket.gethostname(), text("/etc/hostname")],
        "control groups": text("/proc/self/cgroup"),
        "sockets": [path for path in ("/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock")
                    if os.path.exists(path)],
        "devices": sorted(os.listdir("/dev")),
        "masked": {path: text(path, 100) for path in ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/kmsg")},
        "firmware": attempt(lambda: os.listdir("/sys/firmware")),
        "processes": [int(name) for name in os.listdir("/proc") if name.isdecimal()],
        "self": [os.getpid(), os.getppid()],
        "descriptors": [attempt(lambda: os.readlink("/proc/self/fd/" + name)) for name in os.listdir("/proc/self/fd")],
        "memory limit": [text("/sys/fs/cgroup/memory.max"), text("/sys/fs/cgroup/memory/memory.limit_in_bytes")],
    }
"""


async def no_calls(call: Call) -> Reply:
    raise AssertionError(f"unexpected {call}")


async def run(
    engine: ContainerEngine, source: str, *, limits: Limits = LIMITS, on_call: Any = no_calls, **given: Any
) -> Outcome:
    """A program, indented as it may be, and its input."""
    source = dedent(source)
    checked = await engine.check(source)
    assert not checked.problems, checked.problems
    job = Job(code=checked.code, entry=checked.entry, input=given, test=False, limits=limits, source=source)
    return await engine.run(job, on_call=on_call)


async def output(engine: ContainerEngine, source: str, **given: Any) -> Any:
    outcome = await run(engine, source, **given)
    assert outcome.failure is None, outcome
    return outcome.output


async def failure(engine: ContainerEngine, source: str, **given: Any) -> str:
    outcome = await run(engine, source, **given)
    assert outcome.failure is not None, outcome
    return outcome.failure.code


def containers_of(instance: str) -> list[str]:
    return docker("ps", "--all", "--quiet", "--filter", f"label=agenthost.instance={instance}").split()


def runtimes() -> list[Any]:
    """The default runtime, and gVisor's where the engine knows it."""
    return [pytest.param(None, id="runc"), pytest.param("runsc", id="runsc")]
