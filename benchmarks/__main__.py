"""`python -m benchmarks [--quick]`: measure, print, write benchmarks/RESULTS.md. Exit code 1: a target is missed."""

import sys
from pathlib import Path
from typing import Final

import uvloop

from benchmarks import brokered, containers, generation, handover, http, ways
from benchmarks.brokered import Brokered
from benchmarks.containers import Containers
from benchmarks.generation import GENERATIONS, Beside
from benchmarks.handover import Handover
from benchmarks.host import running_host
from benchmarks.http import Pair
from benchmarks.measure import Target, machine, table
from benchmarks.provider import THINKS_SECONDS, Provider
from benchmarks.rivals import Absent
from benchmarks.ways import Ways

RESULTS: Final = Path(__file__).with_name("RESULTS.md")


def main() -> int:
    quick = "--quick" in sys.argv[1:]
    where = machine()
    print("measuring the engine ...", file=sys.stderr)
    engine = uvloop.run(handover.measure(rounds=50 if quick else 1000))
    print("measuring calls ...", file=sys.stderr)
    calls = uvloop.run(brokered.measure(rounds=3 if quick else 30))
    print("measuring HTTP ...", file=sys.stderr)
    with running_host() as host:
        pairs = uvloop.run(http.measure(host, requests=200 if quick else 4000))
        dry = uvloop.run(http.measure_dry(host, requests=100 if quick else 400))
    print("measuring ways into a database ...", file=sys.stderr)
    both = uvloop.run(ways.measure(requests=100 if quick else 2000))
    print("measuring runs beside generations ...", file=sys.stderr)
    provider = Provider()
    with running_host(**generation.settings(provider)) as host:
        beside = uvloop.run(generation.measure(host, provider, requests=200 if quick else 4000))
    print("measuring containers ...", file=sys.stderr)
    held = uvloop.run(containers.measure(rounds=10, turns=1) if quick else containers.measure(rounds=100))
    targets = reached(engine, calls, pairs, dry, held)
    text = report(where, engine, calls, [*pairs, dry], beside, both, held, targets)
    print(text)
    if not quick:
        RESULTS.write_text(text)
    return 0 if quick or all(target.met for target in targets) else 1


def reached(engine: Handover, calls: Brokered, pairs: list[Pair], dry: Pair, held: Containers | Absent) -> list[Target]:
    one = pairs[0]
    hand_over = engine.handover.p50
    return [
        Target("hand-over, of a bare fork-exit-wait", hand_over / engine.bare_fork.p50, 0.3),
        Target("hand-over, of `python -I -c pass`", hand_over / engine.python.p50, 1 / 25),
        Target("HTTP run, of the route that only authenticates", one.run.samples.p50 / one.against.samples.p50, 4),
        Target("brokered call, of a bare echo over the same wire", calls.broker.p50 / calls.echo.p50, 2),
        Target("dry run of four calls, of the live run", dry.run.samples.p50 / dry.against.samples.p50, 1),
        *([] if isinstance(held, Absent) else held.targets()),
    ]


def report(
    where: str,
    engine: Handover,
    calls: Brokered,
    pairs: list[Pair],
    beside: Beside,
    both: Ways | None,
    held: Containers | Absent,
    targets: list[Target],
) -> str:
    parts = [
        "# Results of `make bench`\n",
        "All figures of one page are from one run, measured in turns. Read ratios, not absolutes.\n",
        where,
        "## Targets\n\nRatios at p50, one in flight, where nothing else is said.\n",
        table(("ratio", "measured", "at most", ""), [target.row() for target in targets]),
        "## The engine\n\nMilliseconds. The agent greets by name; eight children are parked.\n",
        table(("what", "p50", "p99", "samples"), [samples.row() for samples in engine.samples()]),
        table(
            ("runs in flight", "runs per second"), [(str(n), f"{rate:.0f}") for n, rate in engine.per_second.items()]
        ),
        f"Bare fork-exit-wait, one after the other: {engine.bare_per_second:.0f} per second. "
        f"Start with self-test: {engine.start_ms:.0f} ms. {memory(engine)}\n",
        "## Calls\n\nFrom one call of a guest to its next, in milliseconds: what its façade, the wire and the host "
        "take together. The echo answers at once. The brokered call is validated, held against the manifest, answered "
        "by its twin out of memory, and leaves an effect with its recording; `kv.get` asks Postgres besides.\n",
        table(("what", "p50", "p99", "samples"), [samples.row() for samples in calls.samples()]),
        "## HTTP\n\nThe same agent with `GET /agents/{user_id}/hello?name=Ada`, recorded in the embedded Postgres, "
        "against `GET /limits`, which only authenticates; and an agent that sets, counts, notifies and gets, dry and "
        "live. Milliseconds; host and client share the machine.\n",
        table(("what", "p50", "p99", "per second"), [row for pair in pairs for row in http_rows(pair)]),
        "## Two ways into a database\n\nPostgres itself, and a Supabase project's REST interface: PostgREST behind a "
        "gateway, in front of the same Postgres, on the same machine. A row of one's own by its name, under row-level "
        "security, one in flight; and the same agent on two hosts that differ in their way alone. Milliseconds.\n",
        "PostgREST is not installed.\n" if both is None else table(("what", "p50", "p99", "per second"), both.rows()),
        "## Containers\n",
        f"There is no engine for them: {held}.\n" if isinstance(held, Absent) else held.section(),
        f"## Beside generations\n\nOne run in flight, alone and while {GENERATIONS} users have agents written, each "
        f"again and again: a provider that thinks for {THINKS_SECONDS:g} s, a draft that is refused and one that "
        f"is mended and tried. {beside.generations_per_second:.0f} generations a second went on. Milliseconds.\n",
        table(("what", "p50", "p99", "samples"), [samples.row() for samples in (beside.alone, beside.beside)]),
    ]
    return "\n".join(parts)


def memory(engine: Handover) -> str:
    found = engine.footprint
    if found is None:
        return "Memory of parked children: not readable for this user."
    child, zygote = found.child_private / 1024, found.zygote_rss / 1024
    return f"A parked child holds {child:.1f} MiB of its own, the zygote {zygote:.0f} MiB."


def http_rows(pair: Pair) -> list[tuple[str, ...]]:
    return [(*load.samples.row()[:3], f"{load.per_second:.0f}") for load in (pair.run, pair.against)]


if __name__ == "__main__":
    sys.exit(main())
