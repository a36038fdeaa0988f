"""`services.kv` as an agent sees it."""

from typing import Any

from sandbox.guest.services.asking import Service


class Kv(Service):
    """JSON values that only this agent sees, kept between runs."""

    def get(self, key: str, default: Any = None) -> Any:
        """The value stored under `key`, or `default` when there is none or its time is over."""
        answer = self._ask("kv", "get", {"key": key})
        return answer["value"] if answer["found"] else default

    def set(self, key: str, value: Any, ttl_seconds: float | None = None) -> None:
        """Store a JSON value, for `ttl_seconds` or for good. Raises ValueError for what is not JSON."""
        self._ask("kv", "set", {"key": key, "value": value, "ttl_seconds": ttl_seconds})

    def delete(self, key: str) -> bool:
        """Whether there was such a key."""
        return bool(self._ask("kv", "delete", {"key": key}))

    def list(self, prefix: str = "", limit: int = 100) -> list[str]:
        """Keys that begin with `prefix`, in order, at most `limit`."""
        return list(self._ask("kv", "list", {"prefix": prefix, "limit": limit}))

    def increment(self, key: str, by: float = 1, ttl_seconds: float | None = None) -> float:
        """Add to a number, atomically; a key that is absent counts as 0. The new value."""
        return self._ask("kv", "increment", {"key": key, "by": by, "ttl_seconds": ttl_seconds})  # type: ignore[no-any-return]
