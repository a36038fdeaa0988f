"""The keys of a JWKS endpoint: fetched again every five minutes, and when a token names one that is not known.

A set replaces the one before it as a whole, so a key that left it is refused from then on. Anything else that the
endpoint answers replaces nothing: the keys at hand serve on, for six hours at most.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import Final

import httpx
import structlog

from service.keys import KeySet, KeysStatus, KeysUnavailable, VerifyingKey, parse_jwks
from service.strict_json import parse_json

log = structlog.get_logger("agenthost.jwks")

_MOST_BYTES: Final = 256 * 1024
_NO_KEYS: Final = "the set holds no key that tokens can be checked with"


class _Refused(Exception):
    """The endpoint answered, and not with a key set. The message tells the operator what instead."""


class RemoteKeys:
    """The keys of a JWKS endpoint. Who names a known key never waits for it."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        fresh_seconds: float = 300.0,
        retry_seconds: float = 10.0,
        attempt_seconds: float = 5.0,
        most_seconds: float = 6 * 3600.0,
    ) -> None:
        """`fresh_seconds` lie between two fetches, `retry_seconds` after a failure, or between two for unknown ids.

        A fetch lasts at most `attempt_seconds`, and keys serve at most `most_seconds` after they were fetched.
        """
        self._url = url
        self._fresh_seconds = fresh_seconds
        self._retry_seconds = retry_seconds
        self._attempt_seconds = attempt_seconds
        self._most_seconds = most_seconds
        # Compressed, a small answer could be a large one.
        self._client = httpx.AsyncClient(
            timeout=attempt_seconds, follow_redirects=False, headers={"Accept-Encoding": "identity", **(headers or {})}
        )
        self._keys = KeySet()
        self._fetched: tuple[float, datetime] | None = None
        self._failure: str | None = "it was not asked yet"
        self._logged: tuple[str, str, int] | None = None
        self._asked_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Fetch once, and from then on regularly; a failure is logged and mended by a later attempt."""
        await self._join_a_fetch()
        self._keeping = asyncio.create_task(self._keep_fresh())

    async def stop(self) -> None:
        tasks = [task for task in (self._keeping, self._fetching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    def status(self) -> KeysStatus:
        """See KeySource."""
        since = None if self._fetched is None else self._fetched[1]
        if not len(self._in_force()):
            return KeysStatus("unavailable", since, self._failure or _NO_KEYS)
        if self._failure is not None:
            return KeysStatus("stale", since, self._failure)
        return KeysStatus("ready")

    async def key(self, kid: str | None) -> VerifyingKey | None:
        """See KeySource."""
        found = self._in_force().find(kid)
        if found is None:
            await self._look_again()
            found = self._in_force().find(kid)
        if found is None and self.status().state != "ready":
            raise KeysUnavailable
        return found

    def _in_force(self) -> KeySet:
        if self._fetched is None or monotonic() - self._fetched[0] > self._most_seconds:
            return KeySet()
        return self._keys

    async def _look_again(self) -> None:
        """Fetch, unless an unknown id has just made us do so: a stranger may send as many as they like."""
        under_way = self._fetching is not None and not self._fetching.done()
        if not under_way:
            if self._asked_at is not None and monotonic() - self._asked_at < self._retry_seconds:
                return
            self._asked_at = monotonic()
        await self._join_a_fetch()

    async def _keep_fresh(self) -> None:
        """On its own clock, so that the age of the keys does not depend on who comes."""
        while True:
            await asyncio.sleep(self._fresh_seconds if self._failure is None else self._retry_seconds)
            await self._join_a_fetch()

    async def _join_a_fetch(self) -> None:
        """Wait for the fetch under way, or for a new one. Whoever stops waiting does not stop it."""
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch())
        await asyncio.wait({self._fetching})

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(self._attempt_seconds):
                keys = await self._download()
        except Exception as error:  # whatever the endpoint makes a library raise, the keys at hand stay
            self._note(_in_words(error))
            return
        self._keys, self._fetched = keys, (monotonic(), datetime.now(UTC))
        self._note(None)

    def _note(self, failure: str | None) -> None:
        """Remember how the last attempt ended, and log it where that changed anything."""
        self._failure = failure
        status = self.status()
        now = (status.state, status.detail, len(self._in_force()))
        if now != self._logged:
            self._logged = now
            tell = log.info if status.state == "ready" else log.warning
            tell("jwks", state=status.state, detail=status.detail, keys=len(self._in_force()))

    async def _download(self) -> KeySet:
        body = b""
        async with self._client.stream("GET", self._url) as response:
            if response.status_code != httpx.codes.OK:
                raise _Refused(f"it answered with status {response.status_code}")
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise _Refused("its answer is too large")
        try:
            return parse_jwks(parse_json(body))
        except ValueError:
            raise _Refused("its answer is not a key set") from None


def _in_words(error: Exception) -> str:
    match error:
        case _Refused():
            return str(error)
        case TimeoutError() | httpx.TimeoutException():
            return "it did not answer in time"
        case _:
            return "it could not be reached"
