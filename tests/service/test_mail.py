"""Mail over real SMTP: to whom it goes, how it is guarded, and what is said when it cannot be sent."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from service.outside.mail import Mail, MailError, address_of, header_fault
from service.settings import SettingsError
from tests.service.authority import Authority, authority
from tests.service.mail_server import ENCODED, PASSWORD, USER, Fault, MailServer, mail_server

REMOTE: Final = "127.1"
"""This machine, in a spelling that does not read as loopback: here TLS is required."""

LETTER: Final[dict[str, Any]] = {
    "to": ["ada@example.com"],
    "subject": "Three new leads, größer",
    "text": "Ada,\n.\nGrüße\n",
    "seconds": 10.0,
}


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("authority"), REMOTE, "127.0.0.1", "localhost")


@pytest.fixture
async def starttls(trusted: Authority) -> AsyncIterator[MailServer]:
    async with mail_server(tls=trusted.server) as server:
        yield server


def remote(server: MailServer, trusted: Authority, login: str = ENCODED) -> Mail:
    return Mail(f"smtp://{login}@{REMOTE}:{server.port}", ca_file=trusted.ca_file)


async def test_a_message_arrives_encrypted_after_a_login(starttls: MailServer, trusted: Authority) -> None:
    message_id = await remote(starttls, trusted).send(**LETTER, html="<p>Grüße</p>")
    [message], [envelope] = starttls.messages, starttls.accepted
    assert (starttls.logins, starttls.encrypted) == ([True], [True])
    assert (envelope.mail_from, envelope.rcpt_tos) == (USER, ["ada@example.com"])
    assert message["Subject"] == LETTER["subject"]
    assert (message["From"], message["To"], message["Message-ID"]) == (USER, "ada@example.com", message_id)
    assert re.fullmatch(r"<[0-9a-f-]{36}@example\.com>", message_id)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().splitlines() == LETTER["text"].splitlines()
    assert html.get_content().strip() == "<p>Grüße</p>"


async def test_smtps_is_tls_from_the_start(trusted: Authority) -> None:
    async with mail_server(tls=trusted.server, from_the_start=True) as server:
        await Mail(f"smtps://{ENCODED}@localhost:{server.port}", ca_file=trusted.ca_file).send(**LETTER)
        assert (server.logins, server.encrypted, len(server.accepted)) == ([True], [True], 1)


async def test_to_this_machine_itself_it_goes_without_tls() -> None:
    async with mail_server() as server:
        for host in ("127.0.0.1", "localhost"):
            mail = Mail(f"smtp://{ENCODED}@{host}:{server.port}", sender="bot@example.org")
            await mail.send(**LETTER)
        assert (server.logins, server.encrypted) == ([True, True], [False, False])
        assert [envelope.mail_from for envelope in server.accepted] == ["bot@example.org"] * 2


async def test_one_message_reaches_all_of_its_recipients(starttls: MailServer, trusted: Authority) -> None:
    to = ["ada@example.com", "eve@example.org", "bob@example.com"]
    await remote(starttls, trusted).send(**LETTER | {"to": to})
    [envelope] = starttls.accepted
    assert envelope.rcpt_tos == to


async def test_without_tls_neither_login_nor_message_leave(trusted: Authority) -> None:
    async with mail_server() as server:
        with pytest.raises(MailError, match="offers no TLS, so nothing was sent"):
            await remote(server, trusted).send(**LETTER)
        assert (server.logins, server.encrypted, server.accepted) == ([], [], [])


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_that_nobody_vouches_for_is_refused(trusted: Authority, scheme: str) -> None:
    async with mail_server(tls=trusted.server, from_the_start=scheme == "smtps") as server:
        with pytest.raises(MailError, match=r"certificate .* cannot be verified, so nothing was sent"):
            await Mail(f"{scheme}://{ENCODED}@{REMOTE}:{server.port}").send(**LETTER)
        assert (server.logins, server.accepted) == ([], [])


async def test_a_certificate_of_another_name_is_refused(tmp_path: Path) -> None:
    other = authority(tmp_path, "mail.example.org")
    async with mail_server(tls=other.server) as server:
        with pytest.raises(MailError, match="cannot be verified"):
            await remote(server, other).send(**LETTER)
        assert (server.logins, server.accepted) == ([], [])


async def test_a_wrong_password_is_told_and_never_shown(starttls: MailServer, trusted: Authority) -> None:
    with pytest.raises(MailError, match="refused the login") as refused:
        await remote(starttls, trusted, "agents%40example.com:wr0ng").send(**LETTER)
    assert set(starttls.logins) == {False}
    assert not starttls.accepted
    assert not re.search(r"wr0ng|agents@|127|535", str(refused.value))


async def test_one_refused_recipient_and_nobody_is_written_to(starttls: MailServer, trusted: Authority) -> None:
    starttls.refuses = "eve@example.org"
    with pytest.raises(MailError, match=r"refused recipient 2 of 3 \(550\), so nothing was sent") as refused:
        await remote(starttls, trusted).send(**LETTER | {"to": ["a@example.com", "eve@example.org", "b@example.com"]})
    with pytest.raises(MailError, match=r"refused the recipient \(550\)"):
        await remote(starttls, trusted).send(**LETTER | {"to": ["eve@example.org"]})
    assert not starttls.accepted
    assert "internal" not in str(refused.value)


@pytest.mark.parametrize(
    ("fault", "message", "maybe_sent"),
    [
        ("hang at MAIL", "did not answer in time, and nothing was sent", False),
        ("hang at DATA", "did not answer in time, and it is not known whether", True),
        ("drop at MAIL", "broke off, and nothing was sent", False),
        ("drop at DATA", "broke off, and it is not known whether", True),
        ("refuse DATA", r"refused the message \(554\), so nothing was sent", False),
        ("too large", "too large, so nothing was sent", False),
    ],
)
async def test_a_server_that_fails_is_told_apart_and_waited_for_no_longer_than_allowed(
    starttls: MailServer, trusted: Authority, fault: Fault, message: str, maybe_sent: bool
) -> None:
    starttls.fault = fault
    async with asyncio.timeout(10):
        with pytest.raises(MailError, match=message) as failed:
            await remote(starttls, trusted).send(**LETTER | {"seconds": 0.5})
    assert failed.value.maybe_sent is maybe_sent
    assert not re.search(r"agents@|127|mail\.test", str(failed.value))


async def test_a_server_that_is_not_there_is_told(trusted: Authority) -> None:
    async with mail_server() as server:
        gone = server.port
    for url in (f"smtp://{REMOTE}:{gone}", f"smtps://{REMOTE}:{gone}"):
        with pytest.raises(MailError, match="cannot be reached, so nothing was sent"):
            await Mail(url, sender=USER, ca_file=trusted.ca_file).send(**LETTER)


async def test_a_server_that_says_nothing_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for scheme in ("smtp", "smtps"):
        for seconds in (0.0, 0.3):
            with pytest.raises(MailError, match="nothing was sent"):
                await Mail(f"{scheme}://127.0.0.1:{port}", sender=USER).send(**LETTER | {"seconds": seconds})
    server.close()


INJECTIONS: Final = [
    "Hello\r\nBcc: eve@example.com",
    "Hello\nBcc: eve@example.com",
    "Hello\rBcc: eve@example.com",
    "Hello\r\n\r\n<script>",
    "Hello\r\n.\r\nMAIL FROM:<x@y.de>",
    "Hello\0",
    "Hello\x0bBcc: eve@example.com",
    "Hello\x0cBcc: eve@example.com",
    "Hello\x1cBcc: eve@example.com",
    "Hello\x85Bcc: eve@example.com",
    "Hello\u2028Bcc: eve@example.com",
    "Hello\u2029Bcc: eve@example.com",
    "Hello\tthere",
    "Hello\ud800",
    "=?utf-8?q?Hello=0d=0aBcc:=20eve@example.com?=",
    "=?utf-8?b?SGVsbG8NCkJjYzogZXZlQGV4YW1wbGUuY29t?=",
    "=?utf-8?q?Hello=0aBcc:=20eve@example.com?=",
]
NOT_ADDRESSES: Final = [
    "",
    "me",
    "ada",
    "@example.com",
    "ada@",
    "ada@localhost",
    "ada@example.com ",
    " ada@example.com",
    "Ada <ada@example.com>",
    "<ada@example.com>",
    "ada@example.com, eve@example.com",
    "ada@example.com;eve@example.com",
    "ada@example.com eve@example.com",
    "friends: ada@example.com;",
    "ada(comment)@example.com",
    "ada@example.com(comment)",
    "@relay.org:ada@example.com",
    "ada%example.com@relay.org",
    "relay.org!ada@example.com",
    '"ada"@example.com',
    '"ada@evil.org"@example.com',
    "ada@evil.org@example.com",
    "ada@[127.0.0.1]",
    "ada@127.0.0.1",
    "ada@example.com\r\nRCPT TO:<eve@example.com>",
    "ada@example.com\n",
    "ada@example.com\0",
    "ada\r\n@example.com",
    ".ada@example.com",
    "ada.@example.com",
    "a..da@example.com",
    "ada@example..com",
    "ada@-example.com",
    "ada@example.com.",
    "=?utf-8?q?ada?=@example.com",
    "*@example.com",
    "|sh@example.com",
    "ädä@example.com",
    "ada@exämple.com",
    "ada@ｅxample.com",
    "ada@" + "a." * 200 + "com",
    "a" * 65 + "@example.com",
    "ada@" + "a" * 64 + ".com",
]


@pytest.mark.parametrize("subject", INJECTIONS)
async def test_nothing_is_added_to_a_header_by_a_subject(
    starttls: MailServer, trusted: Authority, subject: str
) -> None:
    assert header_fault(subject)
    with pytest.raises(ValueError, match="the subject has"):
        await remote(starttls, trusted).send(**LETTER | {"subject": subject})
    assert starttls.connections == 0


@pytest.mark.parametrize("address", NOT_ADDRESSES)
async def test_what_is_not_one_plain_address_is_refused(starttls: MailServer, trusted: Authority, address: str) -> None:
    with pytest.raises(ValueError, match="should be one plain address"):
        await remote(starttls, trusted).send(**LETTER | {"to": ["ada@example.com", address]})
    with pytest.raises(SettingsError, match="AGENTHOST_EMAIL_FROM"):
        Mail("smtp://127.0.0.1", sender=address)
    assert starttls.connections == 0


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("ada@example.com", "ada@example.com"),
        ("Ada.L+tag#1_x@EXAMPLE.Com", "Ada.L+tag#1_x@example.com"),
        ("o'hara&co/x@a-b.example", "o'hara&co/x@a-b.example"),
        ("1@xn--exmple-cua.com", "1@xn--exmple-cua.com"),
        ("a@x.xn--p1ai", "a@x.xn--p1ai"),
    ],
)
def test_the_domain_of_an_address_has_no_case(given: str, known: str) -> None:
    assert address_of(given) == known


@pytest.mark.parametrize(
    "subject",
    ["x", "x" * 500, "é" * 500, "  spaces  ", 'a, b; c: <d> @ "e" (f)', "😀 ?= =x", "Bcc: eve@example.com", "." * 80],
)
async def test_any_other_subject_and_text_arrive_as_they_are(subject: str) -> None:
    text = f".\n..\n.\r\n{subject}\nBcc: eve@example.com\n\n" + "x" * 3000 + "\n" + "é" * 3000 + "\nFrom me\n"
    async with mail_server() as server:
        await Mail(f"smtp://127.0.0.1:{server.port}", sender=USER).send(**LETTER | {"subject": subject, "text": text})
        [message] = server.messages
    assert re.sub(r"\s", "", message["Subject"]) == re.sub(r"\s", "", subject)
    assert message["Bcc"] is None
    assert message.get_content().replace("\r\n", "\n") == text.replace("\r\n", "\n")


@pytest.mark.parametrize(
    "url",
    [
        "smtp://",
        "http://mail.example.com",
        "smtp://mail.example.com:s3kret",
        "smtp://mail.example.com:99999",
        "smtp://user@mail.example.com",
        "smtp://:s3kret@mail.example.com",
        "smtp://user:s3kret/x@mail.example.com:587",
        "smtp://user:s3kret?@mail.example.com",
        "smtp://user:s3kret@mail.example.com/inbox",
        "smtp://user:s3kret%ff@mail.example.com",
        "smtp://user:[s3kret@mail.example.com",
    ],
)
def test_a_bad_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match="SMTP_URL: ") as refused:
        Mail(url, sender=USER)
    assert not re.search("s3kret|mail|99999", str(refused.value))
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_the_login_is_not_in_its_repr() -> None:
    mail = Mail(f"smtp://{ENCODED}@mail.example.com")
    assert not any(secret in repr(mail) + str(mail) for secret in (PASSWORD, ENCODED, "mail.example.com"))


def test_a_user_that_is_no_address_needs_a_sender() -> None:
    with pytest.raises(SettingsError, match="AGENTHOST_EMAIL_FROM: should be one plain address"):
        Mail("smtp://apikey:s3kret@mail.example.com")
