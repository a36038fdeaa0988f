"""Can this host run agents now? Load balancers ask without a token, so the answer holds states and no addresses."""

import asyncio
from time import monotonic
from typing import Literal

from sandbox.job import EngineStatus
from service.database.gateway import DatabaseError
from service.host import Host
from service.operations.models import EngineState, KeysState, PartState, Readiness

ASK_SECONDS = 3.0
REMEMBER_SECONDS = 0.5


class ReadinessProbe:
    """Asks the parts, at most twice a second however often it is asked itself."""

    def __init__(self) -> None:
        self._asking = asyncio.Lock()
        self._answer: Readiness | None = None
        self._asked_at = 0.0

    async def ask(self, host: Host) -> Readiness:
        async with self._asking:
            if self._answer is None or monotonic() - self._asked_at > REMEMBER_SECONDS:
                self._answer = await readiness(host)
                self._asked_at = monotonic()
            return self._answer


async def readiness(host: Host) -> Readiness:
    """What each part says now."""
    database = PartState(state=_state(await _database_is_ready(host)))
    verifier = host.verifier.status()
    keys = KeysState(state=verifier.state, since=verifier.since)
    engines = [_engine(engine.status()) for engine in host.engines.values()]
    weakened = [
        f"The engine {engine.name} runs without {', '.join(engine.missing)}." for engine in engines if engine.missing
    ]
    parts_ready = database.state == "ready" and keys.state != "unavailable"
    ready = parts_ready and any(engine.state == "ready" for engine in engines)
    return Readiness(ready=ready, database=database, keys=keys, engines=engines, warnings=weakened)


async def _database_is_ready(host: Host) -> bool:
    try:
        async with asyncio.timeout(ASK_SECONDS):
            return (await host.database.status()).ready
    except (DatabaseError, TimeoutError):
        return False


def _engine(status: EngineStatus) -> EngineState:
    return EngineState(
        name=status.name, state=_state(status.ready), isolation=list(status.isolation), missing=list(status.missing)
    )


def _state(ready: bool) -> Literal["ready", "unavailable"]:
    return "ready" if ready else "unavailable"
