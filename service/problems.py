"""Every exception that can end a request -> a problem document (RFC 9457). Nothing of the host's inside gets out."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path

from sandbox.job import SandboxUnavailable
from service.auth import refused
from service.database.gateway import Conflict, DatabaseError, DatabaseUnavailable, Forbidden, Invalid
from service.errors import TRY_LATER, ApiError, invalid_fields

log = structlog.get_logger("agenthost.problems")

MEDIA_TYPE: Final = "application/problem+json"
RETRY_SECONDS: Final = 1
_LONGEST_INSTANCE: Final = 300
_CODE_OF_STATUS: Final = {
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    422: "validation_failed",
}


def problem_response(error: ApiError, *, path: str, request_id: str) -> Response:
    """The response of an error; `path` is that of the request, without its query."""
    document = error.document(instance=path[:_LONGEST_INSTANCE], request_id=request_id)
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    headers = {"Cache-Control": "no-store", **error.headers}
    if error.kind.hint is TRY_LATER:
        headers.setdefault("Retry-After", str(RETRY_SECONDS))
    return Response(body, status_code=error.kind.status, media_type=MEDIA_TYPE, headers=headers)


def install(app: FastAPI) -> None:
    """Make `app` answer every exception that has a code; the rest is for the edge, which answers 500."""
    methods = _Methods(app)

    async def of_api_error(request: Request, error: ApiError) -> Response:
        return _respond(request, error)

    async def of_validation(request: Request, error: RequestValidationError) -> Response:
        return _respond(request, _from_validation(error))

    async def of_http(request: Request, error: HTTPException) -> Response:
        return _respond(request, _from_http(error, methods.of(request.url.path), request))

    async def of_host(request: Request, error: DatabaseError | SandboxUnavailable) -> Response:
        return _respond(request, from_host(error))

    app.add_exception_handler(ApiError, of_api_error)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, of_validation)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, of_http)  # type: ignore[arg-type]
    app.add_exception_handler(DatabaseError, of_host)  # type: ignore[arg-type]
    app.add_exception_handler(SandboxUnavailable, of_host)  # type: ignore[arg-type]


def _respond(request: Request, error: ApiError) -> Response:
    request.state.error_code = error.code
    return problem_response(error, path=request.url.path, request_id=request.state.request_id)


def _from_validation(error: RequestValidationError) -> ApiError:
    """FastAPI puts where a value came from - body, query, path - before its place there."""
    errors: Iterable[Mapping[str, Any]] = error.errors()
    return invalid_fields([{**each, "loc": tuple(each["loc"])[1:]} for each in errors])


def _from_http(error: HTTPException, allowed: Iterable[str], request: Request) -> ApiError:
    code = _CODE_OF_STATUS.get(error.status_code, "invalid_request" if error.status_code < 500 else "internal_error")
    details = {
        "not_found": "There is nothing at this path.",
        "method_not_allowed": f"The path takes {', '.join(sorted(allowed))}.",
        "body_too_large": "The body is larger than this host accepts.",
    }
    headers = {"Allow": ", ".join(sorted(allowed))} if code == "method_not_allowed" else None
    meant_to_run = code == "method_not_allowed" and request.method == "POST" and request.url.path.startswith("/agents/")
    hint = "An agent runs at /agents/{user_id}/{agent_name}." if meant_to_run else None
    return ApiError(code, details.get(code, "The request could not be understood."), hint=hint, headers=headers)


def from_host(error: DatabaseError | SandboxUnavailable) -> ApiError:
    """What a client is told when a part of the host failed; the log is told more."""
    match error:
        case SandboxUnavailable():
            log.error("engine_unavailable", reason=str(error))
            return ApiError("engine_unavailable", "The engine cannot run agents at the moment.")
        case DatabaseUnavailable():
            log.error("database_unavailable", reason=str(error))
            return ApiError("database_unavailable", "The database did not answer in time.")
        case Forbidden():
            return ApiError("forbidden", "The database's policies do not allow this to the token's user.")
        case Conflict():
            return ApiError("conflict", "A value that must be unique is taken.")
        case Invalid() if error.constraint.endswith("_user_id_fkey"):
            return refused("The token's user is no longer there.")
        case Invalid():
            return ApiError("validation_failed", "A value does not fit where it is to be stored.")
        case _:
            log.error("database_error", reason=str(error))
            return ApiError("internal_error", "The database refused what the host asked of it.")


class _Methods:
    """Which methods a path has, over all routes: a router knows only the first one that matched."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._known: list[tuple[Any, frozenset[str]]] | None = None

    def of(self, path: str) -> set[str]:
        if self._known is None:
            self._known = [
                (compile_path(route.path)[0], frozenset(route.methods or ()))
                for route in iter_route_contexts(self._app.routes)
                if route.path
            ]
        return {method for pattern, methods in self._known if pattern.match(path) for method in methods}
