"""The system calls that a jailed child may make: a BPF program built by hand, for one architecture at a time.

An allow-list. Everything else kills the process, entries of a foreign architecture (i386, x32) included.
"""

import ctypes
import platform
import struct
from typing import NamedTuple

ALLOW, KILL_PROCESS, ERRNO_EPERM = 0x7FFF0000, 0x80000000, 0x00050001
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_ARGUMENT_2 = 0, 4, 32
_PROT_EXEC = 4
_X32_BIT = 0x40000000
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2


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


class Filter:
    """A program in the shape that prctl wants. Keeps its own memory alive."""

    def __init__(self, instructions: list[tuple[int, int, int, int]]) -> None:
        code = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
        self._buffer = ctypes.create_string_buffer(code, len(code))
        self._header = (ctypes.c_uint64 * 2)(len(instructions), ctypes.addressof(self._buffer))

    def load(self, libc: ctypes.CDLL) -> bool:
        """Put it in force, for good. Needs no_new_privs. Whether it worked."""
        return bool(libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), self._header) == 0)


def allow_list(machine: str = platform.machine()) -> Filter:
    """The filter for this machine. Raises NotImplementedError for an architecture that has no table here."""
    if machine not in ARCHITECTURES:
        raise NotImplementedError(f"there is no system call table for {machine}; use the container engine")
    arch = ARCHITECTURES[machine]
    program = [
        (_LOAD, 0, 0, _OFFSET_ARCH),
        (_EQUAL, 1, 0, arch.audit_arch),
        (_RETURN, 0, 0, KILL_PROCESS),
        (_LOAD, 0, 0, _OFFSET_NUMBER),
        (_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, KILL_PROCESS),
    ]
    for number in arch.allowed.values():
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, ALLOW)]
    for number in arch.refused_politely.values():
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, ERRNO_EPERM)]
    program += [
        (_EQUAL, 0, 3, arch.mmap),
        (_LOAD, 0, 0, _OFFSET_ARGUMENT_2),
        (_ANY_BIT, 1, 0, _PROT_EXEC),
        (_RETURN, 0, 0, ALLOW),
        (_RETURN, 0, 0, KILL_PROCESS),
    ]
    return Filter(program)
