"""A real mail server on loopback: keeps what it accepts, and behaves as badly as it is told to."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from typing import Any, Final, Literal

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER: Final = "agents@example.com"
PASSWORD: Final = "p@ss/wörd:%41"
ENCODED: Final = "agents%40example.com:p%40ss%2Fw%C3%B6rd%3A%2541"
"""The login of the server as it stands in a URL."""

Fault = Literal["hang at MAIL", "hang at DATA", "drop at MAIL", "drop at DATA", "refuse DATA", "too large"]


class _Smtp(SMTP):
    """Closes its side when a client goes without a word; aiosmtpd leaves it to the garbage collector."""

    def eof_received(self) -> bool:
        super().eof_received()
        return False


@dataclass(slots=True)
class MailServer:
    """What it accepted, and how it fails: a fault, or a recipient that it refuses."""

    port: int = 0
    fault: Fault | None = None
    refuses: str | None = None
    connections: int = 0
    logins: list[bool] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    accepted: list[Envelope] = field(default_factory=list)

    @property
    def messages(self) -> list[EmailMessage]:
        parser = BytesParser(policy=default)
        found = [parser.parsebytes(envelope.original_content or b"") for envelope in self.accepted]
        return [message for message in found if isinstance(message, EmailMessage)]

    def authenticated(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        fits = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        self.logins.append(fits)
        return AuthResult(success=fits, handled=False)

    async def _fail(self, server: SMTP, step: str) -> None:
        if self.fault == f"hang at {step}":
            await asyncio.sleep(60)
        if self.fault == f"drop at {step}" and server.transport is not None:
            server.transport.abort()  # type: ignore[attr-defined]
            await asyncio.sleep(60)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        await self._fail(server, "MAIL")
        assert server.transport is not None
        self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        if self.fault == "too large":
            return "552 5.3.4 message size exceeds fixed limit"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address == self.refuses:
            return "550 5.1.1 no such user at mail-17.internal"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        await self._fail(server, "DATA")
        if self.fault == "refuse DATA":
            return "554 5.7.1 refused for " + USER
        self.accepted.append(envelope)
        return "250 OK"


@asynccontextmanager
async def mail_server(
    *, tls: ssl.SSLContext | None = None, from_the_start: bool = False, login: bool = True
) -> AsyncIterator[MailServer]:
    """A server that offers STARTTLS if there is `tls`, or speaks it from the start."""
    state = MailServer()
    loop = asyncio.get_running_loop()
    starttls = None if from_the_start else tls

    def protocol() -> SMTP:
        state.connections += 1
        return _Smtp(
            state,
            hostname="mail.test",
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_required=login and starttls is not None,
            auth_require_tls=login and starttls is not None,
            authenticator=state.authenticated if login else None,
            loop=loop,
        )

    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls if from_the_start else None)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
