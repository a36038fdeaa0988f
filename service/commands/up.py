"""`agenthost up`: start every part, serve until a signal, stop cleanly."""

import asyncio
import socket
import sys
from contextlib import suppress

import structlog
import typer
import uvloop
from fastapi import FastAPI

from service.app import create_app
from service.commands.console import Exit, printable, say, started_as
from service.commands.samples import define_samples
from service.commands.welcome import welcome
from service.operations.routes import VERSION
from service.serving import CannotListen, Server, listening_socket
from service.settings import Settings

log = structlog.get_logger("agenthost.up")


def serve(settings: Settings) -> Exit:
    """Serve until SIGINT or SIGTERM; says in a sentence why when it cannot."""
    for warning in settings.warnings():
        log.warning("settings", advice=warning)
    try:
        bound = listening_socket(settings)
    except CannotListen as error:
        say(f"Error: {error}")
        return Exit.FAILED
    app = create_app(settings)
    with bound:
        uvloop.run(_serve(app, settings, bound))
    refusal = app.state.refusal
    if refusal is None:
        return Exit.OK
    say(f"Error: {printable(refusal)}")
    say(f"{started_as()} doctor says what works here and what does not.")
    return Exit.FAILED


async def _serve(app: FastAPI, settings: Settings, bound: socket.socket) -> None:
    greetings: list[asyncio.Task[None]] = []
    url = _url(bound)
    server = Server(app, settings, on_started=lambda: greetings.append(asyncio.create_task(_greet(app, url))))
    try:
        await server.serve(sockets=[bound])
        log.info("stopped", url=url)
    except SystemExit:
        if app.state.refusal is None:
            raise


async def _greet(app: FastAPI, url: str) -> None:
    log.info("started", url=url, version=VERSION)
    text = await welcome(app.state.host, url)
    with suppress(OSError):  # nobody may be reading
        typer.echo(text)
        sys.stdout.flush()
    await define_samples(app)


def _url(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}"
