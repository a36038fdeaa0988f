"""The /secrets routes: values go in and never come out; whose they are is the database's to say."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from service.app import create_app
from service.database.postgres import PostgresDatabase
from service.local import LocalIdentity
from service.secrets.store import StoredSecret
from service.settings import Settings
from tests.postgres import Addresses
from tests.service.conftest import LocalHost, User
from tests.service.served import client, served

VALUE = "sk-live-Zm9v/=+ 0123456789"
HOSTS = ["api.example.com", "*.example.org:8443"]


async def put(user: User, name: str = "KEY", value: Any = VALUE, hosts: Any = HOSTS) -> httpx.Response:
    return await user.http.put(f"/secrets/{name}", json={"value": value, "hosts": hosts})


@asynccontextmanager
async def limited(local_host: LocalHost, user: User, **limits: int) -> AsyncIterator[User]:
    """The user, before a host with other limits and the same parts."""
    host = replace(local_host.host, settings=local_host.host.settings.model_copy(update=limits))
    app = create_app(host.settings, database=host.database, engines=host.engines, outside=host.outside)
    app.state.host = host  # its parts are another's: they are not started again
    headers = user.http.headers
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers) as http:
        yield replace(user, http=http)


async def names(user: User, **query: Any) -> list[str]:
    answer = await user.http.get("/secrets", params=query)
    assert answer.status_code == 200, answer.text
    return [secret["name"] for secret in answer.json()["data"]]


async def test_a_secret_goes_in_and_its_name_and_hosts_come_out(ada: User) -> None:
    answer = await put(ada)
    assert (answer.status_code, answer.content) == (204, b"")
    listed = await ada.http.get("/secrets")
    [secret] = listed.json()["data"]
    assert listed.json()["next_cursor"] is None
    assert {name: secret[name] for name in ("name", "hosts")} == {"name": "KEY", "hosts": HOSTS}
    assert set(secret) == {"name", "hosts", "created_at", "updated_at"}
    assert VALUE not in listed.text
    assert (await ada.http.delete("/secrets/KEY")).status_code == 204
    assert await names(ada) == []


async def test_a_put_replaces_value_and_hosts(ada: User, local_host: LocalHost) -> None:
    await put(ada)
    [before] = await local_host.host.database.select(ada.caller, "user_secrets")
    await put(ada, hosts=["other.example.com", "other.example.com"])
    [after] = await local_host.host.database.select(ada.caller, "user_secrets")
    assert (before["hosts"], after["hosts"]) == (HOSTS, ["other.example.com"])
    assert before["created_at"] == after["created_at"]
    assert before["ciphertext"] != after["ciphertext"]


async def test_what_is_stored_is_sealed(ada: User, local_host: LocalHost) -> None:
    await put(ada)
    [row] = await local_host.host.database.select(ada.caller, "user_secrets")
    assert VALUE not in str(row)
    assert row["ciphertext"].count(":") == 1


async def test_secrets_of_another_are_not_there(ada: User, eve: User) -> None:
    await put(ada)
    assert await names(eve) == []
    assert (await eve.http.delete("/secrets/KEY")).json()["code"] == "secret_not_found"
    await put(eve, value="eves")
    assert (await eve.http.delete("/secrets/KEY")).status_code == 204
    assert await names(ada) == ["KEY"]


async def test_lists_go_by_name_and_page(ada: User) -> None:
    for name in ("B", "A_2", "A", "C", "A1"):
        await put(ada, name)
    assert await names(ada) == ["A", "A1", "A_2", "B", "C"]
    page = (await ada.http.get("/secrets", params={"limit": 2})).json()
    assert page["next_cursor"] == "A1"
    assert await names(ada, limit=3, cursor="A1") == ["A_2", "B", "C"]
    for query in ({"limit": "0"}, {"limit": "101"}, {"cursor": "a"}, {"cursor": ""}, {"value": "true"}):
        answer = await ada.http.get("/secrets", params=query)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


@pytest.mark.parametrize("name", ["key", "1KEY", "_KEY", "KEY-2", "KEY%0A", "%C3%89", "K" * 64, "KEY%00", "..%2fKEY"])
async def test_what_is_no_name_is_refused(ada: User, name: str) -> None:
    answer = await put(ada, name)
    assert answer.status_code in (404, 422), answer.text
    deleted = await ada.http.delete(f"/secrets/{name}")
    assert deleted.status_code == 404
    assert await names(ada) == []


@pytest.mark.parametrize(
    "value",
    ["", " ", "a\n", "a\r\nX-Evil: 1", "a\0b", "\x7f", "a\tb", " a", "a ", "é", "🔑", "\ud800", 7, None, ["a"], {}],
    ids=ascii,
)
async def test_a_value_that_fits_no_header_is_refused_and_not_repeated(ada: User, value: Any) -> None:
    body = json.dumps({"value": value, "hosts": HOSTS})
    answer = await ada.http.put("/secrets/KEY", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["code"] in ("not_json", "validation_failed")
    if isinstance(value, str) and len(value) > 2:
        assert value not in answer.text
    assert await names(ada) == []


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        None,
        "api.example.com",
        ["*"],
        ["*.com"],
        ["api.*.com"],
        ["https://api.example.com"],
        ["api.example.com/path"],
        ["api.example.com:0"],
        ["api.example.com:"],
        ["user@api.example.com"],
        ["API.example.com"],
        ["api.example.com\n"],
        ["exämple.com"],
        [""],
        [7],
        ["a.example.com"] * 21,
    ],
    ids=ascii,
)
async def test_hosts_are_exact_or_a_star_and_a_domain(ada: User, hosts: Any) -> None:
    answer = await put(ada, hosts=hosts)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), answer.text
    assert answer.json()["errors"][0]["pointer"].startswith("/hosts")
    assert VALUE not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        '{"value": "x"}',
        '{"hosts": ["a.example.com"]}',
        "[]",
        "null",
        "",
        "{",
        '"x"',
        '{"value": "x", "hosts": 1, "more": 1}',
    ],
)
async def test_a_body_that_is_no_secret_is_refused(ada: User, body: str) -> None:
    answer = await ada.http.put("/secrets/KEY", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_value_is_bounded(ada: User, local_host: LocalHost) -> None:
    most = local_host.host.settings.limit_secret_bytes
    assert (await put(ada, value="x" * most)).status_code == 204
    answer = await put(ada, value="x" * (most + 1))
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert answer.json()["errors"][0]["pointer"] == "/value"
    assert str(most) in answer.text
    assert "xxx" not in answer.text


async def test_the_largest_value_that_may_be_allowed_fits_its_column(ada: User, local_host: LocalHost) -> None:
    most = 64 * 1024
    with pytest.raises(ValueError, match="less than or equal to 65536"):
        Settings(limit_secret_bytes=most + 1)
    async with limited(local_host, ada, limit_secret_bytes=most) as user:
        assert (await put(user, value="x" * most)).status_code == 204


async def test_a_host_with_a_new_key_reads_what_is_old_and_seals_with_the_new(
    cloned: Addresses, tmp_path: Path
) -> None:
    old, new = (f"{name}:{b64encode(name[:1].encode() * 32).decode()}" for name in ("old", "new"))

    async def sealed_at_a_host(keys: str, *, put_as: str) -> dict[str, str]:
        """Put one secret, and open all of them with this host's vault."""
        settings = Settings.model_validate({"data_dir": tmp_path, "secret_keys": keys})
        app = create_app(settings, database=PostgresDatabase(cloned.serving_dsn), engines={})
        async with served(app, settings) as url:
            local_host = LocalHost(url, app, LocalIdentity.in_directory(tmp_path))
            async with local_host.user(UUID(int=1)) as user:
                assert (await put(user, put_as)).status_code == 204
                assert put_as in await names(user)
                stored = await local_host.host.database.select(user.caller, "user_secrets")
        for secret in map(StoredSecret.from_row, stored):
            assert local_host.host.outside.vault.open(secret.ciphertext, secret.binding(UUID(int=1))) == VALUE
        return {row["name"]: row["ciphertext"].partition(":")[0] for row in stored}

    assert await sealed_at_a_host(old, put_as="FIRST") == {"FIRST": "old"}
    assert await sealed_at_a_host(f"{new},{old}", put_as="SECOND") == {"FIRST": "old", "SECOND": "new"}
    assert await sealed_at_a_host(f"{new},{old}", put_as="FIRST") == {"FIRST": "new", "SECOND": "new"}
    assert await sealed_at_a_host(new, put_as="THIRD") == dict.fromkeys(("FIRST", "SECOND", "THIRD"), "new")


async def test_secrets_of_a_user_are_bounded_and_one_may_be_replaced(ada: User, local_host: LocalHost) -> None:
    async with limited(local_host, ada, limit_secrets=2) as user:
        for name in ("A", "B", "A"):
            assert (await put(user, name)).status_code == 204
        answer = await put(user, "C")
        assert (answer.status_code, answer.json()["code"]) == (409, "too_many_secrets")
        assert "2" in answer.json()["detail"]
        await user.http.delete("/secrets/A")
        assert (await put(user, "C")).status_code == 204


async def test_without_a_token_there_is_nothing(local_host: LocalHost) -> None:
    async with client(local_host.url) as http:
        for answer in (
            await http.get("/secrets"),
            await http.put("/secrets/KEY", json={"value": VALUE, "hosts": HOSTS}),
            await http.delete("/secrets/KEY"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
