"""Public keys that tokens are verified with, each good for the one algorithm that its own type has.

So a token's header never chooses how it is checked, and shared secrets in a key set count for nothing.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

Algorithm = Literal["ES256", "RS256", "EdDSA"]

_ALGORITHM_OF: Final[Mapping[tuple[str, str | None], Algorithm]] = {
    ("EC", "P-256"): "ES256",
    ("RSA", None): "RS256",
    ("OKP", "Ed25519"): "EdDSA",
}
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MOST_KEYS: Final = 100
_RSA_BITS: Final = range(2048, 8192 + 1)


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key, ready to verify with, and the one algorithm that it verifies."""

    kid: str | None
    algorithm: Algorithm
    key: Any


class KeysUnavailable(Exception):
    """Whether a token is true cannot be said now: its key, or any key, is not at hand and could not be fetched."""


@dataclass(frozen=True, slots=True)
class KeysStatus:
    """Whether tokens can be checked. `stale`: with keys last fetched at `since`, because later attempts failed.

    `detail` tells the operator what is wrong, and names neither address nor key.
    """

    state: Literal["ready", "stale", "unavailable"]
    since: datetime | None = None
    detail: str = ""


class KeySource(Protocol):
    """Where the keys come from: this host's own, or a JWKS endpoint."""

    def status(self) -> KeysStatus:
        """Whether any key is at hand, and how fresh it is."""
        ...

    async def key(self, kid: str | None) -> VerifyingKey | None:
        """The key of that id; without an id the only key there is. None when there is none such.

        Raises KeysUnavailable where that cannot be said.
        """
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
    """The usable keys of a JWKS; the others are passed over. Raises ValueError when it is not a JWKS at all.

    An id that stands for several keys stands for none, and a key whose private half is published is nobody's.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it has no list of keys")
    if len(entries) > _MOST_KEYS:
        raise ValueError("it has too many keys")
    keys = [key for entry in entries if (key := _parse_key(entry)) is not None]
    holders = Counter(key.kid for key in keys)
    return KeySet(tuple(key for key in keys if holders[key.kid] == 1))


def _parse_key(entry: Any) -> VerifyingKey | None:
    if not isinstance(entry, dict) or not _is_for_verifying(entry) or not _PRIVATE.isdisjoint(entry):
        return None
    kty, crv, kid = entry.get("kty"), entry.get("crv"), entry.get("kid")
    algorithm = _ALGORITHM_OF.get((kty, crv)) if isinstance(kty, str) and isinstance(crv, str | None) else None
    if algorithm is None or entry.get("alg", algorithm) != algorithm or not isinstance(kid, str | None):
        return None
    try:
        key = jwt.PyJWK(entry, algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if isinstance(key, RSAPublicKey) and key.key_size not in _RSA_BITS:
        return None
    return VerifyingKey(kid, algorithm, key)


def _is_for_verifying(entry: Mapping[str, Any]) -> bool:
    operations = entry.get("key_ops", ["verify"])
    return entry.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
