"""Keeps the guest's hands off the warden, which has its user, and off doors into the kernel that no agent needs.

A seccomp filter on top of the engine's own, whose strictness differs between versions: everything is allowed but what
stands here, and foreign entries (i386, x32). Linux itself keeps the memory and descriptors of what is not dumpable, and
the first process from signals; gVisor does not.
"""

import ctypes
import os
import struct
from typing import NamedTuple

WARDEN = 1
FAMILIES = (1, 2, 10, 16)
"""Of sockets: AF_UNIX, AF_INET, AF_INET6, AF_NETLINK. Not AF_VSOCK, the hypervisor's, nor AF_ALG, with its way into
the page cache (CVE-2026-31431)."""

_ALLOW, _KILL_PROCESS, _ERRNO_EPERM = 0x7FFF0000, 0x80000000, 0x00050001
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCH, _ARGUMENT_0, _ARGUMENT_1 = 0, 4, 16, 24
_X32_BIT = 0x40000000
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2


class Calls(NamedTuple):
    """Numbers of one architecture."""

    audit_arch: int
    refused: tuple[int, ...]
    """io_uring_setup, io_uring_enter, io_uring_register, io_setup, userfaultfd, bpf, perf_event_open, keyctl, add_key,
    request_key, and modify_ldt where there is one"""
    of_process: tuple[int, ...]
    """With a process as their first argument: prlimit64, sched_setparam, sched_setscheduler, sched_setaffinity,
    sched_setattr; kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_open; process_vm_readv and _writev"""
    ptrace: int
    setpriority: int
    ioprio_set: int
    socket: int


CALLS = {
    "x86_64": Calls(
        0xC000003E,
        (425, 426, 427, 206, 323, 321, 298, 250, 248, 249, 154),
        (302, 142, 144, 203, 314, 62, 200, 234, 129, 297, 434, 310, 311),
        ptrace=101,
        setpriority=141,
        ioprio_set=251,
        socket=41,
    ),
    "aarch64": Calls(
        0xC00000B7,
        (425, 426, 427, 0, 282, 280, 241, 219, 217, 218),
        (261, 118, 119, 122, 274, 129, 130, 131, 138, 240, 434, 270, 271),
        ptrace=117,
        setpriority=140,
        ioprio_set=30,
        socket=198,
    ),
}


def guard_warden() -> None:
    """In force for this process and all that it will start. Where it cannot be, `warden_is_guarded` tells."""
    calls = CALLS.get(os.uname().machine)
    if calls is None:
        return
    instructions = program(calls)
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = (ctypes.c_uint64 * 2)(len(instructions), ctypes.addressof(buffer))
    ctypes.CDLL(None).prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), header)


def program(calls: Calls) -> list[tuple[int, int, int, int]]:
    """What the kernel runs at each call: the number is loaded, and each part that knows it returns."""
    found = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, calls.audit_arch),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, _KILL_PROCESS),
    ]
    for number in calls.refused:
        found += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO_EPERM)]
    of_process = [*((number, _ARGUMENT_0) for number in calls.of_process), (calls.ptrace, _ARGUMENT_1)]
    for number, argument in of_process:
        found += [
            (_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, argument),
            (_EQUAL, 0, 1, WARDEN),
            (_RETURN, 0, 0, _ERRNO_EPERM),
            (_RETURN, 0, 0, _ALLOW),
        ]
    for number, one_process in ((calls.setpriority, os.PRIO_PROCESS), (calls.ioprio_set, 1)):
        found += [  # of the caller alone: neither of another process, nor of a group or a user that the warden is in
            (_EQUAL, 0, 6, number),
            (_LOAD, 0, 0, _ARGUMENT_0),
            (_EQUAL, 0, 3, one_process),
            (_LOAD, 0, 0, _ARGUMENT_1),
            (_EQUAL, 0, 1, 0),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _ERRNO_EPERM),
        ]
    found += [
        (_EQUAL, 0, len(FAMILIES) + 3, calls.socket),
        (_LOAD, 0, 0, _ARGUMENT_0),
        *((_EQUAL, len(FAMILIES) - index, 0, family) for index, family in enumerate(FAMILIES)),
        (_RETURN, 0, 0, _ERRNO_EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return [*found, (_RETURN, 0, 0, _ALLOW)]


def warden_is_guarded() -> bool:
    """Tried, not believed."""
    try:
        os.sched_setaffinity(WARDEN, os.sched_getaffinity(WARDEN))
    except PermissionError:
        return True
    return False
