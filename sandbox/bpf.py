"""Filters of system calls, as BPF programs written by hand: the few instructions that ours are made of, and a program.

It knows no call: which ones pass is for the guards of the engines to say.
"""

import ctypes
import struct

Instruction = tuple[int, int, int, int]
"""What it does, how many instructions it skips where its test is true and where it is false, its operand."""

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE = 0, 4
ARGUMENTS = 16, 24, 32
"""What can be loaded: where it is in `seccomp_data`. Of an argument it is the lower half."""

ALLOW, KILL_PROCESS, ERRNO_EPERM = 0x7FFF0000, 0x80000000, 0x00050001
_X32_BIT = 0x40000000
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2


def native(audit_arch: int) -> list[Instruction]:
    """How a program begins: entries of a foreign architecture (i386, x32) kill, of others the number is loaded."""
    return [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, audit_arch),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 0, 1, _X32_BIT),
        (RETURN, 0, 0, KILL_PROCESS),
    ]


class Filter:
    """A program in the shape that prctl wants. Keeps its own memory alive."""

    def __init__(self, instructions: list[Instruction]) -> None:
        code = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
        self._buffer = ctypes.create_string_buffer(code, len(code))
        self._header = (ctypes.c_uint64 * 2)(len(instructions), ctypes.addressof(self._buffer))

    def load(self, libc: ctypes.CDLL) -> bool:
        """Put it in force, for good. Needs no_new_privs. Whether it worked."""
        return bool(libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), self._header) == 0)
