"""Secrets at rest: AES-256-GCM under keys of this host's.

What is sealed opens only under the binding it was sealed with: its owner, its name, and the hosts it may be sent to. No
value stands in a repr or in an error.
"""

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.secret_keys import SecretKey

_PURPOSE: Final = b"agenthost user secrets 1"
_NONCE_BYTES: Final = 12


class VaultError(Exception):
    """A sealed value cannot be opened, and why, without any of it: fit to be shown to its owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """To what a sealed value belongs. A row that was moved to another user, name or host does not open."""

    user_id: UUID
    name: str
    hosts: tuple[str, ...]

    def associated_data(self) -> bytes:
        return json.dumps([_PURPOSE.decode(), str(self.user_id), self.name, self.hosts]).encode()


class Vault:
    """Seals under the first key, opens under all, so that a key can be replaced: `<key id>:<base64>`."""

    def __init__(self, keys: Sequence[SecretKey]) -> None:
        """Raises ValueError without a key."""
        if not keys:
            raise ValueError("sealing secrets needs a key")
        self._first = keys[0].key_id
        self._ciphers = {key.key_id: AESGCM(_derived(key)) for key in keys}

    def seal(self, value: str, binding: Binding) -> str:
        """Random nonces are safe for some 2^32 values under one key, which is a daily PUT of a million secrets for ten
        years (NIST SP 800-38D, 8.3)."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._first].encrypt(nonce, value.encode(), binding.associated_data())
        return f"{self._first}:{b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, binding: Binding) -> str:
        """The value. Raises VaultError; what is sealed may have been written past the host, and be anything."""
        key_id, _, encoded = sealed.partition(":")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise VaultError("it is sealed under a key that this host does not have")
        try:
            raw = b64decode(encoded, validate=True)
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], binding.associated_data()).decode()
        except (InvalidTag, ValueError):
            raise VaultError(
                "it is sealed under another key of the same id, or it, its name or its hosts were changed after it was "
                "sealed"
            ) from None

    def is_current(self, sealed: str) -> bool:
        """Whether it is under the key that now seals."""
        return sealed.partition(":")[0] == self._first


def _derived(key: SecretKey) -> bytes:
    """A key of its own: the same secret also signs records."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key.secret)
