"""Agents and their versions as rows, always read and written as the caller: policies decide whose they are.

Version, revision and history are kept by triggers; a change is written only over the revision it was made from.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from service.agents.kept_files import KeptFiles
from service.agents.models import NAME_PATTERN
from service.auth import Caller
from service.capabilities.plain_json import cleaned, cleaned_text
from service.database.gateway import Conflict, Database, Row
from service.errors import ApiError

SUMMARY_COLUMNS: Final = ("id", "agent_name", "description", "version", "revision", "created_at", "updated_at")
VERSION_COLUMNS: Final = ("version", "description", "origin", "code_hash", "created_at")
_NAME: Final = re.compile(NAME_PATTERN)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAgent:
    """A row of `agents`. `config` is what the row holds: the caller's input, not to be run before it is examined."""

    id: str
    agent_name: str
    description: str
    config: Any
    version: int
    revision: int
    created_at: str
    updated_at: str
    origin: Mapping[str, Any]

    @classmethod
    def from_row(cls, row: Row) -> "StoredAgent":
        return cls(
            id=str(row["id"]),
            agent_name=str(row["agent_name"]),
            description=cleaned_text(str(row["description"] or "")),
            config=row.get("agent_config"),
            version=int(row["version"]),
            revision=int(row["revision"]),
            created_at=str(row["created_at"]),
            updated_at=str(row["updated_at"]),
            origin=row["origin"] if isinstance(row.get("origin"), dict) else {},
        )

    @property
    def tag(self) -> str:
        """Its ETag: another one with every change."""
        return f'"{self.revision}"'

    @property
    def proposes(self) -> bool:
        """Whether a model wrote the code: then what it asks for is in force only once its owner has accepted it."""
        return self.origin.get("proposes") is True


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStore:
    """The caller's agents; with `files` each that is stored is written there too."""

    database: Database
    caller: Caller
    files: KeptFiles | None = None

    async def create(self, name: str, description: str, config: Mapping[str, Any], origin: Mapping[str, Any]) -> Row:
        """Raises ApiError `agent_exists`."""
        row = {
            "user_id": str(self.caller.user_id),
            "agent_name": name,
            "description": description,
            "agent_config": config,
            "origin": origin,
        }
        try:
            [stored] = await self.database.insert(self.caller, "agents", [row])
        except Conflict:
            raise ApiError("agent_exists", f"You already have an agent named {name!r}.") from None
        self._keep_file(stored)
        return stored

    async def get(self, name: str) -> StoredAgent:
        """Raises ApiError `agent_not_found`, also for what could not be a name."""
        rows = await self.database.select(self.caller, "agents", where={"agent_name": name}) if is_name(name) else []
        if not rows:
            raise not_found(name)
        return StoredAgent.from_row(rows[0])

    async def list(self, *, name: str | None, limit: int, cursor: UUID | None) -> list[StoredAgent]:
        """One more than `limit`, if there are, newest first."""
        where: dict[str, Any] = {}
        if name is not None:
            where["agent_name"] = name
        if cursor is not None:
            where["id"] = {"lt": str(cursor)}
        rows = await self.database.select(
            self.caller, "agents", columns=SUMMARY_COLUMNS, where=where, order="id desc", limit=limit + 1
        )
        return [StoredAgent.from_row(row) for row in rows]

    async def change(self, agent: StoredAgent, values: Mapping[str, Any]) -> StoredAgent | None:
        """The agent with `values`, or None when it has changed or gone since it was read."""
        rows = await self.database.update(
            self.caller, "agents", values, where={"id": agent.id, "revision": agent.revision}
        )
        if not rows:
            return None
        self._keep_file(rows[0])
        return StoredAgent.from_row(rows[0])

    async def delete(self, agent: StoredAgent, *, if_unchanged: bool) -> bool:
        """Whether it was there; with `if_unchanged`, in the revision that was read."""
        where = {"id": agent.id, "revision": agent.revision} if if_unchanged else {"id": agent.id}
        deleted = bool(await self.database.delete(self.caller, "agents", where=where))
        if deleted and self.files is not None:
            self.files.deleted(self.caller.user_id, agent.agent_name)
        return deleted

    async def versions(self, agent: StoredAgent, *, limit: int, before: int | None) -> Sequence[Row]:
        """One more than `limit`, if there are, newest first."""
        where: dict[str, Any] = {"agent_id": agent.id}
        if before is not None:
            where["version"] = {"lt": before}
        rows = await self.database.select(
            self.caller, "agent_versions", columns=VERSION_COLUMNS, where=where, order="version desc", limit=limit + 1
        )
        return [cleaned(row) for row in rows]

    async def version(self, agent: StoredAgent, version: str) -> Row:
        """Raises ApiError `version_not_found`, also for what could not be a version."""
        rows = []
        if re.fullmatch("[1-9][0-9]{0,8}", version):
            where = {"agent_id": agent.id, "version": int(version)}
            rows = await self.database.select(self.caller, "agent_versions", where=where)
        if not rows:
            raise ApiError("version_not_found", f"The agent {agent.agent_name!r} has no such version.")
        return rows[0]

    async def take_check(self, per_day: int) -> None:
        """Count one check of new code. Raises ApiError `quota_exceeded`."""
        await self._take("checks", per_day, "checks of code")

    async def take_generation(self, per_day: int) -> None:
        """Count one agent that a model writes. Raises ApiError `quota_exceeded`."""
        await self._take("generations", per_day, "agents written by a model")

    def _keep_file(self, row: Row) -> None:
        if self.files is not None:
            self.files.stored(self.caller.user_id, row)

    async def _take(self, name: str, per_day: int, what: str) -> None:
        quota = await self.database.call(self.caller, "take_quota", p_name=name, p_amount=1, p_limit=per_day)
        if not quota["allowed"]:
            raise over_quota(f"You have used your {per_day} {what} for today", str(quota["resets_at"]))


def over_quota(detail: str, resets_at: str) -> ApiError:
    """`quota_exceeded`, with when there is more."""
    left = datetime.fromisoformat(resets_at) - datetime.now(UTC)
    retry_after = str(max(math.ceil(left.total_seconds()), 1))
    return ApiError("quota_exceeded", f"{detail}; more at {resets_at}.", headers={"Retry-After": retry_after})


def is_name(name: str) -> bool:
    """Whether an agent could be named so."""
    return _NAME.fullmatch(name) is not None


def not_found(name: str) -> ApiError:
    return ApiError("agent_not_found", f"You have no agent named {cleaned_text(name)[:80]!r}.")
