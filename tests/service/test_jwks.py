"""Keys of a real endpoint: rotated, revoked, down, slow, answering nonsense. Who names a known key notices nothing."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import Response
from fastapi.responses import RedirectResponse, StreamingResponse

from service.app import remote_keys_of
from service.jwks import RemoteKeys
from service.keys import KeysUnavailable
from service.settings import Settings
from tests.service.issuer import KEYS_PATH, Issuer, published
from tests.service.served import served


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    async with served(issuer.app) as issuer.url:
        yield issuer
        issuer.gate.set()


@asynccontextmanager
async def keys_of(issuer: Issuer, **seconds: float) -> AsyncIterator[RemoteKeys]:
    """Its keys, fetched; by default they are neither refreshed nor asked for again in the time of a test."""
    waiting = {"fresh_seconds": 60.0, "retry_seconds": 60.0, **seconds}
    keys = RemoteKeys(issuer.url + KEYS_PATH, **waiting)  # type: ignore[arg-type]
    try:
        await keys.start()
        yield keys
    finally:
        await keys.stop()


async def until(true: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while True:
            answer = true()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.02)


def json_of(document: Any) -> Response:
    return Response(json.dumps(document), media_type="application/json")


async def test_a_key_that_left_the_set_is_refused_though_its_tokens_keep_coming(issuer: Issuer) -> None:
    async with keys_of(issuer, fresh_seconds=0.2) as keys:
        assert await keys.key("rsa") is not None
        del issuer.private["rsa"]

        async def refused() -> bool:
            return await keys.key("rsa") is None

        await until(refused)
        assert await keys.key("ec") is not None
        assert keys.status().state == "ready"


async def test_a_key_that_left_the_set_while_nobody_came_is_not_good_for_one_last_token(issuer: Issuer) -> None:
    async with keys_of(issuer, fresh_seconds=0.2) as keys:
        del issuer.private["rsa"]
        fetched = issuer.fetches
        await until(lambda: issuer.fetches >= fetched + 2)
        assert await keys.key("rsa") is None


async def test_rotation_overlaps(issuer: Issuer) -> None:
    async with keys_of(issuer, fresh_seconds=0.2) as keys:
        fetched = issuer.fetches
        issuer.private["standby"] = ec.generate_private_key(ec.SECP256R1())
        await until(lambda: issuer.fetches >= fetched + 2)
        asked = issuer.fetches
        assert await keys.key("standby") is not None, "known before the first token comes"
        assert await keys.key("ec") is not None
        assert issuer.fetches == asked
        del issuer.private["ec"]

        async def revoked() -> bool:
            return await keys.key("ec") is None

        await until(revoked)
        assert await keys.key("standby") is not None


async def test_a_new_key_is_fetched_for_its_first_token(issuer: Issuer) -> None:
    async with keys_of(issuer) as keys:
        issuer.private["ec2"] = ec.generate_private_key(ec.SECP256R1())
        assert await keys.key("ec2") is not None


async def test_strangers_cause_one_fetch_and_hold_up_nobody(issuer: Issuer) -> None:
    async with keys_of(issuer, attempt_seconds=20.0) as keys:
        issuer.gate.clear()
        strangers = [asyncio.create_task(keys.key(f"unknown{number}")) for number in range(300)]
        await until(lambda: issuer.fetches == 2)
        async with asyncio.timeout(5):
            assert await keys.key("ec") is not None
        assert not any(stranger.done() for stranger in strangers)
        issuer.private["ec2"] = ec.generate_private_key(ec.SECP256R1())
        issuer.gate.set()
        assert await asyncio.gather(*strangers) == [None] * 300
        assert await keys.key("ec2") is not None
        for number in range(300):
            assert await keys.key(f"unknown{number}") is None
        assert issuer.fetches == 2


async def test_a_stranger_who_goes_away_takes_no_fetch_along(issuer: Issuer) -> None:
    async with keys_of(issuer, attempt_seconds=20.0) as keys:
        issuer.gate.clear()
        stranger = asyncio.create_task(keys.key("unknown"))
        await until(lambda: issuer.fetches == 2)
        issuer.private["ec2"] = ec.generate_private_key(ec.SECP256R1())
        user = asyncio.create_task(keys.key("ec2"))
        stranger.cancel()
        await asyncio.gather(stranger, return_exceptions=True)
        issuer.gate.set()
        assert await user is not None
        assert issuer.fetches == 2


async def test_an_endpoint_that_is_down_at_start_is_asked_again_by_itself(issuer: Issuer) -> None:
    issuer.down = True
    async with keys_of(issuer, retry_seconds=0.1) as keys:
        status = keys.status()
        assert (status.state, status.since, status.detail) == ("unavailable", None, "it answered with status 500")
        with pytest.raises(KeysUnavailable):
            await keys.key("ec")
        issuer.down = False
        await until(lambda: keys.status().state == "ready")
        assert await keys.key("ec") is not None


async def test_an_address_where_nothing_listens_is_told(issuer: Issuer) -> None:
    keys = RemoteKeys("http://127.0.0.1:9/keys")
    await keys.start()
    assert (keys.status().state, keys.status().detail) == ("unavailable", "it could not be reached")
    await keys.stop()


async def test_known_keys_do_not_wait_for_a_slow_endpoint(issuer: Issuer) -> None:
    async with keys_of(issuer, fresh_seconds=0.1, attempt_seconds=2.0) as keys:
        issuer.gate.clear()
        await until(lambda: keys.status().state == "stale")
        assert keys.status().detail == "it did not answer in time"
        assert keys.status().since is not None
        async with asyncio.timeout(5):
            for _ in range(1000):
                assert await keys.key("ec") is not None


async def test_an_endpoint_that_drips_is_given_up(issuer: Issuer) -> None:
    async def drops() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield b" "
            await asyncio.sleep(0.05)

    async with keys_of(issuer, fresh_seconds=0.1, attempt_seconds=2.0) as keys:
        issuer.answer = StreamingResponse(drops())
        await until(lambda: keys.status().detail == "it did not answer in time")
        assert await keys.key("ec") is not None


OTHER = {"keys": [published("evil", ec.generate_private_key(ec.SECP256R1()))]}
ABSURD: dict[str, tuple[Response, str]] = {
    "a page": (Response("<html>Welcome</html>", media_type="text/html"), "not a key set"),
    "nothing": (Response(b""), "not a key set"),
    "no content": (Response(status_code=204), "status 204"),
    "not found": (Response(json.dumps(OTHER), status_code=404), "status 404"),
    "a part": (Response(json.dumps(OTHER), status_code=206), "status 206"),
    "a redirect": (RedirectResponse("/elsewhere"), "status 307"),
    "half a set": (Response(json.dumps(OTHER)[:-9]), "not a key set"),
    "a list": (json_of(OTHER["keys"]), "not a key set"),
    "a set of another kind": (json_of({"keys": {"evil": OTHER["keys"][0]}}), "not a key set"),
    "keys twice": (Response('{"keys": [], "keys": []}'), "not a key set"),
    "too many keys": (json_of({"keys": OTHER["keys"] * 101}), "not a key set"),
    "deep": (Response("[" * 100_000), "not a key set"),
    "huge": (Response(b" " * 300_000 + json.dumps(OTHER).encode()), "too large"),
    "compressed": (Response(gzip.compress(b" " * 50_000_000), headers={"Content-Encoding": "gzip"}), "not a key set"),
}


@pytest.mark.parametrize("name", ABSURD)
async def test_what_is_no_key_set_replaces_nothing(issuer: Issuer, name: str) -> None:
    async def elsewhere() -> Response:
        return json_of(OTHER)

    issuer.app.add_api_route("/elsewhere", elsewhere)
    async with keys_of(issuer, fresh_seconds=0.1, retry_seconds=0.1) as keys:
        issuer.answer, said = ABSURD[name]
        await until(lambda: keys.status().state == "stale")
        assert said in keys.status().detail
        assert keys.status().since is not None
        assert await keys.key("ec") is not None
        for kid in ("evil", "unknown", None):
            with pytest.raises(KeysUnavailable):
                await keys.key(kid)
        issuer.answer = None
        await until(lambda: keys.status().state == "ready")
        assert await keys.key("unknown") is None


@pytest.mark.parametrize("entries", [[], [{"kty": "oct", "kid": "ec", "alg": "HS256", "k": "a2V5"}]])
async def test_a_set_without_usable_keys_takes_the_old_ones_away(issuer: Issuer, entries: list[Any]) -> None:
    async with keys_of(issuer, fresh_seconds=0.1) as keys:
        issuer.answer = json_of({"keys": entries})
        await until(lambda: keys.status().state == "unavailable")
        assert "holds no key" in keys.status().detail
        with pytest.raises(KeysUnavailable):
            await keys.key("ec")


async def test_a_published_private_key_is_believed_no_more(issuer: Issuer) -> None:
    async with keys_of(issuer, fresh_seconds=0.1) as keys:
        issuer.answer = json_of(
            {"keys": [published("ed", issuer.private["ed"]), {**issuer.jwks()["keys"][0], "d": "x"}]}
        )

        async def refused() -> bool:
            return await keys.key("ec") is None

        await until(refused)
        assert await keys.key("ed") is not None


async def test_keys_serve_on_without_the_endpoint_only_so_long(issuer: Issuer) -> None:
    async with keys_of(issuer, fresh_seconds=0.1, retry_seconds=0.1, most_seconds=4.0) as keys:
        issuer.down = True
        await until(lambda: keys.status().state == "stale")
        assert await keys.key("ec") is not None
        await until(lambda: keys.status().state == "unavailable")
        assert keys.status().since is not None
        with pytest.raises(KeysUnavailable):
            await keys.key("ec")
        issuer.down = False
        await until(lambda: keys.status().state == "ready")
        assert await keys.key("ec") is not None


async def test_the_projects_gateway_gets_the_publishable_key_and_nobody_else_does(issuer: Issuer) -> None:
    key = "sb_publishable_key"
    for jwks_url, sent in ((None, key), (f"{issuer.url}{KEYS_PATH}", None)):
        project = issuer.url if sent else issuer.url[:-1]
        settings = Settings.model_validate(
            {"SUPABASE_URL": project, "SUPABASE_PUBLISHABLE_KEY": key, "SUPABASE_JWKS_URL": jwks_url}
        )
        keys = remote_keys_of(settings)
        assert keys is not None
        await keys.start()
        await keys.stop()
        assert issuer.asked[-1].get("apikey") == sent
        assert "authorization" not in issuer.asked[-1]
