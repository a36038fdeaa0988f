"""uvicorn, set up for this host: one socket, the bounded parser, a stop that first lets a balancer look elsewhere, then
waits for runs, and then cancels them."""

import asyncio
import errno
import logging
import math
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import structlog
import uvicorn
from fastapi import FastAPI

from service.edge import InFlight
from service.protocol import BoundedHttp
from service.settings import Settings

log = structlog.get_logger("agenthost.up")

BACKLOG: Final = 2048


class CannotListen(Exception):
    """The address or the port cannot be had. The message is one sentence for the operator."""


def listening_socket(settings: Settings) -> socket.socket:
    """A socket bound to the address and port of the settings. Raises CannotListen."""
    host, port = settings.host, settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError:
        raise CannotListen(f"AGENTHOST_HOST: {host!r} is not an address of this machine.") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        # From here on a second host on the port is told at once, not when this one has finished starting.
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise CannotListen(_why_not(error, host, port)) from None
    return bound


def _why_not(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"Port {port} on {host} is in use: stop what listens there, or set AGENTHOST_PORT to another (0: any)."
            )
        case errno.EACCES:
            return f"Port {port} needs more rights than this user has: set AGENTHOST_PORT to one above 1023."
        case _:
            return f"Cannot listen on {host} port {port}: {error.strerror}."


class Server(uvicorn.Server):
    """Serves one application on one socket until a signal; then lets requests in flight finish, within a limit."""

    def __init__(
        self,
        app: FastAPI,
        settings: Settings,
        *,
        on_started: Callable[[], None] | None = None,
        ends_on_signals: bool = True,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedHttp,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=math.ceil(settings.limit_shutdown_seconds),
            )
        )
        self._in_flight: InFlight = app.state.in_flight
        self._drain_seconds = settings.drain_seconds
        self._on_started = on_started
        self._ends_on = (signal.SIGINT, signal.SIGTERM) if ends_on_signals else ()
        # What goes wrong at start is told by the application itself, in a sentence instead of a stack trace.
        logging.getLogger("uvicorn.error").addFilter(_not_of_lifespan)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._on_started is not None and not self.should_exit:
            self._on_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins to drain, where that is set; the next one does not wait for the end of it."""
        if not self._drain_seconds or self._in_flight.draining:
            super().handle_exit(sig, frame)
            return
        self._in_flight.draining = True
        log.info("draining", seconds=self._drain_seconds)
        asyncio.get_running_loop().call_later(self._drain_seconds, self._drained)

    def _drained(self) -> None:
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM end it, and are then done with: uvicorn would raise them once more."""
        loop = asyncio.get_running_loop()
        for number in self._ends_on:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in self._ends_on:
                loop.remove_signal_handler(number)


def _not_of_lifespan(record: logging.LogRecord) -> bool:
    return "lifespan" not in record.pathname.rpartition("uvicorn")[2]
