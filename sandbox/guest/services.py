"""What an agent sees as `services`: plain synchronous calls, each one frame to the broker and one frame back.

Nothing here grants anything: the broker decides, and a guest that forges frames gets no further than these methods do.
"""

from collections.abc import Callable
from typing import Any

from sandbox.guest.channel import Channel


class CapabilityDenied(PermissionError):
    """The agent's manifest does not allow this call. The message says exactly what to add to it."""


class ServiceError(RuntimeError):
    """The service could not do it: the message says why, and whether to try again."""


_ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind for kind in (CapabilityDenied, ServiceError, ValueError, TypeError, KeyError, TimeoutError)
}

Ask = Callable[[str, str, dict[str, Any]], Any]


def asker(channel: Channel) -> Ask:
    """The one way out: sends a call, waits for its reply, returns the result or raises what the broker said."""

    def ask(service: str, action: str, args: dict[str, Any]) -> Any:
        try:
            channel.send({"kind": "call", "service": service, "action": action, "args": args})
        except RecursionError:
            raise ValueError(f"an argument of {service}.{action} is nested too deeply") from None
        except (TypeError, ValueError) as error:
            raise ValueError(f"an argument of {service}.{action} is not JSON: {error}") from None
        reply = channel.receive()
        refusal = reply.get("error")
        if refusal is not None:
            raise _ERRORS.get(refusal["type"], ServiceError)(refusal["message"])
        return reply.get("result")

    return ask


class Kv:
    """JSON values that only this agent sees, kept between runs."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

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


class Notify:
    """Notifications to the agent's owner."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def send(
        self,
        title: str,
        content: str = "",
        type: str = "info",
        priority: str = "normal",
        actions: list[dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """Leave a notification; its id comes back as {"id": ...}."""
        args = {"title": title, "content": content, "type": type, "priority": priority, "actions": actions}
        return dict(self._ask("notify", "send", args))


class Services:
    """The door. A service that this host does not have is an AttributeError that lists those it has."""

    CapabilityDenied = CapabilityDenied
    ServiceError = ServiceError

    def __init__(self, ask: Ask) -> None:
        self.kv = Kv(ask)
        self.notify = Notify(ask)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"there is no service {name!r}; there are: {', '.join(SERVICES)}")


SERVICES = ("kv", "notify")
"""The services that an agent can name."""

ERRORS = ("CapabilityDenied", "ServiceError")
"""What else `services` has: the exceptions that calls raise."""
