"""What this container is locked in by, read from inside before any job: the host believes no daemon's word for it."""

import ctypes
import os
import re
import socket

from sandbox.container.inside.accounting import limit_of

LAYERS = ("user", "capabilities", "no-new-privileges", "seccomp", "network", "read-only", "memory", "processes")

_PR_GET_NO_NEW_PRIVS = 39


def layers() -> dict[str, bool]:
    """Each of LAYERS: whether it is in force."""
    with open("/proc/self/status") as file:
        status = dict(re.findall(r"^(\w+):\s*(\S*)", file.read(), re.MULTILINE))
    held = {
        "user": 0 not in {*os.getresuid(), *os.getresgid(), *os.getgroups()},
        "capabilities": all(
            int(status.get(kind, "1"), 16) == 0 for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
        ),
        "no-new-privileges": ctypes.CDLL(None).prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
        "seccomp": status.get("Seccomp") == "2",
        "network": {name for _, name in socket.if_nameindex()} <= {"lo"},
        "read-only": bool(os.statvfs("/").f_flag & os.ST_RDONLY),
        "memory": limit_of("memory") is not None,
        "processes": limit_of("processes") is not None,
    }
    return {name: held[name] for name in LAYERS}
