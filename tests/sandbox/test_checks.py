"""What an engine remembers of sources: all of it is weighed, and it answers for nothing else."""

import asyncio
import tracemalloc

import pytest

from sandbox.checks import _weight
from tests.sandbox.test_jail import started

AGENT = "def run():\n    return 1\n"
SOURCES = {
    "metadata": "# /// agent\n# a = [" + "{}," * 80_000 + "]\n# ///\n" + AGENT,
    "refused, with metadata": "# /// agent\n# a = [" + "[]," * 80_000 + "]\n# ///\n",
    "texts": "# /// agent\n# a = '" + "é" * 100_000 + "'\n# ///\n" + AGENT,
    "problems": "".join(f"import nothing{number}\n" for number in range(1000)) + AGENT,
    "schema": f"def run({', '.join(f'a{number}: int = {number}' for number in range(200))}):\n    return 1\n",
    "services": "def run(services):\n" + "".join(f"    services.kv.get('key{number}')\n" for number in range(3000)),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
async def test_whatever_is_kept_of_a_source_is_weighed(source: str) -> None:
    async with started() as engine:
        await engine.check(AGENT)
        weighed = engine._checks._cache_bytes
        tracemalloc.start()
        try:
            checked = await engine.check(source)
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert checked.metadata or checked.problems or checked.code
        assert kept - 10_000 < engine._checks._cache_bytes - weighed < 3 * kept + 10_000


async def test_what_is_checked_is_counted_once() -> None:
    async with started() as engine:
        for number in range(3):
            source = f"def run():\n    return {number}\n"
            await asyncio.gather(*(engine.check(source) for _ in range(20)))
        assert len(engine._checks._cache) == 3
        assert engine._checks._cache_bytes == sum(map(_weight, engine._checks._cache.values()))
