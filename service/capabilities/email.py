"""email: messages to those whom the agent's manifest names, within what the operator of the host allows.

Live it is one message over SMTP; a dry run only records it. An agent that writes to "me" learns no address by it.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Annotated, Any, Final
from uuid import uuid4

from pydantic import AfterValidator, Field, field_validator

from service.capabilities.capability import (
    Arguments,
    Capability,
    DryContext,
    GuestError,
    LiveContext,
    RunContext,
    denied,
)
from service.capabilities.manifest import EmailGrant, Manifest
from service.capabilities.plain_json import plain
from service.outside.mail import MailError, address_of, header_fault
from service.settings import SettingsError

ME: Final = "me"
MAX_RECIPIENTS: Final = 20
MAX_SUBJECT_LENGTH: Final = 500


class Send(Arguments):
    to: str | Annotated[list[str], Field(fail_fast=True)]
    subject: Annotated[str, Field(min_length=1, max_length=MAX_SUBJECT_LENGTH)]
    text: Annotated[str, AfterValidator(plain)]
    html: Annotated[str | None, AfterValidator(plain)] = None

    @field_validator("to")
    @classmethod
    def _are_addresses(cls, value: str | list[str]) -> str | list[str]:
        if not 1 <= len(_listed(value)) <= MAX_RECIPIENTS:
            raise ValueError(f"should have 1 to {MAX_RECIPIENTS} recipients")
        for each in _listed(value):
            if each != ME:
                address_of(each)
        return value

    @field_validator("subject")
    @classmethod
    def _is_one_line(cls, value: str) -> str:
        if reason := header_fault(value):
            raise ValueError(reason)
        return value


class LiveEmail:
    """One message a call, by the operator's mail server."""

    def __init__(self, context: LiveContext) -> None:
        self._run = context
        self._allowance = _Allowance(context)

    async def send(self, arguments: Send) -> Any:
        mail = self._run.outside.mail
        if mail is None:
            raise GuestError("ServiceError", "email.send: this host has no mail server; its operator may set SMTP_URL")
        to = _recipients(self._run, arguments)
        self._allowance.take(arguments, len(to))
        await self._take_of_the_day(len(to))
        try:
            message_id = await mail.send(
                to=to,
                subject=arguments.subject,
                text=arguments.text,
                html=arguments.html,
                seconds=self._run.budget.call_seconds(),
            )
        except MailError as error:
            raise GuestError("ServiceError", f"email.send: {error}", performed=error.maybe_sent) from None
        return {"message_id": message_id}

    async def _take_of_the_day(self, number: int) -> None:
        most = self._run.limits.limit_emails_per_day
        quota = await self._run.database.call(
            self._run.caller, "take_quota", p_name="emails", p_amount=number, p_limit=most
        )
        if not quota["allowed"]:
            used = f"{quota['used']} of {most} recipients of your day are used, and begin again at {quota['resets_at']}"
            raise GuestError("ServiceError", f"email.send: {used}")


class DryEmail:
    """Nobody is written to; the effect says who would have been."""

    def __init__(self, context: DryContext) -> None:
        self._run = context
        self._allowance = _Allowance(context)

    async def send(self, arguments: Send) -> Any:
        self._allowance.take(arguments, len(_recipients(self._run, arguments)))
        return {"message_id": f"<{uuid4()}@agenthost.invalid>"}


class _Allowance:
    """What one run may still send: its grant's number, and the operator's, which its child runs share."""

    def __init__(self, context: RunContext) -> None:
        self._run = context
        self._used = 0

    def take(self, arguments: Send, number: int) -> None:
        """Count a message to so many. Raises GuestError when it is too large, or one of the limits is over."""
        limits, budget = self._run.limits, self._run.budget
        size = sum(len(part.encode()) for part in (arguments.subject, arguments.text, arguments.html or ""))
        if size > limits.limit_email_bytes:
            most = limits.limit_email_bytes
            raise GuestError("ValueError", f"email.send: the message has {size} bytes, the limit is {most} bytes")
        grant = self._run.manifest.email
        granted = None if grant is None else grant.max_per_run
        if granted is not None and self._used + number > granted:
            more = "max_per_run of [capabilities.email] may be raised"
            raise GuestError("ServiceError", f"email.send: the agent may write to {granted} recipients a run; {more}")
        most = limits.limit_emails_per_run
        if budget.recipients + number > most:
            raise GuestError("ServiceError", f"email.send: {most} recipients is the limit of a run and its child runs")
        self._used += number
        budget.recipients += number


def _recipients(run: RunContext, arguments: Send) -> list[str]:
    """The addresses written to, each once."""
    own = _own_address(run)
    resolved = (own if each == ME else address_of(each) for each in _listed(arguments.to))
    return list(dict.fromkeys(address for address in resolved if address is not None))


def _own_address(run: RunContext) -> str | None:
    """The confirmed address of the agent's owner, if the token has one that can be written to."""
    try:
        return address_of(run.caller.email or "")
    except ValueError:
        return None


def _matches(address: str, patterns: Iterable[str], own: str | None) -> bool:
    """Whether one of the patterns - "me", an address, *@domain - is this address. Letters of a domain have no case."""
    local, _, domain = address.rpartition("@")
    for pattern in patterns:
        wanted_local, _, wanted_domain = pattern.rpartition("@")
        if pattern == ME:
            if address == own:
                return True
        elif wanted_local in ("*", local) and wanted_domain.lower() == domain:
            return True
    return False


def _permit(ceiling: Sequence[str], manifest: Manifest, action: str, arguments: Send, context: RunContext) -> None:
    """Every recipient must be the manifest's, and the operator's: the owner's own address, or one of `ceiling`."""
    own = _own_address(context)
    for each in _listed(arguments.to):
        if each == ME and own is None:
            raise GuestError(
                "ServiceError", 'email.send: "me" is nobody, since your token carries no confirmed e-mail address'
            )
    grant = manifest.email or EmailGrant(to=[])
    for address in _recipients(context, arguments):
        shown = ME if address == own else address
        if not _matches(address, grant.to, own):
            raise denied(
                f"email.send: the agent may not write to {shown}: "
                f'add "{shown}" to the list `to` of [capabilities.email], or to capabilities in its agent_config'
            )
        if not _matches(address, (ME, *ceiling), own):
            raise denied(
                f"email.send: the operator of this host does not let agents write to {shown}, only to their owner's "
                f"own address; AGENTHOST_EMAIL_TO would have to allow it"
            )


def email_service(*, ceiling: Sequence[str] = ()) -> Capability:
    """The service, for a host whose operator allows these recipients beside the owner: addresses and *@domain."""
    return Capability(
        name="email",
        arguments={"send": Send},
        live=LiveEmail,
        dry_run=DryEmail,
        permit=partial(_permit, tuple(ceiling)),
    )


def ceiling_of(setting: str) -> tuple[str, ...]:
    """The patterns of AGENTHOST_EMAIL_TO. Raises SettingsError."""
    patterns = tuple(part.strip() for part in setting.split(",") if part.strip())
    for pattern in patterns:
        try:
            address_of(f"any{pattern[1:]}" if pattern.startswith("*@") else pattern)
        except ValueError:
            example = "*@example.com,ada@example.org"
            raise SettingsError(f"AGENTHOST_EMAIL_TO: should be addresses and *@domain, such as {example}") from None
    return patterns


def _listed(to: str | list[str]) -> Sequence[str]:
    return [to] if isinstance(to, str) else to
