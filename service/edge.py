"""The outermost layer: a request id on every answer, one log line a request, an answer even to a mistake of the host.

Pure ASGI, so that a disconnect reaches the route and nothing is copied on the way.
"""

import asyncio
import re
from time import perf_counter
from types import TracebackType
from typing import Any, Final
from uuid import uuid4

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ApiError
from service.logs import frames_of
from service.problems import problem_response

log = structlog.get_logger("agenthost.request")

CLIENT_CLOSED: Final = 499
_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_ID_OR_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}|[A-Z][A-Z0-9_]{0,62}")
"""Ids, versions, and names of agents and of secrets."""


class InFlight:
    """Counts the requests that are being answered, so that a stop can wait for them.

    While it is `draining` the host still answers, and each answer is the last one on its connection: clients come again
    on a new one, which a balancer opens elsewhere.
    """

    def __init__(self) -> None:
        self.draining = False
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __enter__(self) -> None:
        self._count += 1
        self._idle.clear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._count -= 1
        if self._count == 0:
            self._idle.set()

    async def wait(self, seconds: float) -> bool:
        """Whether all are done within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, in_flight: InFlight, url_bytes: int) -> None:
        self._app = app
        self._in_flight = in_flight
        self._url_bytes = url_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._in_flight:
            await _Exchange(scope, receive, send, self._in_flight).answer(self._app, self._url_bytes)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, in_flight: InFlight) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._in_flight = in_flight
        self._state: dict[str, Any] = scope.setdefault("state", {})
        self._request_id = _request_id(scope)
        self._state["request_id"] = self._request_id
        self._status = 0

    async def answer(self, app: ASGIApp, url_bytes: int) -> None:
        started = perf_counter()
        try:
            if len(self._scope.get("raw_path", b"")) + len(self._scope["query_string"]) > url_bytes:
                await self._fail(ApiError("uri_too_long", f"Path and query have more than {url_bytes} bytes."))
            else:
                await app(self._scope, self._receive, self._sending)
        except ClientDisconnect:
            self._status = self._status or CLIENT_CLOSED
        except asyncio.CancelledError:
            self._status = self._status or CLIENT_CLOSED
            raise
        except Exception as error:
            log.error("internal_error", request_id=self._request_id, error=type(error).__name__, at=frames_of(error))
            if self._status:
                raise  # half an answer is out: the server must break the connection
            await self._fail(ApiError("internal_error", "The request failed because of a mistake of the host."))
        finally:
            self._log_line((perf_counter() - started) * 1000)

    async def _fail(self, error: ApiError) -> None:
        self._state["error_code"] = error.code
        response = problem_response(error, path=self._scope["path"], request_id=self._request_id)
        await response(self._scope, self._receive, self._sending)

    async def _sending(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            own = [(b"x-request-id", self._request_id.encode("ascii"))]
            if self._in_flight.draining:
                own.append((b"connection", b"close"))
            message["headers"] = [*message["headers"], *own]
        await self._send(message)

    def _log_line(self, took_ms: float) -> None:
        log.info(
            "request",
            request_id=self._request_id,
            method=self._scope["method"],
            path=_logged_path(self._scope),
            status=self._status,
            code=self._state.get("error_code"),
            user_id=self._state.get("user_id"),
            took_ms=round(took_ms, 2),
        )


def _logged_path(scope: Scope) -> str | None:
    """The path as its route has it, with ids and names in their places, and nothing else that a client wrote."""
    if "route" not in scope:
        return None
    form: str = scope["route"].path_format
    given = {name: str(value) for name, value in scope["path_params"].items()}
    return form.format_map(
        {name: value if _ID_OR_NAME.fullmatch(value) else f"{{{name}}}" for name, value in given.items()}
    )


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return str(value, "ascii")
    return str(uuid4())
