"""Secrets as rows, always read and written as the caller. Values are sealed before they come here."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from service.auth import Caller
from service.capabilities.manifest import SECRET_NAME
from service.capabilities.plain_json import cleaned_text
from service.database.gateway import Database, Row
from service.errors import ApiError
from service.outside.vault import Binding

SUMMARY_COLUMNS: Final = ("name", "hosts", "created_at", "updated_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSecret:
    """A row of `user_secrets`, which its owner may have written past the host."""

    name: str
    hosts: tuple[str, ...]
    ciphertext: str
    created_at: str
    updated_at: str

    @classmethod
    def from_row(cls, row: Row) -> "StoredSecret":
        hosts = row["hosts"] if isinstance(row["hosts"], list) else []
        return cls(
            name=str(row["name"]),
            hosts=tuple(cleaned_text(host) for host in hosts if isinstance(host, str)),
            ciphertext=str(row.get("ciphertext") or ""),
            created_at=str(row["created_at"]),
            updated_at=str(row["updated_at"]),
        )

    def binding(self, user_id: UUID) -> Binding:
        """To what the ciphertext must be bound, if it was sealed for this row."""
        return Binding(user_id=user_id, name=self.name, hosts=self.hosts)

    def summary(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "hosts": list(self.hosts),
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretStore:
    """The caller's secrets."""

    database: Database
    caller: Caller

    async def put(self, binding: Binding, ciphertext: str, *, most: int) -> None:
        """Keep a new secret or replace the one of that name. Raises ApiError `too_many_secrets`."""
        answer = await self.database.call(
            self.caller,
            "put_secret",
            p_name=binding.name,
            p_hosts=list(binding.hosts),
            p_ciphertext=ciphertext,
            p_max_secrets=most,
        )
        if not answer["stored"]:
            raise ApiError("too_many_secrets", f"You have {most} secrets, the limit of a user.")

    async def list(self, *, limit: int, after: str | None) -> list[StoredSecret]:
        """One more than `limit`, if there are, by name."""
        where = {} if after is None else {"name": {"gt": after}}
        rows = await self.database.select(
            self.caller, "user_secrets", columns=SUMMARY_COLUMNS, where=where, order="name", limit=limit + 1
        )
        return [StoredSecret.from_row(row) for row in rows]

    async def delete(self, name: str) -> None:
        """Raises ApiError `secret_not_found`, also for what could not be a name."""
        known = SECRET_NAME.fullmatch(name) is not None
        if not known or not await self.database.delete(self.caller, "user_secrets", where={"name": name}):
            raise ApiError("secret_not_found", f"You have no secret named {cleaned_text(name)[:80]!r}.")
