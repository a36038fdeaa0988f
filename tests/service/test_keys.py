"""Keys of tokens: which of a set are used, how long, and those that a host makes for itself."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from service.jwks import RemoteKeys
from service.keys import parse_jwks
from service.local import LocalIdentity, local_secret_key, user_of_email
from service.settings import SettingsError
from tests.service.issuer import KEYS_PATH, Issuer, base64url
from tests.service.served import served


async def test_a_key_that_left_the_set_is_forgotten() -> None:
    issuer = Issuer()
    async with served(issuer.app) as issuer.url:
        keys = RemoteKeys(issuer.url + KEYS_PATH, fresh_seconds=0.0, refetch_seconds=0.0)
        await keys.start()
        assert await keys.key("rsa") is not None
        del issuer.private["rsa"]
        for _ in range(200):
            if await keys.key("rsa") is None:
                break
            await asyncio.sleep(0.02)
        assert await keys.key("rsa") is None
        assert await keys.key("ec") is not None
        await keys.stop()


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "kid": "x", "k": "a2V5", "alg": "HS256"},
        {"kty": "EC", "crv": "P-256", "kid": "x", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "secp256k1", "kid": "x", "x": "AA", "y": "AA"},
        {"kty": ["EC"], "crv": {}, "kid": "x"},
        {"kty": "RSA", "kid": "x", "n": base64url(b"\xc5" * 64), "e": "AQAB"},
        "junk",
        None,
    ],
    ids=["shared secret", "no point", "other curve", "wrong types", "512 bits", "text", "null"],
)
def test_unusable_keys_of_a_set_are_passed_over(entry: Any) -> None:
    assert len(parse_jwks({"keys": [entry]})) == 0


def test_a_key_for_encrypting_or_another_algorithm_is_passed_over() -> None:
    good = Issuer().jwks()["keys"][0]
    assert len(parse_jwks({"keys": [good]})) == 1
    assert len(parse_jwks({"keys": [{**good, "use": "enc"}]})) == 0
    assert len(parse_jwks({"keys": [{**good, "alg": "RS256"}]})) == 0


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": "x"}])
def test_what_is_no_key_set_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="no list of keys"):
        parse_jwks(document)


def test_local_keys_are_made_once_and_are_the_owners_alone(tmp_path: Path) -> None:
    first, second = LocalIdentity.in_directory(tmp_path / "data"), LocalIdentity.in_directory(tmp_path / "data")
    assert first.kid == second.kid
    assert local_secret_key(tmp_path / "data").secret == local_secret_key(tmp_path / "data").secret
    for name in ("signing-key.pem", "secret-key"):
        assert (tmp_path / "data" / name).stat().st_mode & 0o777 == 0o600
    (tmp_path / "data" / "secret-key").chmod(0o644)
    with pytest.raises(SettingsError, match="can be read by others"):
        local_secret_key(tmp_path / "data")
    assert user_of_email("Ada@example.com") == user_of_email("ada@example.com") != user_of_email("bob@example.com")
