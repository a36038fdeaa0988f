"""The clock and chance of a run come from its sources, whatever way they are asked for."""

import hashlib
from typing import Any

import pytest

from sandbox.restricted.policy import RestrictedLanguage
from sandbox.restricted.sources import Sources

NOON = 1_718_452_800_000_000_000  # 2024-06-15 12:00 UTC


class Recorded(Sources):
    """The same run each time."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._asked = 0

    def time_ns(self) -> int:
        return NOON + 123_456_789

    def monotonic_ns(self) -> int:
        return 5_000_000_000

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def random_bytes(self, count: int) -> bytes:
        self._asked += 1
        return hashlib.shake_256(str(self._asked).encode()).digest(count)


def result_of(source: str, language: RestrictedLanguage) -> Any:
    namespace = language.globals(log=print, test=False)
    exec(language.compile(source), namespace)
    return namespace["result"]


@pytest.fixture(scope="module")
def replayed() -> RestrictedLanguage:
    return RestrictedLanguage(Recorded)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("time.time()", NOON / 1e9 + 0.123456789),
        ("time.time_ns()", NOON + 123456789),
        ("time.monotonic()", 5.0),
        ("time.perf_counter_ns()", 5_000_000_000),
        ("time.gmtime().tm_hour", 12),
        ("time.strftime('%Y')", "2024"),
        ("datetime.datetime.now(datetime.timezone.utc).isoformat()", "2024-06-15T12:00:00.123456+00:00"),
        ("datetime.datetime.now(tz=zoneinfo.ZoneInfo('Asia/Tokyo')).isoformat()", "2024-06-15T21:00:00.123456+09:00"),
        ("datetime.datetime.utcnow().isoformat()", "2024-06-15T12:00:00.123456"),
        ("getattr(datetime.datetime, 'utcnow')().hour", 12),
        ("datetime.datetime.today().year", 2024),
        ("datetime.date.today().isoformat()", "2024-06-15"),
        ("[f() for f in [datetime.date.today]][0].day", 15),
        ("Mine.utcnow().hour", 12),
        ("Made().when.month", 6),
        ("time.sleep(9999)", None),
    ],
)
def test_clock_is_the_runs_own(replayed: RestrictedLanguage, expression: str, value: Any) -> None:
    source = (
        "import datetime, time, zoneinfo\nfrom dataclasses import dataclass, field\n"
        "@dataclass\nclass Made:\n    when: datetime.datetime = field(default_factory=datetime.datetime.now)\n"
        "Mine = datetime.datetime\n"
    )
    assert result_of(f"{source}result = {expression}", replayed) == value


@pytest.mark.parametrize(
    "expression",
    [
        "random.random()",
        "random.sample(range(1000), 5)",
        "random.Random().getrandbits(100)",
        "random.SystemRandom().randrange(10**9)",
        "random.SystemRandom().shuffle(list(range(9)))",
        "[random.seed(), random.random()]",
        "secrets.token_hex()",
        "secrets.token_urlsafe(5)",
        "secrets.randbelow(10**6)",
        "secrets.choice('abcdef')",
        "str(uuid.uuid4())",
        "statistics.NormalDist().samples(3)",
    ],
)
def test_chance_can_be_replayed_and_is_chance_otherwise(replayed: RestrictedLanguage, expression: str) -> None:
    source = f"import random, secrets, statistics, uuid\nresult = repr({expression})"
    assert result_of(source, replayed) == result_of(source, replayed)


def test_real_sources_differ_from_run_to_run() -> None:
    language = RestrictedLanguage()
    source = "import random, secrets, uuid\nresult = (random.random(), secrets.token_hex(), str(uuid.uuid4()))"
    assert not set(result_of(source, language)) & set(result_of(source, language))
