"""secrets: an agent names one of its owner's secrets, and `http` sends it.

The value is put into a header by the live `http`, at the last moment and only for hosts that the secret is bound to.
Nothing here answers one to a guest: `ref` only says that there is such a secret.
"""

from collections.abc import Callable
from typing import Any, Final

from service.capabilities.capability import (
    Arguments,
    Capability,
    DryContext,
    GuestError,
    LiveContext,
    RunContext,
    denied,
)
from service.capabilities.manifest import Manifest, SecretName
from service.outside.vault import VaultError
from service.secrets.store import SUMMARY_COLUMNS, StoredSecret


class Ref(Arguments):
    name: SecretName


def require_secret(manifest: Manifest, name: str) -> None:
    """Raises GuestError CapabilityDenied. Also for `http`: a guest can name a secret without having asked for `ref`."""
    if manifest.secrets is None or name not in manifest.secrets.names:
        raise denied(
            f'the agent may not use the secret {name}: add "{name}" to names of [capabilities.secrets] in its '
            "'# /// agent' block, or to capabilities.secrets.names in its agent_config"
        )


async def secret_hosts(context: RunContext, name: str) -> tuple[str, ...]:
    """Where the owner's secret may be sent. Raises GuestError when there is no such secret."""
    return (await _stored(context, name, columns=list(SUMMARY_COLUMNS))).hosts


async def reveal(context: LiveContext, name: str, permit: Callable[[tuple[str, ...]], None]) -> str:
    """The value of a secret, once `permit` has seen the only hosts it may be sent to and not raised. Raises GuestError,
    without any of it, also when the hosts are not those that it was sealed with.

    One that is sealed under an older key of the host is sealed anew, so that the older key can be taken away some day.
    """
    secret = await _stored(context, name)
    permit(secret.hosts)
    binding = secret.binding(context.caller.user_id)
    vault = context.outside.vault
    try:
        value = vault.open(secret.ciphertext, binding)
    except VaultError as error:
        raise GuestError(
            "ServiceError", f"the secret {name} cannot be used: {error}. PUT /secrets/{name} again"
        ) from None
    if not vault.is_current(secret.ciphertext):
        unchanged = {"name": name, "ciphertext": secret.ciphertext}
        sealed = {"ciphertext": vault.seal(value, binding)}
        await context.database.update(context.caller, "user_secrets", sealed, where=unchanged)
    return value


async def _stored(context: RunContext, name: str, *, columns: list[str] | None = None) -> StoredSecret:
    rows = await context.reads.select("user_secrets", columns=columns, where={"name": name})
    if not rows:
        raise GuestError("ServiceError", f"there is no secret {name}: PUT /secrets/{name}")
    return StoredSecret.from_row(rows[0])


class LiveSecrets:
    """Says that there is one."""

    def __init__(self, context: LiveContext) -> None:
        self._run = context

    async def ref(self, arguments: Ref) -> Any:
        await secret_hosts(self._run, arguments.name)
        return {"secret": arguments.name}


class DrySecrets:
    """The same: it is a read, and what `http` makes of it is decided there."""

    def __init__(self, context: DryContext) -> None:
        self._run = context

    async def ref(self, arguments: Ref) -> Any:
        await secret_hosts(self._run, arguments.name)
        return {"secret": arguments.name}


def _permit(manifest: Manifest, action: str, arguments: Ref, context: RunContext) -> None:
    require_secret(manifest, arguments.name)


SECRETS: Final = Capability(
    name="secrets",
    arguments={"ref": Ref},
    live=LiveSecrets,
    dry_run=DrySecrets,
    permit=_permit,
    reads=frozenset({"ref"}),
)
