"""Wrong arguments of every action of every service raise before anything acts, live and dry, and leave an effect.

The calls come as no façade would send them. What could be reached is watched: servers, mail, look-ups, and every row.
"""

import time
from collections.abc import AsyncIterator, Iterator
from math import inf, nan
from typing import Any, Final

import pytest

from sandbox.job import Call
from service.auth import Caller
from service.capabilities.capability import Budget
from service.capabilities.effects import call_hash
from service.runs.children import ChildRuns, Parent, Shared
from tests.postgres import Server, someone
from tests.service.everything import API, Everything, everything

GOOD: Final[dict[str, dict[str, Any]]] = {
    "http.request": {
        "method": "GET",
        "url": f"http://{API}:PORT/",
        "params": {"a": 1},
        "headers": {"X-A": "b"},
        "json": None,
        "data": None,
        "timeout": 1,
    },
    "llm.complete": {
        "prompt": "p",
        "system": "s",
        "model": "m",
        "temperature": 1,
        "max_tokens": 5,
        "schema": {"type": "object"},
    },
    "kv.get": {"key": "k"},
    "kv.set": {"key": "k", "value": 1, "ttl_seconds": 60},
    "kv.delete": {"key": "k"},
    "kv.list": {"prefix": "", "limit": 5},
    "kv.increment": {"key": "k", "by": 1, "ttl_seconds": 60},
    "db.select": {"table": "leads", "columns": ["name"], "where": {"name": "a"}, "order": "name", "limit": 5},
    "db.insert": {"table": "leads", "rows": [{"name": "a"}]},
    "db.update": {"table": "leads", "values": {"name": "b"}, "where": {"name": "a"}},
    "db.delete": {"table": "leads", "where": {"name": "a"}},
    "email.send": {"to": "me", "subject": "s", "text": "t", "html": "h"},
    "notify.send": {"title": "t", "content": "c", "type": "info", "priority": "low", "actions": [{"a": 1}]},
    "agents.run": {"name": "child", "input": {"a": 1}},
    "secrets.ref": {"name": "KEY"},
}
REQUIRED: Final = {
    *("http.request.method", "http.request.url", "llm.complete.prompt", "kv.get.key", "kv.set.key", "kv.set.value"),
    *("kv.delete.key", "kv.increment.key", "db.select.table", "db.insert.table", "db.insert.rows", "db.update.table"),
    *("db.update.values", "db.update.where", "db.delete.table", "db.delete.where", "email.send.to"),
    *("email.send.subject", "email.send.text", "notify.send.title", "agents.run.name", "agents.run.input"),
    "secrets.ref.name",
}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


NEVER: Final[dict[str, Any]] = {
    "U+0000": "a\0b",
    "half a surrogate pair": "a\ud800",
    "not a number": nan,
    "infinity": inf,
    "minus infinity": -inf,
    "five thousand digits": 10**5000,
    "two hundred deep": nested(200),
    "U+0000 inside": {"a": ["\0"]},
    "U+0000 in a key": {"a\0": 1},
    "a surrogate inside": [{"a": "\udfff"}],
    "infinity inside": {"a": [inf]},
    "a key that is no text": {1: 1},
    "a value that is no JSON": object(),
    "bytes": b"a",
    "a hundred thousand numbers": [1] * 100_000,
    "a hundred thousand objects": [{}] * 100_000,
    "a hundred thousand keys": {f"k{n}": n for n in range(100_000)},
    "a million characters": "x" * 1_000_000,
}
"""What no argument of any action may be."""

TEXT: Final[tuple[Any, ...]] = (1, 1.5, True, [], {}, ["x"])
NUMBER: Final[tuple[Any, ...]] = ("1", True, [], {}, 0, -1)
WRONG: Final[dict[str, tuple[Any, ...]]] = {
    "http.request.method": (*TEXT, "", "TRACE", "CONNECT", "GET /", "GET\r\n"),
    "http.request.url": (*TEXT, "", "ftp://a.example.com/", "file:///etc/passwd", "data:,x", "//a", "http://"),
    "http.request.params": (1, "a=1", [], [["a", 1]], {"a": {}}, {"a": [[]]}, {"a": {"secret": "KEY"}}),
    "http.request.headers": (1, "A: b", [], {"A": 1}, {"A": None}, {"A": {"secret": "KEY"}}, {"A": [[]]}),
    "http.request.data": (1, True, [], [["a", 1]], {"a": {}}, {"a": [{}]}, {"a": {"secret": "KEY"}}),
    "http.request.timeout": (*NUMBER, 10**6),
    "llm.complete.prompt": (*TEXT, ""),
    "llm.complete.system": TEXT,
    "llm.complete.model": (*TEXT, "", "a b", "../m", "m" * 201, {"secret": "KEY"}),
    "llm.complete.temperature": ("1", True, [], {}, -0.1, 2.1),
    "llm.complete.max_tokens": (*NUMBER, 1.5, 10**7),
    "llm.complete.schema": (1, "x", [], {}, {"type": "array"}, {"type": "object", "$ref": "http://x"}),
    "kv.get.key": (*TEXT, "", "x" * 513, "\U0010ffff"),
    "kv.set.key": (*TEXT, "", "é" * 257),
    "kv.set.value": (10**400,),
    "kv.set.ttl_seconds": (*NUMBER, 10**10),
    "kv.delete.key": (*TEXT, ""),
    "kv.list.prefix": (*TEXT, "x" * 513),
    "kv.list.limit": (*NUMBER, 1.5, 1001),
    "kv.increment.key": (*TEXT, ""),
    "kv.increment.by": ("1", True, [], {}, 10**16),
    "kv.increment.ttl_seconds": NUMBER,
    "db.select.table": (*TEXT, "", "Leads", "agenthost.agents", "leads;drop", 'leads" --', "x" * 64),
    "db.select.columns": (1, "name", [], [1], ["*"], ["name, now()"], ["leads(name)"], ["name::text"], ["a"] * 201),
    "db.select.where": (1, "name = 1", [], {"a b": 1}, {"name": {"@>": 1}}, {"name": {"eq": {}}}, {"name": {"in": 1}}),
    "db.select.order": (1, {}, [1], "name; drop", "name desc nulls", ["name asc", "1"]),
    "db.select.limit": (*NUMBER, 1.5, 10**9),
    "db.insert.table": (*TEXT, ""),
    "db.insert.rows": (1, "x", {}, {"name": "a"}, [1], [{}], [{"a b": 1}], [{"name": "a"}, {"score": 1}]),
    "db.update.table": (*TEXT, ""),
    "db.update.values": (1, "x", [], {}, {"name = 1, score": 1}),
    "db.update.where": (1, "x", [], {}, {"": 1}),
    "db.delete.table": (*TEXT, ""),
    "db.delete.where": (1, "x", [], {}, {"1=1 or name": 1}),
    "email.send.to": (1, True, [], {}, [1], "", "a", "a@b", "A <a@acme.com>", "a@acme.com,b@acme.com", ["me"] * 21),
    "email.send.subject": (*TEXT, "", "a\nBcc: b@acme.com", "a\r\n\r\nb", "x" * 501, "=?utf-8?q?a?="),
    "email.send.text": TEXT,
    "email.send.html": TEXT,
    "notify.send.title": (*TEXT, "", "x" * 201),
    "notify.send.content": (*TEXT, "x" * 10_001),
    "notify.send.type": (*TEXT, "", "Info", "fatal"),
    "notify.send.priority": (*TEXT, "", "LOW"),
    "notify.send.actions": (1, "x", {}, [1], [{}] * 11, [{"a": "x" * 9000}]),
    "agents.run.name": (*TEXT, "", "Child", "../child", "a/b", "child?test=false", "x" * 64),
    "agents.run.input": (1, "x", [], {"test": False}, {"Test": True}),
    "secrets.ref.name": (*TEXT, "", "key", "KEY ", "../KEY", "K" * 64, {"secret": "KEY"}),
}


def wrong_calls(action: str, port: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is wrong with each, and the arguments."""
    good = {name: value.replace("PORT", str(port)) if name == "url" else value for name, value in GOOD[action].items()}
    yield "an unknown argument", {**good, "odd": 1}
    yield "a user of its own", {**good, "user_id": "00000000-0000-4000-8000-000000000000"}
    yield "a grant of its own", {**good, "granted": True}
    for name in good:
        place = f"{action}.{name}"
        if place in REQUIRED:
            yield f"{name} is missing", {other: value for other, value in good.items() if other != name}
            if place != "kv.set.value":
                yield f"{name} is null", {**good, name: None}
        for value in WRONG.get(place, ()):
            yield f"{name} is {value!r:.60}", {**good, name: value}
        for said, value in NEVER.items():
            yield f"{name}: {said}", {**good, name: value}


@pytest.fixture(scope="module")
async def world(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Everything]:
    small = {"limit_http_request_bytes": 20_000, "limit_emails_per_run": 100_000}
    async with everything(postgres, tmp_path_factory.mktemp("host"), **small) as world:
        yield world


def test_the_table_has_every_argument_of_every_action(world: Everything) -> None:
    services = world.host.host.capabilities
    declared = {
        f"{each.name}.{action}": {field.alias or name for name, field in model.model_fields.items()}
        for each in services
        for action, model in each.arguments.items()
    }
    assert {action: set(arguments) for action, arguments in GOOD.items()} == declared


@pytest.fixture
def ada() -> Caller:
    return someone(email="ada@example.com")


def children(world: Everything, test: bool) -> ChildRuns:
    """The child runs of a run, none of which may begin."""

    async def run(*asked: Any) -> Any:
        raise AssertionError(f"a child run began: {asked}")

    shared = Shared(budget=Budget(deadline=time.monotonic() + 60, max_effects=10))
    return ChildRuns(run, Parent(run_id="", depth=0, shared=shared), test=test, limits=world.host.host.settings)


@pytest.mark.parametrize("test", [False, True], ids=["live", "dry"])
@pytest.mark.parametrize("action", GOOD)
async def test_wrong_arguments_raise_and_nothing_acts(world: Everything, ada: Caller, action: str, test: bool) -> None:
    service, _, verb = action.partition(".")
    answering = world.broker(ada, test=test, run_child=children(world, test))
    before = await world.look()
    for said, args in wrong_calls(action, world.web.port):
        reply = await answering.handle(Call(service, verb, args))
        assert reply.error is not None, f"{said} was taken: {reply.result!r:.200}"
        # A question too long for its run is told as what it lacks.
        too_long = "model tokens" in reply.error["message"]
        assert too_long or reply.error["type"] in ("TypeError", "ValueError"), (said, reply.error)
        assert len(reply.error["message"]) < 6000, said
        effect = answering.effects[-1]
        assert (effect.granted, effect.performed, effect.source) == (True, False, None), said
        assert len(effect.call_hash) == len(call_hash("a", "b", {}))
    assert await world.look() == before
