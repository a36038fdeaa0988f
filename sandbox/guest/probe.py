"""What the jail's self-test tries, from inside, the way hostile native code would: by system call number."""

import ctypes
import mmap
import os
import platform
import socket
from collections.abc import Callable

_NUMBERS = {
    "x86_64": {
        "ptrace": 101,
        "mount": 165,
        "unshare": 272,
        "add_key": 248,
        "io_uring_setup": 425,
        "memfd_create": 319,
        "setitimer": 38,
        "prlimit64": 302,
        "userfaultfd": 323,
        "bpf": 321,
    },
    "aarch64": {
        "ptrace": 117,
        "mount": 40,
        "unshare": 97,
        "add_key": 217,
        "io_uring_setup": 425,
        "memfd_create": 279,
        "setitimer": 103,
        "prlimit64": 261,
        "userfaultfd": 282,
        "bpf": 280,
    },
}
_libc = ctypes.CDLL(None, use_errno=True)


def _system_call(name: str, *arguments: object) -> None:
    if _libc.syscall(_NUMBERS[platform.machine()][name], *arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def _open() -> None:
    os.close(os.open("/etc/passwd", os.O_RDONLY))


def _create() -> None:
    os.close(os.open("/tmp/agenthost-probe", os.O_CREAT | os.O_WRONLY, 0o600))


def _read_proc() -> None:
    os.close(os.open("/proc/self/environ", os.O_RDONLY))


def _connect() -> None:
    with socket.socket() as outward:
        try:
            outward.connect(("127.0.0.1", 9))
        except ConnectionRefusedError:
            return  # somebody's network answered


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _execute() -> None:
    os.execv("/bin/true", ["true"])


def _executable_memory() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def _raise_limits() -> None:
    unlimited = (ctypes.c_uint64 * 2)(2**64 - 1, 2**64 - 1)
    _system_call("prlimit64", 0, 9, ctypes.byref(unlimited), None)


PROBES: dict[str, Callable[[], None]] = {
    "open": _open,
    "create": _create,
    "read_proc": _read_proc,
    "connect": _connect,
    "fork": _fork,
    "exec": _execute,
    "executable_memory": _executable_memory,
    "raise_limits": _raise_limits,
    "signal": lambda: os.kill(-1, 0),
    "ptrace": lambda: _system_call("ptrace", 0, 0, 0, 0),
    "mount": lambda: _system_call("mount", b"none", b"/", b"tmpfs", ctypes.c_ulong(0), None),
    "unshare": lambda: _system_call("unshare", 0x10000000),
    "keyring": lambda: _system_call("add_key", b"user", b"probe", b"x", ctypes.c_ulong(1), -3),
    "io_uring": lambda: _system_call("io_uring_setup", 1, ctypes.create_string_buffer(120)),
    "memfd": lambda: _system_call("memfd_create", b"probe", 0),
    "timer": lambda: _system_call("setitimer", 0, ctypes.create_string_buffer(32), None),
    "userfaultfd": lambda: _system_call("userfaultfd", 0),
    "bpf": lambda: _system_call("bpf", 5, ctypes.create_string_buffer(128), 128),
}

WITHOUT_FILTER = ("open", "create", "read_proc", "connect", "fork", "exec", "mount", "unshare", "raise_limits")
"""What the other layers must refuse by themselves, with the system call filter off."""


def probe(name: str) -> bool:
    """Whether the attempt was refused. Being killed for it is the usual answer."""
    try:
        PROBES[name]()
    except OSError:
        return True
    return False
