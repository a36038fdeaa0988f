"""The keys of a JWKS endpoint: fetched, kept, and fetched again when a token names one that is not known.

The endpoint is the operator's choice, and its bytes are bounded and parsed as strictly as anybody's.
"""

import asyncio
from time import monotonic
from typing import Final

import httpx
import structlog

from service.keys import KeySet, KeysUnavailable, VerifyingKey, parse_jwks
from service.strict_json import parse_json

log = structlog.get_logger("agenthost.jwks")

_MOST_BYTES: Final = 256 * 1024


class RemoteKeys:
    """The keys of a JWKS endpoint. What was fetched last serves on while the endpoint is down."""

    def __init__(
        self,
        url: str,
        *,
        fresh_seconds: float = 300.0,
        refetch_seconds: float = 10.0,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        """`refetch_seconds` is the least time between two fetches because of unknown ids, or after a failure."""
        self._url = url
        self._fresh_seconds = fresh_seconds
        self._refetch_seconds = refetch_seconds
        self._client = client or httpx.AsyncClient(timeout=5.0, follow_redirects=False)
        self._keys = KeySet()
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._asked_at: float | None = None
        self._fetching = asyncio.Lock()
        self._refresh: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Fetch once; a failure is logged and mended by the first request that needs a key."""
        await self._fetch()

    async def stop(self) -> None:
        if self._refresh is not None:
            self._refresh.cancel()
        await self._client.aclose()

    @property
    def ready(self) -> bool:
        return len(self._keys) > 0

    async def key(self, kid: str | None) -> VerifyingKey | None:
        """See KeySource. Raises KeysUnavailable when the endpoint never answered."""
        found = self._keys.find(kid)
        if found is None:
            await self._look_for_a_new_key()
            found = self._keys.find(kid)
        elif self._stale():
            self._refresh = asyncio.create_task(self._fetch())
        if found is None and self._fetched_at is None:
            raise KeysUnavailable
        return found

    async def _look_for_a_new_key(self) -> None:
        """Fetch again, unless an unknown id has just made us do so: a stranger may send as many as they like."""
        if self._asked_at is not None and monotonic() - self._asked_at < self._refetch_seconds:
            async with self._fetching:  # a fetch under way may bring the key; otherwise this passes at once
                return
        self._asked_at = monotonic()
        await self._fetch()

    def _stale(self) -> bool:
        now = monotonic()
        if self._refresh is not None and not self._refresh.done():
            return False
        old = self._fetched_at is None or now - self._fetched_at >= self._fresh_seconds
        return old and (self._tried_at is None or now - self._tried_at >= self._refetch_seconds)

    async def _fetch(self) -> None:
        async with self._fetching:
            self._tried_at = monotonic()
            try:
                self._keys = parse_jwks(parse_json(await self._download()))
                self._fetched_at = monotonic()
            except (httpx.HTTPError, TimeoutError, ValueError) as error:
                log.warning("jwks_unavailable", url=self._url, error=type(error).__name__)

    async def _download(self) -> bytes:
        body = b""
        async with asyncio.timeout(10.0), self._client.stream("GET", self._url) as response:
            response.raise_for_status()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise ValueError("the key set is too large")
        return body
