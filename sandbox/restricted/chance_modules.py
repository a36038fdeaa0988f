"""random, secrets, uuid and statistics for agents: all chance comes from the run's `Sources`."""

import base64
import hmac
import random
import statistics
import uuid
from collections.abc import Mapping
from typing import Any

from sandbox.restricted.guards import Guards
from sandbox.restricted.modules import plain_names
from sandbox.restricted.sources import Sources

_DEFAULT_TOKEN_BYTES = 32
_SEED_BYTES = 32

_RANDOM_FUNCTIONS = (
    "betavariate binomialvariate choice choices expovariate gammavariate gauss getrandbits getstate lognormvariate "
    "normalvariate paretovariate randbytes randint random randrange sample seed setstate shuffle triangular uniform "
    "vonmisesvariate weibullvariate"
)


def _classes(sources: Sources) -> tuple[type[random.Random], type[random.Random]]:
    class Random(random.Random):
        """`random.Random` that seeds itself from the run's sources when no seed is given."""

        __module__ = "random"

        def seed(self, a: Any = None, version: int = 2) -> None:
            super().seed(int.from_bytes(sources.random_bytes(_SEED_BYTES)) if a is None else a, version)

    class SystemRandom(random.Random):
        """`random.SystemRandom`: bits from the run's sources; no seed, no state."""

        __module__ = "random"

        def random(self) -> float:
            return (int.from_bytes(sources.random_bytes(7)) >> 3) * 2.0**-53

        def getrandbits(self, k: int) -> int:
            if k < 0:
                raise ValueError("number of bits must be non-negative")
            size = (k + 7) // 8
            return int.from_bytes(sources.random_bytes(size)) >> (size * 8 - k)

        def randbytes(self, n: int) -> bytes:
            return sources.random_bytes(n)

        def seed(self, *args: Any, **keywords: Any) -> None:
            return None

    return Random, SystemRandom


def random_module(guards: Guards, sources: Sources) -> Mapping[str, Any]:
    """The module's functions are those of one generator of this run: forked processes share no state."""
    own, system = _classes(sources)
    generator = own()
    functions = {name: getattr(generator, name) for name in _RANDOM_FUNCTIONS.split()}
    return {**functions, "Random": own, "SystemRandom": system}


def secrets_module(guards: Guards, sources: Sources) -> Mapping[str, Any]:
    _, system = _classes(sources)
    generator = system()

    def token_bytes(nbytes: int | None = None) -> bytes:
        return sources.random_bytes(_DEFAULT_TOKEN_BYTES if nbytes is None else nbytes)

    def token_hex(nbytes: int | None = None) -> str:
        return token_bytes(nbytes).hex()

    def token_urlsafe(nbytes: int | None = None) -> str:
        return base64.urlsafe_b64encode(token_bytes(nbytes)).rstrip(b"=").decode("ascii")

    def randbelow(exclusive_upper_bound: int) -> int:
        if exclusive_upper_bound <= 0:
            raise ValueError("Upper bound must be positive.")
        return generator.randrange(exclusive_upper_bound)

    return {
        "token_bytes": token_bytes,
        "token_hex": token_hex,
        "token_urlsafe": token_urlsafe,
        "randbelow": randbelow,
        "randbits": generator.getrandbits,
        "choice": generator.choice,
        "SystemRandom": system,
        "compare_digest": hmac.compare_digest,
    }


def uuid_module(guards: Guards, sources: Sources) -> Mapping[str, Any]:
    """No uuid1 and getnode: they tell the host's network address."""

    def uuid4() -> uuid.UUID:
        return uuid.UUID(bytes=sources.random_bytes(16), version=4)

    names = ("UUID", "uuid3", "uuid5", "NAMESPACE_DNS", "NAMESPACE_URL", "NAMESPACE_OID", "NAMESPACE_X500", "SafeUUID")
    return {**{name: getattr(uuid, name) for name in names}, "uuid4": uuid4}


def statistics_module(guards: Guards, sources: Sources) -> Mapping[str, Any]:
    class NormalDist(statistics.NormalDist):
        """`statistics.NormalDist` whose samples are the run's own chance."""

        __module__ = "statistics"
        __slots__ = ()

        def samples(self, n: Any, *, seed: Any = None) -> list[float]:
            chosen = int.from_bytes(sources.random_bytes(_SEED_BYTES)) if seed is None else seed
            return super().samples(n, seed=chosen)

    return {**plain_names("statistics"), "NormalDist": NormalDist}
