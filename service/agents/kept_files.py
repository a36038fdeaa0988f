"""Stored agents written to the directory of files, beside the requests that store them: none waits, and none fails.

What somebody has edited there is never overwritten or removed: that it was left alone is logged.
"""

import asyncio
import threading
from functools import partial
from queue import Full, Queue
from typing import Final
from uuid import UUID

import structlog

from service.agents.directory import AgentDirectory
from service.agents.file import AgentFile, Content, NotAFile, Standing, compare, read, written
from service.database.gateway import Row

log = structlog.get_logger("agenthost.files")

MAX_WAITING: Final = 1000
STOP_SECONDS: Final = 5.0


class KeptFiles:
    """One thread writes them, in the order in which they were stored."""

    def __init__(self, directory: AgentDirectory) -> None:
        self._directory = directory
        self._work: Queue[partial[None] | None] = Queue(MAX_WAITING)
        self._writer = threading.Thread(target=self._write, name="agent-files", daemon=True)

    async def start(self) -> None:
        self._writer.start()

    async def stop(self) -> None:
        """What is waiting is still written, in no more than STOP_SECONDS."""
        await asyncio.to_thread(self._stop)

    def stored(self, user_id: UUID, row: Row) -> None:
        """A row of `agents` has been written."""
        self._soon(partial(self._keep, user_id, str(row["agent_name"]), row))

    def deleted(self, user_id: UUID, name: str) -> None:
        """An agent is gone: so is its file, unless it was edited."""
        self._soon(partial(self._drop, user_id, name))

    def _soon(self, work: partial[None]) -> None:
        try:
            self._work.put_nowait(work)
        except Full:
            self._log_failed(work, "too many are waiting")

    def _stop(self) -> None:
        try:
            self._work.put(None, timeout=STOP_SECONDS)
        except Full:
            return  # the disk hangs, and the thread ends with the process
        self._writer.join(STOP_SECONDS)

    def _write(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except NotAFile as error:
                self._log_failed(work, str(error))
            except OSError as error:
                self._log_failed(work, error.strerror or str(error))
            except Exception as error:
                self._log_failed(work, type(error).__name__)

    def _log_failed(self, work: partial[None], reason: str) -> None:
        user_id, name = work.args[:2]
        log.warning("agent_file_not_written", user_id=str(user_id), agent_name=name, reason=reason)

    def _keep(self, user_id: UUID, name: str, row: Row) -> None:
        content = Content(description=row["description"], config=row["agent_config"])
        there = self._read(user_id, name)
        standing = compare(there, content)
        if standing in (Standing.AHEAD, Standing.BOTH, Standing.FOREIGN):
            log.warning("agent_file_left", user_id=str(user_id), agent_name=name, reason=standing.value)
            return
        if there and there.synced and not there.edited and there.synced.revision > row["revision"]:
            return  # of two changes at once the newer one came first
        text = written(content, version=row["version"], revision=row["revision"])
        self._directory.write(user_id, name, text)

    def _drop(self, user_id: UUID, name: str) -> None:
        there = self._read(user_id, name)
        if there is not None and there.edited:
            log.warning("agent_file_left", user_id=str(user_id), agent_name=name, reason="edited")
        elif there is not None:
            self._directory.remove(user_id, name)

    def _read(self, user_id: UUID, name: str) -> AgentFile | None:
        """What is there. Raises NotAFile for what may be somebody's work, and is nothing that a host wrote."""
        try:
            text = self._directory.read(user_id, name)
        except UnicodeDecodeError:
            raise NotAFile("what is there is not UTF-8") from None
        return None if text is None else read(text)
