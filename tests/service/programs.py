"""Small agents for every action of every service: what succeeds, what fails, loops, several services, and children.

A program is the body of `run`, where each service is a name and `attempt` gives a call's answer or its error's name.
"""

from dataclasses import dataclass, field
from textwrap import indent
from typing import Any, Final

SITE: Final = "sink.example.com"
ELSEWHERE: Final = "elsewhere.example.com"
OPERATORS: Final = "*@acme.example"
"""To whom the operator lets everybody write."""

PRELUDE: Final = """\
def attempt(call, *args, **options):
    try:
        return call(*args, **options)
    except Exception as error:
        print(type(error).__name__, error)
        return type(error).__name__


SIGNATURE
    http, llm, kv, db = services.http, services.llm, services.kv, services.db
    email, notify, agents, secrets = services.email, services.notify, services.agents, services.secrets
    site = "http://SITE:PORT"
"""

VERBS: Final = ["select", "insert", "update", "delete"]
GRANTED: Final[dict[str, Any]] = {
    "http": {
        "hosts": [SITE, f"{SITE}:8089"],
        "methods": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        "schemes": ["http"],
    },
    "llm": {},
    "kv": {},
    "db": {"tables": dict.fromkeys(("leads", "notes", "journal", "nowhere"), VERBS)},
    "email": {"to": ["me", "*@acme.example", "eve@example.com"]},
    "notify": {},
    "agents": {"names": ["echo", "actor", "failing", "self", "nobody"]},
    "secrets": {"names": ["KEY", "BOUND_ELSEWHERE", "BOUND_TO_TLS", "ABSENT"]},
}


@dataclass(frozen=True, slots=True)
class Program:
    """`moves` is what a live run changes in the world: "web", "mail", "model", "rows". A dry run changes nothing."""

    body: str
    moves: set[str] = field(default_factory=set)
    grants: dict[str, Any] = field(default_factory=lambda: GRANTED)
    signature: str = "def run(services):"

    def code(self, port: int) -> str:
        text = f"{PRELUDE}{indent(self.body.strip(), '    ')}\n"
        for name, value in {"SIGNATURE": self.signature, "SITE": SITE, "PORT": port}.items():
            text = text.replace(name, str(value))
        return text

    def capabilities(self, port: int) -> dict[str, Any]:
        """The grants, with the port of the server."""
        http = self.grants.get("http", {})
        hosts = [host if ":" in host else f"{host}:{port}" for host in http.get("hosts", ())]
        return self.grants | ({"http": http | {"hosts": hosts}} if http else {})


def without(service: str, **narrowed: Any) -> dict[str, Any]:
    """Everything granted, but for this service no more than `narrowed`; nothing of it when that is empty."""
    rest = {name: grant for name, grant in GRANTED.items() if name != service}
    return rest | ({service: narrowed} if narrowed else {})


WEB: Final = {"web"}
ROWS: Final = {"rows"}
MAIL: Final = {"mail", "rows"}  # the row is the day's count
MODEL: Final = {"model", "rows"}

HTTP: Final = {
    "get": Program('http.get(site + "/a")', WEB),
    "get with params and headers": Program(
        'return http.get(site, params={"q": ["a b", 1], "none": None}, headers={"X-Mine": "1"}).ok', WEB
    ),
    "post json": Program('http.post(site + "/a", json={"n": [1, None, "ü"]})', WEB),
    "post form": Program('http.post(site + "/a", data={"n": "1"})', WEB),
    "put text": Program('http.put(site + "/a", data="text", timeout=2)', WEB),
    "patch": Program('http.patch(site + "/a", json=1)', WEB),
    "delete": Program('http.delete(site + "/a")', WEB),
    "head": Program('http.request("HEAD", site + "/a")', WEB),
    "get in a loop": Program("for number in range(4):\n    http.get(f'{site}/{number}')", WEB),
    "a redirect": Program('http.get(site + "/redirect")', WEB),
    "an error of the server": Program('http.get(site + "/error")', WEB),
    "a server that breaks off": Program('attempt(http.get, site + "/broken")', WEB),
    "an address that is not public": Program('attempt(http.get, "http://sink.example.com:8089/")', WEB),
    "a host that is not granted": Program('return attempt(http.get, "http://elsewhere.example.com/")'),
    "a scheme that is not granted": Program('return attempt(http.get, "https://sink.example.com/")'),
    "a method that is not granted": Program(
        "return attempt(http.post, site, json={})", grants=without("http", hosts=[SITE], schemes=["http"])
    ),
    "http without a grant": Program("http.get(site)", grants=without("http")),
    "urls that are none": Program(
        "return [attempt(http.get, url) for url in"
        ' ("", "ftp://a.b/", "http://", "http://a\\nb/", "http://u:p@a.b/", 7)]'
    ),
    "wrong options": Program(
        'return [attempt(http.post, site, json=1, data="a"), attempt(http.get, site, timeout=-1),'
        ' attempt(http.get, site, headers={"Host": "a"}), attempt(http.request, "BREW", site)]'
    ),
    "a body that is too large": Program('return attempt(http.post, site, data="x" * 40_000)'),
}

LLM: Final = {
    "complete": Program('llm.complete("Hello")', MODEL),
    "complete with everything": Program(
        'llm.complete("Hello", system="Be kind.", model="other", temperature=0.5, max_tokens=50)', MODEL
    ),
    "complete in a loop": Program(
        'for number in range(3):\n    llm.complete(f"Number {number}", max_tokens=10)', MODEL
    ),
    "complete to a schema": Program(
        'return llm.complete("Ready?", schema={"type": "object", "properties": {"ready": {"type": "boolean"}},'
        ' "required": ["ready"]})["ready"] in (True, False)',
        MODEL,
    ),
    "a schema that is none": Program('return attempt(llm.complete, "Hello", schema={"type": "poem"})'),
    "questions that are none": Program(
        'return [attempt(llm.complete, ""), attempt(llm.complete, 7), attempt(llm.complete, "a", temperature=9),'
        ' attempt(llm.complete, "a", max_tokens=0), attempt(llm.complete, "a", model="\\n")]'
    ),
    "a question larger than the grant": Program(
        'return attempt(llm.complete, "word " * 500)', grants=without("llm", max_tokens_per_run=100)
    ),
    "llm without a grant": Program('return attempt(llm.complete, "Hello")', grants=without("llm")),
}

KV: Final = {
    "get": Program('return [kv.get("seeded"), kv.get("absent"), kv.get("absent", 7)]'),
    "set": Program('kv.set("a", {"deep": [1, None, "ü"]})', ROWS),
    "set over": Program('kv.set("seeded", None)\nreturn kv.get("seeded", "gone")', ROWS),
    "set with a time to live": Program('kv.set("a", 1, ttl_seconds=60)\nreturn kv.list()', ROWS),
    "delete": Program('return [kv.delete("seeded"), kv.delete("seeded"), kv.get("seeded")]', ROWS),
    "delete what is absent": Program('return kv.delete("absent")'),
    "list": Program('return [kv.list(), kv.list(prefix="se", limit=1), kv.list("x")]'),
    "increment": Program('return [kv.increment("n"), kv.increment("n", 2.5), kv.increment("n", by=-10)]', ROWS),
    "increment a text": Program('return attempt(kv.increment, "seeded")'),
    "its own writes": Program(
        'for number in range(8):\n    kv.set(f"k{number % 3}", number)\nkv.delete("k1")\n'
        'return [kv.list(), kv.get("k2")]',
        ROWS,
    ),
    "keys and values that are none": Program(
        'return [attempt(kv.set, "", 1), attempt(kv.set, "k" * 600, 1), attempt(kv.set, "k", float("nan")),'
        ' attempt(kv.set, "k", {1}), attempt(kv.get, 7), attempt(kv.set, "k", "x" * 70_000), attempt(kv.list, limit=0)]'
    ),
    "kv without a grant": Program('kv.set("a", 1)', grants=without("kv")),
}

DB: Final = {
    "select": Program('return [row["name"] for row in db.select("leads")]'),
    "select a part": Program(
        'return db.select("leads", columns=["name", "score"], where={"score": {"gte": 10}, "email": {"in": ["a@b.c"]}},'
        ' order=["score desc", "name"], limit=2)'
    ),
    "insert": Program('return db.insert("leads", {"name": "Ada", "extra": {"a": [1]}})[0]["done"]', ROWS),
    "insert several": Program('return len(db.insert("leads", [{"name": "a"}, {"name": "b"}, {"name": "c"}]))', ROWS),
    "insert nothing": Program('return db.insert("leads", [])'),
    "update": Program('return len(db.update("leads", {"score": 99}, where={"name": "seeded"}))', ROWS),
    "update nothing": Program('return db.update("leads", {"score": 99}, where={"name": "absent"})'),
    "delete": Program('return len(db.delete("leads", where={"name": {"like": "seed%"}}))', ROWS),
    "its own writes": Program(
        'db.insert("leads", {"name": "a", "score": 1})\ndb.update("leads", {"score": 2}, where={"name": "a"})\n'
        'db.delete("leads", where={"name": "seeded"})\n'
        'return [[row["score"] for row in db.select("leads")], len(db.select("journal"))]',
        ROWS,
    ),
    "a row twice": Program(
        'row = {"name": "a", "email": "a@example.com"}\n'
        'return [len(db.insert("leads", row)), attempt(db.insert, "leads", row), len(db.select("leads"))]',
        ROWS,
    ),
    "rows that constraints refuse": Program(
        'return [attempt(db.insert, "leads", row) for row in'
        ' ({"name": "a", "score": -1}, {"name": None}, {"name": "forbidden"}, {"name": "a", "due": "never"})]'
    ),
    "a constraint that waits for the end": Program('return attempt(db.insert, "notes", {"lead_id": 12345})'),
    "what the table does not have": Program(
        'return [attempt(db.select, "leads", columns=["secret"]), attempt(db.select, "nowhere"),'
        ' attempt(db.insert, "leads", {"nothing": 1}), attempt(db.select, "leads", order="name; drop table leads")]'
    ),
    "changes without a condition": Program(
        'return [attempt(db.update, "leads", {"score": 1}, where={}), attempt(db.delete, "leads", where={}),'
        ' attempt(db.delete, "leads", where={"name": {"is not": None}})]'
    ),
    "tables of the host": Program(
        "return [attempt(db.select, table) for table in"
        ' ("agents", "agenthost.agents", "pg_catalog.pg_tables", "runs")]',
        grants=without("db", tables=dict.fromkeys(("agents", "runs"), VERBS)),
    ),
    "a verb that is not granted": Program(
        'return [attempt(db.delete, "leads", where={"name": "seeded"}), attempt(db.select, "journal")]',
        grants=without("db", tables={"leads": ["select"]}),
    ),
    "a row for somebody else": Program(
        'return attempt(db.insert, "leads", {"name": "a", "user_id": "00000000-0000-4000-8000-000000000001"})'
    ),
}

EMAIL: Final = {
    "to me": Program('email.send("me", "Hello", "Text")', MAIL),
    "to several with HTML": Program(
        'email.send(["me", "bob@acme.example"], "Grüße", "Text", html="<b>Text</b>")', MAIL
    ),
    "in a loop": Program('for number in range(3):\n    email.send(to="me", subject=f"{number}", text="")', MAIL),
    "past its own limit": Program(
        'return [attempt(email.send, "me", "Hello", "Text") == "ServiceError" for _ in range(4)]',
        MAIL,
        without("email", to=["me"], max_per_run=2),
    ),
    "to whom the manifest does not name": Program('return attempt(email.send, "mallory@example.com", "Hello", "Text")'),
    "to whom the operator does not allow": Program('return attempt(email.send, "eve@example.com", "Hello", "Text")'),
    "headers hidden in it": Program(
        'return [attempt(email.send, "me", "Hello\\nBcc: a@acme.example", ""),'
        ' attempt(email.send, "a@acme.example\\nBcc: b@acme.example", "Hello", ""),'
        ' attempt(email.send, "Ada <a@acme.example>", "Hello", ""), attempt(email.send, [], "Hello", "")]'
    ),
    "a message that is too large": Program('return attempt(email.send, "me", "Hello", "x" * 300_000)'),
    "email without a grant": Program('email.send("me", "Hello", "Text")', grants=without("email")),
}

NOTIFY: Final = {
    "send": Program('notify.send("Hello")', ROWS),
    "send with everything": Program(
        'notify.send("Hello", "Text", type="warning", priority="urgent", actions=[{"label": "Open", "n": 1}])', ROWS
    ),
    "in a loop": Program('for number in range(5):\n    notify.send(f"{number}")', ROWS),
    "what is no notification": Program(
        'return [attempt(notify.send, ""), attempt(notify.send, "a", type="fax"), attempt(notify.send, "a" * 300),'
        ' attempt(notify.send, "a", actions=[1])]'
    ),
    "notify without a grant": Program('notify.send("Hello")', grants=without("notify")),
}

SECRETS: Final = {
    "ref": Program('return str(secrets.ref("KEY"))'),
    "in a header": Program(
        'key = secrets.ref("KEY")\nhttp.get(site + "/a", headers={"Authorization": "Bearer " + key, "X-Key": key})',
        WEB,
    ),
    "that is not there": Program('return attempt(secrets.ref, "ABSENT")'),
    "over plain http, which it is not bound to": Program(
        'return attempt(http.get, site, headers={"X-Key": secrets.ref("BOUND_TO_TLS")})'
    ),
    "bound to another host": Program(
        'return attempt(http.get, site, headers={"X-Key": secrets.ref("BOUND_ELSEWHERE")})'
    ),
    "that is not granted": Program(
        'return attempt(secrets.ref, "KEY")', grants=without("secrets", names=["BOUND_ELSEWHERE"])
    ),
    "names that are none": Program('return [attempt(secrets.ref, name) for name in ("", "key", "A" * 90, 7)]'),
}

AGENTS: Final = {
    "run": Program('return agents.run("echo", {"text": "a"})'),
    "one that acts": Program('agents.run("actor")', {"web", "mail", "model", "rows"}),
    "one that acts, twice": Program(
        'agents.run("actor")\nagents.run("actor", {})\nkv.increment("n")', {"web", "mail", "model", "rows"}
    ),
    "one that fails after it acted": Program('return attempt(agents.run, "failing")', ROWS),
    "an input that does not fit": Program(
        'return [attempt(agents.run, "echo", {"text": 7}), attempt(agents.run, "echo", {"test": False}),'
        ' attempt(agents.run, "echo", [])]'
    ),
    "nobody": Program('return attempt(agents.run, "nobody")'),
    "itself, without end": Program('kv.increment("deep")\nreturn attempt(agents.run, "self")', ROWS),
    "one that is not granted": Program('return attempt(agents.run, "actor")', grants=without("agents", names=["echo"])),
}

MIXED: Final = {
    "nothing": Program("return 1"),
    "a digest": Program(
        'leads = db.select("leads", order="name")\nfor lead in leads:\n'
        '    notify.send(lead["name"])\nllm.complete("Summarise: " + leads[0]["name"])\n'
        'email.send("me", f"{len(leads)} leads", "")\nreturn len(leads)',
        {"mail", "model", "rows"},
    ),
    "everything once": Program(
        'kv.set("a", 1)\nnotify.send("a")\ndb.insert("leads", {"name": "a"})\nhttp.post(site + "/a", json={})\n'
        'llm.complete("a")\nemail.send("me", "a", "")\nsecrets.ref("KEY")\nagents.run("echo", {"text": "a"})',
        {"web", "mail", "model", "rows"},
    ),
    "everything denied": Program(
        'return [attempt(kv.get, "a"), attempt(notify.send, "a"), attempt(db.select, "leads"), attempt(http.get, site),'
        ' attempt(llm.complete, "a"), attempt(email.send, "me", "a", ""), attempt(secrets.ref, "KEY"),'
        ' attempt(agents.run, "echo")]',
        grants={},
    ),
    "an error in the middle": Program(
        'kv.set("a", 1)\nemail.send("me", "a", "")\nhttp.get(site + "/a")\n1 / 0\nnotify.send("never")',
        {"web", "mail", "rows"},
    ),
    "an output that is none": Program('notify.send("a")\nhttp.get(site + "/a")\nreturn print', {"web", "rows"}),
    "too many calls": Program('while True:\n    kv.increment("n")', ROWS),
    "a loop over services": Program(
        'for number in range(3):\n    kv.set(f"k{number}", number)\n    http.get(f"{site}/{number}")\n'
        '    db.insert("leads", {"name": f"lead {number}"})\n    attempt(db.insert, "leads", {"name": None})\n'
        'return [kv.list(), len(db.select("leads"))]',
        {"web", "rows"},
    ),
    "calls that do not exist": Program('return [attempt(lambda: kv.drop()), attempt(lambda: db.execute("drop"))]'),
    "memory that runs out": Program('email.send("me", "a", "")\nreturn len("x" * (1 << 33))', MAIL),
    "a child and its parent on one row": Program(
        'db.update("leads", {"score": 50}, where={"name": "seeded"})\nagents.run("actor")\n'
        'return [row["score"] for row in db.select("leads", where={"name": "seeded"})]',
        {"web", "mail", "model", "rows"},
    ),
}

PROGRAMS: Final = {
    f"{service}: {name}": program
    for service, programs in {
        "http": HTTP,
        "llm": LLM,
        "kv": KV,
        "db": DB,
        "email": EMAIL,
        "notify": NOTIFY,
        "secrets": SECRETS,
        "agents": AGENTS,
        "mixed": MIXED,
    }.items()
    for name, program in programs.items()
}

CHILDREN: Final = {
    "echo": Program("return text", signature="def run(text: str, services):"),
    "actor": Program(
        'kv.increment("acted")\nhttp.get(site + "/child")\nnotify.send("child")\nllm.complete("child")\n'
        'email.send("me", "child", "")\ndb.update("leads", {"score": 7}, where={"name": "seeded"})\n'
        'db.insert("leads", {"name": "of a child"})\nreturn len(db.select("leads"))'
    ),
    "failing": Program('kv.set("a", 1)\nnotify.send("failing")\nraise ValueError("on purpose")'),
    "self": Program('kv.increment("deep")\nreturn agents.run("self")'),
}
