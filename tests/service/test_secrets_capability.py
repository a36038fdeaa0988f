"""secrets through the door: a guest gets names alone, and a value opens only as it was sealed."""

from typing import Any

import pytest

from sandbox.job import Call
from service.auth import Caller
from service.capabilities.broker import Broker
from service.capabilities.capability import GuestError, LiveContext, denied
from service.capabilities.registry import Registry
from service.capabilities.secrets import SECRETS, reveal, secret_hosts
from service.database.gateway import Database
from service.outside.outside import Outside
from service.outside.vault import Binding, Vault
from service.secret_keys import SecretKey
from service.secrets.store import SecretStore
from tests.postgres import someone
from tests.service.contexts import context

OLD = SecretKey("old", b"o" * 32)
NEW = SecretKey("new", b"n" * 32)
VALUE = "sk-live-7f3a"
HOSTS = ("api.example.com",)
GRANTED = {"secrets": {"names": ["KEY"]}}


async def put(database: Database, caller: Caller, *, vault: Vault, name: str = "KEY", value: str = VALUE) -> None:
    binding = Binding(user_id=caller.user_id, name=name, hosts=HOSTS)
    await SecretStore(database=database, caller=caller).put(binding, vault.seal(value, binding), most=10)


def live(database: Database, caller: Caller, *keys: SecretKey) -> LiveContext:
    made = context(caller, database, outside=Outside(vault=Vault(keys)))
    assert isinstance(made, LiveContext)
    return made


def anywhere(hosts: tuple[str, ...]) -> None:
    """Permits whatever the secret is bound to."""


def nowhere(hosts: tuple[str, ...]) -> None:
    raise denied("not bound to it")


def broker(database: Database, caller: Caller, *, test: bool, manifest: dict[str, Any]) -> Broker:
    return Broker(Registry([SECRETS]), context(caller, database, test=test, manifest=manifest))


@pytest.mark.parametrize("test", [False, True])
async def test_a_ref_is_a_name_and_needs_no_key(database: Database, test: bool) -> None:
    ada = someone()
    await put(database, ada, vault=Vault([NEW]))
    answering = broker(database, ada, test=test, manifest=GRANTED)
    assert (await answering.handle(Call("secrets", "ref", {"name": "KEY"}))).result == {"secret": "KEY"}
    [effect] = answering.effects
    assert (effect.granted, effect.performed, effect.args) == (True, True, {"name": "KEY"})


@pytest.mark.parametrize("test", [False, True])
@pytest.mark.parametrize(
    ("manifest", "args", "error", "message"),
    [
        (GRANTED, {"name": "KEY"}, "ServiceError", "there is no secret KEY: PUT /secrets/KEY"),
        ({}, {"name": "KEY"}, "CapabilityDenied", "[capabilities.secrets]"),
        ({"secrets": {}}, {"name": "KEY"}, "CapabilityDenied", 'add "KEY" to names of [capabilities.secrets]'),
        (GRANTED, {"name": "OTHER"}, "CapabilityDenied", 'add "OTHER" to names'),
        (GRANTED, {"name": "key"}, "ValueError", "name: should be the name of a secret"),
        (GRANTED, {"name": "KEY\n"}, "ValueError", "name: should be the name of a secret"),
        (GRANTED, {"name": 7}, "TypeError", "name"),
        (GRANTED, {}, "TypeError", "name"),
        (GRANTED, {"name": "KEY", "user_id": "x"}, "TypeError", "user_id"),
    ],
)
async def test_what_may_not_be_named_is_refused_alike(
    database: Database, test: bool, manifest: Any, args: Any, error: str, message: str
) -> None:
    ada, eve = someone(), someone()
    await put(database, eve, vault=Vault([NEW]))
    reply = await broker(database, ada, test=test, manifest=manifest).handle(Call("secrets", "ref", args))
    assert reply.error is not None
    assert reply.error["type"] == error
    assert message in reply.error["message"]


async def test_a_value_opens_for_its_owner_with_its_hosts(database: Database) -> None:
    ada, eve = someone(), someone()
    await put(database, ada, vault=Vault([NEW]))
    permitted: list[tuple[str, ...]] = []
    assert await reveal(live(database, ada, NEW), "KEY", permitted.append) == VALUE
    assert permitted == [HOSTS]
    assert await secret_hosts(live(database, ada, NEW), "KEY") == HOSTS
    with pytest.raises(GuestError, match="there is no secret KEY"):
        await reveal(live(database, eve, NEW), "KEY", anywhere)


async def test_a_value_is_not_opened_where_it_may_not_be_sent(database: Database) -> None:
    ada = someone()
    await put(database, ada, vault=Vault([NEW]))
    for keys in ((NEW,), (OLD,)):
        with pytest.raises(GuestError, match="not bound to it"):
            await reveal(live(database, ada, *keys), "KEY", nowhere)


@pytest.mark.parametrize(
    "change",
    [
        {"hosts": ["evil.example"]},
        {"hosts": [*HOSTS, "evil.example"]},
        {"hosts": []},
        {"hosts": [[HOSTS[0]], {"a": 1}]},
        {"ciphertext": ""},
        {"ciphertext": "new:AAAA"},
        {"ciphertext": "\ufffd" * 100},
    ],
    ids=ascii,
)
async def test_a_row_that_was_changed_past_the_host_does_not_open(database: Database, change: dict[str, Any]) -> None:
    ada = someone()
    await put(database, ada, vault=Vault([NEW]))
    await database.update(ada, "user_secrets", change, where={"name": "KEY"})
    with pytest.raises(GuestError, match="PUT /secrets/KEY again") as refused:
        await reveal(live(database, ada, NEW), "KEY", anywhere)
    assert refused.value.type_name == "ServiceError"
    assert VALUE not in str(refused.value)


async def test_a_ciphertext_moved_to_another_name_or_user_does_not_open(database: Database) -> None:
    ada, eve = someone(), someone()
    await put(database, ada, vault=Vault([NEW]))
    [row] = await database.select(ada, "user_secrets")
    await database.insert(ada, "user_secrets", [{**copied(row), "name": "OTHER"}])
    await database.insert(eve, "user_secrets", [copied(row)])
    for thief, name in ((ada, "OTHER"), (eve, "KEY")):
        with pytest.raises(GuestError, match="were changed after it was sealed"):
            await reveal(live(database, thief, NEW), name, anywhere)


def copied(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("name", "hosts", "ciphertext")}


async def test_a_rotated_key_opens_what_is_old_and_seals_it_anew(database: Database) -> None:
    ada = someone()
    await put(database, ada, vault=Vault([OLD]))
    [before] = await database.select(ada, "user_secrets")
    assert await reveal(live(database, ada, NEW, OLD), "KEY", anywhere) == VALUE
    [after] = await database.select(ada, "user_secrets")
    assert (before["ciphertext"][:4], after["ciphertext"][:4]) == ("old:", "new:")
    assert before["updated_at"] == after["updated_at"]
    assert await reveal(live(database, ada, NEW), "KEY", anywhere) == VALUE
    assert await database.select(ada, "user_secrets") == [after]


async def test_a_key_that_was_taken_away_says_what_to_do(database: Database) -> None:
    ada = someone()
    await put(database, ada, vault=Vault([OLD]))
    with pytest.raises(GuestError, match=r"a key that this host does not have\. PUT /secrets/KEY again") as refused:
        await reveal(live(database, ada, NEW), "KEY", anywhere)
    assert refused.value.type_name == "ServiceError"
    await put(database, ada, vault=Vault([NEW]))
    assert await reveal(live(database, ada, NEW), "KEY", anywhere) == VALUE
