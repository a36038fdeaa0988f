"""The /secrets routes. A value is sealed as soon as it is read, and no route ever answers one."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from service.agents.documents import refusals, request_body
from service.agents.models import parsed
from service.auth import CallerDep
from service.body import read_json
from service.errors import ApiError
from service.host import HostDep
from service.names import SECRET_PATTERN
from service.outside.vault import Binding
from service.secrets.models import SecretList, SecretPut
from service.secrets.store import SecretStore

router = APIRouter(prefix="/secrets", tags=["secrets"])

_PUT: Final[dict[str, Any]] = {
    "responses": refusals(
        *("invalid_request", "not_json", "request_timeout", "body_too_large", "unsupported_media_type"),
        *("validation_failed", "too_many_secrets"),
    ),
    "openapi_extra": request_body(
        SecretPut, {"key": {"value": "sk-live-0123456789abcdef", "hosts": ["api.example.com", "*.example.org"]}}
    ),
}


class SecretPage(BaseModel):
    """Which part of the list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100, description="At most this many.")] = 50
    cursor: Annotated[
        str | None, Field(pattern=SECRET_PATTERN, description="The `next_cursor` of the page before.")
    ] = None


@router.put("/{name}", operation_id="put_secret", summary="Store a secret", status_code=204, **_PUT)
async def put_secret(
    name: Annotated[str, Path(pattern=SECRET_PATTERN)], request: Request, caller: CallerDep, host: HostDep
) -> Response:
    """Store a secret, or replace its value and hosts. It is bound to the hosts: nothing sends it anywhere else."""
    settings = host.settings
    secret = parsed(SecretPut, await read_json(request, settings.limit_body_bytes, seconds=settings.limit_body_seconds))
    value = secret.value.get_secret_value()
    if len(value) > settings.limit_secret_bytes:
        message = f"has more than {settings.limit_secret_bytes} bytes, the limit of a secret"
        raise ApiError(
            "validation_failed", "The value is too large.", errors=[{"pointer": "/value", "message": message}]
        )
    binding = Binding(user_id=caller.user_id, name=name, hosts=tuple(secret.hosts))
    store = SecretStore(database=host.database, caller=caller)
    await store.put(binding, host.outside.vault.seal(value, binding), most=settings.limit_secrets)
    return Response(status_code=204)


@router.get(
    "",
    operation_id="list_secrets",
    summary="List your secrets",
    responses={200: {"model": SecretList}, **refusals("validation_failed")},
)
async def list_secrets(caller: CallerDep, host: HostDep, page: Annotated[SecretPage, Query()]) -> Response:
    """Your secrets by name, with the hosts they may be sent to."""
    secrets = await SecretStore(database=host.database, caller=caller).list(limit=page.limit, after=page.cursor)
    shown = secrets[: page.limit]
    cursor = shown[-1].name if len(secrets) > page.limit else None
    return JSONResponse({"data": [secret.summary() for secret in shown], "next_cursor": cursor})


@router.delete(
    "/{name}",
    operation_id="delete_secret",
    summary="Delete a secret",
    status_code=204,
    responses=refusals("secret_not_found"),
)
async def delete_secret(name: str, caller: CallerDep, host: HostDep) -> Response:
    """Delete a secret. Agents that use it fail from then on."""
    await SecretStore(database=host.database, caller=caller).delete(name)
    return Response(status_code=204)
