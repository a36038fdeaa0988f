"""The keys of a host, which sign records and seal secrets. The newest comes first; the others still verify and open."""

import hmac
import re
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key that signs and encrypts: its public id, and at least 32 bytes."""

    key_id: str
    secret: bytes

    def __str__(self) -> str:
        """Its id, and what operators compare the keys of two replicas by: it tells nothing else of the key."""
        return f"{self.key_id} ({hmac.digest(self.secret, b'agenthost key fingerprint 1', sha256).hex()[:8]})"

    def __repr__(self) -> str:
        return f"SecretKey({self.key_id!r}, ...)"


def parse_secret_keys(text: str) -> tuple[SecretKey, ...]:
    """The keys of AGENTHOST_SECRET_KEYS, newest first. Raises ValueError, which never repeats a key."""
    keys = []
    for part in text.split(","):
        key_id, _, encoded = part.strip().partition(":")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", key_id):
            raise ValueError("should be <id>:<base64>,... where an id has at most 32 letters, digits, '-' and '_'")
        try:
            secret = b64decode(encoded, validate=True)
        except (Base64Error, ValueError):
            raise ValueError(f"the key {key_id!r} is not base64") from None
        if len(secret) < 32:
            raise ValueError(f"the key {key_id!r} has fewer than 32 bytes")
        keys.append(SecretKey(key_id, secret))
    if len({key.key_id for key in keys}) != len(keys):
        raise ValueError("two keys have the same id")
    return tuple(keys)
