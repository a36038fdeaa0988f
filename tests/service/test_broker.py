"""The broker against a guest that does not use the façade, and against a host that fails in the middle of a call."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from sandbox.job import Call, EndRun
from service.capabilities.broker import NOT_SHOWN, RECORDING_BYTES, Broker
from service.capabilities.capability import Arguments, Capability, DryContext, LiveContext
from service.capabilities.effects import call_hash
from service.capabilities.manifest import Manifest
from service.capabilities.plain_json import canonical
from service.capabilities.registry import Registry
from service.database.gateway import Database, DatabaseUnavailable, Invalid
from service.settings import Settings
from tests.service import contexts
from tests.service.conftest import LocalHost, User
from tests.service.served import AbsentDatabase

NOTHING = Manifest.model_validate({})
BOTH = Manifest.model_validate({"kv": {}, "notify": {}})


def broker(user: User, database: Database, manifest: Manifest = BOTH, **given: Any) -> Broker:
    return contexts.broker(user.caller, database, **{"manifest": manifest, "max_effects": 5} | given)


class Looking(Arguments):
    text: str = ""


def watching(act: Callable[[], Any]) -> Registry:
    """A registry whose one capability does `act` live."""

    class Live:
        def __init__(self, context: LiveContext) -> None: ...

        async def look(self, arguments: Looking) -> Any:
            return await act()

    class Dry:
        def __init__(self, context: DryContext) -> None: ...

        async def look(self, arguments: Looking) -> Any:
            return None

    return Registry([Capability(name="kv", arguments={"look": Looking}, live=Live, dry_run=Dry)])


@pytest.mark.parametrize(
    ("call", "granted", "error", "message"),
    [
        (Call("fax", "send", {}), False, "ServiceError", "no service 'fax'; it has "),
        (Call("kv", "drop", {}), False, "ServiceError", "no action 'drop'; it has get, set, delete"),
        (Call("kv", "__class__", {}), False, "ServiceError", "no action"),
        (Call("", "", {}), False, "ServiceError", "no service ''"),
        (Call("\0", "x" * 10_000, {}), False, "ServiceError", "no service"),
        (Call("kv", "get", {}), True, "TypeError", "key: field required"),
        (Call("kv", "get", {"key": "k", "user_id": "other"}), True, "TypeError", "user_id: extra inputs"),
        (Call("kv", "get", {"key": {"$ne": None}}), True, "TypeError", "key: input should be a valid string"),
        (Call("kv", "set", {"key": "k", "value": {"deep": [float("inf")]}}), True, "ValueError", "not finite"),
    ],
)
async def test_what_a_guest_may_not_ask_is_refused_and_leaves_an_effect(
    ada: User, call: Call, granted: bool, error: str, message: str
) -> None:
    answering = broker(ada, AbsentDatabase())
    reply = await answering.handle(call)
    assert reply.error is not None
    assert reply.error["type"] == error
    assert message in reply.error["message"]
    [effect] = answering.effects
    assert (effect.seq, effect.granted, effect.performed) == (1, granted, False)
    assert effect.result == {"error": dict(reply.error)}
    assert len(effect.service.encode()) <= 63
    assert len(effect.action.encode()) <= 63


@pytest.mark.parametrize("test", [False, True])
async def test_a_service_that_is_not_granted_is_denied_before_its_arguments_are_looked_at(
    ada: User, test: bool
) -> None:
    answering = broker(ada, AbsentDatabase(), NOTHING, test=test)
    reply = await answering.handle(Call("kv", "get", {"odd": 1}))
    assert reply.error is not None
    assert reply.error["type"] == "CapabilityDenied"


async def test_calls_past_the_limit_end_the_run(ada: User) -> None:
    answering = broker(ada, AbsentDatabase(), NOTHING, max_effects=2)
    for _ in range(2):
        await answering.handle(Call("kv", "get", {"key": "k"}))
    with pytest.raises(EndRun) as ended:
        await answering.handle(Call("kv", "get", {"key": "k"}))
    assert ended.value.code == "too_many_effects"
    assert len(answering.effects) == 2


async def test_a_database_that_is_down_is_the_hosts_failure_and_not_an_answer(ada: User) -> None:
    answering = broker(ada, AbsentDatabase())
    with pytest.raises(DatabaseUnavailable):
        await answering.handle(Call("kv", "set", {"key": "k", "value": 1}))
    assert answering.host_failure is not None
    [effect] = answering.effects
    assert (effect.granted, effect.performed) == (True, True)
    assert "may have had its effect" in effect.result["error"]["message"]
    assert "absent" not in str(effect)


async def test_what_the_database_refuses_is_told_without_its_words(ada: User) -> None:
    async def act() -> Any:
        raise Invalid("23514: secret table name", "secret_check")

    answering = broker(ada, AbsentDatabase(), registry=watching(act))
    reply = await answering.handle(Call("kv", "look", {}))
    assert reply.error is not None
    assert reply.error["type"] == "ServiceError"
    assert "secret" not in reply.error["message"]
    assert answering.effects[0].performed is False


async def test_a_call_that_is_cut_off_leaves_an_effect_that_says_so(ada: User) -> None:
    started = asyncio.Event()

    async def act() -> Any:
        started.set()
        await asyncio.sleep(60)

    answering = broker(ada, AbsentDatabase(), registry=watching(act))
    handling = asyncio.create_task(answering.handle(Call("kv", "look", {"text": "x"})))
    await started.wait()
    handling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handling
    [effect] = answering.effects
    assert (effect.args, effect.granted, effect.performed) == ({"text": "x"}, True, True)
    assert "cut off" in effect.result["error"]["message"]


async def test_recordings_of_a_run_are_bounded_and_effects_are_not_lost(ada: User) -> None:
    async def act() -> Any:
        return "x" * (RECORDING_BYTES // 2 - 100)

    answering = broker(ada, AbsentDatabase(), registry=watching(act))
    for _ in range(3):
        await answering.handle(Call("kv", "look", {}))
    assert [effect.recording is None for effect in answering.effects] == [False, False, True]
    assert len({effect.call_hash for effect in answering.effects}) == 1


async def test_an_agent_that_is_gone_cannot_keep_anything(ada: User, local_host: LocalHost) -> None:
    answering = broker(ada, local_host.host.database)
    for call in (Call("kv", "set", {"key": "k", "value": 1}), Call("kv", "increment", {"key": "k"})):
        reply = await answering.handle(call)
        assert reply.error is not None
        assert reply.error["type"] == "ServiceError"
    assert (await answering.handle(Call("kv", "get", {"key": "k"}))).result == {"found": False, "value": None}


async def test_the_keys_of_a_user_are_bounded(ada: User, local_host: LocalHost) -> None:
    await ada.define("agent", "def run(services):\n    services.kv.get('k')\n")
    [agent] = await local_host.host.database.select(ada.caller, "agents")
    limits = Settings(limit_kv_keys=2)
    answering = broker(ada, local_host.host.database, agent_id=agent["id"], limits=limits, max_effects=50)

    async def asked(action: str, **args: Any) -> Mapping[str, str] | None:
        return (await answering.handle(Call("kv", action, args))).error

    assert await asked("set", key="a", value=1) is None
    assert await asked("increment", key="b") is None
    for error in (await asked("set", key="c", value=1), await asked("increment", key="c")):
        assert error is not None
        assert error["type"] == "ServiceError"
        assert "2 keys, the limit" in error["message"]
    assert await asked("set", key="a", value=2) is None
    assert await asked("delete", key="a") is None
    assert await asked("set", key="c", value=1) is None
    assert answering.effects[0].call_hash == call_hash("kv", "set", {"key": "a", "value": 1, "ttl_seconds": None})


async def test_what_the_effects_of_a_run_show_is_bounded(ada: User) -> None:
    answering = broker(ada, AbsentDatabase(), NOTHING, max_effects=5000)
    call = Call("kv", "set", {"key": "k", "value": ["x" * 400] * 50})
    for _ in range(3000):
        await answering.handle(call)
    assert answering.effects[0].args["key"] == "k"
    assert answering.effects[-1].args == NOT_SHOWN
    assert sum(len(canonical(effect.row())) for effect in answering.effects) < 20 * 1024 * 1024
