"""Notifications as rows, always read and written as the caller."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from service.auth import Caller
from service.capabilities.plain_json import cleaned, cleaned_text
from service.database.gateway import Database, Row
from service.errors import ApiError


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationStore:
    """The caller's notifications."""

    database: Database
    caller: Caller

    async def page(self, *, read: bool | None, limit: int, cursor: UUID | None) -> list[dict[str, Any]]:
        """One more than `limit`, if there are, newest first."""
        where: dict[str, Any] = {} if read is None else {"read": read}
        if cursor is not None:
            where["id"] = {"lt": str(cursor)}
        rows = await self.database.select(
            self.caller, "agent_notifications", where=where, order="id desc", limit=limit + 1
        )
        return [_shown(row) for row in rows]

    async def mark(self, notification_id: str, *, read: bool) -> dict[str, Any]:
        """Raises ApiError `notification_not_found`, also for what could not be an id."""
        try:
            known = str(UUID(notification_id))
        except ValueError:
            raise _not_found() from None
        rows = await self.database.update(self.caller, "agent_notifications", {"read": read}, where={"id": known})
        if not rows:
            raise _not_found()
        return _shown(rows[0])


def _shown(row: Row) -> dict[str, Any]:
    """A row, which its owner may have written past the host."""
    return {
        "notification_id": str(row["id"]),
        **{name: None if row[name] is None else str(row[name]) for name in ("agent_id", "run_id")},
        **{name: cleaned_text(str(row[name])) for name in ("type", "title", "content", "priority")},
        "actions": cleaned(row["actions"]) if isinstance(row["actions"], list) else [],
        "read": row["read"] is True,
        "created_at": str(row["created_at"]),
    }


def _not_found() -> ApiError:
    return ApiError("notification_not_found", "You have no such notification.")
