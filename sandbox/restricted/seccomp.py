"""The system calls that a jailed child may make: a BPF program for one architecture at a time.

An allow-list. Everything else kills the process, entries of a foreign architecture (i386, x32) included.
"""

import platform
from typing import NamedTuple

from sandbox.bpf import ALLOW, ANY_BIT, ARGUMENTS, EQUAL, ERRNO_EPERM, KILL_PROCESS, LOAD, RETURN, Filter, native

_PROT_EXEC = 4


class Architecture(NamedTuple):
    """What the kernel calls it in seccomp_data, and its system call numbers."""

    audit_arch: int
    allowed: dict[str, int]
    refused_politely: dict[str, int]
    """CPython tries these on its own account (late imports, tracebacks): EPERM, an OSError, instead of death."""
    mmap: int


ARCHITECTURES = {
    "x86_64": Architecture(
        0xC000003E,
        {
            "read": 0,
            "write": 1,
            "munmap": 11,
            "brk": 12,
            "mremap": 25,
            "clock_gettime": 228,
            "clock_nanosleep": 230,
            "exit_group": 231,
            "getrandom": 318,
        },
        {"openat": 257, "newfstatat": 262},
        9,
    ),
    "aarch64": Architecture(
        0xC00000B7,
        {
            "read": 63,
            "write": 64,
            "exit_group": 94,
            "clock_gettime": 113,
            "clock_nanosleep": 115,
            "brk": 214,
            "munmap": 215,
            "mremap": 216,
            "getrandom": 278,
        },
        {"openat": 56, "newfstatat": 79},
        222,
    ),
}


def allow_list(machine: str = platform.machine()) -> Filter:
    """The filter for this machine. Raises NotImplementedError for an architecture that has no table here."""
    if machine not in ARCHITECTURES:
        raise NotImplementedError(f"there is no system call table for {machine}; use the container engine")
    arch = ARCHITECTURES[machine]
    program = native(arch.audit_arch)
    for number in arch.allowed.values():
        program += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    for number in arch.refused_politely.values():
        program += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO_EPERM)]
    program += [
        (EQUAL, 0, 3, arch.mmap),
        (LOAD, 0, 0, ARGUMENTS[2]),
        (ANY_BIT, 1, 0, _PROT_EXEC),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, KILL_PROCESS),
    ]
    return Filter(program)
