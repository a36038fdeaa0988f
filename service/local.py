"""What a host makes for itself in its data directory: the key that signs local tokens and the one that signs records.

Files are made once, readable by their owner alone, and outlive the host: so do tokens and signed records.
"""

import base64
import hashlib
import json
import os
import secrets
import stat
import time
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.keys import KeySet, KeysStatus, VerifyingKey, parse_jwks
from service.secret_keys import SecretKey
from service.settings import SettingsError

ISSUER: Final = "agenthost-local"
DEMO_USER_ID: Final = UUID("00000000-0000-4000-8000-00000000da7a")
DEMO_EMAIL: Final = "demo@example.com"
SIGNING_KEY: Final = "signing-key.pem"
TOKEN_SECONDS: Final = 30 * 86_400
_EMAIL_NAMESPACE: Final = UUID("6f1c4c0e-7a55-4f0e-9d5b-5a2a0f5b9c11")


def user_of_email(email: str) -> UUID:
    """The local user of an address: always the same one."""
    if email.lower() == DEMO_EMAIL:
        return DEMO_USER_ID
    digest = hashlib.sha256(_EMAIL_NAMESPACE.bytes + email.lower().encode()).digest()
    return UUID(bytes=digest[:16], version=4)


class LocalIdentity:
    """Signs tokens for local users and knows the key that they are checked with (a KeySource)."""

    def __init__(self, private_key: ec.EllipticCurvePrivateKey) -> None:
        self._private_key = private_key
        public: dict[str, Any] = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(private_key.public_key()))
        self.kid = _thumbprint(public)
        self.jwks: dict[str, Any] = {"keys": [{**public, "kid": self.kid, "alg": "ES256", "use": "sig"}]}
        self._keys: KeySet = parse_jwks(self.jwks)

    @classmethod
    def in_directory(cls, data_dir: Path) -> "LocalIdentity":
        """The identity kept in `data_dir`, made at the first call. Raises SettingsError when it cannot be."""
        pem = _kept(data_dir / SIGNING_KEY, _new_private_key)
        key = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SettingsError(f"{data_dir / SIGNING_KEY} is not a key of this host: move it away")
        return cls(key)

    def status(self) -> KeysStatus:
        return KeysStatus("ready")

    async def key(self, kid: str | None) -> VerifyingKey | None:
        """See KeySource."""
        return self._keys.find(kid)

    def mint(self, user_id: UUID, email: str | None = None, lifetime_seconds: float = TOKEN_SECONDS) -> str:
        """A token that says: this is `user_id`, for so many seconds."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": "authenticated",
            "role": "authenticated",
            "sub": str(user_id),
            "iat": now,
            "exp": now + int(lifetime_seconds),
        } | ({"email": email} if email else {})
        return jwt.encode(claims, self._private_key, algorithm="ES256", headers={"kid": self.kid})


def local_secret_key(data_dir: Path) -> SecretKey:
    """The key that signs records where AGENTHOST_SECRET_KEYS is not set."""
    secret = base64.b64decode(_kept(data_dir / "secret-key", lambda: base64.b64encode(secrets.token_bytes(32))))
    return SecretKey("local", secret)


def _new_private_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _thumbprint(public: dict[str, Any]) -> str:
    """RFC 7638."""
    needed = json.dumps(
        {name: public[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"), sort_keys=True
    )
    return base64.urlsafe_b64encode(hashlib.sha256(needed.encode()).digest()).rstrip(b"=").decode()


def _kept(path: Path, make: Any) -> bytes:
    """The content of a secret file, created with what `make` gives when it is not there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _create(path, make())
        mode = path.stat().st_mode
        if stat.S_IMODE(mode) & 0o077:
            raise SettingsError(f"{path} can be read by others: chmod 600 it, or move it away to get a new one")
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"AGENTHOST_DATA_DIR: {path} cannot be used: {error.strerror}") from None


def _create(path: Path, content: bytes) -> None:
    # Written aside and then linked: of two processes that start at once one wins, and nobody reads half a key.
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            return
    finally:
        aside.unlink()
