"""Public keys that user tokens are signed with: parsed once, cached, fetched again when they change.

The endpoint is the operator's choice, yet its bytes are bounded and every key is taken only with the one algorithm that
its own type has, so that a token's header never chooses how it is checked. Shared secrets in a key set are ignored.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Literal, Protocol

import httpx
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from service.body import parse_json

log = structlog.get_logger("agenthost.jwks")

Algorithm = Literal["ES256", "RS256", "EdDSA"]

_ALGORITHM_OF: Final[Mapping[tuple[str, str | None], Algorithm]] = {
    ("EC", "P-256"): "ES256",
    ("RSA", None): "RS256",
    ("OKP", "Ed25519"): "EdDSA",
}
_MOST_BYTES: Final = 256 * 1024
_MOST_KEYS: Final = 100
_LEAST_RSA_BITS: Final = 2048


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key, ready to verify with, and the one algorithm that it verifies."""

    kid: str | None
    algorithm: Algorithm
    key: Any


class KeysUnavailable(Exception):
    """No key was ever fetched: nobody's token can be told true from false right now."""


class KeySource(Protocol):
    """Where the keys come from: this host's own, or a JWKS endpoint."""

    @property
    def ready(self) -> bool:
        """Whether any key is at hand."""
        ...

    async def key(self, kid: str | None) -> VerifyingKey | None:
        """The key of that id; without an id the only key there is. None when there is none such."""
        ...


class KeySet:
    """Keys by id."""

    def __init__(self, keys: tuple[VerifyingKey, ...] = ()) -> None:
        self._keys = {key.kid: key for key in keys}

    def find(self, kid: str | None) -> VerifyingKey | None:
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    def __len__(self) -> int:
        return len(self._keys)


def parse_jwks(document: Any) -> KeySet:
    """The usable keys of a JWKS; the others are passed over. Raises ValueError when it is not a JWKS at all."""
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it has no list of keys")
    return KeySet(tuple(key for entry in entries[:_MOST_KEYS] if (key := _parse_key(entry)) is not None))


def _parse_key(entry: Any) -> VerifyingKey | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    kty, crv, kid = entry.get("kty"), entry.get("crv"), entry.get("kid")
    algorithm = _ALGORITHM_OF.get((kty, crv)) if isinstance(kty, str) and isinstance(crv, str | None) else None
    if algorithm is None or entry.get("alg", algorithm) != algorithm or not isinstance(kid, str | None):
        return None
    public = {name: value for name, value in entry.items() if name not in ("d", "p", "q", "dp", "dq", "qi", "oth")}
    try:
        key = jwt.PyJWK(public, algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if isinstance(key, RSAPublicKey) and key.key_size < _LEAST_RSA_BITS:
        return None
    return VerifyingKey(kid, algorithm, key)


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
