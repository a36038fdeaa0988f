"""What this container is locked in by, read from inside before any job: the host believes no daemon's word for it."""

import ctypes
import os
import re

from sandbox.container.inside.accounting import limit_of

LAYERS = (
    "user",
    "capabilities",
    "no-new-privileges",
    "seccomp",
    "warden",
    "network",
    "read-only",
    "memory",
    "processes",
)
IN_MEMORY = frozenset({"tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "devtmpfs"})
"""File systems that no byte written to reaches a disk from."""

CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd")
"""Ambient ones are among the permitted; gVisor does not list them."""

_PR_GET_SECCOMP, _SECCOMP_MODE_FILTER = 21, 2
_PR_GET_NO_NEW_PRIVS = 39


def filtered() -> bool:
    """Whether the engine filters system calls. To be asked before the warden adds a filter of its own."""
    return bool(ctypes.CDLL(None).prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) == _SECCOMP_MODE_FILTER)


def layers(*, seccomp: bool, warden: bool) -> dict[str, bool]:
    """Each of LAYERS: whether it is in force; `seccomp` is what `filtered` said, `warden` what `become_warden` did."""
    status = dict(re.findall(r"^(\w+):\s*(\S*)", _text("/proc/self/status"), re.MULTILINE))
    held = {
        "user": 0 not in {*os.getresuid(), *os.getresgid(), *os.getgroups()},
        "capabilities": all(int(status.get(kind, "1"), 16) == 0 for kind in CAPABILITIES),
        "no-new-privileges": ctypes.CDLL(None).prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
        "seccomp": seccomp,
        "warden": warden,
        "network": set(re.findall(r"^ *(\S+):", _text("/proc/net/dev"), re.MULTILINE)) <= {"lo"},
        "read-only": not writable_disks(),
        "memory": limit_of("memory") is not None,
        "processes": limit_of("processes") is not None,
    }
    return {name: held[name] for name in LAYERS}


def writable_disks() -> list[str]:
    """What is mounted for writing and is not memory: the root, or a volume, which an image may ask for by itself."""
    found = []
    for line in _text("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        mounted, options = before.split()[4:6]
        if "rw" in options.split(",") and (mounted == "/" or after.split()[0] not in IN_MEMORY):
            found.append(mounted)
    return found


def _text(path: str) -> str:
    with open(path) as file:
        return file.read()
