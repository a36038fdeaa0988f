"""Applications behind real HTTP on a free port of loopback, in this process; and a database that nobody may ask."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from service.auth import Caller
from service.database.gateway import DatabaseStatus, DatabaseUnavailable, Row, Where
from service.edge import InFlight
from service.serving import Server, listening_socket
from service.settings import Settings


@asynccontextmanager
async def served(app: FastAPI, settings: Settings | None = None) -> AsyncIterator[str]:
    """The application's address while it is served: a host, or any other."""
    app.state.in_flight = getattr(app.state, "in_flight", InFlight())
    settings = (settings or Settings()).model_copy(update={"port": 0, "limit_shutdown_seconds": 2.0})
    bound = listening_socket(settings)
    started = asyncio.Event()
    server = Server(app, settings, on_started=started.set, ends_on_signals=False)
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        waiting.cancel()
        await serving
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=20.0) as http:
        yield http


class AbsentDatabase:
    """A database that is down: what must not need one is tested with this one."""

    async def start(self) -> None:
        return

    async def stop(self) -> None:
        return

    async def status(self) -> DatabaseStatus:
        return DatabaseStatus(ready=False, detail="absent")

    @property
    def ends_with_token(self) -> bool:
        return False

    async def select(
        self,
        caller: Caller,
        table: str,
        *,
        columns: Sequence[str] | None = None,
        where: Where | None = None,
        order: str | Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[Row]:
        raise DatabaseUnavailable("absent, at postgresql://user:sekret@db.internal/x")

    async def insert(self, caller: Caller, table: str, rows: Sequence[Mapping[str, Any]]) -> list[Row]:
        raise DatabaseUnavailable("absent")

    async def update(self, caller: Caller, table: str, values: Mapping[str, Any], *, where: Where) -> list[Row]:
        raise DatabaseUnavailable("absent")

    async def delete(self, caller: Caller, table: str, *, where: Where) -> list[Row]:
        raise DatabaseUnavailable("absent")

    async def call(self, caller: Caller, function: str, **arguments: Any) -> Any:
        raise DatabaseUnavailable("absent")
