"""Runs as a script of its own, between the host and Postgres: becomes the unprivileged user that Postgres asks for,
ties its life to the host's, and turns into the command. Standard library only; it imports nothing of the host.

    python -I -S launch.py '{"parent": 1, "uid": null, "mount_point": "", "command": ["/bin/true"], "environment": {}}'
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

NO_NAMESPACES = 77
"""The exit code where the kernel does not allow a mount namespace."""

_PR_SET_PDEATHSIG = 1
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18


def main(plan: dict[str, Any]) -> None:
    """Does not return. What goes wrong is a sentence on standard error and exit code 70."""
    libc = ctypes.CDLL(None, use_errno=True)
    if plan["mount_point"]:
        _mount_privately(libc, plan["mount_point"], plan["binds"], plan["passwd"])
    os.chdir("/")
    if plan["uid"] is not None:
        os.setgroups([])
        os.setresgid(plan["uid"], plan["uid"], plan["uid"])
        os.setresuid(plan["uid"], plan["uid"], plan["uid"])
    os.umask(0o077)
    # After the change of user, which clears it. SIGINT is Postgres' fast shutdown: it also writes what was committed
    # asynchronously. The signal follows the thread that forked, which is the event loop's.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
    if os.getppid() != plan["parent"]:
        sys.exit(70)
    os.execve(plan["command"][0], plan["command"], plan["environment"])


def _mount_privately(libc: ctypes.CDLL, mount_point: str, binds: list[list[str]], passwd: str) -> None:
    """In a mount namespace that only this process and its children see: `binds` (source, name) under `mount_point`, and
    `passwd` in the place of the system's own."""
    uid, gid = os.getuid(), os.getgid()
    try:
        os.unshare(os.CLONE_NEWNS if uid == 0 else os.CLONE_NEWNS | os.CLONE_NEWUSER)
    except PermissionError:
        sys.exit(NO_NAMESPACES)
    if uid != 0:
        # An ordinary user may do this in a user namespace, as who they are.
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _mount(libc, "none", "/", None, _MS_REC | _MS_PRIVATE)
    _mount(libc, "tmpfs", mount_point, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=1m")
    for source, name in binds:
        target = Path(mount_point, name)
        target.mkdir(mode=0o755)
        _mount(libc, source, str(target), None, _MS_BIND)
    if passwd:
        file = Path(mount_point, "passwd")
        file.write_text(passwd)
        file.chmod(0o644)
        _mount(libc, str(file), "/etc/passwd", None, _MS_BIND)


def _mount(libc: ctypes.CDLL, source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    texts = [None if text is None else text.encode() for text in (source, target, kind, data)]
    if libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]):
        raise OSError(ctypes.get_errno(), f"mount {target}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except OSError as error:
        sys.stderr.write(f"launch: {error.strerror}\n")
        sys.exit(70)
