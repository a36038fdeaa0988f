"""An identity provider: signs tokens as Supabase does and publishes its keys over HTTP."""

import asyncio
import base64
import json
import time
from typing import Any, Final
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fastapi import FastAPI, Request, Response
from starlette.datastructures import Headers

USER: Final = UUID("7b1c8a3e-0a52-4a57-9e6e-0d8d0b5d7c11")
KEYS_PATH: Final = "/auth/v1/.well-known/jwks.json"


class Issuer:
    """Keys by id, and how its endpoint behaves: `down` answers 500, `answer` replaces the set, `gate` holds it back."""

    def __init__(self) -> None:
        self.private: dict[str, Any] = {
            "ec": ec.generate_private_key(ec.SECP256R1()),
            "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "ed": ed25519.Ed25519PrivateKey.generate(),
        }
        self.url = ""
        self.down = False
        self.answer: Response | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[Headers] = []
        self.app = FastAPI()
        self.app.add_api_route(KEYS_PATH, self.endpoint)

    @property
    def fetches(self) -> int:
        return len(self.asked)

    async def endpoint(self, request: Request) -> Response:
        self.asked.append(request.headers)
        await self.gate.wait()
        if self.down:
            return Response("nothing here", status_code=500)
        if self.answer is not None:
            return self.answer
        return Response(json.dumps(self.jwks()), media_type="application/json")

    def jwks(self) -> dict[str, Any]:
        entries = [published(kid, key) for kid, key in self.private.items()]
        return {"keys": [*entries, {"kty": "oct", "kid": "shared", "alg": "HS256", "k": base64url(b"k" * 32)}, "junk"]}

    @property
    def issuer(self) -> str:
        return f"{self.url}/auth/v1"

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What Supabase says of a user; a change to ... takes a claim away."""
        claims = {
            "iss": self.issuer,
            "aud": "authenticated",
            "role": "authenticated",
            "sub": str(USER),
            "email": "ada@example.com",
            "phone": "",
            "aal": "aal1",
            "amr": [{"method": "password", "timestamp": int(time.time())}],
            "session_id": "4f3c7b0e-64a6-4a8e-8a1c-5d3a40f8f6e2",
            "app_metadata": {"provider": "email", "providers": ["email"]},
            "user_metadata": {"email_verified": True},
            "is_anonymous": False,
            "iat": int(time.time()),
            "exp": int(time.time()) + 600,
        } | changes
        return {name: value for name, value in claims.items() if value is not ...}

    def token(self, kid: str = "ec", *, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        algorithm = {"ec": "ES256", "rsa": "RS256", "ed": "EdDSA"}[kid[:3].rstrip("0123456789")]
        return jwt.encode(
            self.claims(**changes), self.private[kid], algorithm=algorithm, headers={"kid": kid, **(headers or {})}
        )


def published(kid: str, key: Any) -> dict[str, Any]:
    """The public half of a key, as Supabase publishes it."""
    algorithm = {"EC": "ES256", "RSA": "RS256", "OKP": "EdDSA"}
    public = json.loads(_algorithm(key).to_jwk(key.public_key()))
    return {**public, "kid": kid, "alg": algorithm[public["kty"]], "use": "sig", "key_ops": ["verify"], "ext": True}


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_hand(header: Any, payload: bytes, signature: bytes = b"") -> str:
    """A token that no library would make."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return ".".join(base64url(part) for part in (raw, payload, signature))


def _algorithm(key: Any) -> Any:
    match key:
        case ec.EllipticCurvePrivateKey():
            return jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
        case rsa.RSAPrivateKey():
            return jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
        case _:
            return jwt.algorithms.OKPAlgorithm()
