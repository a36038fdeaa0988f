"""Signed records: an HMAC over what the host itself knew when a run ended.

Rows can be written past the host; one whose signature does not verify is shown as such and is an authority for nothing.
"""

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from service.capabilities.plain_json import canonical
from service.secret_keys import SecretKey

MIN_KEY_BYTES = 32


class RecordSigner:
    """Signs with the first key, verifies with all, so that a key can be replaced. A signature is `<key id>:<hex>`."""

    def __init__(self, keys: Sequence[SecretKey]) -> None:
        """Raises ValueError without a key, or for a short one."""
        if not keys or any(len(key.secret) < MIN_KEY_BYTES for key in keys):
            raise ValueError(f"signing records needs a key of at least {MIN_KEY_BYTES} bytes")
        self._first = keys[0]
        self._secrets = {key.key_id: key.secret for key in keys}

    def sign(self, record: Mapping[str, Any]) -> str:
        """The signature of a JSON object."""
        return f"{self._first.key_id}:{_digest(self._first.secret, record)}"

    def verify(self, record: Mapping[str, Any], signature: Any) -> bool:
        """Whether this host, or another with the same keys, signed exactly this record. Never raises."""
        if not isinstance(signature, str) or not signature.isascii():
            return False
        key_id, _, digest = signature.partition(":")
        secret = self._secrets.get(key_id)
        if secret is None:
            return False
        try:
            return hmac.compare_digest(_digest(secret, record), digest)
        except (ValueError, TypeError, RecursionError):  # a row written past the host may hold what we never sign
            return False


def _digest(secret: bytes, record: Mapping[str, Any]) -> str:
    return hmac.new(secret, b"agenthost run record 1\n" + canonical(record), sha256).hexdigest()
