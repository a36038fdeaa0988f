"""What an operator says of a Supabase project, or another identity provider: where it is, how its tokens are checked.

An API key that passes every policy would be used for every user at once: what is not known to be powerless is refused.
"""

import re
from binascii import Error as Base64Error
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from jwt.utils import base64url_decode
from pydantic import AliasChoices, BaseModel, Field, SecretStr, field_validator

from service.strict_json import NotJson, parse_json

_PUBLISHABLE: Final = re.compile(r"sb_publishable_[A-Za-z0-9_-]+")
_POWERFUL: Final = ("sb_secret_", "sbp_")
_WANTED: Final = "should be the project's publishable key (sb_publishable_...) or its legacy anon key"


class SupabaseSettings(BaseModel):
    """The part of Settings that a project needs."""

    supabase_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("SUPABASE_URL"),
        description="Address of the Supabase project: https://<ref>.supabase.co",
    )
    supabase_publishable_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY"),
        description="The project's publishable (or legacy anon) key; one with more power is refused.",
    )
    supabase_jwks_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("SUPABASE_JWKS_URL"),
        description="Where the keys of user tokens are; by default <SUPABASE_URL>/auth/v1/.well-known/jwks.json",
    )
    supabase_jwt_issuer: str | None = Field(
        default=None,
        validation_alias=AliasChoices("SUPABASE_JWT_ISSUER"),
        description="What user tokens name as their issuer (iss), to the letter; by default <SUPABASE_URL>/auth/v1.",
    )
    supabase_jwt_secret: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("SUPABASE_JWT_SECRET"),
        description="The project's legacy secret. When set, user tokens must be HS256 under it, and nothing else.",
    )

    @field_validator("supabase_url", "supabase_jwks_url")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).username is not None:
            raise ValueError("should be an address without a user and a password")
        return None if value is None else http_url(value)

    @field_validator("supabase_publishable_key")
    @classmethod
    def _is_powerless(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            require_powerless(value.get_secret_value())
        return value

    @field_validator("supabase_jwt_secret")
    @classmethod
    def _is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().encode()) < 32:
            raise ValueError("should have at least 32 bytes")
        return value

    @property
    def jwks_url(self) -> str | None:
        """Where to fetch the keys of user tokens; None when nothing says."""
        if self.supabase_jwks_url is not None or self.supabase_url is None:
            return self.supabase_jwks_url
        return f"{self.supabase_url}/auth/v1/.well-known/jwks.json"

    @property
    def token_issuer(self) -> str | None:
        """The `iss` that user tokens must have; None when nothing says."""
        if self.supabase_jwt_issuer is not None or self.supabase_url is None:
            return self.supabase_jwt_issuer
        return f"{self.supabase_url}/auth/v1"

    def warnings_of_tokens(self) -> Iterator[str]:
        """What an operator should know of how tokens are checked, a sentence each."""
        if self.supabase_url is None and self.supabase_publishable_key is not None:
            yield "SUPABASE_PUBLISHABLE_KEY changes nothing while SUPABASE_URL is not set."
        if self.supabase_jwt_secret is not None:
            if self.supabase_jwks_url is not None:
                yield "SUPABASE_JWKS_URL changes nothing while SUPABASE_JWT_SECRET is set: tokens are HS256 alone."
            return
        if self.jwks_url is not None and is_plain_and_far(self.jwks_url):
            yield "Keys of tokens are fetched over plain http: whoever is on the way can become every user."
        if self.jwks_url is not None and self.token_issuer is None:
            yield "SUPABASE_JWT_ISSUER is not set: whatever issuer a token names, the keys of SUPABASE_JWKS_URL decide."


def http_url(value: str) -> str:
    """The address without a slash at its end. Raises ValueError when it is none."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("should be an address that begins with https://")
    return value.rstrip("/")


def is_plain_and_far(url: str) -> bool:
    """Whether others may read on the way to it."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1")


def require_powerless(key: str) -> None:
    """Raises ValueError, which never repeats the key, unless it is a publishable key or a token of the role anon."""
    if _PUBLISHABLE.fullmatch(key):
        return
    role = _role_of(key)
    if key.startswith(_POWERFUL) or role not in (None, "anon"):
        raise ValueError(f"is a key with power over the project, which this host must not have: it {_WANTED}")
    if role is None:
        raise ValueError(_WANTED)


def _role_of(token: str) -> Any:
    """The role in a token, unverified; None where there is none."""
    parts = token.split(".")
    if len(parts) != 3 or not re.fullmatch(r"[A-Za-z0-9_.-]+", token):
        return None
    try:
        claims = parse_json(base64url_decode(parts[1]))
    except (NotJson, Base64Error, ValueError):
        return None
    return claims.get("role") if isinstance(claims, dict) else None
