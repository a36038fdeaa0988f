"""The layers between a guest and the machine, each one function. Order matters and stands in `zygote.py`.

Once, in the zygote: unprivileged ids, namespaces, an empty root, Landlock's rule set, no capabilities.
In each child, before it reads a tenant's byte: descriptors closed, Landlock, limits, timer, system call filter.
Linux only; every function raises OSError when the kernel refuses.
"""

import ctypes
import os
import resource
import select
import signal
import struct
from contextlib import suppress
from typing import Any, NoReturn

from sandbox.bpf import Filter

LAYERS = ("ids", "namespaces", "root", "landlock", "capabilities", "descriptors", "limits", "timer", "seccomp")
OPTIONAL_LAYERS = frozenset({"landlock"})
"""Kernels may lack these; a jail without one of the others is not started."""

SANDBOX_ID = 64_200
"""The user and group id that a host running as root gives its guests: owns nothing, is nobody else's."""

_libc = ctypes.CDLL(None, use_errno=True)
_Long = ctypes.c_ulong
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 4, 24, 38, 47
_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_MS_PRIVATE_RECURSIVE = 0x4000 | 0x40000
_MS_READONLY_NOSUID_NODEV_NOEXEC = 1 | 2 | 4 | 8
_MNT_DETACH = 2
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446
_LANDLOCK_ABI_QUERY = 1


def _call(function: str, *arguments: Any) -> int:
    result = int(getattr(_libc, function)(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")
    return result


def _prctl(option: int, *arguments: int) -> None:
    _call("prctl", option, *[_Long(value) for value in (*arguments, 0, 0, 0, 0)[:4]])


def volunteer_for_out_of_memory() -> None:
    """Of all processes the kernel ends a guest's first. Before `drop_ids`, after which /proc/self is root's."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")


def drop_ids() -> None:
    """Root becomes an id that owns nothing; RLIMIT_NPROC says nothing for uid 0. An ordinary user stays who it is."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(SANDBOX_ID, SANDBOX_ID, SANDBOX_ID)
        os.setresuid(SANDBOX_ID, SANDBOX_ID, SANDBOX_ID)


def enter_namespaces() -> None:
    """New user, mount, network, ipc, uts and cgroup namespaces, and a pid namespace for the next child.

    No uid_map is written: every id in there reads as 65534, and nested user namespaces get EPERM.
    """
    os.unshare(
        os.CLONE_NEWUSER
        | os.CLONE_NEWNS
        | os.CLONE_NEWPID
        | os.CLONE_NEWNET
        | os.CLONE_NEWIPC
        | os.CLONE_NEWUTS
        | os.CLONE_NEWCGROUP
    )


def wait_outside(child: int, control: int) -> NoReturn:
    """The stub's whole life: it ends with the jail or with the host, and its end is what kills PID 1 of the jail.

    The host is watched by its end of the control socket: a parent-death signal would follow the thread that forked.
    """
    os.chdir("/")
    poll = select.poll()
    poll.register(os.pidfd_open(child), select.POLLIN)
    poll.register(control, 0)
    poll.poll()
    os._exit(0)


def die_with_parent(alive: int) -> None:
    """SIGKILL when the stub dies. `alive` is the read end of a pipe that the stub holds, for a stub already dead."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    poll = select.poll()
    poll.register(alive, 0)
    if poll.poll(0):
        os._exit(98)


def empty_root() -> str:
    """Replace the root by one in which nothing is and nothing can be made. Which way it was done: "pivot" or "chroot".

    Where mount(2) is refused (a container's seccomp profile), the root is a directory that is removed once entered.
    """
    try:
        _call("mount", None, b"/", None, _Long(_MS_PRIVATE_RECURSIVE), None)
        options = b"size=4k,nr_inodes=2,mode=0555"
        _call("mount", b"jail", b"/tmp", b"tmpfs", _Long(_MS_READONLY_NOSUID_NODEV_NOEXEC), options)
        os.chdir("/tmp")
        _call("pivot_root", b".", b".")
        _call("umount2", b".", _MNT_DETACH)
        os.chdir("/")
        return "pivot"
    except OSError:
        path = f"/tmp/agenthost-jail-{os.getpid()}-{os.urandom(6).hex()}"
        os.mkdir(path, 0o500)
        os.chdir(path)
        os.rmdir(path)
        os.chroot(".")
        os.chdir("/")
        return "chroot"


def landlock_rules() -> int:
    """A rule set (a descriptor) that handles all that this kernel knows and allows nothing. OSError without it."""
    abi = _call("syscall", _LANDLOCK_CREATE, None, _Long(0), _LANDLOCK_ABI_QUERY)
    file_system = {1: (1 << 13) - 1, 2: (1 << 14) - 1}.get(abi, (1 << 15) - 1) | ((1 << 15) if abi >= 5 else 0)
    network = 3 if abi >= 4 else 0
    scoped = 3 if abi >= 6 else 0
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    return _call("syscall", _LANDLOCK_CREATE, struct.pack("QQQ", file_system, network, scoped), _Long(size), 0)


def enforce_landlock(rules: int) -> None:
    _call("syscall", _LANDLOCK_RESTRICT, rules, 0)


def drop_capabilities() -> None:
    """None in any set, none to be gained by exec, not dumpable. After this only the system call filter can be added."""
    _prctl(_PR_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL)
    for capability in range(64):
        try:
            _prctl(_PR_CAPBSET_DROP, capability)
        except OSError:
            break  # past the last capability of this kernel, or an ordinary user without namespaces
    _call("capset", (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)())
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)


def close_descriptors(keep: int | None) -> None:
    """All but 0 (the guest's socket) and `keep`."""
    if keep is not None:
        os.closerange(1, keep)
    os.closerange(1 if keep is None else keep + 1, 0x7FFFFFFF)


def default_signals() -> None:
    """For the children to inherit: what the host's parents ignored or blocked would be inherited too, the timer's
    signal among it. PID 1 of a namespace does not die of what it has no handler for."""
    for number in (signal.SIGALRM, signal.SIGXCPU, signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def set_fixed_limits() -> None:
    """No files written, no processes, no core, no descriptor but the socket. Root within keeps to them too."""
    for kind, value in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 1),
    ):
        resource.setrlimit(kind, (value, value))


def set_job_limits(address_space_bytes: int, cpu_seconds: int) -> None:
    """Address space in all; processor time, SIGXCPU at the limit and SIGKILL a second later."""
    resource.setrlimit(resource.RLIMIT_AS, (address_space_bytes, address_space_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))


def start_timer(wall_seconds: float) -> None:
    """The kernel kills this process by SIGALRM after so long; the filter then forbids changing the timer."""
    signal.setitimer(signal.ITIMER_REAL, max(wall_seconds, 0.001))


def rehearse() -> None:
    """Go through the calls that stand between a job's arrival and its start, to no effect: see guest/rehearsal.py."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU):
        resource.setrlimit(kind, resource.getrlimit(kind))
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def filter_system_calls(program: Filter) -> None:
    """From here on the process can compute, allocate, tell the time, and use descriptor 0."""
    if not program.load(_libc):
        raise OSError(ctypes.get_errno(), "the system call filter was refused")
