"""Keys of tokens: which of a set are used, how long, and those that a host makes for itself."""

from pathlib import Path
from typing import Any

import pytest

from service.keys import parse_jwks
from service.local import LocalIdentity, local_secret_key, user_of_email
from service.settings import SettingsError
from tests.service.issuer import Issuer, base64url, published


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


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"alg": "RS256"},
        {"alg": "HS256"},
        {"alg": None},
        {"crv": "P-384"},
        {"kid": 7},
        {"d": base64url(b"d" * 32)},
        {"k": base64url(b"k" * 32)},
    ],
    ids=str,
)
def test_a_key_that_is_not_for_verifying_or_not_public_is_passed_over(change: dict[str, Any]) -> None:
    good = published("x", Issuer().private["ec"])
    assert len(parse_jwks({"keys": [good]})) == 1
    assert len(parse_jwks({"keys": [{**good, **change}]})) == 0


def test_an_id_that_stands_for_two_keys_stands_for_none() -> None:
    first, second = Issuer().private["ec"], Issuer().private["ec"]
    keys = parse_jwks({"keys": [published("x", first), published("y", first), published("x", second)]})
    assert keys.find("x") is None
    assert keys.find("y") is not None


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": "x"}, {"keys": [{}] * 101}])
def test_what_is_no_key_set_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r"no list of keys|too many keys"):
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
