"""Tokens over real HTTP: the true ones are believed, and every known way to forge one is refused alike."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.app import create_app
from service.operations.readiness import REMEMBER_SECONDS
from service.settings import Settings
from tests.service.issuer import Issuer, base64url, by_hand
from tests.service.served import AbsentDatabase, bearer, client, served

SECRET = "a-shared-secret-of-more-than-32-bytes"


@dataclass
class Project:
    """A host that believes an issuer."""

    issuer: Issuer
    http: httpx.AsyncClient

    async def status(self, token: str) -> int:
        return (await self.http.get("/limits", headers=bearer(token))).status_code


@asynccontextmanager
async def believing(directory: Path) -> AsyncIterator[Project]:
    issuer = Issuer()
    async with served(issuer.app) as issuer.url:
        settings = Settings(supabase_url=issuer.url, data_dir=directory)
        app = create_app(settings, database=AbsentDatabase(), engines={})
        async with served(app) as url, client(url) as http:
            yield Project(issuer, http)


@pytest.fixture(scope="session")
async def project(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Project]:
    """One for all tests that only send tokens."""
    async with believing(tmp_path_factory.mktemp("project")) as project:
        yield project


@pytest.fixture
async def own_project(tmp_path: Path) -> AsyncIterator[Project]:
    """One for a test that changes its issuer."""
    async with believing(tmp_path) as project:
        yield project


@pytest.mark.parametrize("kid", ["ec", "rsa", "ed"])
async def test_a_true_token_of_each_kind_of_key_is_believed(project: Project, kid: str) -> None:
    assert await project.status(project.issuer.token(kid)) == 200


async def test_the_scheme_is_case_insensitive(project: Project) -> None:
    token = project.issuer.token()
    for scheme in ("bearer", "BEARER", "BeArEr"):
        assert (await project.http.get("/limits", headers={"Authorization": f"{scheme} {token}"})).status_code == 200


def tampered(issuer: Issuer) -> str:
    head, _, signature = issuer.token().split(".")
    return ".".join(
        [head, base64url(json.dumps(issuer.claims(sub="0" * 8 + str(issuer.claims()["sub"])[8:])).encode()), signature]
    )


def signed_with_the_public_key(issuer: Issuer) -> str:
    public = (
        issuer.private["rsa"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return hs256(issuer, public, {"alg": "HS256", "typ": "JWT", "kid": "rsa"})


def hs256(issuer: Issuer, secret: bytes, header: dict[str, Any], **changes: Any) -> str:
    signed = by_hand(header, json.dumps(issuer.claims(**changes)).encode()).rpartition(".")[0]
    return f"{signed}.{base64url(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def of_another_key(issuer: Issuer) -> str:
    other = Issuer()
    other.url = issuer.url
    return other.token()


def with_its_own_key(issuer: Issuer) -> str:
    other = Issuer()
    other.url = issuer.url
    return other.token(headers={"jwk": other.jwks()["keys"][0], "jku": "https://evil.example/jwks"})


def deep(issuer: Issuer) -> str:
    return by_hand(b'{"alg":"ES256","kid":"ec","x":' + b"[" * 5000 + b"]" * 5000 + b"}", b"{}", b"x" * 64)


FORGERIES: dict[str, Callable[[Issuer], str]] = {
    "expired": lambda issuer: issuer.token(exp=1_600_000_000),
    "expiring this second": lambda issuer: issuer.token(exp=issuer.claims()["iat"]),
    "without exp": lambda issuer: issuer.token(exp=...),
    "exp that is not a number": lambda issuer: by_hand({"alg": "ES256"}, b'{"exp": "9999999999"}', b"x" * 64),
    "exp beyond time": lambda issuer: issuer.token(exp=1e300),
    "not valid yet": lambda issuer: issuer.token(nbf=issuer.claims()["exp"]),
    "anon role": lambda issuer: issuer.token(role="anon"),
    "service role": lambda issuer: issuer.token(role="service_role"),
    "without role": lambda issuer: issuer.token(role=...),
    "anonymous sign-in": lambda issuer: issuer.token(is_anonymous=True),
    "anonymous sign-in in other words": lambda issuer: issuer.token(is_anonymous="true"),
    "wrong audience": lambda issuer: issuer.token(aud="other"),
    "wrong audiences": lambda issuer: issuer.token(aud=["other", 1, None]),
    "without audience": lambda issuer: issuer.token(aud=...),
    "wrong issuer": lambda issuer: issuer.token(iss="https://evil.example/auth/v1"),
    "without issuer": lambda issuer: issuer.token(iss=...),
    "without sub": lambda issuer: issuer.token(sub=...),
    "sub that is no UUID": lambda issuer: issuer.token(sub="ada"),
    "sub in braces": lambda issuer: issuer.token(sub="{7b1c8a3e-0a52-4a57-9e6e-0d8d0b5d7c11}"),
    "sub with SQL": lambda issuer: issuer.token(sub="7b1c8a3e-0a52-4a57-9e6e-0d8d0b5d7c11' or '1'='1"),
    "NUL in a claim": lambda issuer: issuer.token(user_metadata={"name": "a\x00b"}),
    "tampered": tampered,
    "alg none": lambda issuer: by_hand({"alg": "none", "kid": "ec"}, json.dumps(issuer.claims()).encode()),
    "alg None, signed": lambda issuer: by_hand(
        {"alg": "None", "kid": "ec"}, json.dumps(issuer.claims()).encode(), b"x" * 64
    ),
    "HS256 with the public key": signed_with_the_public_key,
    "HS256 with a published shared key": lambda issuer: hs256(issuer, b"k" * 32, {"alg": "HS256", "kid": "shared"}),
    "HS256 with the legacy secret": lambda issuer: hs256(issuer, SECRET.encode(), {"alg": "HS256", "kid": "legacy"}),
    "HS256 with nothing": lambda issuer: hs256(issuer, b"", {"alg": "HS256", "kid": "ec"}),
    "key of another": of_another_key,
    "key brought along": with_its_own_key,
    "ES256 claimed of an RSA key": lambda issuer: issuer.token("ec", headers={"kid": "rsa"}),
    "kid unknown": lambda issuer: issuer.token(headers={"kid": "nobody's"}),
    "kid that is no text": lambda issuer: by_hand({"alg": "ES256", "kid": {"$ne": 1}}, b"{}", b"x" * 64),
    "kid missing among several": lambda issuer: by_hand(
        {"alg": "ES256"}, json.dumps(issuer.claims()).encode(), b"x" * 64
    ),
    "critical extension": lambda issuer: issuer.token(headers={"crit": ["exp"]}),
    "payload that is a list": lambda issuer: by_hand({"alg": "ES256", "kid": "ec"}, b"[]", b"x" * 64),
    "oversized": lambda issuer: issuer.token(padding="x" * 8192),
    "nested": deep,
    "two parts": lambda issuer: issuer.token().rpartition(".")[0],
    "four parts": lambda issuer: issuer.token() + ".x",
    "empty parts": lambda issuer: "..",
    "not base64": lambda issuer: "!.!.!",
    "not a token": lambda issuer: "hello",
    "publishable key": lambda issuer: "sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH",
    "secret key": lambda issuer: "sb_secret_N7UND0UgjKTVK-Uodkm0Hg_xSvEMPvz",
    "anon key": lambda issuer: hs256(
        issuer, SECRET.encode(), {"alg": "HS256"}, iss="supabase", role="anon", sub=..., aud=...
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_token_is_refused_and_told_nothing(project: Project, name: str) -> None:
    answer = await project.http.get("/limits", headers=bearer(FORGERIES[name](project.issuer)))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (401, "invalid_token")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    expired = name in ("expired", "expiring this second")
    assert problem["detail"] == ("The token is expired." if expired else "The token is not valid.")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", "Basic YTpi")],
        [("Authorization", "Token TRUE")],
        [("Authorization", "Bearer TRUE"), ("Authorization", "Bearer TRUE")],
        [("Authorization", "Bearer TRUE TRUE")],
        [("Authorization", "Bearer TRUE, Bearer TRUE")],
        [("Cookie", "token=TRUE")],
        [("Authorization", "Bearer \xff\xfe")],
    ],
    ids=[
        "none",
        "empty",
        "only scheme",
        "basic",
        "other scheme",
        "twice",
        "two",
        "list",
        "cookie",
        "bytes",
    ],
)
async def test_only_one_bearer_token_in_the_header_counts(project: Project, headers: list[tuple[str, str]]) -> None:
    token = project.issuer.token()
    raw = [(name.encode(), value.replace("TRUE", token).encode("latin-1")) for name, value in headers]
    answer = await project.http.get("/limits", headers=raw)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


async def test_a_token_in_the_query_does_not_count(project: Project) -> None:
    answer = await project.http.get("/limits", params={"access_token": project.issuer.token()})
    assert answer.status_code == 401


async def test_a_new_key_is_fetched_once_and_a_gone_one_is_gone(own_project: Project) -> None:
    project, issuer = own_project, own_project.issuer
    assert await project.status(issuer.token()) == 200
    fetched = issuer.fetches
    for _ in range(5):
        assert await project.status(issuer.token(headers={"kid": "unknown"})) == 401
    assert issuer.fetches - fetched <= 1


async def test_keys_serve_on_while_the_endpoint_is_down_and_ready_says_since_when(own_project: Project) -> None:
    project = own_project
    ready = (await project.http.get("/ready")).json()
    assert ready["keys"] == {"state": "ready", "since": None}
    project.issuer.down = True
    assert await project.status(project.issuer.token()) == 200
    answer = await project.http.get("/limits", headers=bearer(project.issuer.token(headers={"kid": "new"})))
    assert (answer.status_code, answer.json()["code"]) == (503, "keys_unavailable"), "it may be a key that is new"
    assert await project.status(project.issuer.token()) == 200
    await asyncio.sleep(REMEMBER_SECONDS)
    answer = await project.http.get("/ready")
    assert answer.json()["keys"]["state"] == "stale"
    assert datetime.fromisoformat(answer.json()["keys"]["since"]) < datetime.now(UTC)
    assert "keys" not in answer.json()["detail"], "stale keys are no reason to send nobody here"


async def test_without_any_key_the_host_says_that_it_cannot_check(tmp_path: Path) -> None:
    issuer = Issuer()
    issuer.down = True
    async with served(issuer.app) as issuer.url:
        app = create_app(Settings(supabase_url=issuer.url, data_dir=tmp_path), database=AbsentDatabase(), engines={})
        async with served(app) as url, client(url) as http:
            answer = await http.get("/limits", headers=bearer(issuer.token()))
            assert (answer.status_code, answer.json()["code"]) == (503, "keys_unavailable")
            assert "retry-after" in answer.headers
            ready = (await http.get("/ready")).json()
            assert ready["keys"] == {"state": "unavailable", "since": None}
            assert "keys" in ready["detail"]


async def test_the_issuer_may_have_another_name_than_the_project(tmp_path: Path) -> None:
    issuer, name = Issuer(), "https://auth.example.com/auth/v1"
    async with served(issuer.app) as issuer.url:
        settings = Settings(supabase_url=issuer.url, supabase_jwt_issuer=name, data_dir=tmp_path)
        async with served(create_app(settings, database=AbsentDatabase(), engines={})) as url, client(url) as http:
            project = Project(issuer, http)
            assert await project.status(issuer.token(iss=name)) == 200
            assert await project.status(issuer.token()) == 401


async def test_anonymous_sign_ins_are_let_in_where_the_operator_says_so(tmp_path: Path) -> None:
    issuer = Issuer()
    async with served(issuer.app) as issuer.url:
        settings = Settings(supabase_url=issuer.url, allow_anonymous=True, data_dir=tmp_path)
        async with served(create_app(settings, database=AbsentDatabase(), engines={})) as url, client(url) as http:
            answer = await http.get("/limits", headers=bearer(issuer.token(is_anonymous=True)))
            assert answer.status_code == 200


async def test_with_a_shared_secret_only_hs256_under_it_counts(tmp_path: Path) -> None:
    issuer = Issuer()
    async with served(issuer.app) as issuer.url:
        settings = Settings.model_validate(
            {"SUPABASE_URL": issuer.url, "SUPABASE_JWT_SECRET": SECRET, "data_dir": tmp_path}
        )
        async with served(create_app(settings, database=AbsentDatabase(), engines={})) as url, client(url) as http:
            project = Project(issuer, http)
            head = {"alg": "HS256", "typ": "JWT"}
            assert await project.status(hs256(issuer, SECRET.encode(), head)) == 200
            assert await project.status(hs256(issuer, SECRET.encode(), head, exp=1)) == 401
            assert await project.status(hs256(issuer, SECRET.encode(), head, iss="other")) == 401
            assert await project.status(hs256(issuer, b"another secret", head)) == 401
            assert await project.status(hs256(issuer, SECRET.encode(), {"alg": "HS512"})) == 401
            assert await project.status(issuer.token("ec")) == 401
            assert await project.status(issuer.token("rsa")) == 401
            assert issuer.fetches == 0


async def test_rotation_a_new_key_counts_and_the_old_one_until_it_leaves_the_set(own_project: Project) -> None:
    project, issuer = own_project, own_project.issuer
    issuer.private["ec2"] = ec.generate_private_key(ec.SECP256R1())
    assert await project.status(issuer.token("ec")) == 200
    assert await project.status(issuer.token("ec2")) == 200
    assert await project.status(issuer.token("ec")) == 200
