"""Public keys that tokens are verified with, each good for the one algorithm that its own type has.

So a token's header never chooses how it is checked, and shared secrets in a key set count for nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

Algorithm = Literal["ES256", "RS256", "EdDSA"]

_ALGORITHM_OF: Final[Mapping[tuple[str, str | None], Algorithm]] = {
    ("EC", "P-256"): "ES256",
    ("RSA", None): "RS256",
    ("OKP", "Ed25519"): "EdDSA",
}
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
