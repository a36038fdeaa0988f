"""Keeps the guest's hands off the warden, which has its user, and off doors into the kernel that no agent needs.

A seccomp filter on top of the engine's own, whose strictness differs between versions: everything is allowed but what
stands here, and foreign entries (i386, x32). Linux itself keeps the memory and descriptors of what is not dumpable, and
the first process from signals; gVisor does not.
"""

import ctypes
import os
from collections.abc import Sequence
from typing import NamedTuple

from sandbox.bpf import ALLOW, ARGUMENTS, EQUAL, ERRNO_EPERM, LOAD, RETURN, Filter, Instruction, native

WARDEN = 1
FAMILIES = (1, 2, 10, 16)
"""Of sockets: AF_UNIX, AF_INET, AF_INET6, AF_NETLINK. Not AF_VSOCK, the hypervisor's, nor AF_ALG, with its way into
the page cache (CVE-2026-31431)."""


SET_OWNER = (8, 15)
"""F_SETOWN and F_SETOWN_EX: whom a file sends signals to, of any number, when something can be read."""

SET_OWNER_BY_IOCTL = (0x8901, 0x8902)
"""FIOSETOWN and SIOCSPGRP: the same."""


class Calls(NamedTuple):
    """Numbers of one architecture."""

    audit_arch: int
    refused: tuple[int, ...]
    """io_uring_setup, io_uring_enter, io_uring_register, io_setup, userfaultfd, bpf, perf_event_open, keyctl, add_key,
    request_key; pidfd_send_signal, which takes a directory of /proc as well; and modify_ldt where there is one"""
    of_process: tuple[int, ...]
    """With a process as their first argument: prlimit64, sched_setparam, sched_setscheduler, sched_setaffinity,
    sched_setattr; kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_open; process_vm_readv and _writev"""
    ptrace: int
    setpriority: int
    ioprio_set: int
    fcntl: int
    ioctl: int
    socket: int


CALLS = {
    "x86_64": Calls(
        0xC000003E,
        (425, 426, 427, 206, 323, 321, 298, 250, 248, 249, 424, 154),
        (302, 142, 144, 203, 314, 62, 200, 234, 129, 297, 434, 310, 311),
        ptrace=101,
        setpriority=141,
        ioprio_set=251,
        fcntl=72,
        ioctl=16,
        socket=41,
    ),
    "aarch64": Calls(
        0xC00000B7,
        (425, 426, 427, 0, 282, 280, 241, 219, 217, 218, 424),
        (261, 118, 119, 122, 274, 129, 130, 131, 138, 240, 434, 270, 271),
        ptrace=117,
        setpriority=140,
        ioprio_set=30,
        fcntl=25,
        ioctl=29,
        socket=198,
    ),
}


def guard_warden() -> bool:
    """In force for this process and all that it will start, for good. Whether it is."""
    calls = CALLS.get(os.uname().machine)
    return calls is not None and Filter(program(calls)).load(ctypes.CDLL(None)) and _holds()


def _holds() -> bool:
    """Tried, since a kernel of another make could take a filter and not use it."""
    try:
        os.sched_setaffinity(WARDEN, os.sched_getaffinity(WARDEN))
    except PermissionError:
        return True
    return False


def program(calls: Calls) -> list[Instruction]:
    """What the kernel runs at each call: the number is loaded, and each part that knows it returns."""
    found = native(calls.audit_arch)
    for number in calls.refused:
        found += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO_EPERM)]
    for number in calls.of_process:
        found += by_value(number, ARGUMENTS[0], (WARDEN,), ERRNO_EPERM, otherwise=ALLOW)
    found += by_value(calls.ptrace, ARGUMENTS[1], (WARDEN,), ERRNO_EPERM, otherwise=ALLOW)
    found += by_value(calls.fcntl, ARGUMENTS[1], SET_OWNER, ERRNO_EPERM, otherwise=ALLOW)
    found += by_value(calls.ioctl, ARGUMENTS[1], SET_OWNER_BY_IOCTL, ERRNO_EPERM, otherwise=ALLOW)
    found += by_value(calls.socket, ARGUMENTS[0], FAMILIES, ALLOW, otherwise=ERRNO_EPERM)
    for number, one_process in ((calls.setpriority, os.PRIO_PROCESS), (calls.ioprio_set, 1)):
        found += [  # of the caller alone: neither of another process, nor of a group or a user that the warden is in
            (EQUAL, 0, 6, number),
            (LOAD, 0, 0, ARGUMENTS[0]),
            (EQUAL, 0, 3, one_process),
            (LOAD, 0, 0, ARGUMENTS[1]),
            (EQUAL, 0, 1, 0),
            (RETURN, 0, 0, ALLOW),
            (RETURN, 0, 0, ERRNO_EPERM),
        ]
    return [*found, (RETURN, 0, 0, ALLOW)]


def by_value(number: int, argument: int, values: Sequence[int], verdict: int, *, otherwise: int) -> list[Instruction]:
    """One call, which has this verdict where its argument is one of the values."""
    return [
        (EQUAL, 0, len(values) + 3, number),
        (LOAD, 0, 0, argument),
        *((EQUAL, len(values) - index, 0, value) for index, value in enumerate(values)),
        (RETURN, 0, 0, otherwise),
        (RETURN, 0, 0, verdict),
    ]
