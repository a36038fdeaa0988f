"""The run that a request asks for: it ends early when the caller goes away, or when the host stops."""

import asyncio

from fastapi import Request

from service.auth import Caller
from service.host import Host
from service.runs.asked import Asked
from service.runs.models import RunRecord
from service.runs.observer import UNOBSERVED, Observer
from service.runs.run import run_agent
from service.runs.stop import Stop


class RequestedRun:
    """A run in a task of its own, which outlives the request if need be: a run is always recorded."""

    def __init__(
        self, request: Request, host: Host, caller: Caller, asked: Asked, observer: Observer = UNOBSERVED
    ) -> None:
        """Starts it. The request's body has been read."""
        self._stop = Stop()
        self._running = asyncio.create_task(run_agent(host, caller, asked, self._stop, observer))
        self._watching = asyncio.create_task(_watch(request, self._stop))

    async def record(self) -> RunRecord:
        """How it ended. Raises what `run_agent` raises."""
        try:
            return await asyncio.shield(self._running)
        except asyncio.CancelledError:
            # The host is stopping, and gives requests a few more seconds: enough to record the run and to tell the
            # caller.
            self._stop.ask("the host is stopping")
            return await self._running
        finally:
            self._watching.cancel()


async def _watch(request: Request, stop: Stop) -> None:
    """Ask for a stop when the caller goes away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    stop.ask("its caller went away")
