"""`services.secrets` as an agent sees it: names, never values."""

from typing import Any, NoReturn

from sandbox.guest.services.asking import Service

Part = str | dict[str, str]


class Secret:
    """Stands for a secret in a header of `http`, alone or added to text: "Bearer " + ref. The value is never here."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self._parts = parts

    def __add__(self, other: Any) -> "Secret":
        return Secret((*self._parts, *_parts(other)))

    def __radd__(self, other: Any) -> "Secret":
        return Secret((*_parts(other), *self._parts))

    def __str__(self) -> str:
        return "".join(part if isinstance(part, str) else f"<secret {part['secret']}>" for part in self._parts)

    __repr__ = __str__

    def __format__(self, spec: str) -> NoReturn:
        """Of an f-string `http` would see nothing but text, and send the placeholder."""
        raise TypeError('a secret cannot be put into a text: pass "Bearer " + ref as the header')


class Secrets(Service):
    """The owner's secrets, by name."""

    def ref(self, name: str) -> Secret:
        """A handle for a header of `http`: headers={"Authorization": "Bearer " + services.secrets.ref("KEY")}. It is
        sent only to hosts that the secret is bound to, and printed as <secret KEY>."""
        return Secret(({"secret": self._ask("secrets", "ref", {"name": name})["secret"]},))


def header_value(value: Any) -> Any:
    """A header's value for the wire: text as it is, a secret as its parts."""
    return list(value._parts) if isinstance(value, Secret) else value


def _parts(value: Any) -> tuple[Part, ...]:
    if isinstance(value, Secret):
        return value._parts
    if isinstance(value, str):
        return (value,)
    raise TypeError(f"a secret can be added to text, not to {type(value).__name__}")
