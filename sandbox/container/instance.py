"""The name that this host's containers carry. It is kept in a file, so that the next start knows what is its own."""

import fcntl
import os
import re
import uuid
from pathlib import Path

from sandbox.job import SandboxUnavailable


class Instance:
    """A lock on the name, held until `release`: two hosts with one name would remove each other's containers."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor: int | None = None

    def hold(self) -> str:
        """The name. Raises SandboxUnavailable when another host holds it."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SandboxUnavailable(f"{self._file} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise SandboxUnavailable(
                f"another host runs containers in the name of {self._file}: give each its own data directory"
            ) from None
        self._descriptor = descriptor
        name = os.read(descriptor, 100).decode("ascii", "replace")
        if not re.fullmatch("[0-9a-f]{32}", name):
            name = uuid.uuid4().hex
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, name.encode(), 0)
        return name

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
