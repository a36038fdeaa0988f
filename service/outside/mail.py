"""SMTP: hands one message to the operator's mail server, over TLS, or says why not.

A message is sent to all of its recipients or to none. What goes into a header holds no control character and no
encoded word, so no header can be added; nothing of the server or of the login reaches an error or a log.
"""

import asyncio
import re
import ssl
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.policy import SMTP
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit
from uuid import uuid4

import aiosmtplib
import structlog

from service.settings import SettingsError

log = structlog.get_logger("agenthost.mail")

MAX_ADDRESS: Final = 254
MAX_LOCAL_PART: Final = 64
QUIT_SECONDS: Final = 1.0
_POLICY: Final = SMTP.clone(cte_type="7bit")
_PORTS: Final = {"smtp": 587, "smtps": 465}

# The dot-atoms of RFC 5322 without what relays, shells and encoded words gave a meaning of their own: ! % * ` | = ?
_ATOM: Final = r"[A-Za-z0-9#$&'+/^_{}~-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS: Final = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@((?:{_LABEL}\.)+[A-Za-z](?:[A-Za-z0-9-]{{0,61}}[A-Za-z0-9]))")


class MailError(Exception):
    """It was not sent, or, with `maybe_sent`, nobody knows. The message is for the agent's author."""

    def __init__(self, message: str, *, maybe_sent: bool = False) -> None:
        super().__init__(message)
        self.maybe_sent = maybe_sent


def address_of(text: str) -> str:
    """One plain address, its domain in lower case. Raises ValueError, which says what an address is and is not."""
    found = _ADDRESS.fullmatch(text) if len(text) <= MAX_ADDRESS else None
    if found is None or len(found[1]) > MAX_LOCAL_PART:
        hint = "" if text.isascii() else "; a domain in other letters is written as xn--..."
        raise ValueError(f"should be one plain address such as ada@example.com, without a name beside it{hint}")
    return f"{found[1]}@{found[2].lower()}"


def header_fault(text: str) -> str | None:
    """Why a text cannot stand in a header, or None."""
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        return "has a line break or another control character"
    # The standard library decodes encoded words when a header is set, and writes out what they hide: line breaks too.
    if "=?" in text:
        return "has '=?', which begins an encoded word; it is encoded when it is sent, so give it as it should be read"
    return None


class Mail:
    """The operator's mail server. One connection a message: nothing of one run is left for the next.

    smtp:// begins TLS with STARTTLS, and goes without only to this machine itself; smtps:// is TLS from the start.
    Certificates are verified always, against `ca_file` where one is given.
    """

    def __init__(self, url: str, *, sender: str | None = None, ca_file: Path | None = None) -> None:
        """Raises SettingsError, which never repeats a value."""
        parts, port = _parts(url)
        self._host: str = parts.hostname or ""
        self._port = port
        self._user, self._password = _login(parts)
        self._tls = parts.scheme == "smtps"
        self._starttls = not self._tls and not _is_loopback(self._host)
        self._context = ssl.create_default_context(cafile=ca_file)
        self._sender = _sender(sender, self._user)
        self._domain = self._sender.rpartition("@")[2]

    async def send(self, *, to: Sequence[str], subject: str, text: str, html: str | None = None, seconds: float) -> str:
        """Hand one message over within `seconds`; its Message-ID. Raises MailError, and ValueError for
        what should have been refused before: see `address_of` and `header_fault`."""
        to = [address_of(each) for each in to]
        message = self._message(to, subject, text, html)
        content = _written(message)
        handing_over = False
        client = self._client(max(seconds, 0.1))
        try:
            async with asyncio.timeout(seconds):
                await self._open(client)
                await self._address(client, to, len(content))
                handing_over = True
                await client.data(content)
        except (aiosmtplib.SMTPException, OSError) as error:
            log.warning("mail_not_sent", error=type(error).__name__, code=getattr(error, "code", None))
            raise _failure(error, to, handing_over=handing_over) from None
        else:
            with suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=QUIT_SECONDS)
        finally:
            client.close()
        return str(message["Message-ID"])

    def _message(self, to: Sequence[str], subject: str, text: str, html: str | None) -> EmailMessage:
        if reason := header_fault(subject):
            raise ValueError(f"the subject {reason}")
        message = EmailMessage(_POLICY)
        message["Subject"] = subject
        message["From"] = self._sender
        message["To"] = ", ".join(to)
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = f"<{uuid4()}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no absence note answers it
        message.set_content(text)
        if html is not None:
            message.add_alternative(html, subtype="html")
        return message

    def _client(self, seconds: float) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            local_hostname=self._domain,
            timeout=seconds,
            use_tls=self._tls,
            start_tls=False,
            tls_context=self._context,
        )

    async def _open(self, client: aiosmtplib.SMTP) -> None:
        await client.connect()
        await client.ehlo()
        if self._starttls:
            if not client.supports_extension("starttls"):
                raise _NoTls("")
            await client.starttls()
            await client.ehlo()
        if self._user is not None:
            await client.login(self._user, self._password)

    async def _address(self, client: aiosmtplib.SMTP, to: Sequence[str], size: int) -> None:
        """All recipients or none: the first that is refused ends it."""
        await client.mail(self._sender, options=[f"SIZE={size}"] if client.supports_extension("size") else [])
        for recipient in to:
            await client.rcpt(recipient)


class _NoTls(aiosmtplib.SMTPException):
    """The server would have the login and the message in clear."""


def _written(message: EmailMessage) -> bytes:
    """The message as it is sent: with the headers that were set, and no other."""
    content = message.as_bytes()
    if BytesHeaderParser().parsebytes(content.partition(b"\r\n\r\n")[0]).keys() != message.keys():
        raise ValueError("the subject cannot be written into a header")
    return content


def _failure(error: Exception, to: Sequence[str], *, handing_over: bool) -> MailError:
    """What the agent's author is told: never the server's own words, which may tell of the login or the host."""
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return MailError("the TLS certificate of this host's mail server cannot be verified, so nothing was sent")
    match error:
        case _NoTls():
            return MailError("this host's mail server offers no TLS, so nothing was sent")
        case aiosmtplib.SMTPAuthenticationError():
            return MailError("the mail server refused the login of this host; its operator should look at SMTP_URL")
        case aiosmtplib.SMTPRecipientRefused():
            which = "the recipient" if len(to) == 1 else f"recipient {to.index(error.recipient) + 1} of {len(to)}"
            return MailError(f"the mail server refused {which} ({error.code}), so nothing was sent")
        case aiosmtplib.SMTPResponseException(code=552 | 523):
            return MailError("the mail server finds the message too large, so nothing was sent")
        case aiosmtplib.SMTPSenderRefused():
            return MailError(f"the mail server refused the sender of this host ({error.code}), so nothing was sent")
        case aiosmtplib.SMTPConnectError():
            return MailError("the mail server cannot be reached, so nothing was sent")
        case aiosmtplib.SMTPResponseException(code=code) if 400 <= code < 600:
            return MailError(f"the mail server refused the message ({code}), so nothing was sent")
    if not isinstance(error, OSError | aiosmtplib.SMTPResponseException):
        return MailError("the mail server cannot do what is needed to send it, so nothing was sent")
    late = "did not answer in time" if isinstance(error, TimeoutError) else "broke off"
    known = "it is not known whether the message was sent" if handing_over else "nothing was sent"
    return MailError(f"the mail server {late}, and {known}", maybe_sent=handing_over)


def _parts(url: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingsError(
            "SMTP_URL: is not a URL; characters such as / @ : in a password are written as %2F"
        ) from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise SettingsError("SMTP_URL: should be a URL that begins with smtp:// or smtps://")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise SettingsError(
            "SMTP_URL: should end with the port; characters such as / ? # in a password are written as %2F"
        )
    return parts, port or _PORTS[parts.scheme]


def _login(parts: SplitResult) -> tuple[str | None, str]:
    if parts.username is None:
        return None, ""
    if not parts.username or not parts.password:
        raise SettingsError("SMTP_URL: should have both a user and a password, or neither")
    try:
        return unquote(parts.username, errors="strict"), unquote(parts.password, errors="strict")
    except UnicodeDecodeError:
        raise SettingsError("SMTP_URL: user and password should be percent-encoded UTF-8") from None


def _sender(given: str | None, user: str | None) -> str:
    try:
        return address_of(given or user or "")
    except ValueError:
        name = "AGENTHOST_EMAIL_FROM"
        raise SettingsError(f"{name}: should be one plain address such as agents@example.com") from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
