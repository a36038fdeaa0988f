"""The bodies and answers of /notifications."""

from typing import Any

from pydantic import BaseModel, Field

from service.agents.models import Closed


class NotificationChange(Closed):
    """What of a notification may change."""

    read: bool


class Notification(BaseModel):
    """What an agent told its owner."""

    notification_id: str
    agent_id: str | None = Field(description="None once the agent is deleted.")
    run_id: str | None
    type: str
    title: str
    content: str
    priority: str
    actions: list[Any]
    read: bool
    created_at: str


class NotificationList(BaseModel):
    data: list[Notification]
    next_cursor: str | None
