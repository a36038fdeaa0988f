"""Bearer token -> Caller.

A token is believed only after its signature and every claim were checked with keys that the operator chose; whatever is
wrong with one, the client learns no more than that it is expired or not valid.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol
from uuid import UUID

from fastapi import Depends, Request

from service.errors import ApiError
from service.keys import KeysStatus

MAX_TOKEN_BYTES = 8 * 1024
TOKEN_MARGIN_SECONDS = 5.0
"""What is done with a token is to end so long before it expires, so that its end can still be recorded."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, as a verified token says. `token` is passed on to a database that checks it again (PostgREST), and
    is shown nowhere else; `expires_at` is seconds since the epoch."""

    user_id: UUID
    claims: Mapping[str, Any]
    token: str = field(repr=False)
    expires_at: float

    def seconds_left(self) -> float:
        """For how long something done with the token may go on."""
        return self.expires_at - time.time() - TOKEN_MARGIN_SECONDS

    @property
    def email(self) -> str | None:
        """The address in the token; None when there is none or the token says that it is not confirmed.

        Nothing else is asked: what stands under `user_metadata` was written by the user.
        """
        value, confirmed = self.claims.get("email"), self.claims.get("email_verified", True)
        return value if isinstance(value, str) and value and confirmed is True else None


class TokenVerifier(Protocol):
    """Believes a token or raises ApiError `invalid_token`. Two kinds: keys from a JWKS, one shared secret."""

    def status(self) -> KeysStatus:
        """Whether it has what it needs to tell true tokens from false ones."""
        ...

    async def verify(self, token: str) -> Caller: ...


def refused(detail: str = "The token is not valid.") -> ApiError:
    """The one answer to every bad token."""
    return ApiError("invalid_token", detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


def bearer_token(request: Request) -> str:
    """The token of the Authorization header; refuses none, several, other schemes and oversized ones."""
    values = request.headers.getlist("authorization")
    if not values:
        raise ApiError("invalid_token", "The request carries no token.", headers={"WWW-Authenticate": "Bearer"})
    scheme, _, token = values[0].partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token:
        raise refused("Authorization should be 'Bearer <token>'.")
    if len(values) > 1 or len(token) > MAX_TOKEN_BYTES:
        raise refused()
    return token


async def caller_of(request: Request) -> Caller:
    """The verified caller of a request; remembered on it for the access log."""
    verifier: TokenVerifier = request.app.state.host.verifier
    caller = await verifier.verify(bearer_token(request))
    request.state.user_id = str(caller.user_id)
    return caller


CallerDep = Annotated[Caller, Depends(caller_of)]
