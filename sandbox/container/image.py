"""The image that agents run in: this very guest on a base image.

It is named after its content, so that a changed guest is built anew.
"""

import hashlib
import io
import tarfile
from pathlib import Path

from sandbox.container.inside import __path__ as _inside

REPOSITORY = "agenthost-runner"
TARGET = "runner"
BASE_ARGUMENT = "BASE_IMAGE"

_SANDBOX = Path(_inside[0]).parents[1]
_PARTS = ("__init__.py", "bpf.py", "wire.py", "guest", "container/__init__.py", "container/inside")


def dockerfile() -> Path:
    """In a checkout the project's own; installed, the copy beside this file."""
    beside = Path(__file__).with_name("Dockerfile")
    return beside if beside.exists() else _SANDBOX.parent / "Dockerfile"


def context() -> bytes:
    """A tar with the Dockerfile and the guest, the same bytes for the same content."""
    files = {"Dockerfile": dockerfile()}
    for part in _PARTS:
        path = _SANDBOX / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            files[f"sandbox/{file.relative_to(_SANDBOX).as_posix()}"] = file
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, file in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = file.stat().st_size
            entry.mode = 0o644
            with file.open("rb") as content:
                tar.addfile(entry, content)
    return buffer.getvalue()


def tag(content: bytes, base: str) -> str:
    """What an image of this content on this base is called."""
    return f"{REPOSITORY}:{hashlib.sha256(content + base.encode()).hexdigest()[:16]}"
