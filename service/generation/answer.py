"""The answer to a request that has a model write: one document, or events while it is written.

A generation whose caller goes away is ended: nobody would learn of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from sandbox.job import SandboxUnavailable
from service.accept import prefers
from service.database.gateway import DatabaseError
from service.errors import ApiError
from service.event_stream import EventStream
from service.generation.progress import UNWATCHED, GenerationEvents, Progress
from service.generation.writing import Written
from service.problems import from_host

Write = Callable[[Progress], Coroutine[Any, Any, Written]]


async def answer(request: Request, write: Write, *, status: int = 200) -> Response:
    """Raises ApiError when nothing was written."""
    if prefers(request.headers.getlist("accept"), EventStream.media_type, to="application/json"):
        return GenerationStream(request, write)
    written = await _while_wanted(request, write(UNWATCHED))
    headers = {"Vary": "Accept"}
    if written.agent is not None:
        headers["ETag"] = written.agent.tag
    if status == 201 and written.agent is not None:
        headers["Location"] = f"/agents/{written.agent.agent_name}"
    return JSONResponse(written.document, status_code=status, headers=headers)


async def _while_wanted[T](request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What comes of it. Raises ClientDisconnect when the caller goes away first; then it has ended too."""
    working = asyncio.create_task(work)
    watching = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        watching.cancel()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)  # whatever it ended with is seen


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class GenerationStream(EventStream):
    """What is wrong before the first attempt is answered as without streaming."""

    keep_alive = b": the model writes\n\n"

    def __init__(self, request: Request, write: Write) -> None:
        """Starts the generation."""
        self._told = GenerationEvents()
        super().__init__(self._told)
        self._request = request
        self._work: Awaitable[Written] = asyncio.create_task(_while_wanted(request, write(self._told)))

    async def end(self) -> None:
        try:
            written = await self._work
        except (ApiError, DatabaseError, SandboxUnavailable) as error:
            if not self._told.begun:
                raise
            problem = error if isinstance(error, ApiError) else from_host(error)
            state = self._request.state
            state.error_code = problem.code
            document = problem.document(instance=self._request.url.path, request_id=state.request_id)
            self._told.end("generation.failed", document)
        else:
            self._told.end("generation.done", written.document)
