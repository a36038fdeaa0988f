"""Is this token true? Signature first, with the key that the operator trusts; then every claim, with our own eyes."""

import math
import re
import time
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import jwt
from jwt.utils import base64url_decode

from service.auth import MAX_TOKEN_BYTES, Caller, refused
from service.errors import ApiError
from service.keys import KeySource, KeysStatus, KeysUnavailable
from service.strict_json import NotJson, parse_json

AUDIENCE: Final = "authenticated"
ROLE: Final = "authenticated"
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a token must say. `issuer` None means that any will do: only where the operator named no issuer."""

    issuer: str | None
    allow_anonymous: bool = False


class KeyVerifier:
    """Tokens signed with a private key, whose public half is in a KeySource (ES256, RS256, EdDSA)."""

    def __init__(self, keys: KeySource, rules: Rules) -> None:
        self._keys = keys
        self._rules = rules

    def status(self) -> KeysStatus:
        return self._keys.status()

    async def verify(self, token: str) -> Caller:
        """The caller of a true token; ApiError `invalid_token`, or `keys_unavailable`, otherwise."""
        kid = _header(token).get("kid")
        if not isinstance(kid, str | None):
            raise refused()
        try:
            key = await self._keys.key(kid)
        except KeysUnavailable:
            raise ApiError(
                "keys_unavailable", "The key that this token is checked with could not be fetched."
            ) from None
        if key is None:
            raise refused()
        return _caller(token, _signed_payload(token, key.key, key.algorithm), self._rules)


class SecretVerifier:
    """Tokens signed with the project's shared secret: HS256 and nothing else."""

    def __init__(self, secret: str, rules: Rules) -> None:
        self._secret = secret.encode()
        self._rules = rules

    def status(self) -> KeysStatus:
        return KeysStatus("ready")

    async def verify(self, token: str) -> Caller:
        """The caller of a true token; ApiError `invalid_token` otherwise."""
        _header(token)
        return _caller(token, _signed_payload(token, self._secret, "HS256"), self._rules)


def _header(token: str) -> dict[str, Any]:
    """The unverified header of a token of bounded length. It may name a key; it chooses nothing else."""
    if len(token) > MAX_TOKEN_BYTES or token.count(".") != 2:
        raise refused()
    try:
        header = parse_json(base64url_decode(token.partition(".")[0]))
    except (NotJson, Base64Error, ValueError):
        raise refused() from None
    if not isinstance(header, dict) or "crit" in header:
        raise refused()
    return header


_JWS: Final = jwt.PyJWS()


def _signed_payload(token: str, key: Any, algorithm: str) -> bytes:
    try:
        payload = _JWS.decode(token, key, algorithms=[algorithm])
    except Exception:  # whatever a hostile token makes the library raise, it is not a true token
        raise refused() from None
    if not isinstance(payload, bytes):
        raise refused()
    return payload


def _caller(token: str, payload: bytes, rules: Rules) -> Caller:
    """Check every claim. The answer names none of them, but that a token expired."""
    try:
        claims = parse_json(payload)
    except NotJson:
        raise refused() from None
    if not isinstance(claims, dict):
        raise refused()
    now = time.time()
    expires_at, not_before = _number(claims.get("exp")), _number(claims.get("nbf", 0))
    subject, audience = claims.get("sub"), claims.get("aud")
    if not (
        expires_at is not None
        and not_before is not None
        and not_before <= now
        and isinstance(subject, str)
        and _UUID.fullmatch(subject)
        and (audience == AUDIENCE or (isinstance(audience, list) and AUDIENCE in audience))
        and claims.get("role") == ROLE
        and (claims.get("is_anonymous", False) is False or rules.allow_anonymous)
        and (rules.issuer is None or claims.get("iss") == rules.issuer)
    ):
        raise refused()
    if expires_at <= now:
        raise refused("The token is expired.")
    return Caller(user_id=UUID(subject), claims=claims, token=token, expires_at=expires_at)


def _number(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and math.isfinite(value) and abs(value) < 1e12 else None
