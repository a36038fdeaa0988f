"""The one way out of a guest: a call, its reply, and the exceptions that a reply can raise."""

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


class Service:
    """What all of them are: ways to ask. One that is not there is told with those that are."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def __getattr__(self, name: str) -> Any:
        kind = type(self)
        raise AttributeError(f"{kind.__name__.lower()} has no {name}; it has {', '.join(calls_of(kind))}")


def calls_of(kind: type[Service]) -> tuple[str, ...]:
    """What an agent can call of a service, by name."""
    return tuple(sorted(name for name in vars(kind) if not name.startswith("_")))


def asker(channel: Channel) -> Ask:
    """Sends a call, waits for its reply, returns the result or raises what the broker said."""

    def ask(service: str, action: str, args: dict[str, Any]) -> Any:
        try:
            _require_keys_of_text(args)
            with channel.turn:
                channel.send({"kind": "call", "service": service, "action": action, "args": args})
                reply = channel.receive()
        except RecursionError:
            raise ValueError(f"an argument of {service}.{action} is nested too deeply") from None
        except (TypeError, ValueError) as error:
            raise ValueError(f"an argument of {service}.{action} is not JSON: {error}") from None
        refusal = reply.get("error")
        if refusal is not None:
            raise _ERRORS.get(refusal["type"], ServiceError)(refusal["message"])
        return reply.get("result")

    return ask


def _require_keys_of_text(value: Any) -> None:
    """JSON would make text of other keys, and one key of two."""
    if isinstance(value, dict):
        for key, inside in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a key in it is not text but of type {type(key).__name__}")
            _require_keys_of_text(inside)
    elif isinstance(value, list | tuple):
        for inside in value:
            _require_keys_of_text(inside)
