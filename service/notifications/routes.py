"""The /notifications routes."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from service.agents.documents import refusals, request_body
from service.agents.models import parsed
from service.auth import CallerDep
from service.body import read_json
from service.host import HostDep
from service.notifications.models import Notification, NotificationChange, NotificationList
from service.notifications.store import NotificationStore

router = APIRouter(prefix="/notifications", tags=["notifications"])

_PATCH: Final[dict[str, Any]] = {
    "responses": {
        200: {"model": Notification},
        **refusals(
            *("invalid_request", "not_json", "request_timeout", "body_too_large", "unsupported_media_type"),
            *("validation_failed", "notification_not_found"),
        ),
    },
    "openapi_extra": request_body(NotificationChange, {"read": {"value": {"read": True}}}),
}


class NotificationPage(BaseModel):
    """Which part of the list."""

    model_config = ConfigDict(extra="forbid")

    read: Annotated[
        Literal["true", "false", "1", "0"] | None, Field(description="Only those that are read, or only the others.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=100, description="At most this many.")] = 50
    cursor: Annotated[UUID | None, Field(description="The `next_cursor` of the page before.")] = None


@router.get(
    "",
    operation_id="list_notifications",
    summary="List notifications",
    responses={200: {"model": NotificationList}, **refusals("validation_failed")},
)
async def list_notifications(caller: CallerDep, host: HostDep, page: Annotated[NotificationPage, Query()]) -> Response:
    """What your agents told you with `services.notify`, newest first."""
    store = NotificationStore(database=host.database, caller=caller)
    read = None if page.read is None else page.read in ("true", "1")
    found = await store.page(read=read, limit=page.limit, cursor=page.cursor)
    shown = found[: page.limit]
    cursor = shown[-1]["notification_id"] if len(found) > page.limit else None
    return JSONResponse({"data": shown, "next_cursor": cursor})


@router.patch("/{notification_id}", operation_id="change_notification", summary="Mark a notification as read", **_PATCH)
async def change_notification(notification_id: str, request: Request, caller: CallerDep, host: HostDep) -> Response:
    """Mark a notification as read, or as not read."""
    settings = host.settings
    body = await read_json(request, settings.limit_body_bytes, seconds=settings.limit_body_seconds)
    change = parsed(NotificationChange, body)
    store = NotificationStore(database=host.database, caller=caller)
    return JSONResponse(await store.mark(notification_id, read=change.read))
