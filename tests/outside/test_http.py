"""The guarded client against real servers, a real DNS that changes its mind, and everything a server can send."""

import asyncio
import base64
import gzip
import os
import ssl
import sys
import time
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from service.outside.http import MAX_PIECES, HttpAnswer, HttpDoor, HttpError, HttpRequest
from service.outside.http_url import HttpUrl, parse_url
from service.outside.lookups import LookupFailed, Resolve, addresses, system_addresses
from tests.outside.name_server import SILENT, name_server, to
from tests.outside.site import Answer, Site, redirect, site, text
from tests.service.authority import authority

NAME = "api.example.com"
MOST = 100_000
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def anything(method: str, url: HttpUrl) -> None:
    """A grant of everything."""


def door(*sites: Site, resolve: Resolve | None = None, tls: ssl.SSLContext | None = None) -> HttpDoor:
    """One for which these servers are of the public internet, and every name theirs."""
    allowed = frozenset(each.pair for each in sites)
    return HttpDoor(resolve=resolve or to(*{each.address for each in sites}), tls=tls, allowed=allowed)


async def ask(
    through: HttpDoor, url: str, method: str = "GET", *, seconds: float = 5, permit: Any = anything, **request: Any
) -> HttpAnswer:
    asked = HttpRequest(method=method, url=parse_url(url), **request)
    return await through.request(asked, seconds=seconds, most_bytes=MOST, permit=permit)


async def failure(through: HttpDoor, url: str, **options: Any) -> HttpError:
    with pytest.raises(HttpError) as failed:
        await ask(through, url, **options)
    return failed.value


async def test_an_answer_comes_back_and_the_server_sees_the_name() -> None:
    async with site() as server:
        server.answers["/leads"] = text('{"n": 1}', "Content-Type: application/json", "X-A: 1", "X-A: 2")
        url = f"http://{NAME}:{server.port}/leads?q=1"
        answer = await ask(door(server), url, "POST", headers={"X-Mine": "yes"}, body=b"a=1")
        assert (answer.status, answer.text, str(answer.url)) == (200, '{"n": 1}', url)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-a"] == "1, 2"
        [seen] = server.seen
        assert (seen.method, seen.target, seen.body) == ("POST", "/leads?q=1", b"a=1")
        assert seen.headers == {
            "host": f"{NAME}:{server.port}",
            "accept": "*/*",
            "user-agent": "agenthost",
            "accept-encoding": "gzip",
            "connection": "close",
            "x-mine": "yes",
            "content-length": "3",
        }


async def test_tls_is_checked_against_the_name(tmp_path: Path) -> None:
    for_name = authority(tmp_path, NAME)
    trusting = ssl.create_default_context(cafile=str(for_name.ca_file))
    async with site(tls=for_name.server) as server:
        server.answers["/"] = text("hello")
        url = f"https://{NAME}:{server.port}/"
        assert (await ask(door(server, tls=trusting), url)).text == "hello"
        wrong_name = await failure(door(server, tls=trusting), f"https://other.example.com:{server.port}/")
        assert "certificate" in str(wrong_name)
        assert not wrong_name.sent
        assert "certificate" in str(await failure(door(server), url))
        assert len(server.seen) == 1


async def test_a_name_that_changes_its_address_is_never_followed_inside() -> None:
    async with site("127.0.0.2") as public, site("127.0.0.1", public.port) as inside:
        public.answers |= {"/": text("public"), "/again": redirect("/inside")}
        inside.answers["/inside"] = text("internal")
        async with name_server(["127.0.0.2"], ["127.0.0.1"]) as names:
            through = door(public, resolve=names.resolve)
            assert (await ask(through, f"http://{NAME}:{public.port}/")).text == "public"
            assert names.asked == [NAME]  # no second look-up between the check and the connection
            await failure(through, f"http://{NAME}:{public.port}/inside")
            assert names.asked == [NAME, NAME]
        async with name_server(["127.0.0.2"], ["127.0.0.1"]) as names:
            through = door(public, resolve=names.resolve)
            refused = await failure(through, f"http://{NAME}:{public.port}/again")
            assert "no address on the public internet" in str(refused)
            assert names.asked == [NAME, NAME]
        assert inside.connections == 0


async def test_a_name_with_one_address_inside_is_refused() -> None:
    async with site("127.0.0.2") as public, site("127.0.0.1", public.port) as inside:
        for addresses in (["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]):
            async with name_server(addresses) as names:
                await failure(door(public, resolve=names.resolve), f"http://{NAME}:{public.port}/")
        assert public.connections == inside.connections == 0


@pytest.mark.parametrize(
    "found",
    [(), ("127.0.0.1",), ("::1",), ("::ffff:127.0.0.1",), ("fe80::1%lo",), ("127.0.0.1%lo",), ("",), ("localhost",)],
)
async def test_a_name_that_leads_nowhere_public_is_the_same_as_none(found: Sequence[str]) -> None:
    async with site() as inside:
        refused = await failure(HttpDoor(resolve=to(*found)), f"http://{NAME}:{inside.port}/")
        # Not a word of what was found: which names there are inside is nobody's business.
        assert str(refused) == f"{NAME} has no address on the public internet"
        assert not refused.sent
        assert inside.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost", "localhost.localdomain", "ip6-localhost"])
async def test_the_machine_itself_is_refused_by_its_own_resolver(host: str) -> None:
    async with site() as inside:
        refused = await failure(HttpDoor(), f"http://{host}:{inside.port}/")
        assert "no address on the public internet" in str(refused)
        assert inside.connections == 0


async def test_the_allowance_is_for_one_port() -> None:
    async with site() as public, site() as inside:
        await failure(door(public), f"http://{NAME}:{inside.port}/")
        assert inside.connections == 0


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with site("127.0.0.2") as up:
        up.answers["/"] = text("up")
        through = HttpDoor(resolve=to("127.0.0.3", "127.0.0.2"), allowed=frozenset({("127.0.0.3", up.port), up.pair}))
        assert (await ask(through, f"http://{NAME}:{up.port}/")).text == "up"
        assert up.connections == 1
    down = await failure(through, f"http://{NAME}:{up.port}/")
    assert "no connection" in str(down)
    assert not down.sent


REFUSED_REDIRECTS = [
    "http://127.0.0.1:{inside}/",
    "http://127.0.0.1/",
    "http://0.0.0.0:{inside}/",
    "//127.0.0.1:{inside}/",
    "http://localhost:{inside}/",
    "http://2130706433:{inside}/",
    "http://127.1:{inside}/",
    "http://0x7f.1:{inside}/",
    "http://[::1]:{inside}/",
    "http://[::ffff:127.0.0.1]:{inside}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://api.example.com:{inside}/",
    "http://api.example.com@127.0.0.1:{inside}/",
    "http:\\\\127.0.0.1:{inside}/",
    "ftp://127.0.0.1:{inside}/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{inside}/_x",
    "data:text/plain,x",
    "https:///",
]


@pytest.mark.parametrize("location", REFUSED_REDIRECTS)
async def test_a_redirect_inside_is_refused(location: str) -> None:
    async with site("127.0.0.2") as public, site("127.0.0.1") as inside:
        public.answers["/"] = redirect(location.format(inside=inside.port))

        async def resolve(host: str) -> Sequence[str]:
            return ["127.0.0.2"] if host == NAME else await system_addresses(host)

        refused = await failure(door(public, resolve=resolve), f"http://{NAME}:{public.port}/", permit=anything)
        assert refused.sent
        assert inside.connections == 0
        assert public.connections == 1


async def test_each_hop_is_asked_for() -> None:
    asked = []

    def permit(method: str, url: HttpUrl) -> None:
        asked.append((method, url.host))
        if url.host == "evil.example":
            raise PermissionError

    async with site() as server:
        server.answers |= {
            "/": redirect("/b", 303),
            "/b": redirect(f"http://www.example.com:{server.port}/c"),
            "/c": redirect(f"http://evil.example:{server.port}/d"),
        }
        with pytest.raises(PermissionError):
            await ask(door(server), f"http://{NAME}:{server.port}/", "PUT", permit=permit)
        assert asked == [("PUT", NAME), ("GET", NAME), ("GET", "www.example.com"), ("GET", "evil.example")]
        assert [seen.target for seen in server.seen] == ["/", "/b", "/c"]


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        *((status, "POST", "GET") for status in (301, 302, 303)),
        *((status, "POST", "POST") for status in (307, 308)),
        (302, "PUT", "PUT"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (302, "GET", "GET"),
    ],
)
async def test_the_method_of_a_redirect_follows_the_standard(status: int, method: str, then: str) -> None:
    async with site() as server:
        server.answers |= {"/": redirect("/to", status), "/to": text("" if then == "HEAD" else "there")}
        body = b"" if method in ("GET", "HEAD") else b"body"
        headers = {"Content-Type": "text/plain", "Authorization": "Bearer x"}
        answer = await ask(
            door(server), f"http://{NAME}:{server.port}/", method, body=body, headers=headers, private={"X-Key": "k"}
        )
        assert (answer.status, answer.url.target) == (200, "/to")
        last = server.seen[-1]
        assert (last.method, last.body) == (then, body if then == method else b"")
        assert ("content-type" in last.headers) == (then == method)
        assert last.headers["authorization"] == "Bearer x"  # the same origin
        assert last.headers["x-key"] == "k"


async def test_credentials_stay_with_the_origin() -> None:
    headers = {
        "Accept": "application/json",
        "User-Agent": "mine",
        "Content-Type": "text/plain",
        "Authorization": "Bearer x",
        "Cookie": "a=1",
        "X-Api-Key": "literal",
    }
    async with site() as first, site() as second:
        first.answers |= {
            "/host": redirect(f"http://other.example.com:{first.port}/end", 307),
            "/port": redirect(f"http://{NAME}:{second.port}/end", 307),
            "/back": redirect(f"http://{NAME}:{second.port}/back", 307),
            "/end": text("end"),
        }
        second.answers |= {"/end": text("end"), "/back": redirect(f"http://{NAME}:{first.port}/end", 307)}
        for path in ("/host", "/port", "/back"):
            await ask(
                door(first, second),
                f"http://{NAME}:{first.port}{path}",
                "POST",
                headers=headers,
                private={"Accept-Language": "secret"},
                body=b"x",
            )
        assert first.seen[0].headers["accept-language"] == "secret"
        ends = [seen for seen in (*first.seen, *second.seen) if seen.target == "/end"]
        assert len(ends) == 3
        for end in ends:
            sent = set(end.headers) - {"host", "connection", "content-length", "accept-encoding"}
            assert sent == {"accept", "user-agent", "content-type"}
            assert end.headers["accept"] == "application/json"


async def test_a_downgrade_to_plain_http_loses_credentials(tmp_path: Path) -> None:
    for_name = authority(tmp_path, NAME)
    trusting = ssl.create_default_context(cafile=str(for_name.ca_file))
    async with site(tls=for_name.server) as secure, site() as plain:
        secure.answers["/"] = redirect(f"http://{NAME}:{plain.port}/")
        plain.answers["/"] = text("plain")
        through = door(secure, plain, tls=trusting)
        url = f"https://{NAME}:{secure.port}/"
        await ask(through, url, headers={"Authorization": "x"}, private={"X-Key": "k"})
        assert {"authorization", "x-key"} <= set(secure.seen[0].headers)
        assert not {"authorization", "x-key"} & set(plain.seen[0].headers)


async def test_five_redirects_are_followed_and_no_more() -> None:
    async with site() as server:
        server.answers |= {f"/{step}": redirect(f"/{step + 1}") for step in range(6)} | {"/6": text("end")}
        assert (await ask(door(server), f"http://{NAME}:{server.port}/1")).text == "end"
        assert "more than 5 redirects" in str(await failure(door(server), f"http://{NAME}:{server.port}/0"))
        server.answers["/loop"] = redirect("/loop")
        await failure(door(server), f"http://{NAME}:{server.port}/loop")


@pytest.mark.parametrize(
    "answer", [text("see", status="302 Found"), text("choices", "Location: /x", status="300 Multiple Choices")]
)
async def test_what_is_no_redirect_is_an_answer(answer: bytes) -> None:
    async with site() as server:
        server.answers["/"] = answer
        assert (await ask(door(server), f"http://{NAME}:{server.port}/")).status in (300, 302)


async def test_nothing_is_kept_between_requests() -> None:
    async with site() as server:
        server.answers |= {
            "/": text("hello", "Set-Cookie: a=1; Path=/", "Connection: keep-alive"),
            "/redirect": b"HTTP/1.1 302 Found\r\nSet-Cookie: b=2; Path=/\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
        }
        through = door(server)
        for path in ("/", "/redirect", "/"):
            await ask(through, f"http://{NAME}:{server.port}{path}")
        assert server.connections == len(server.seen) == 4
        assert not any("cookie" in seen.headers for seen in server.seen)


async def test_the_environment_is_not_trusted(tmp_path: Path) -> None:
    """A proxy, and a certificate authority, that the environment names."""
    for_name = authority(tmp_path, NAME)
    program = """
import asyncio
from tests.outside.name_server import to
from tests.outside.test_http import NAME, ask
from service.outside.http import HttpDoor, HttpError
async def main():
    for url in ("http://{}:{}/", "https://{}:{}/"):
        port = {"http": PLAIN, "https": SECURE}[url.partition(":")[0]]
        through = HttpDoor(resolve=to("127.0.0.1"), allowed=frozenset({("127.0.0.1", port)}))
        try:
            print((await ask(through, url.format(NAME, port))).text)
        except HttpError as error:
            print("certificate" in str(error))
asyncio.run(main())
"""
    async with site() as server, site(tls=for_name.server) as secure, site() as proxy:
        server.answers["/"] = secure.answers["/"] = text("direct")
        through_proxy = f"http://127.0.0.1:{proxy.port}"
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program.replace("PLAIN", str(server.port)).replace("SECURE", str(secure.port))),
            env={
                **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), through_proxy),
                "SSL_CERT_FILE": str(for_name.ca_file),
                "PYTHONPATH": os.getcwd(),
            },
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await child.communicate()
        assert said.split() == [b"direct", b"True"]
        assert proxy.connections == 0


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(CHUNKED)
    while True:
        writer.write(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        await writer.drain()


async def endless_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-A: " + b"x" * 1000 + b"\r\n")
        await writer.drain()


async def slow_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def slow_head(writer: asyncio.StreamWriter) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def early_hints(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.001)


async def silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(5)


def zipped(body: bytes, *, claimed: str = "gzip") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {claimed}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def bomb() -> bytes:
    """A gigabyte in a megabyte."""
    packer = zlib.compressobj(9, wbits=31)
    block = bytes(1 << 24)
    return b"".join([*(packer.compress(block) for _ in range(64)), packer.flush()])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (endless, "larger than 100000 bytes"),
        (text("x" * (MOST + 1)), "larger than 100000 bytes"),
        (zipped(gzip.compress(b"x" * (MOST + 1))), "larger than 100000 bytes"),
        (zipped(b"not gzip"), "broken gzip"),
        (zipped(gzip.compress(b"x" * 1000)[:-10]), "ends too early"),
        (zipped(gzip.compress(gzip.compress(b"x")), claimed="gzip, gzip"), "not asked for"),
        (zipped(b"x", claimed="br"), "not asked for"),
        (CHUNKED + b"1\r\nx\r\n" * (MAX_PIECES + 1) + b"0\r\n\r\n", "in more than 20000 pieces"),
        (endless_headers, "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 201 + b"Content-Length: 0\r\n\r\n", "more than 200 headers"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n", "65536 bytes of them"),
        (slow_body, "no complete answer within 1 seconds"),
        (slow_head, "no complete answer within 1 seconds"),
        (early_hints, "no complete answer within 1 seconds"),
        (silence, "no complete answer within 1 seconds"),
        (b"", "broke off"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not HTTP"),
        (CHUNKED + b"ffffffffffffffffffffff\r\n", "not HTTP"),
        (CHUNKED + b"x\r\n", "not HTTP"),
        (redirect("http://[", 302), "bad URL"),
        (redirect("/" + "x" * 9000), "bad URL"),
    ],
    ids=lambda value: value.__name__ if callable(value) else ascii(value)[:40],
)
async def test_what_a_server_sends_is_bounded(answer: Answer, message: str) -> None:
    async with site() as server:
        server.answers["/"] = answer
        failed = await failure(door(server), f"http://{NAME}:{server.port}/", seconds=1)
        assert message in str(failed)
        assert failed.sent


async def test_a_bomb_is_never_unpacked() -> None:
    async with site() as server:
        server.answers["/"] = zipped(bomb())
        began = time.process_time()
        assert "larger than" in str(await failure(door(server), f"http://{NAME}:{server.port}/"))
        assert time.process_time() - began < 1


async def test_the_body_of_a_redirect_is_not_read() -> None:
    async def endless_redirect(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /end\r\n")
        await endless(writer)

    async with site() as server:
        server.answers |= {"/": endless_redirect, "/end": text("end")}
        server.answers["/"] = b"HTTP/1.1 302 Found\r\nLocation: /end\r\nContent-Length: 999999999\r\n\r\nx"
        assert (await ask(door(server), f"http://{NAME}:{server.port}/")).text == "end"


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        ("grün".encode(), "text/plain", "grün"),
        ("grün".encode("latin-1"), "text/html; charset=ISO-8859-1", "grün"),
        ("grün".encode("utf-16"), 'text/plain; charset="utf-16"', "grün"),
        ("\ufeff{}".encode(), "application/json", "{}"),
        (b"\xff", "text/plain", "\ufffd"),
        (b"a+-b", "text/plain; charset=utf-7", "a+-b"),
        (b"xn--ls8h-", "text/plain; charset=punycode", "xn--ls8h-"),
        (base64.b64encode(b"x"), "text/plain; charset=base64", "eA=="),
        (b"\\ud800", "text/plain; charset=unicode_escape", "\\ud800"),
        (b"x", "text/plain; charset=os.path", "x"),
        (b"", "", ""),
    ],
)
async def test_a_body_is_text_in_a_charset_that_is_safe(body: bytes, content_type: str, said: str) -> None:
    async with site() as server:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        server.answers["/"] = head.encode() + body
        assert (await ask(door(server), f"http://{NAME}:{server.port}/")).text == said


async def test_a_body_may_be_compressed_chunked_or_ended_by_the_connection() -> None:
    async with site() as server:
        packed = gzip.compress(b"hello " * 1000)
        pieces = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (packed[:7], packed[7:]))
        chunked = CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
        server.answers |= {
            "/gzip": zipped(packed),
            "/more": zipped(packed + gzip.compress(b"more") + b"x" * MOST),
            "/chunked": chunked + pieces + b"0\r\n\r\n",
            "/closed": b"HTTP/1.0 200 OK\r\n\r\n" + b"hello " * 1000,
        }
        for path in server.answers:
            assert (await ask(door(server), f"http://{NAME}:{server.port}{path}")).text == "hello " * 1000


async def test_a_cancelled_request_closes_its_connection() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def until_gone(writer: asyncio.StreamWriter) -> None:
        began.set()
        try:
            await slow_body(writer)
        finally:
            ended.set()

    async with site() as server:
        server.answers["/"] = until_gone
        asking = asyncio.create_task(ask(door(server), f"http://{NAME}:{server.port}/", seconds=60))
        await began.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert asking.cancelled()
        await asyncio.wait_for(ended.wait(), 5)


async def test_lookups_that_are_never_answered_hold_up_nobody_and_end_with_their_calls() -> None:
    async with site() as server, name_server([server.address]) as names:
        server.answers["/"] = text("hello")
        through = door(server, resolve=names.resolve)
        sockets = open_sockets()
        waiting = [asyncio.create_task(ask(through, f"http://{SILENT}/", seconds=600)) for _ in range(64)]
        for _ in waiting:
            await names.left.acquire()
        assert (await ask(through, f"http://{NAME}:{server.port}/")).text == "hello"
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.sleep(0.1)  # a socket is closed in the turn after
        assert open_sockets() <= sockets
        late = await failure(through, f"http://{SILENT}/", seconds=0.2)
        assert str(late) == f"{SILENT} gave no complete answer within 0.2 seconds"
        assert not late.sent


def open_sockets() -> int:
    targets = (path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
    return sum(str(target).startswith("socket:") for target in targets)


async def test_the_next_name_server_is_asked_when_one_does_not_answer_and_then_there_is_an_end() -> None:
    async with name_server(["192.0.2.1", "192.0.2.2"]) as names:
        servers = ["127.0.0.3", "127.0.0.1"]  # nothing listens on the first
        assert await addresses(NAME, servers, port=names.port, seconds=0.2) == ["192.0.2.1", "192.0.2.2"]
        with pytest.raises(LookupFailed):
            await addresses(SILENT, servers, port=names.port, seconds=0.1)


async def test_an_answer_that_is_none_is_not_believed() -> None:
    """Noise, an answer to another question, one that leads in a circle, one that was cut."""
    for packet in (
        b"",
        b"\0" * 12,
        b"{id}\x81\x80\0\1\0\0\0\0\0\0\5other\7example\3com\0\0\1\0\1",
        b"{id}\x81\x80\0\1\0\1\0\0\0\0{question}\xc0\x0c\0\5\0\1\0\0\0\0\0\2\xc0\x0c",
        b"{id}\x83\x80\0\1\0\0\0\0\0\0{question}",
        b"{id}\x81\x82\0\1\0\0\0\0\0\0{question}",
    ):
        async with answering(packet) as port:
            with suppress(LookupFailed):
                assert await addresses(NAME, ["127.0.0.1"], port=port, seconds=0.1) == []


async def test_a_long_answer_counts_as_far_as_it_came() -> None:
    record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4\xc0\0\2\1"
    async with answering(b"{id}\x83\x80\0\1\0\1\0\0\0\0{question}" + record) as port:
        assert await addresses(NAME, ["127.0.0.1"], port=port, seconds=0.1) == ["192.0.2.1"]


@asynccontextmanager
async def answering(packet: bytes) -> AsyncIterator[int]:
    """The port of a name server that answers with this, `{id}` and `{question}` filled in."""

    class Answering(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            end = data.index(b"\0", 12) + 5
            transport.sendto(packet.replace(b"{id}", data[:2]).replace(b"{question}", data[12:end]), addr)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Answering, local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def test_a_name_that_does_not_exist_has_no_address() -> None:
    assert not await system_addresses("nothing.invalid")
    assert not await system_addresses("a" * 64 + ".invalid")
