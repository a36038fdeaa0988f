"""The sample agents, and for each a call with what comes of it in a dry run."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from service.commands.samples import DIRECTORY

TODAY = datetime.now(UTC).date()
BEFORE = [str(TODAY - timedelta(days=days)) for days in range(7)]
TABLE = """\
Name; E-Mail ;Since;Visits;Zip;e mail
Ada  Lovelace;ada@example.com;31.1.2026;12;01234;a@x.org
Grace Hopper ; ;2026-02-01;3;99999;
Ada Lovelace;ada@example.com;31.1.2026;12;01234;a@x.org
;;;;;

Alan Turing;alan@example.com
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An input, the output and the calls: (service.action, granted, performed, source)."""

    input: dict[str, Any] = field(default_factory=dict)
    output: Any
    calls: list[tuple[str, bool, bool, str]] = field(default_factory=list)


EXAMPLES = {
    "csv_cleaner": Example(
        input={"text": TABLE, "required": ["e_mail"]},
        output={
            "columns": {
                "name": "text",
                "e_mail": "text",
                "since": "date",
                "visits": "integer",
                "zip": "text",
                "e_mail_2": "text",
            },
            "rows": [
                {
                    "name": "Ada Lovelace",
                    "e_mail": "ada@example.com",
                    "since": "2026-01-31",
                    "visits": 12,
                    "zip": "01234",
                    "e_mail_2": "a@x.org",
                }
            ],
            "csv": "name,e_mail,since,visits,zip,e_mail_2\nAda Lovelace,ada@example.com,2026-01-31,12,01234,a@x.org\n",
            "report": {
                "rows_read": 6,
                "empty": 2,
                "repeated": 1,
                "wrong_length": [{"row": 6, "fields": 2}],
                "incomplete": [{"row": 2, "missing": ["e_mail"]}],
                "rows_kept": 1,
            },
        },
    ),
    "habit_tracker": Example(
        input={"habit": " Reading "},
        output={"habit": "reading", "done_today": True, "streak": 1, "longest": 1, "days": 1},
        calls=[("kv.get", True, True, "live"), ("kv.set", True, False, "simulated")],
    ),
    "lead_digest": Example(
        input={"min_score": 80},
        output={"leads": 2, "best": "Ada Lovelace", "mailed": True},
        calls=[
            ("db.select", True, True, "live"),
            ("llm.complete", True, False, "fixture"),
            ("email.send", True, False, "simulated"),
        ],
    ),
    "research_helper": Example(
        output={
            "topic": "Turing machine",
            "notes": [
                {
                    "title": title,
                    "summary": "A summary as a model would write it.",
                    "points": ["The first point.", "The second point."],
                    "source": f"https://en.wikipedia.org/?curid={page}",
                }
                for title, page in (("Turing machine", 30403), ("Alan Turing", 1208))
            ],
        },
        calls=[
            ("http.request", True, False, "fixture"),
            ("agents.run", True, False, "simulated"),
            ("agents.run", True, False, "simulated"),
        ],
    ),
    "site_checker": Example(
        output={
            "looked_at": 2,
            "down": ["https://www.iana.org/"],
            "changes": ["https://www.iana.org/ is down: status 503"],
        },
        calls=[
            ("kv.get", True, True, "live"),
            ("http.request", True, False, "fixture"),
            ("kv.set", True, False, "simulated"),
            ("kv.get", True, True, "live"),
            ("http.request", True, False, "fixture"),
            ("kv.set", True, False, "simulated"),
            ("notify.send", True, False, "simulated"),
        ],
    ),
    "summarise": Example(
        input={"text": "It is long."},
        output={"summary": "A summary as a model would write it.", "points": ["The first point.", "The second point."]},
        calls=[("llm.complete", True, False, "fixture")],
    ),
    "unanswered_issues": Example(
        input={"repository": "o/r"},
        output={
            "repository": "o/r",
            "unanswered": [{"number": 12, "title": "It crashes", "url": "https://github.com/o/r/issues/12"}],
        },
        calls=[
            ("secrets.ref", True, True, "live"),
            ("http.request", True, False, "fixture"),
            ("notify.send", True, False, "simulated"),
        ],
    ),
}


def code_of(name: str) -> str:
    return DIRECTORY.joinpath(f"{name}.py").read_text()
