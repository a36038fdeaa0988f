"""The directory of agents' files: <root>/<user id>/<agent name>.py, each replaced as a whole. Data: never imported.

No path leaves the root: both parts are validated, and nothing below the root is reached through a symbolic link.
"""

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from service.agents.models import NAME_PATTERN

MAX_FILE_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class AgentDirectory:
    """Raises OSError where the disk or what lies there does not do."""

    root: Path

    def path(self, user_id: UUID, name: str) -> Path:
        """Where the agent's file is or would be. Raises ValueError for what is no name."""
        return self.root / str(user_id) / _file_name(name)

    def read(self, user_id: UUID, name: str) -> str | None:
        """The text of a file, None when there is none. Raises UnicodeDecodeError too."""
        file_name = _file_name(name)
        try:
            with self._opened(user_id) as directory:
                # Not blocking: what lies there may be a pipe.
                descriptor = os.open(
                    file_name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory
                )
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError("it is not a file")
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise OSError(f"it has more than {MAX_FILE_BYTES} bytes")
        return content.decode()

    def write(self, user_id: UUID, name: str, text: str) -> None:
        """Put the file there, as a whole or not at all, readable by its owner alone."""
        file_name = _file_name(name)
        with self._opened(user_id, make=True) as directory:
            replace_file(directory, file_name, text, mode=0o600)

    def remove(self, user_id: UUID, name: str) -> None:
        file_name = _file_name(name)
        with suppress(FileNotFoundError), self._opened(user_id) as directory:
            os.unlink(file_name, dir_fd=directory)

    @contextmanager
    def _opened(self, user_id: UUID, *, make: bool = False) -> Iterator[int]:
        """The user's directory; where the root is, is its operator's choice, links included."""
        if make:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(str(user_id), 0o700, dir_fd=root)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            directory = os.open(str(user_id), flags, dir_fd=root)
        finally:
            os.close(root)
        try:
            yield directory
        finally:
            os.close(directory)


def replace_file(directory: int, name: str, text: str, *, mode: int) -> None:
    """Write a file aside and put it in the place of `name`, in an open directory. A link there is replaced."""
    aside = f".{name}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(aside, flags, 0o600, dir_fd=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(aside, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(aside, dir_fd=directory)
        raise


def _file_name(name: str) -> str:
    if not re.fullmatch(NAME_PATTERN, name):
        raise ValueError(f"{name!r} is no name of an agent")
    return f"{name}.py"
