"""Makes a digest of leads out of CSV text."""

import csv
import io
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from enum import Enum


class Stage(Enum):
    NEW = "new"
    WON = "won"
    LOST = "lost"

    @classmethod
    def parse(cls, text):
        try:
            return cls(text.strip().lower())
        except ValueError:
            return cls.NEW


@dataclass(order=True)
class Lead:
    since: date
    name: str = field(compare=False)
    stage: Stage = field(default=Stage.NEW, compare=False)
    tags: list[str] = field(default_factory=list, compare=False)

    @property
    def open(self) -> bool:
        return self.stage is Stage.NEW


def parse(text):
    with io.StringIO(text) as stream:
        for row in csv.DictReader(stream):
            since = datetime.strptime(row["since"], "%d.%m.%Y").date()
            yield Lead(since, row["name"].title(), Stage.parse(row["stage"]), [t for t in row["tags"].split("|") if t])


def run(text: str, today: str = "2024-03-01"):
    now = date.fromisoformat(today)
    leads = sorted(parse(text))
    rows = []
    for number, lead in enumerate(leads, start=1):
        days = (now - lead.since).days
        rows.append({**asdict(lead), "number": number, "days": days, "open": lead.open})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", "days"])
    writer.writerows([r["name"], r["days"]] for r in rows)
    for r in rows:
        r["stage"] = r["stage"].name
        r["since"] = r["since"].isoformat()
    return {"rows": rows, "csv": out.getvalue()}


EXAMPLES = [{"text": "name,since,stage,tags\nada,01.02.2024,won,a|b\ngrace,15.01.2024,?,\n"}]
