"""What an operator and a client ask about the host itself."""

from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from service.auth import CallerDep
from service.errors import ApiError
from service.host import HostDep
from service.operations.limits import limits_in_force
from service.operations.models import Health, Limits, Readiness, Version
from service.operations.readiness import ReadinessProbe
from service.problem_docs import problems

router = APIRouter(tags=["operations"])

VERSION: Final = version("agenthost")


@router.get("/health", operation_id="get_health", summary="Alive", response_model=Health)
async def health() -> Response:
    """The process answers requests. It asks nothing of the database or the engines."""
    return JSONResponse({"status": "ok"})


@router.get(
    "/ready",
    operation_id="get_ready",
    summary="Able to run agents",
    response_model=Readiness,
    responses=problems("not_ready"),
)
async def ready(request: Request, host: HostDep) -> Response:
    """Database, keys and engines, each with a state; 503 with the same members when no agent can be run, or the host is
    stopping."""
    probe: ReadinessProbe = request.app.state.readiness
    stopping = request.app.state.in_flight.draining
    answer = await probe.ask(host)
    if stopping:
        answer = answer.model_copy(update={"ready": False})
    document = answer.model_dump(mode="json")
    if not answer.ready:
        states = {"database": answer.database.state, "keys": answer.keys.state}
        failing = [name for name, state in states.items() if state == "unavailable"]
        failing += [f"engine {engine.name}" for engine in answer.engines if engine.state != "ready"]
        failing += ["it is stopping"] if stopping else []
        raise ApiError("not_ready", f"Not ready: {', '.join(failing) or 'no engine'}.", extra=document)
    return JSONResponse(document)


@router.get("/version", operation_id="get_version", summary="Version of the host", response_model=Version)
async def get_version() -> Response:
    """Name and version."""
    return JSONResponse({"name": "agenthost", "version": VERSION})


@router.get(
    "/limits",
    operation_id="get_limits",
    summary="Every limit in force, with its unit",
    response_model=Limits,
    responses=problems("invalid_token"),
)
async def get_limits(host: HostDep, caller: CallerDep) -> Response:
    """Name, value, unit, what it applies to, and the setting that changes it."""
    return JSONResponse({"data": list(limits_in_force(host.settings))})


@router.get(
    "/.well-known/jwks.json",
    operation_id="get_jwks",
    summary="Public keys of this host's own tokens",
    responses=problems("not_found"),
)
async def jwks(host: HostDep) -> dict[str, Any]:
    """The key set (RFC 7517) of local tokens; 404 where an identity provider signs them."""
    if host.identity is None:
        raise ApiError("not_found", "This host signs no tokens: its identity provider publishes the keys.")
    return host.identity.jwks
