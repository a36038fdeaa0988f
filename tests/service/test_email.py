"""email through the door: who may be written to, within which limits, and a dry run that writes to nobody."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import pytest
from pydantic import SecretStr

from sandbox.job import Call
from service.app import create_app
from service.auth import Caller
from service.capabilities.email import ceiling_of, email_service
from service.capabilities.registry import Registry
from service.local import LocalIdentity
from service.outside.mail import Mail
from service.settings import Settings, SettingsError
from tests.service.conftest import LocalHost, User
from tests.service.contexts import broker, outside_with
from tests.service.mail_server import ENCODED, MailServer, mail_server
from tests.service.served import AbsentDatabase, served

OWNER: Final = "Ada@example.com"
GRANT: Final = {"to": ["me", "*@acme.com", "bob@example.org", "carl@example.org"]}
LIMITS: Final[dict[str, Any]] = {
    "limit_emails_per_run": 4,
    "limit_emails_per_day": 6,
    "limit_email_bytes": 2000,
    "limit_runs_per_user": 4,
}


@dataclass(frozen=True, slots=True)
class MailHost:
    """A host that sends e-mail, and where it goes."""

    host: LocalHost
    mail: MailServer


@pytest.fixture(scope="module")
async def sending(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MailHost]:
    data_dir = tmp_path_factory.mktemp("host")
    async with mail_server() as mail:
        settings = Settings(
            data_dir=data_dir,
            smtp_url=SecretStr(f"smtp://{ENCODED}@127.0.0.1:{mail.port}"),
            email_to="*@ACME.com, bob@example.org",
            **LIMITS,
        )
        app = create_app(settings)
        async with served(app, settings) as url:
            yield MailHost(LocalHost(url, app, LocalIdentity.in_directory(data_dir)), mail)


@pytest.fixture
async def mail(sending: MailHost) -> MailServer:
    """The host's mail server, as new."""
    sending.mail.connections, sending.mail.fault, sending.mail.refuses = 0, None, None
    sending.mail.accepted.clear()
    return sending.mail


@pytest.fixture
async def owner(sending: MailHost) -> AsyncIterator[User]:
    async with sending.host.user(email=OWNER) as user:
        yield user


def program(script: str) -> str:
    lines = "\n".join(f"        {line}" for line in script.splitlines())
    caught = "except (TypeError, ValueError, PermissionError, RuntimeError) as error:"
    return (
        f"def run(services):\n    send = services.email.send\n    try:\n{lines}\n    {caught}\n"
        "        return [type(error).__name__, str(error)]\n"
    )


async def both(user: User, script: str, grant: Any = GRANT, **config: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same agent, dry and then live."""
    await user.define("mailer", program(script), capabilities={"email": grant}, **config)
    dry = (await user.run("mailer", test="true")).json()
    return dry, (await user.run("mailer")).json()


def behaviour(run: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {name: effect[name] for name in ("seq", "service", "action", "args", "granted")} for effect in run["effects"]
    ]


async def test_the_owner_is_written_to_live_and_nobody_in_a_dry_run(owner: User, mail: MailServer) -> None:
    second = "send(to=['me', 'x@acme.com'], subject='S', text='')"
    script = f"return [send('me', 'Leads', 'Three new ones', html='<b>3</b>'), {second}]"
    await owner.define("mailer", program(script), capabilities={"email": GRANT})
    dry = (await owner.run("mailer", test="true")).json()
    assert (mail.connections, mail.accepted) == (0, [])
    live = (await owner.run("mailer")).json()
    assert [envelope.rcpt_tos for envelope in mail.accepted] == [[OWNER], [OWNER, "x@acme.com"]]
    assert [message["Message-ID"] for message in mail.messages] == [sent["message_id"] for sent in live["output"]]
    assert behaviour(dry) == behaviour(live)
    assert [effect["args"]["to"] for effect in live["effects"]] == ["me", ["me", "x@acme.com"]]
    assert all(re.fullmatch(r"<\S{30,}@\S+>", sent["message_id"]) for run in (dry, live) for sent in run["output"])
    for run, performed, source in ((dry, False, "simulated"), (live, True, "live")):
        assert [(effect["performed"], effect["source"]) for effect in run["effects"]] == [(performed, source)] * 2
        assert (await owner.recorded(run["run_id"]))["verified"] is True


ALLOWED: Final = ["me", OWNER, "Ada@EXAMPLE.com", "x@acme.com", "X.y+z@Acme.COM", "bob@example.org", "bob@EXAMPLE.org"]
DENIED: Final = [
    ("ada@example.com", 'add "ada@example.com"'),  # the local part of an address has a case
    ("eve@example.com", 'add "eve@example.com"'),
    ("Bob@example.org", 'add "Bob@example.org"'),
    ("x@acme.com.evil.org", "add"),
    ("x@sub.acme.com", "add"),
    ("x@notacme.com", "add"),
    ("acme.com@evil.org", "add"),
    ("carl@example.org", "the operator of this host does not let agents write to carl@example.org"),
]


@pytest.mark.parametrize("to", ALLOWED)
async def test_whom_both_manifest_and_operator_allow_is_written_to(owner: User, mail: MailServer, to: str) -> None:
    dry, live = await both(owner, f"return send({to!r}, 'S', 'T')['message_id'][0]")
    assert (dry["output"], live["output"]) == ("<", "<")
    assert behaviour(dry) == behaviour(live)
    assert len(mail.accepted) == 1


@pytest.mark.parametrize(("to", "said"), DENIED)
@pytest.mark.parametrize("wrapped", ["{!r}", "['me', {!r}]", "[{!r}, 'x@acme.com']"])
async def test_whom_one_of_them_does_not_allow_is_not_and_neither_are_the_others(
    owner: User, mail: MailServer, to: str, said: str, wrapped: str
) -> None:
    dry, live = await both(owner, f"return send({wrapped.format(to)}, 'S', 'T')")
    assert live["output"] == dry["output"]
    assert live["output"][0] == "CapabilityDenied"
    assert said in live["output"][1]
    assert behaviour(dry) == behaviour(live)
    assert [(effect["granted"], effect["performed"]) for effect in live["effects"]] == [(False, False)]
    assert mail.connections == 0


async def test_a_grant_for_me_covers_my_address_and_no_other(owner: User, mail: MailServer) -> None:
    _, live = await both(owner, f"send('me', 'S', 'T')\nsend({OWNER!r}, 'S', 'T')\nsend('x@acme.com', 'S', 'T')", {})
    assert live["output"][0] == "CapabilityDenied"
    assert "[capabilities.email]" in live["output"][1]
    assert [effect["granted"] for effect in live["effects"]] == [True, True, False]
    assert len(mail.accepted) == 2


async def test_an_empty_list_grants_nobody(owner: User, mail: MailServer) -> None:
    dry, live = await both(owner, "return send('me', 'S', 'T')", {"to": []})
    assert live["output"] == dry["output"]
    assert 'add "me"' in live["output"][1]
    assert mail.connections == 0


async def test_me_without_a_confirmed_address_is_nobody(sending: MailHost, mail: MailServer) -> None:
    for address in (None, "", "nonsense", "ada@exämple.com", "ada@example.com\r\nBcc: eve@example.com"):
        async with sending.host.user(email=address) as user:
            dry, live = await both(user, "return send('me', 'S', 'T')")
            assert live["output"] == dry["output"]
            assert live["output"][0] == "ServiceError"
            assert "your token carries no confirmed e-mail address" in live["output"][1]
            assert (await both_again(user, "x@acme.com"))["output"] == "<"
    assert [envelope.rcpt_tos for envelope in mail.accepted] == [["x@acme.com"]] * 5


async def both_again(user: User, to: str) -> dict[str, Any]:
    await user.define(
        "other", program(f"return send({to!r}, 'S', 'T')['message_id'][0]"), capabilities={"email": GRANT}
    )
    answer: dict[str, Any] = (await user.run("other")).json()
    return answer


@pytest.mark.parametrize(
    ("claims", "address"),
    [
        ({"email": OWNER}, OWNER),
        ({"email": OWNER, "email_verified": True}, OWNER),
        ({"email": OWNER, "email_verified": False}, None),
        ({"email": OWNER, "email_verified": "true"}, None),
        ({"email": OWNER, "email_verified": None}, None),
        ({"email": ""}, None),
        ({"email": ["a@b.c"]}, None),
        ({"user_metadata": {"email": "eve@example.com", "email_verified": True}}, None),
        ({"email": OWNER, "user_metadata": {"email": "eve@example.com", "email_verified": True}}, OWNER),
        ({"email": OWNER, "email_verified": False, "user_metadata": {"email_verified": True}}, None),
    ],
)
def test_what_users_write_of_themselves_is_not_their_address(claims: dict[str, Any], address: str | None) -> None:
    assert Caller(uuid4(), claims, "", 0).email == address


WRONG: Final = [
    ("send('me', 'a\\r\\nBcc: eve@example.com', 'T')", "ValueError", "line break"),
    ("send('me', 'a\\nBcc: eve@example.com', 'T')", "ValueError", "line break"),
    ("send('me', '=?utf-8?q?a=0d=0aBcc:=20eve@example.com?=', 'T')", "ValueError", "encoded word"),
    ("send('me', 'a\\u2028b', 'T')", "ValueError", "line break"),
    ("send('me', chr(0xD800), 'T')", "ValueError", "surrogate"),
    ("send('me', '', 'T')", "ValueError", "subject"),
    ("send('me', 'x' * 501, 'T')", "ValueError", "subject"),
    ("send('me', 'S', 'a\\0b')", "ValueError", "U+0000"),
    ("send('me', 'S', chr(0xD800))", "ValueError", "surrogate"),
    ("send('me', 'S', 'T', html='a\\0b')", "ValueError", "U+0000"),
    ("send('me', 'S', 'x' * 2001)", "ValueError", "the limit is 2000 bytes"),
    ("send('me', 'S', 'é' * 600, html='é' * 600)", "ValueError", "2401 bytes, the limit is 2000 bytes"),
    ("send('me\\r\\nBcc: eve@example.com', 'S', 'T')", "ValueError", "one plain address"),
    ("send('x@acme.com\\r\\nRCPT TO:<eve@example.com>', 'S', 'T')", "ValueError", "one plain address"),
    ("send('x@acme.com, eve@example.com', 'S', 'T')", "ValueError", "one plain address"),
    ("send('Eve <x@acme.com>', 'S', 'T')", "ValueError", "one plain address"),
    ("send('eve%evil.org@acme.com', 'S', 'T')", "ValueError", "one plain address"),
    ("send('*@acme.com', 'S', 'T')", "ValueError", "one plain address"),
    ("send('x@äcme.com', 'S', 'T')", "ValueError", "xn--"),
    ("send('', 'S', 'T')", "ValueError", "one plain address"),
    ("send([], 'S', 'T')", "ValueError", "1 to 20 recipients"),
    ("send(['me'] * 21, 'S', 'T')", "ValueError", "1 to 20 recipients"),
    ("send(['me', 7], 'S', 'T')", "TypeError", "to"),
    ("send(7, 'S', 'T')", "TypeError", "to"),
    ("send(None, 'S', 'T')", "TypeError", "to"),
    ("send({'me': 1}, 'S', 'T')", "TypeError", "to"),
    ("send('me', 7, 'T')", "TypeError", "subject"),
    ("send('me', 'S', b'T'.decode)", "ValueError", "not JSON"),
    ("send('me', 'S', None)", "TypeError", "text"),
    ("send('me', 'S', 'T', html=['x'])", "TypeError", "html"),
]


@pytest.mark.parametrize(("call", "error", "said"), WRONG)
async def test_wrong_arguments_raise_in_the_agent_and_nobody_is_written_to(
    owner: User, mail: MailServer, call: str, error: str, said: str
) -> None:
    dry, live = await both(owner, f"return {call}")
    assert (dry["status"], dry["output"], behaviour(dry)) == (live["status"], live["output"], behaviour(live))
    assert live["output"][0] == error
    assert said in live["output"][1]
    assert not re.search(r"pydantic|Traceback|service/", live["output"][1])
    assert all(not effect["performed"] for effect in live["effects"])
    assert mail.connections == 0


async def test_the_recipients_of_a_run_are_limited_by_the_operator(owner: User, mail: MailServer) -> None:
    script = "for number in range(9):\n    send([f'a{number}@acme.com', 'me', 'me'], 'S', 'T')"
    dry, live = await both(owner, script)
    assert (
        live["output"]
        == dry["output"]
        == ["ServiceError", "email.send: 4 recipients is the limit of a run and its child runs"]
    )
    assert behaviour(dry) == behaviour(live)
    assert [len(envelope.rcpt_tos) for envelope in mail.accepted] == [2, 2]


async def test_a_run_and_its_child_runs_have_one_number_of_recipients(owner: User, mail: MailServer) -> None:
    await owner.define("clerk", program("return send(['me', 'x@acme.com'], 'S', 'T')['message_id'][0]"))
    await owner.http.patch("/agents/clerk", json={"agent_config": {"capabilities": {"email": GRANT}}})
    boss = "def run(services):\n    services.email.send('me', 'S', 'T')\n    run = services.agents.run\n"
    await owner.define("boss", boss + "    return [run('clerk'), services.agents.run('clerk')]\n")
    grants = {"email": {}, "agents": {"names": ["clerk"]}}
    await owner.http.patch("/agents/boss", json={"agent_config": {"capabilities": grants}})
    for test in ("true", "false"):
        output = (await owner.run("boss", test=test)).json()["output"]
        assert output == ["<", ["ServiceError", "email.send: 4 recipients is the limit of a run and its child runs"]]
    assert [len(envelope.rcpt_tos) for envelope in mail.accepted] == [1, 2]


async def test_the_recipients_of_a_run_are_limited_by_its_grant(owner: User, mail: MailServer) -> None:
    dry, live = await both(owner, "for _ in range(9):\n    send('me', 'S', 'T')", GRANT | {"max_per_run": 2})
    assert live["output"] == dry["output"]
    assert "may write to 2 recipients a run; max_per_run" in live["output"][1]
    assert behaviour(dry) == behaviour(live)
    assert len(mail.accepted) == 2


async def test_the_recipients_of_a_day_are_limited_and_dry_runs_use_none(owner: User, mail: MailServer) -> None:
    await owner.define(
        "mailer", program("return send(['me', 'x@acme.com', 'y@acme.com'], 'S', 'T')"), capabilities={"email": GRANT}
    )
    for _ in range(4):
        assert "message_id" in (await owner.run("mailer", test="1")).json()["output"]
    assert "message_id" in (await owner.run("mailer")).json()["output"]
    assert "message_id" in (await owner.run("mailer")).json()["output"]
    over = (await owner.run("mailer")).json()
    assert over["output"][0] == "ServiceError"
    assert re.search(r"6 of 6 recipients of your day are used, and begin again at 20\d\d-", over["output"][1])
    assert over["effects"][0]["performed"] is False
    assert "message_id" in (await owner.run("mailer", test="1")).json()["output"]
    assert len(mail.accepted) == 2


async def test_what_the_mail_server_refuses_is_told_without_the_host(owner: User, mail: MailServer) -> None:
    mail.refuses = OWNER
    await owner.define("mailer", program("return send('me', 'S', 'T')"), capabilities={"email": {}})
    run = (await owner.run("mailer")).json()
    assert run["output"] == [
        "ServiceError",
        "email.send: the mail server refused the recipient (550), so nothing was sent",
    ]
    assert run["effects"][0]["performed"] is False
    mail.fault, mail.refuses = "drop at DATA", None
    run = (await owner.run("mailer")).json()
    assert "not known whether" in run["output"][1]
    assert run["effects"][0]["performed"] is True
    assert OWNER not in str(run)
    assert not mail.accepted


async def test_a_mail_server_that_hangs_is_waited_for_no_longer_than_the_run(owner: User, mail: MailServer) -> None:
    mail.fault = "hang at MAIL"
    await owner.define(
        "mailer", program("send('me', 'S', 'T')"), capabilities={"email": {}}, limits={"wall_seconds": 0.5}
    )
    answer = await owner.run("mailer")
    [effect] = answer.json()["effects"]
    assert (effect["granted"], effect["service"]) == (True, "email")
    # Cut off by the run, where this machine is slow.
    assert re.search("did not answer in time|cut off", effect["result"]["error"]["message"])
    assert answer.json()["usage"]["wall_ms"] < 5000
    assert not mail.accepted


async def test_without_a_mail_server_live_calls_fail_and_dry_runs_go_on(ada: User, local_host: LocalHost) -> None:
    registry = Registry([email_service(ceiling=("*@acme.com",))])
    call = Call("email", "send", {"to": "x@acme.com", "subject": "S", "text": "T"})
    given: dict[str, Any] = {"registry": registry, "manifest": {"email": GRANT}}
    live = await broker(ada.caller, AbsentDatabase(), **given).handle(call)
    assert live.error is not None
    assert "SMTP_URL" in live.error["message"]
    dry = await broker(ada.caller, AbsentDatabase(), test=True, **given).handle(call)
    assert dry.error is None


async def test_the_operators_ceiling_is_the_owner_alone_when_nothing_is_set(ada: User, local_host: LocalHost) -> None:
    async with mail_server() as server:
        outside = outside_with(mail=Mail(f"smtp://{ENCODED}@127.0.0.1:{server.port}"))
        caller = Caller(ada.user_id, {"email": OWNER}, ada.caller.token, ada.caller.expires_at)
        asking = broker(
            caller,
            local_host.host.database,
            outside=outside,
            registry=Registry([email_service()]),
            manifest={"email": {"to": ["me", "*@acme.com", "*@example.com"]}},
        )
        errors = []
        for to in ("x@acme.com", "eve@example.com", OWNER, "me"):
            reply = await asking.handle(Call("email", "send", {"to": to, "subject": "S", "text": "T"}))
            errors.append(reply.error and reply.error["type"])
        assert errors == ["CapabilityDenied", "CapabilityDenied", None, None]
        assert [envelope.rcpt_tos for envelope in server.accepted] == [[OWNER], [OWNER]]


@pytest.mark.parametrize(
    "setting", ["*", "*@", "me", "acme.com", "*@*.acme.com", "*acme.com", "a@b.com;c@d.com", "*@ä.com"]
)
def test_a_ceiling_that_cannot_be_read_stops_the_host(setting: str) -> None:
    with pytest.raises(SettingsError, match="AGENTHOST_EMAIL_TO: should be addresses"):
        ceiling_of(f"ada@example.com,{setting}")


def test_a_ceiling_is_a_list_of_patterns() -> None:
    assert ceiling_of("") == ()
    assert ceiling_of(" *@acme.com,ada@example.com ,") == ("*@acme.com", "ada@example.com")
