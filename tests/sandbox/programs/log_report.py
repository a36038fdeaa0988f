"""Reads log lines, groups them by hour and level, and keeps a running context manager."""

import itertools
import re
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone

PATTERN = re.compile(
    r"""
    ^(?P<when>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?P<zone>Z|[+-]\d\d:\d\d)?\s+
    (?P<level>[A-Z]+)\s+
    (?P<text>.*)$
    """,
    re.VERBOSE,
)


@contextmanager
def collecting(errors, name):
    errors.append(f"start {name}")
    try:
        yield errors.append
    except KeyError as error:
        errors.append(f"failed {error}")
    finally:
        errors.append(f"end {name}")


def parse(line):
    found = PATTERN.match(line)
    if found is None:
        return None
    groups = found.groupdict()
    zone = (groups["zone"] or "Z").replace("Z", "+00:00")
    when = datetime.fromisoformat(groups["when"] + zone).astimezone(timezone.utc)
    return when, groups["level"], groups["text"]


def run(lines: list[str]):
    entries = sorted(filter(None, map(parse, lines)))
    hours = {}
    for hour, group in itertools.groupby(entries, key=lambda entry: entry[0].strftime("%Y-%m-%d %H:00")):
        levels = hours.setdefault(hour, {})
        for _, level, _text in group:
            levels[level] = levels.get(level, 0) + 1
    notes = []
    with collecting(notes, "first") as note:
        note("inside")
        hours["no such hour"]
    with suppress(ZeroDivisionError), collecting(notes, "second"):
        1 / 0
    gaps = [b[0] - a[0] for a, b in itertools.pairwise(entries)]
    longest = max(gaps, default=timedelta(0))
    masked = [re.sub(r"\b\d{4,}\b", lambda m: "*" * len(m.group()), text) for _, _, text in entries]
    return {"hours": hours, "notes": notes, "longest": longest.total_seconds(), "masked": masked}


EXAMPLES = [
    {
        "lines": [
            "2024-05-01T10:15:00Z INFO user 12345 came",
            "2024-05-01T12:30:00+02:00 ERROR card 4444333322221111 refused",
            "garbage",
            "2024-05-01T11:00:00 INFO bye",
        ]
    },
    {"lines": []},
]
