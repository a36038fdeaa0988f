"""The whole check: language, signature, metadata, inference, together and deterministic."""

import ast
import json
from typing import Any

import pytest

from sandbox.guest.check import check
from sandbox.guest.inference import infer
from sandbox.guest.metadata import read_metadata
from sandbox.guest.services import CALLS, SERVICES, Services
from tests.sandbox.languages import plain, restricted

DIGEST = '''# /// agent
# engine = "restricted"
# [capabilities.kv]
# ///
"""Sends a digest of new leads."""

def run(company: str, days: int = 7, services=None):
    leads = services.kv.get(company, [])[:days]
    services.notify.send(f"{len(leads)} new leads", "\\n".join(lead["name"] for lead in leads))
    print("leads:", len(leads))
    return {"count": len(leads)}
'''


def metadata_of(source: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return read_metadata(source, ast.parse(source))


def test_check_finds_all_that_an_agent_declares() -> None:
    found, code = check(DIGEST, restricted())
    assert code is not None
    assert found == {
        "problems": [],
        "entry": "run",
        "description": "Sends a digest of new leads.",
        "input_schema": {
            "type": "object",
            "properties": {"company": {"type": "string"}, "days": {"type": "integer", "default": 7}},
            "required": ["company"],
            "additionalProperties": False,
            "description": "Sends a digest of new leads.",
        },
        "metadata": {"engine": "restricted", "capabilities": {"kv": {}}},
        "inferred": {"kv": {}, "notify": {}},
    }


def test_a_service_that_does_not_exist_is_refused_with_its_place() -> None:
    found, code = check("def run(services):\n    return services.weather.today()\n", restricted())
    assert code is None
    (problem,) = found["problems"]
    assert (problem["line"], problem["column"], problem["code"]) == (2, 11, "service_not_available")
    assert "'weather'" in problem["message"]
    assert "kv, db, email, notify" in problem["hint"]


@pytest.mark.parametrize(
    "source",
    [
        "def run(a):\n    return services.kv.get(a)\n",
        "def helper(services):\n    return services.kv\n\ndef run(a):\n    return helper(services)\n",
        "def run(a):\n    return [services.kv.get(x) for x in a]\n",
        "def run(a):\n    def inner():\n        return services.kv\n    return inner()\n",
        "def run(**kwargs):\n    return (lambda: services.kv)()\n",
        "def run[T](a: str):\n    return services.kv\n",
        "def run(services):\n    return 1\n\ndef run(a):\n    return services.kv\n",
    ],
)
def test_services_that_the_entry_point_does_not_take_are_refused(source: str) -> None:
    found, code = check(source, plain())
    (problem,) = found["problems"]
    assert (code, problem["code"]) == (None, "services_not_taken")
    assert source.splitlines()[problem["line"] - 1].startswith("def run")
    assert "services=None" in problem["hint"]


@pytest.mark.parametrize(
    "source",
    [
        "def run(a, *, services): return services.kv\n",
        "services = 1\ndef run(): return services\n",
        "class services: kv = 1\ndef run(): return services.kv\n",
        "import json as services\ndef run(): return str(services)\n",
        "def keep(given):\n    global services\n    services = given\n\ndef run(): return services\n",
        "def run():\n    services = {}\n    return services\n",
        "def run():\n    for services in []: pass\n    return (lambda services: services.kv)(1)\n",
        "def run():\n    def inner(services): return services.kv\n    return inner(1)\n",
        "def helper(): return services.kv\ndef run(): return 1\n",
        "def run(): return 'services.kv.put'\n",
        "def run(services): return getattr(services.kv, 'put', None)\n",
        "def run(services): return services.kv.__doc__\n",
        "def run(services):\n    services.kv.mine = 1\n",
        "def run(services):\n    kv = services.kv\n    kv = {}\n    return kv.items()\n",
        "def run(services, other): return other.services.kv.get('k')\n",
    ],
)
def test_what_may_well_run_is_not_refused_for_its_services(source: str) -> None:
    assert check(source, plain())[0]["problems"] == []


def test_a_call_that_a_service_does_not_have_is_refused_with_those_it_has() -> None:
    found, code = check("def run(services):\n    return services.kv.put('a', 1)\n", restricted())
    assert code is None
    (problem,) = found["problems"]
    assert (problem["line"], problem["column"], problem["code"]) == (2, 11, "call_not_available")
    assert problem["message"] == "services.kv has no 'put'"
    assert problem["hint"] == "There are: delete, get, increment, list, set."


@pytest.mark.parametrize("name", SERVICES)
def test_a_call_that_is_not_there_is_told_with_those_that_are(name: str) -> None:
    service = getattr(Services(lambda *_: None), name)
    with pytest.raises(AttributeError, match=rf"^{name} has no wish; it has {', '.join(CALLS[name])}$"):
        service.wish  # noqa: B018
    assert all(callable(getattr(service, call)) for call in CALLS[name])
    assert set(CALLS) == set(SERVICES)


def test_check_is_deterministic_json() -> None:
    assert json.dumps(check(DIGEST, restricted())[0]) == json.dumps(check(DIGEST, restricted())[0])


def test_problems_of_every_part_come_together_in_order() -> None:
    source = "# /// agent\n# x =\n# ///\nimport os\ndef run(a, /, *b): return open(a)\n"
    found, code = check(source, restricted())
    assert code is None
    assert [(p["line"], p["code"]) for p in found["problems"]] == [
        (2, "metadata_not_toml"),
        (4, "import_not_allowed"),
        (5, "parameter_not_named"),
        (5, "parameter_not_named"),
        (5, "builtin_not_available"),
    ]
    assert found["entry"] == ""
    assert found["input_schema"] == {}


def test_plain_language_refuses_only_what_is_no_agent() -> None:
    assert check("import os\ndef run(): return os.getpid()", plain())[0]["problems"] == []
    assert check("import os", plain())[0]["problems"][0]["code"] == "entry_missing"


@pytest.mark.parametrize(
    "source", ["", "\0", "\ud800", "(" * 5000, "-" * 100_000, "def run(): return (", "x" * 200_000]
)
def test_no_source_makes_the_check_raise(source: str) -> None:
    for language in (restricted(), plain()):
        found, code = check(source, language)
        assert code is None
        assert found["problems"]
        json.dumps(found)


def test_problems_are_limited_and_each_is_said_once() -> None:
    found, _ = check("import os; import os\n" * 500, restricted())
    assert len(found["problems"]) == 100
    keys = [(p["line"], p["column"], p["message"]) for p in found["problems"]]
    assert len(set(keys)) == len(keys)


def test_nothing_of_a_checked_source_is_executed() -> None:
    source = "raise SystemExit\ndef run(x=1/0): pass\n@print\nclass C: pass"
    found, code = check(source, restricted())
    assert found["problems"] == []
    assert code is not None


# Metadata


def test_metadata_is_optional_and_may_be_anywhere_between_comments() -> None:
    assert metadata_of("x = 1") == ({}, [])
    assert metadata_of("#!/usr/bin/python\n# /// agent\n# a = 1\n#\n# [b]\n# c = [true]\n# ///\nx = 1") == (
        {"a": 1, "b": {"c": [True]}},
        [],
    )


def test_metadata_of_other_types_and_in_strings_is_ignored() -> None:
    assert metadata_of("# /// script\n# a = 1\n# ///") == ({}, [])
    assert metadata_of('x = """\n# /// agent\n# a = 1\n# ///\n"""') == ({}, [])


@pytest.mark.parametrize(
    ("source", "code", "line", "column"),
    [
        ("# /// agent\n# a = 1\n# ///\n\n# /// agent\n# b = 1\n# ///", "metadata_twice", 5, 0),
        ("x = 1\n# /// agent\n# a = 1\n", "metadata_not_closed", 2, 0),
        ("# /// agent\na = 1\n# ///", "metadata_not_closed", 1, 0),
        ("# /// agent\n# a = 1\n# b = ?\n# ///", "metadata_not_toml", 3, 6),
        ("# /// agent\n# a = 1\n# a = 2\n# ///", "metadata_not_toml", 3, 7),
        ("# /// agent\n# a = 2024-01-01\n# ///", "metadata_not_json", 1, 0),
        ("# /// agent\n# a = inf\n# ///", "metadata_not_json", 1, 0),
        ("# /// agent\n# a = " + "[" * 50 + "]" * 50 + "\n# ///", "metadata_not_json", 1, 0),
        ("# /// agent\n# a = " + "[" * 5000 + "]" * 5000 + "\n# ///", "metadata_not_json", 1, 0),
    ],
)
def test_wrong_metadata_is_a_problem_with_its_place(source: str, code: str, line: int, column: int) -> None:
    found, (problem,) = metadata_of(source)
    assert found == {}
    assert (problem["code"], problem["line"], problem["column"]) == (code, line, column)
    assert problem["hint"]


# Inference


@pytest.mark.parametrize(
    ("body", "inferred"),
    [
        ("return 1", {}),
        ("services.kv.get('a')", {"kv": {}}),
        ("store = services.kv\n    store.set('a', 1)\n    services.notify.send('t', 'c')", {"kv": {}, "notify": {}}),
        ("s = services\n    t = s\n    t.kv.get('x')", {"kv": {}}),
        ("helper(services)", {"kv": {}}),
        ("helper(s=services)", {"kv": {}}),
        ("self.services.llm.complete('x')", {"llm": {}}),
        ("services.unknown.call()", {}),
        ("services.email.send(to='ada@example.com')", {"email": {"to": ["me"]}}),
        (
            "services.http.get('https://b.example.com/x'); services.http.post(url='https://a.example.com:8443')",
            {"http": {"hosts": ["a.example.com:8443", "b.example.com"], "methods": ["GET", "POST"]}},
        ),
        (
            "services.http.get(f'https://api.example.com/{x}'); services.http.get('https://q.example.com?' + x)",
            {"http": {"hosts": ["api.example.com", "q.example.com"], "methods": ["GET"]}},
        ),
        ("services.http.get(f'https://api.example.com{x}')", {"http": {"hosts": [], "methods": ["GET"]}}),
        ("services.http.get(f'https://{x}.example.com/')", {"http": {"hosts": [], "methods": ["GET"]}}),
        ("services.http.get(BASE + '/leads')", {"http": {"hosts": ["base.example.com"], "methods": ["GET"]}}),
        ("services.http.get(f'{BASE}/{x}')", {"http": {"hosts": ["base.example.com"], "methods": ["GET"]}}),
        ("services.http.get(TWICE)", {"http": {"hosts": [], "methods": ["GET"]}}),
        ("services.http.get('https://user@evil.example.com/')", {"http": {"hosts": [], "methods": ["GET"]}}),
        ("services.http.get('https://[bad/')", {"http": {"hosts": [], "methods": ["GET"]}}),
        (
            "services.http.request('DELETE', 'http://plain.example.com/')",
            {"http": {"hosts": ["plain.example.com"], "methods": ["DELETE"], "schemes": ["http"]}},
        ),
        (
            "services.db.select('leads'); services.db.insert(table='leads', rows=[]); services.db.delete(x, where={})",
            {"db": {"tables": {"leads": ["insert", "select"]}}},
        ),
        ("services.agents.run('summarise', {}); services.agents.run(x)", {"agents": {"names": ["summarise"]}}),
        ("services.secrets.ref('CRM_KEY')", {"secrets": {"names": ["CRM_KEY"]}}),
    ],
)
def test_only_what_is_literally_there_is_inferred(body: str, inferred: dict[str, Any]) -> None:
    source = (
        "BASE: str = 'https://base.example.com'\nTWICE = 'https://a.example.com'\nTWICE = 'https://b.example.com'\n"
        f"def helper(s): s.kv.get('a')\ndef run(x, services, self=None):\n    {body}\n"
    )
    found = infer(ast.parse(source))
    found.pop("kv", None) if "kv" not in inferred and "helper(" not in body else None
    assert found == inferred
