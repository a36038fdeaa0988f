"""http through the door: the grant at every hop, secrets that stay where they belong, and a dry run that sends nothing.

The servers are real, on loopback, and count as public for the door of these tests.
"""

import asyncio
import base64
import html
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, quote_plus
from uuid import uuid4

import pytest

from sandbox.job import Call
from service.app import create_app
from service.capabilities.capability import Budget
from service.capabilities.effects import call_hash
from service.capabilities.http import HTTP, matches
from service.capabilities.http_arguments import Request
from service.capabilities.kv import KV
from service.capabilities.masking import MASK, Mask
from service.capabilities.registry import Registry
from service.capabilities.secrets import SECRETS
from service.database.gateway import Database
from service.local import LocalIdentity
from service.outside.http import HttpDoor
from service.outside.http_url import parse_url
from service.outside.outside import Outside
from service.outside.vault import Vault
from service.secret_keys import SecretKey
from service.settings import Settings
from tests.database.runs import STANDARD, begin
from tests.outside.name_server import to
from tests.outside.site import Site, redirect, site, text
from tests.postgres import someone
from tests.service.conftest import LocalHost, User
from tests.service.contexts import broker, outside_with
from tests.service.served import AbsentDatabase, served

API: Final = "api.example.com"
WWW: Final = "www.example.com"
INSIDE: Final = "intranet.example.com"
VALUE: Final = 'sk-live/7f3a+"9&c'
REQUEST_BYTES: Final = 2000
RESPONSE_BYTES: Final = 5000
CAUGHT: Final = "except (TypeError, ValueError, PermissionError, RuntimeError) as error:"


@dataclass(frozen=True, slots=True)
class Web:
    """A host whose agents reach one server under two names; `resolved` are the names that were looked up."""

    host: LocalHost
    site: Site
    inside: Site
    resolved: list[str] = field(default_factory=list)

    def url(self, path: str = "/", host: str = API) -> str:
        return f"http://{host}:{self.site.port}{path}"

    def grant(self, *hosts: str, **constraints: Any) -> dict[str, Any]:
        named = [f"{host}:{self.site.port}" for host in hosts or (API,)]
        methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
        return {"hosts": named, "methods": methods, "schemes": ["http"]} | constraints


@pytest.fixture(scope="module")
async def serving(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Web]:
    data_dir = tmp_path_factory.mktemp("host")
    resolved: list[str] = []

    async def resolve(host: str) -> Sequence[str]:
        resolved.append(host)
        return ["127.0.0.1" if host == INSIDE else "127.0.0.2"]

    async with site("127.0.0.2") as public, site("127.0.0.1") as inside:
        outside = Outside(
            http=HttpDoor(resolve=resolve, allowed=frozenset({public.pair})),
            vault=Vault([SecretKey("k", b"k" * 32)]),
        )
        settings = Settings(
            data_dir=data_dir,
            limit_http_seconds=1.0,
            limit_http_request_bytes=REQUEST_BYTES,
            limit_http_response_bytes=RESPONSE_BYTES,
            limit_runs_per_user=8,
        )
        app = create_app(settings, outside=outside, capabilities=Registry([KV, HTTP, SECRETS]))
        async with served(app, settings) as url:
            yield Web(LocalHost(url, app, LocalIdentity.in_directory(data_dir)), public, inside, resolved)


@pytest.fixture
async def web(serving: Web) -> Web:
    """The server as new."""
    for each in (serving.site, serving.inside):
        each.connections = 0
        each.seen.clear()
        each.answers.clear()
    serving.site.answers["/"] = text('{"n": 1}', "Content-Type: application/json")
    serving.resolved.clear()
    return serving


@pytest.fixture
async def ada(serving: Web) -> AsyncIterator[User]:
    async with serving.host.user() as user:
        yield user


async def keep(user: User, *hosts: str, name: str = "KEY", value: str = VALUE) -> None:
    answer = await user.http.put(f"/secrets/{name}", json={"value": value, "hosts": list(hosts)})
    assert answer.status_code == 204, answer.text


async def both(web: Web, user: User, code: str, **capabilities: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a dry run and then a live one answer; the dry one reached nobody, and both have the same effects."""
    capabilities = {"http": web.grant()} | capabilities
    web.site.connections = web.inside.connections = 0
    web.resolved.clear()
    name = f"agent-{uuid4()}"
    await user.define(name, code, capabilities=capabilities)
    dry = (await user.run(name, test="true")).json()
    assert web.site.connections == web.inside.connections == 0
    assert web.resolved == []
    live = (await user.run(name)).json()
    same = ("seq", "service", "action", "args", "granted")
    shown = [[{name: effect[name] for name in same} for effect in run["effects"]] for run in (dry, live)]
    assert shown[0] == shown[1]
    assert not any(effect["performed"] for effect in dry["effects"] if effect["service"] == "http")
    return dry, live


def program(script: str) -> str:
    lines = "\n".join(f"        {line}" for line in script.splitlines())
    return (
        f"def run(services):\n    http = services.http\n    try:\n{lines}\n    {CAUGHT}\n"
        "        return [type(error).__name__, str(error)]\n"
    )


def shown(web: Web, call: str) -> str:
    return program(f"""
answer = {call}
return {{"status": answer.status, "text": answer.text, "url": answer.url, "ok": answer.ok, "headers": answer.headers}}
""")


async def test_an_agent_sees_an_answer(web: Web, ada: User) -> None:
    web.site.answers["/a"] = text('{"n": [1]}', "Content-Type: application/json", "X-Name: 1", status="404 Not Found")
    code = program(f"""
answer = http.get("{web.url("/a")}", params={{"q": "a b", "all": True}}, timeout=0.5)
headers = answer.headers
return [answer.status, answer.ok, answer.json(), answer.url, headers["X-NAME"], headers.get("x-name"),
    headers.get("none", 7), "Content-type" in headers, "none" in headers, str(answer)]
""")
    _, live = await both(web, ada, code)
    url = web.url("/a?q=a+b&all=true")
    assert live["output"] == [404, False, {"n": [1]}, url, "1", "1", 7, True, False, f"<Response 404 of {url}>"]
    [effect] = live["effects"]
    assert (effect["performed"], effect["source"]) == (True, "live")
    assert web.site.seen[0].target == "/a?q=a+b&all=true"


@pytest.mark.parametrize(
    ("call", "method", "body", "content_type"),
    [
        ("get(URL)", "GET", b"", None),
        ("delete(URL)", "DELETE", b"", None),
        ('post(URL, json={"b": ["\u00e4", None]})', "POST", b'{"b": ["\\u00e4", null]}', "application/json"),
        ("put(URL, json=False)", "PUT", b"false", "application/json"),
        ("put(URL, json=None)", "PUT", b"", None),
        (
            'post(URL, data={"a": "1 2", "b": [1, True], "c": None})',
            "POST",
            b"a=1+2&b=1&b=true",
            "application/x-www-form-urlencoded",
        ),
        ('patch(URL, data="gr\u00fcn")', "PATCH", "gr\u00fcn".encode(), None),
        ('post(URL, data="<a/>", headers={"Content-type": "text/xml"})', "POST", b"<a/>", "text/xml"),
        ('post(URL, json=[], headers={"content-type": "a/json"})', "POST", b"[]", "a/json"),
        ('request("post", URL)', "POST", b"", None),
        ('request("HEAD", URL)', "HEAD", b"", None),
    ],
)
async def test_a_body_is_json_a_form_or_text(
    web: Web, ada: User, call: str, method: str, body: bytes, content_type: str | None
) -> None:
    if method == "HEAD":
        web.site.answers["/"] = text("")
    _, live = await both(web, ada, program(f"return http.{call.replace('URL', repr(web.url()))}.status"))
    assert live["output"] == 200
    [seen] = web.site.seen
    assert (seen.method, seen.body, seen.headers.get("content-type")) == (method, body, content_type)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ('get("https://127.1/")', "ValueError", "url: should have an IPv4 address"),
        ('get("https://[::1]/")', "ValueError", "url: may not have an IPv6 address"),
        ('get("https://good.example@evil.example/")', "ValueError", "url: may not hold a user"),
        ('get("ftp://api.example.com/")', "ValueError", "url: should begin with https://"),
        ('get("/leads")', "ValueError", "url: should begin with https://"),
        ("get(7)", "TypeError", "url"),
        ("get()", "TypeError", "url"),
        ("get(URL, jsn=1)", "TypeError", "jsn"),
        ('request("TRACE", URL)', "ValueError", "method"),
        ('request("CONNECT", URL)', "ValueError", "method"),
        ('request("GET /evil HTTP/1.1", URL)', "ValueError", "method"),
        ("request(1, URL)", "ValueError", "method"),
        ('get(URL, params={"a": {"b": 1}})', "TypeError", "params"),
        ('get(URL, params="a=1")', "TypeError", "params"),
        ('get(URL, params={"tag": ["a", None]})', "TypeError", "request: params: 'tag' should be a text, a number or"),
        ('get(URL, params={"a": "x" * 9000})', "ValueError", "8192 characters once it is encoded"),
        ('get(URL, headers={"X-A": "1\\r\\nHost: evil.example"})', "ValueError", "printable ASCII on one line"),
        ('get(URL, headers={"X-A": "1\\nX-B: 2"})', "ValueError", "printable ASCII on one line"),
        ('get(URL, headers={"X-A": " 1"})', "ValueError", "without a blank at an end"),
        ('get(URL, headers={"X-A": "gr\\u00fcn"})', "ValueError", "printable ASCII on one line"),
        ('get(URL, headers={"X-A\\r\\nX-B": "1"})', "ValueError", "names of letters"),
        ('get(URL, headers={"X A": "1"})', "ValueError", "names of letters"),
        ('get(URL, headers={"": "1"})', "ValueError", "names of letters"),
        ('get(URL, headers={"X-A": "1", "x-a": "2"})', "ValueError", "given twice"),
        ('get(URL, headers={"X-A": 1})', "TypeError", "request: headers: 'X-A' should be a text"),
        ('get(URL, headers=[("X-A", "1")])', "TypeError", "headers: input should be a valid dictionary"),
        ('get(URL, headers={"X-A": [1]})', "TypeError", "headers"),
        ('get(URL, headers={"X-A": [{"secret": "key"}]})', "TypeError", "headers"),
        ('get(URL, headers={"X-A": "x" * 40000})', "ValueError", "32768 characters"),
        ('get(URL, headers={f"X-{n}": "1" for n in range(51)})', "ValueError", "headers"),
        *(
            (f'get(URL, headers={{"{name}": "1"}})', "ValueError", f"may not set {name}")
            for name in (
                *("Host", "CONTENT-LENGTH", "Transfer-Encoding", "Connection", "Keep-Alive", "Upgrade", "TE"),
                *("Trailer", "Expect", "Accept-Encoding", "Proxy-Authorization", "proxy-connection"),
            )
        ),
        ('post(URL, json=1, data="1")', "ValueError", "json or data, not both"),
        ("post(URL, data=7)", "TypeError", "data"),
        ('post(URL, data={"a": {}})', "TypeError", "request: data: 'a' should be a text, a number or"),
        ('post(URL, data="x" * 2001)', "ValueError", "the body has 2001 bytes, the limit is 2000 bytes"),
        ('post(URL, json="\\u00e4" * 400)', "ValueError", "the limit is 2000 bytes"),
        ("get(URL, timeout=0)", "ValueError", "timeout"),
        ("get(URL, timeout=-1)", "ValueError", "timeout"),
        ('get(URL, timeout="1")', "TypeError", "timeout"),
        ("get(URL, timeout=1e300)", "ValueError", "timeout"),
    ],
)
async def test_bad_arguments_are_refused_before_anything_acts(
    web: Web, ada: User, call: str, error: str, message: str
) -> None:
    dry, live = await both(web, ada, program(f"return http.{call.replace('URL', repr(web.url()))}.status"))
    assert dry["output"] == live["output"]
    assert live["output"][0] == error
    assert message in live["output"][1]
    assert web.site.connections == 0
    assert web.resolved == []


@pytest.mark.parametrize("test", [False, True])
@pytest.mark.parametrize(
    "args",
    [
        {},
        {"method": "GET", "url": "https://api.example.com", "user_id": "x"},
        {"method": "GET", "url": "https://api.example.com", "json_value": 1},
        {"method": "GET", "url": "https://api.example.com", "headers": {"A": [{"secret": "KEY", "value": "x"}]}},
        {"method": "GET", "url": "https://api.example.com", "headers": {"A": {"secret": "KEY"}}},
        {"method": "GET", "url": "https://api.example.com", "json": "\ud800"},
        {"method": "GET", "url": "https://api.example.com", "data": "\ud800"},
        {"method": "GET", "url": "https://api.example.com", "data": {"a": "\ud800"}},
        {"method": "GET", "url": "https://api.example.com", "params": {"a": "\ud800"}},
        {"method": "GET", "url": "https://api.example.com/\ud800"},
        {"method": "GET", "url": "https://api.example.com", "params": {"a": float("nan")}},
        {"method": "GET", "url": "https://api.example.com", "timeout": float("nan")},
        {
            "method": "GET",
            "url": "https://api.example.com",
            "headers": {f"A{n}": [{"secret": f"K{n}"}] for n in range(6)},
        },
    ],
    ids=ascii,
)
async def test_what_no_facade_would_send_is_refused_too(test: bool, args: Any) -> None:
    manifest = {"http": {"hosts": [API]}, "secrets": {"names": ["KEY"]}}
    answering = broker(someone(), AbsentDatabase(), registry=Registry([HTTP]), test=test, manifest=manifest)
    reply = await answering.handle(Call("http", "request", args))
    assert reply.error is not None
    assert reply.error["type"] in ("TypeError", "ValueError")
    assert not answering.effects[0].performed


@pytest.mark.parametrize(
    ("grant", "url", "method", "lacks"),
    [
        ({"hosts": []}, "https://api.example.com/", "GET", 'add "api.example.com" to hosts'),
        ({"hosts": ["www.example.com"]}, "https://api.example.com/", "GET", 'add "api.example.com" to hosts'),
        ({"hosts": ["*.example.com"]}, "https://example.com/", "GET", 'add "example.com" to hosts'),
        ({"hosts": ["*.example.com"]}, "https://evil-example.com/", "GET", 'add "evil-example.com" to hosts'),
        ({"hosts": ["api.example.com"]}, "https://api.example.com.evil.example/", "GET", "to hosts"),
        ({"hosts": [API]}, "https://api.example.com:8443/", "GET", 'add "api.example.com:8443" to hosts'),
        ({"hosts": [f"{API}:8443"]}, "https://api.example.com/", "GET", 'add "api.example.com" to hosts'),
        ({"hosts": [API]}, "http://api.example.com/", "GET", 'add "http" to schemes'),
        ({"hosts": [API], "schemes": ["http"]}, "https://api.example.com/", "GET", 'add "https" to schemes'),
        ({"hosts": [API]}, "https://api.example.com/", "POST", 'add "POST" to methods'),
        ({"hosts": [API], "methods": ["GET"]}, "https://api.example.com/", "HEAD", 'add "HEAD" to methods'),
    ],
)
@pytest.mark.parametrize("test", [False, True])
async def test_what_the_manifest_lacks_is_denied_with_what_to_add(
    test: bool, grant: dict[str, Any], url: str, method: str, lacks: str
) -> None:
    answering = broker(someone(), AbsentDatabase(), registry=Registry([HTTP]), test=test, manifest={"http": grant})
    reply = await answering.handle(Call("http", "request", {"method": method, "url": url}))
    assert reply.error is not None
    assert reply.error["type"] == "CapabilityDenied"
    assert f"{lacks} of [capabilities.http]" in reply.error["message"] or lacks in reply.error["message"]
    assert (answering.effects[0].granted, answering.effects[0].performed) == (False, False)


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        ("api.example.com", "https://API.example.com/"),
        ("api.example.com", "http://api.example.com/"),
        ("*.example.com", "https://a.b.example.com/"),
        ("*.example.com:8443", "https://a.example.com:8443/"),
        ("api.example.com:443", "https://api.example.com/"),
    ],
)
def test_a_pattern_matches_its_hosts(pattern: str, url: str) -> None:
    assert matches(pattern, parse_url(url))


async def test_a_redirect_stays_within_the_manifest(web: Web, ada: User) -> None:
    web.site.answers |= {"/to": redirect("/"), "/away": redirect(web.url("/", WWW)), "/see": redirect("/", 303)}
    _, live = await both(web, ada, program(f'return http.get("{web.url("/to")}").url'))
    assert live["output"] == web.url("/")

    _, live = await both(web, ada, program(f'return http.get("{web.url("/away")}").url'))
    name, message = live["output"]
    assert name == "ServiceError"
    assert f'a redirect leads to GET {web.url("", WWW)}: add "{WWW}:{web.site.port}" to hosts' in message
    [effect] = live["effects"]
    assert (effect["granted"], effect["performed"]) == (True, True)
    assert web.resolved == [API]

    posts = web.grant(methods=["POST"])
    _, live = await both(web, ada, program(f'return http.post("{web.url("/see")}").url'), http=posts)
    assert 'add "GET" to methods' in live["output"][1]
    assert [seen.target for seen in web.site.seen] == ["/to", "/", "/away", "/see"]


async def test_a_host_inside_is_never_reached(web: Web, ada: User) -> None:
    web.site.answers["/in"] = redirect(f"http://{INSIDE}:{web.inside.port}/")
    hosts = [f"{API}:{web.site.port}", f"{INSIDE}:{web.inside.port}", f"127.0.0.1:{web.inside.port}"]
    code = f"""
def run(services):
    found = []
    for url in ("{web.url("/in")}", "http://{INSIDE}:{web.inside.port}/", "http://127.0.0.1:{web.inside.port}/"):
        try:
            found.append(services.http.get(url).status)
        except RuntimeError as error:
            found.append(str(error))
    return found
"""
    _, live = await both(web, ada, code, http=web.grant(hosts=hosts))
    assert [
        f"{host} has no address" in said
        for host, said in zip((INSIDE, INSIDE, "127.0.0.1"), live["output"], strict=True)
    ]
    assert not any("127.0.0.1" in said for said in live["output"][:2])
    assert [effect["performed"] for effect in live["effects"]] == [True, False, False]
    assert web.inside.connections == 0


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (text("x" * (RESPONSE_BYTES + 1)), "larger than 5000 bytes"),
        (b"nonsense\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "broke off"),
    ],
)
async def test_no_answer_is_an_error_that_says_why(web: Web, ada: User, answer: bytes, message: str) -> None:
    web.site.answers["/"] = answer
    _, live = await both(web, ada, program(f"return http.get({web.url()!r}).status"))
    assert live["output"][0] == "ServiceError"
    assert message in live["output"][1]
    assert live["effects"][0]["performed"]


async def test_what_json_cannot_hold_is_replaced(web: Web, ada: User) -> None:
    web.site.answers["/"] = b"HTTP/1.1 200 OK\r\nX-A: \xff\r\nContent-Length: 6\r\n\r\na\x00\xed\xa0\x80b"
    _, live = await both(web, ada, shown(web, f"http.get({web.url()!r})"))
    assert live["output"]["text"][:2] == "a\ufffd"
    assert live["output"]["text"].endswith("b")


ECHO: Final = """
def run(services):
    key = services.secrets.ref("KEY")
    answer = services.http.get(URL, headers={"Authorization": "Bearer " + key + "!", "X-Plain": "1"})
    return {"key": str(key), "text": answer.text, "headers": answer.headers, "url": answer.url}
"""


def echoes(value: str) -> dict[str, str]:
    """How servers spell what they were sent."""
    return {
        "raw": value,
        "percent": quote(value, safe=""),
        "path": quote(value),
        "plus": quote_plus(value),
        "lower": quote(value, safe="").replace("%2F", "%2f").replace("%2B", "%2b"),
        "json": json.dumps(value),
        "slashes": json.dumps(value).replace("/", "\\/"),
        "twice": json.dumps(json.dumps(value)),
        "html": html.escape(value),
        "base64": base64.b64encode(value.encode()).decode(),
        "url-safe": base64.urlsafe_b64encode(value.encode()).decode(),
        "basic": base64.b64encode(f"user:{value}".encode()).decode(),
        "bearer": base64.b64encode(f"Bearer {value}!".encode()).decode(),
        "header": base64.b64encode(f"a{value}b".encode()).decode(),
        "hex": value.encode().hex(),
    }


@pytest.mark.parametrize("spelling", list(echoes("")))
def test_a_secret_is_masked_in_every_spelling(spelling: str) -> None:
    echoed, around = echoes(VALUE)[spelling], echoes("~" * len(VALUE))[spelling]
    masked = Mask([VALUE]).text(f"before {echoed} after")
    assert MASK in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    for part in range(len(echoed) - 8):
        assert echoed[part : part + 8] in around or echoed[part : part + 8] not in masked


def test_a_short_secret_is_masked_and_little_else() -> None:
    assert Mask(["a"]).text("a=YQ==&b=61") == f"{MASK}={MASK}&b=61"
    assert Mask([]).text("a") == "a"


async def test_a_secret_is_put_in_at_the_last_moment_and_masked(web: Web, ada: User) -> None:
    await keep(ada, f"http://{API}:{web.site.port}")
    spelled = "\n".join(echoes(VALUE).values())
    web.site.answers["/"] = text(spelled, f"X-Echo: {VALUE}", f"X-Basic: {echoes(VALUE)['basic']}")
    code = ECHO.replace("URL", repr(web.url()))
    dry, live = await both(web, ada, code, secrets={"names": ["KEY"]})
    [seen] = web.site.seen
    assert seen.headers["authorization"] == f"Bearer {VALUE}!"
    assert seen.headers["x-plain"] == "1"
    assert live["output"]["key"] == "<secret KEY>"
    assert live["output"]["headers"]["x-echo"] == MASK
    args = {"Authorization": ["Bearer ", {"secret": "KEY"}, "!"], "X-Plain": "1"}
    assert live["effects"][1]["args"]["headers"] == args
    record = await ada.recorded(live["run_id"])
    for told in (dry, live, record):
        for echo in echoes(VALUE).values():
            assert echo not in json.dumps(told, ensure_ascii=False)


async def test_a_secret_goes_only_to_hosts_it_is_bound_to(web: Web, ada: User) -> None:
    await keep(
        ada, API, f"{API}:{web.site.port}", f"http://*.example.org:{web.site.port}"
    )  # without a port it is the scheme's own: not this server's
    dry, live = await both(web, ada, program(ECHO_ONCE.replace("URL", repr(web.url()))), secrets={"names": ["KEY"]})
    assert dry["output"] == live["output"]
    name, message = live["output"]
    assert name == "CapabilityDenied"
    assert f"the secret KEY is not bound to http://{API}:{web.site.port}" in message
    assert [effect["granted"] for effect in live["effects"]] == [True, False]
    assert web.site.connections == 0
    assert web.resolved == []


ECHO_ONCE: Final = 'return http.get(URL, headers={"X-Key": services.secrets.ref("KEY")}).text'


async def test_a_secret_for_https_does_not_go_over_plain_http(web: Web, ada: User) -> None:
    await keep(ada, f"{API}:{web.site.port}")
    dry, live = await both(web, ada, program(ECHO_ONCE.replace("URL", repr(web.url()))), secrets={"names": ["KEY"]})
    assert dry["output"] == live["output"]
    assert live["output"][0] == "CapabilityDenied"
    assert f"not bound to http://{API}:{web.site.port}: it goes to {API}:{web.site.port}" in live["output"][1]
    assert web.site.connections == 0


@pytest.mark.parametrize(
    ("header", "error", "message"),
    [
        ('[{"secret": "KEY"}]', "CapabilityDenied", 'add "KEY" to names of [capabilities.secrets]'),
        ('[{"secret": "OTHER"}]', "ServiceError", "there is no secret OTHER"),
    ],
)
async def test_a_forged_handle_gives_nothing(web: Web, ada: User, header: str, error: str, message: str) -> None:
    await keep(ada, f"http://{API}:{web.site.port}")
    code = program(f'return http.get({web.url()!r}, headers={{"X-Key": {header}}}).text')
    dry, live = await both(web, ada, code, secrets={"names": ["OTHER"]})
    assert dry["output"] == live["output"]
    assert live["output"][0] == error
    assert message in live["output"][1]
    assert web.site.connections == 0


async def test_a_redirect_to_another_host_loses_the_secret(web: Web, ada: User) -> None:
    here, there = f"http://{API}:{web.site.port}", f"http://{WWW}:{web.site.port}"
    await keep(ada, here, there)
    web.site.answers |= {
        "/away": redirect(web.url("/end", WWW)),
        "/stay": redirect("/end"),
        "/end": text("end"),
        "/leak": redirect(web.url(f"/end?key={quote(VALUE, safe='')}", WWW)),
    }
    for path, arrives in (("/stay", True), ("/away", False), ("/leak", False)):
        web.site.seen.clear()
        code = ECHO.replace("URL", repr(web.url(path)))
        grants = {"http": web.grant(API, WWW), "secrets": {"names": ["KEY"]}}
        _, live = await both(web, ada, code, **grants)
        first, last = web.site.seen
        assert "authorization" in first.headers
        assert ("authorization" in last.headers) == arrives
        assert quote(VALUE, safe="") not in json.dumps(live)


async def test_an_error_does_not_repeat_a_secret(web: Web, ada: User) -> None:
    await keep(ada, f"http://{API}:{web.site.port}", value="sk-live-7f3a")
    web.site.answers["/"] = redirect("http://sk-live-7f3a.evil.example/")
    code = program(ECHO_ONCE.replace("URL", repr(web.url())))
    _, live = await both(web, ada, code, secrets={"names": ["KEY"]})
    assert "http://[secret].evil.example" in live["output"][1]
    assert "sk-live-7f3a" not in json.dumps([live, await ada.recorded(live["run_id"])])


async def test_a_dry_run_answers_from_fixtures_then_records_then_makes_it_up(web: Web, ada: User) -> None:
    fixtures = {
        "http": [
            {"url": web.url("/json"), "json": {"n": 2}, "headers": {"X-A": "1"}},
            {"method": "POST", "url": web.url("/text*"), "status": 201, "text": "made"},
            {"url": web.url("/empty"), "status": 204},
        ]
    }
    code = f"""
def run(services):
    answers = [
        services.http.get("{web.url("/json")}", params={{"a": 1}}),
        services.http.post("{web.url("/text/1")}"),
        services.http.get("{web.url("/empty")}"),
        services.http.get("{web.url()}"),
    ]
    return [[answer.status, answer.text, answer.headers, answer.url] for answer in answers]
"""
    made_up = [200, "{}", {"content-type": "application/json"}, web.url()]
    fixed = [
        [200, '{"n": 2}', {"content-type": "application/json", "x-a": "1"}, web.url("/json?a=1")],
        [201, "made", {}, web.url("/text/1")],
        [204, "", {}, web.url("/empty")],
    ]
    await ada.define("agent", code, capabilities={"http": web.grant()}, fixtures=fixtures)
    first = (await ada.run("agent", test="true")).json()
    assert first["output"] == [*fixed, made_up]
    assert [effect["source"] for effect in first["effects"]] == [*["fixture"] * 3, "made_up"]

    live = (await ada.run("agent")).json()
    assert live["output"][3][1] == '{"n": 1}'
    then = (await ada.run("agent", test="true")).json()
    assert then["output"] == [*fixed, live["output"][3]]
    assert [effect["source"] for effect in then["effects"]] == [*["fixture"] * 3, "recorded"]
    assert not any(effect["performed"] for effect in then["effects"])


async def test_a_fixture_may_leave_out_the_path_as_its_agent_does() -> None:
    fixtures = {"http": [{"url": f"https://{API}", "text": "fixed"}]}
    answering = broker(someone(), AbsentDatabase(), test=True, manifest={"http": {"hosts": [API]}}, fixtures=fixtures)
    reply = await answering.handle(Call("http", "request", {"method": "GET", "url": f"https://{API}"}))
    assert reply.result == {"status": 200, "headers": {}, "text": "fixed", "url": f"https://{API}/"}


@pytest.mark.parametrize(
    "args", [{"params": {"a": ["b", None, None]}}, {"headers": {"a": [None, 1]}}, {"data": {"a": {}}}]
)
async def test_a_value_that_does_not_fit_is_told_once(args: Any) -> None:
    answering = broker(someone(), AbsentDatabase(), test=True, manifest={"http": {"hosts": [API]}})
    reply = await answering.handle(Call("http", "request", {"method": "GET", "url": f"https://{API}", **args}))
    assert reply.error is not None
    assert reply.error["message"].startswith(f"http.request: {next(iter(args))}: 'a' should be a text")
    assert ";" not in reply.error["message"]


ANSWERED: Final = {"status": 200, "headers": {"a": "b"}, "text": "hello", "url": "https://api.example.com/"}


@pytest.mark.parametrize(
    ("recording", "taken"),
    [
        ({"result": ANSWERED}, True),
        ({"result": ANSWERED | {"status": "200"}}, False),
        ({"result": ANSWERED | {"status": 10**300}}, False),
        ({"result": ANSWERED | {"headers": {"a": 1}}}, False),
        ({"result": ANSWERED | {"text": None}}, False),
        ({"result": ANSWERED | {"more": 1}}, False),
        ({"result": {"status": 200}}, False),
        ({"error": {"type": "ServiceError", "message": "x"}}, False),
        ("text", False),
        (None, False),
    ],
    ids=lambda value: ascii(value)[:60],
)
async def test_a_record_that_its_user_wrote_is_taken_only_in_the_shape_of_an_answer(
    database: Database, recording: Any, taken: bool
) -> None:
    ada = someone()
    [agent] = await database.insert(ada, "agents", [STANDARD])
    run = await begin(database, ada)
    args = {"method": "GET", "url": f"https://{API}/"}
    hashed = call_hash("http", "request", Request.model_validate(args).model_dump(mode="json"))
    forged = {"run_id": run["run_id"], "agent_id": agent["id"], "service": "http", "action": "request", "seq": 1}
    more = {"source": "live", "granted": True, "performed": True, "call_hash": hashed, "recording": recording}
    await database.insert(ada, "run_effects", [forged | more])
    answering = broker(ada, database, test=True, manifest={"http": {"hosts": [API]}}, agent_id=agent["id"])
    reply = await answering.handle(Call("http", "request", args))
    assert reply.error is None
    assert (reply.result == ANSWERED) == taken
    assert answering.effects[0].source == ("recorded" if taken else "made_up")


@pytest.mark.parametrize(
    ("asked", "left", "said"), [(0.2, 30, "0.2"), (60, 30, "1 "), (None, 30, "1 "), (60, 0.3, "0.")]
)
async def test_a_call_ends_with_the_shortest_of_its_limits(asked: float | None, left: float, said: str) -> None:
    """What the agent asked for, the host's limit, and what is left to the run."""

    async def silence(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3)

    async with site() as server:
        server.answers["/"] = silence
        door = HttpDoor(resolve=to("127.0.0.1"), allowed=frozenset({server.pair}))
        answering = broker(
            someone(),
            AbsentDatabase(),
            manifest={"http": {"hosts": [f"{API}:{server.port}"], "schemes": ["http"]}},
            outside=outside_with(http=door),
            limits=Settings(limit_http_seconds=1.0),
            budget=Budget(deadline=time.monotonic() + left, max_effects=10),
        )
        args = {"method": "GET", "url": f"http://{API}:{server.port}/", "timeout": asked}
        began = time.monotonic()
        reply = await answering.handle(Call("http", "request", args))
        assert time.monotonic() - began < 2
        assert reply.error is not None
        assert f"gave no complete answer within {said}" in reply.error["message"]
        assert answering.effects[0].performed


async def test_dry_runs_with_bodies_and_secrets_open_no_socket(web: Web, ada: User) -> None:
    await keep(ada, f"http://{API}:{web.site.port}")
    code = program(f'return http.post({web.url()!r}, json={{"a": 1}}, headers={{"X": services.secrets.ref("KEY")}}).ok')
    await ada.define("agent", code, capabilities={"http": web.grant(), "secrets": {"names": ["KEY"]}})
    for _ in range(5):
        assert (await ada.run("agent", test="true")).json()["output"] is True
    assert web.site.connections == 0
    assert web.resolved == []
