"""Bearer token -> Caller."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, as a verified token says. `token` is passed on to a database that checks it again (PostgREST)."""

    user_id: UUID
    claims: Mapping[str, Any]
    token: str
    expires_at: float

    @property
    def email(self) -> str | None:
        """The address in the token; None when there is none or it is not confirmed."""
        value = self.claims.get("email")
        return value if isinstance(value, str) and value else None
