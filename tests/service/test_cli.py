"""The command line as an operator types it: a real host in a process of its own, and the commands that talk to it."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from fastapi import Response

from service.database.embedded import EmbeddedPostgres
from service.local import LocalIdentity
from tests.service.issuer import Issuer
from tests.service.operator import AGENTHOST, Operator, Up, define
from tests.service.served import served


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return Operator(tmp_path_factory.mktemp("operator") / "data")


@pytest.fixture(scope="module")
def host(operator: Operator) -> Iterator[Up]:
    with operator.up() as host:
        yield host


@pytest.fixture(scope="module")
def token(operator: Operator, host: Up) -> str:
    return operator.types("token").stdout.strip()


def shell(line: str) -> tuple[int, Any]:
    """HTTP status and document of a curl line, as pasted."""
    done = subprocess.run(
        ["sh", "-c", line + " -w '\\n%{http_code}'"], capture_output=True, text=True, timeout=60, check=True
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


def test_the_printed_lines_work_as_pasted(host: Up) -> None:
    lines = ["\n".join([*host.variables, line]) for line in host.curl_lines]
    (defined, agent), (ran, run), (dry, dry_run), (refused, problem) = map(shell, lines)
    assert (defined, ran, dry, refused) == (201, 200, 200, 403)
    assert agent["agent_name"] == "hello"
    assert (run["test"], run["output"], run["effects"][0]["performed"]) == (False, {"message": "Hello, Ada"}, True)
    assert (dry_run["test"], dry_run["output"], dry_run["effects"][0]["performed"]) == (True, run["output"], False)
    assert problem["code"] == "not_your_agent"


def test_a_printed_token_stands_once_and_a_sample_runs_as_pasted(operator: Operator, host: Up, tmp_path: Path) -> None:
    token, stranger = (line.partition("=")[2] for line in host.variables)
    assert [host.printed.count(each) for each in (token, stranger)] == [1, 1]
    (line,) = re.findall(r"^.* run site_checker .*$", host.printed, re.MULTILINE)
    assert line.split()[0] == str(AGENTHOST)
    pasted = f"TOKEN={token}\nuntil {line}; do sleep 1; done"  # the samples are defined while the host already serves
    environment = {"PATH": os.environ["PATH"], "AGENTHOST_DATA_DIR": str(tmp_path)}
    done = subprocess.run(["sh", "-c", pasted], env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["looked_at"] == 2


def test_a_command_says_where_else_a_host_could_be_and_whose_key_was_used(
    operator: Operator, host: Up, tmp_path: Path
) -> None:
    nowhere = operator.types("runs", "--url", "http://127.0.0.1:1").stderr
    assert f"{AGENTHOST} up" in nowhere
    assert "AGENTHOST_PORT" in nowhere
    assert "--url" in nowhere
    stranger = Operator(tmp_path, operator.port)
    LocalIdentity.in_directory(tmp_path)
    refused = stranger.types("runs")
    assert refused.returncode == 1
    assert f"the key in {tmp_path}" in refused.stderr
    assert "AGENTHOST_DATA_DIR" in refused.stderr
    assert "AGENTHOST_DATA_DIR" not in stranger.types("runs", "--token", "a.e30.b").stderr


def test_a_wrong_input_is_told_once(operator: Operator, host: Up, token: str) -> None:
    define(host, token, "told_once", "def run(times: int = 1, often: int = 1):\n    return times\n")
    for wrong in ("nam=x", "times=x"):
        said = operator.types("run", "told_once", wrong).stderr
        assert len(re.findall(rf"\b{wrong.partition('=')[0]}\b", said)) == 1, said
    both = operator.types("run", "told_once", "often=x", "times=x").stderr
    assert {"often", "times"} <= set(re.findall(r"\w+", both)), both


def test_where_no_host_has_run_there_is_no_token_and_none_is_begun(
    operator: Operator, host: Up, tmp_path: Path
) -> None:
    stranger = Operator(tmp_path / "elsewhere", operator.port)
    tmp_path.joinpath("elsewhere").mkdir()
    for command in ("token", "runs"):
        done = stranger.types(command)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"No host has run with {stranger.data_dir}" in done.stderr
        assert "AGENTHOST_DATA_DIR" in done.stderr
        assert f"{AGENTHOST} up" in done.stderr
    assert list(stranger.data_dir.iterdir()) == []


def test_the_version_is_printed(operator: Operator, host: Up) -> None:
    done = operator.types("--version")
    assert (done.returncode, done.stdout.strip()) == (0, httpx.get(f"{host.url}/version").json()["version"])


def test_agents_are_listed(operator: Operator, host: Up, token: str) -> None:
    define(host, token, "listed", '"""First\nline \x1b[31mred.\n\nMore."""\ndef run():\n    return 1\n')
    heads, first, *_ = operator.types("agents").stdout.splitlines()
    assert (heads.split(), first.split()) == (
        ["NAME", "VERSION", "DESCRIPTION"],
        ["listed", "1", "First", "line", "\\x1b[31mred."],
    )
    assert json.loads(operator.types("agents", "-o", "json").stdout)["data"][0]["agent_name"] == "listed"
    assert "agenthost agents" in operator.types("run", "nobody").stderr


def test_a_token_stands_alone_on_standard_output(operator: Operator, host: Up, token: str) -> None:
    assert token.count(".") == 2
    assert " " not in token
    for arguments in ((), ("--email", "ada@example.com"), ("--user", "7b1c8a3e-0a52-4a57-9e6e-0d8d0b5d7c11")):
        done = operator.types("token", *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        answer = httpx.get(f"{host.url}/agents", headers={"Authorization": f"Bearer {done.stdout.strip()}"}, timeout=30)
        assert answer.status_code == 200
    assert operator.types("token", "--user", "ada").returncode == 2


def test_an_empty_email_is_wrong_usage_and_stands_for_nobody(operator: Operator, host: Up) -> None:
    for email in ("", " "):
        done = operator.types("token", "--email", email)
        assert (done.returncode, done.stdout) == (2, "")
        assert "--email is empty" in done.stderr


@pytest.mark.parametrize(
    "url", ["foo", "", "127.0.0.1:8000", "//foo", "http://", "ftp://foo", "http://[", "http://a:b"]
)
def test_what_is_not_an_address_is_wrong_usage(operator: Operator, host: Up, url: str) -> None:
    done = operator.types("runs", "--url", url)
    assert done.returncode == 2
    assert "is not an address" in done.stderr


def test_a_second_host_on_the_directory_is_refused_in_a_sentence(operator: Operator, host: Up) -> None:
    second = Operator(operator.data_dir).types("up")
    assert second.returncode == 1
    assert "another agenthost" in second.stderr
    assert "AGENTHOST_DATA_DIR" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_port_in_use_is_refused_in_a_sentence(operator: Operator, host: Up, tmp_path: Path) -> None:
    second = Operator(tmp_path, operator.port).types("up")
    assert second.returncode == 1
    assert re.search(rf"Error: Port {operator.port} on 127\.0\.0\.1 is in use", second.stderr)
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("AGENTHOST_PORT", "eighty"), ("AGENTHOST_HOST", "no.such.host.invalid"), ("AGENTHOST_DATA_DIR", "/proc/x")],
)
def test_a_bad_setting_is_one_line(tmp_path: Path, name: str, value: str) -> None:
    done = Operator(tmp_path, settings={name: value}).types("up")
    assert done.returncode == 1
    assert name in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert done.stdout == ""


def test_a_project_without_a_database_is_told_what_is_missing(tmp_path: Path) -> None:
    done = Operator(tmp_path, settings={"SUPABASE_URL": "http://127.0.0.1:1"}).types("up")
    assert done.returncode == 1
    assert "SUPABASE_PUBLISHABLE_KEY" in done.stderr
    assert "DATABASE_URL" in done.stderr
    unreachable = {"DATABASE_URL": "postgresql://agenthost_api:sekret@127.0.0.1:1/x"}
    done = Operator(tmp_path, settings=unreachable).types("up")
    assert done.returncode == 1
    assert "sekret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_run_prints_the_output_and_what_happened(operator: Operator, host: Up, token: str) -> None:
    define(host, token, "greeter", 'def run(name: str):\n    print("hi")\n    return {"for": name}\n')
    done = operator.types("run", "greeter", "name=Ada Lovelace", "--test")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"for": "Ada Lovelace"})
    assert "hi" in done.stderr
    whole = json.loads(operator.types("run", "greeter", "name=x", "-o", "json").stdout)
    assert (whole["status"], whole["test"]) == ("succeeded", False)


def test_run_tells_what_happens_in_its_order_while_it_happens(operator: Operator, host: Up, token: str) -> None:
    code = "def run(services):\n    print('\\x1b[31mone')\n    services.kv.set('k', 1)\n    print('two')\n"
    define(host, token, "teller", code)
    done = operator.types("run", "teller")
    said = [line.split()[:2] for line in done.stderr.splitlines()]
    assert said[:3] == [["log", "\\x1b[31mone"], ["effect", "kv.set"], ["log", "two"]]
    assert (said[3][0], len(said), done.stdout) == ("run", 4, "null\n")


def test_run_tells_what_became_of_each_call(operator: Operator, host: Up, token: str) -> None:
    code = (
        "# /// agent\n# [capabilities.kv]\n# [capabilities.secrets]\n# names = ['A']\n# ///\n"
        "def run(services):\n"
        "    services.kv.set('k', 1)\n"
        "    for name in ('A', 'B'):\n"
        "        try:\n            services.secrets.ref(name)\n"
        "        except Exception as error:\n            print(type(error).__name__)\n"
    )
    define(host, token, "caller", code)
    for arguments, kept in (((), "done"), (("--test",), "not done: dry run")):
        said = operator.types("run", "caller", *arguments).stderr.splitlines()
        fates = [line.split(maxsplit=2)[2] for line in said if line.startswith("effect")]
        assert fates == [f"({kept})", "(failed)", "(not granted)"]


def test_exit_codes_tell_what_failed(operator: Operator, host: Up, token: str) -> None:
    define(host, token, "broken", "def run():\n    return 1 // 0\n")
    failed = operator.types("run", "broken")
    assert (failed.returncode, failed.stdout) == (3, "")
    assert "agent_error" in failed.stderr
    assert "line 2, in run\n    return 1 // 0\nZeroDivisionError: integer division or modulo by zero\n" in failed.stderr
    assert json.loads(operator.types("run", "broken", "-o", "json").stdout)["code"] == "agent_error"
    assert operator.types("run", "nobody").returncode == 1
    assert operator.types("run", "broken", "no-equals-sign").returncode == 2
    assert operator.types("run", "broken", "--token", "rubbish").returncode == 2
    assert operator.types("run", "broken", "--url", "http://127.0.0.1:1").returncode == 4
    assert operator.types("runs", "--token", "a.e30.b").returncode == 1
    assert operator.types("nonsense").returncode == 2


def test_runs_and_logs_show_what_happened(operator: Operator, host: Up, token: str) -> None:
    define(host, token, "printer", "def run():\n    print('one')\n    print('\\x1b[31mtwo')\n")
    run_id = json.loads(operator.types("run", "printer", "-o", "json").stdout)["run_id"]
    table = operator.types("runs", "--agent", "printer").stdout.splitlines()
    assert table[0].split() == ["RUN", "AGENT", "STATUS", "KIND", "STARTED"]
    assert table[1].split()[:5] == [run_id, "printer", "v1", "succeeded", "live"]
    assert operator.types("logs", run_id).stdout == "one\n\\x1b[31mtwo\n"
    assert json.loads(operator.types("logs", run_id, "-o", "json").stdout) == ["one", "\x1b[31mtwo"]
    assert json.loads(operator.types("runs", "-o", "json").stdout)["data"]
    assert operator.types("logs", "rubbish").returncode == 1


def test_what_an_agent_tells_is_listed_on_one_line_each(operator: Operator, host: Up, token: str) -> None:
    define(host, token, "notifier", "def run(services):\n    services.notify.send('two\\nlines', '\\x1b[31mred')\n")
    assert operator.types("run", "notifier").returncode == 0
    heads, first, *_ = operator.types("notifications", "--unread").stdout.splitlines()
    assert heads.split() == ["ID", "CREATED", "TYPE", "TITLE", "CONTENT"]
    assert first.split()[2:] == ["info", "two", "lines", "\\x1b[31mred"]
    [newest] = json.loads(operator.types("notifications", "--limit", "1", "-o", "json").stdout)["data"]
    assert newest["title"] == "two\nlines"


def test_a_secret_goes_in_by_standard_input_and_its_name_comes_out(operator: Operator, host: Up, token: str) -> None:
    value = "sk-live-0123456789"
    hosts = ("--host", "api.example.com", "--host", "*.example.org")
    done = operator.types("secret", "set", "CRM_KEY", *hosts, stdin=f"{value}\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    listed = operator.types("secret", "list").stdout.splitlines()
    assert listed[0].split() == ["NAME", "HOSTS", "UPDATED"]
    assert listed[1].split()[:3] == ["CRM_KEY", "api.example.com", "*.example.org"]
    assert [each["name"] for each in json.loads(operator.types("secret", "list", "-o", "json").stdout)["data"]] == [
        "CRM_KEY"
    ]
    for arguments, stdin in ((("CRM_KEY", *hosts), "two\nlines\n"), (("crm", *hosts), value), (hosts[:2], value)):
        refused = operator.types("secret", "set", *arguments, stdin=stdin)
        assert refused.returncode in (1, 2)
        assert value not in refused.stdout + refused.stderr
    assert operator.types("secret", "delete", "CRM_KEY").returncode == 0
    gone = operator.types("secret", "delete", "CRM_KEY")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "secret_not_found" in gone.stderr


def test_check_needs_no_host(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    (tmp_path / "good.py").write_text("def run(name: str, services):\n    services.kv.set('k', name)\n")
    (tmp_path / "bad.py").write_text("def run():\n    import os\n    return os\n")
    (tmp_path / "marked.py").write_bytes(b"\xef\xbb\xbfdef run():\n    return 1\n")
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe\x00")
    good = operator.types("check", "good.py")
    assert (good.returncode, good.stderr) == (0, "")
    assert re.search(r"capabilities\s+kv", good.stdout)
    assert operator.types("check", "marked.py").returncode == 0
    bad = operator.types("check", "bad.py")
    assert bad.returncode == 1
    assert bad.stdout.startswith("bad.py:2:5: ")
    piped = operator.types("check", "-", "-o", "json", stdin=(tmp_path / "bad.py").read_text())
    assert (piped.returncode, json.loads(piped.stdout)["ok"]) == (1, False)
    assert operator.types("check", "binary.py").returncode == 1
    assert operator.types("check", "missing.py").returncode == 2
    assert not (tmp_path / "postgres").exists()


def test_doctor_says_what_works(operator: Operator, host: Up, tmp_path: Path) -> None:
    beside = operator.types("doctor", "-o", "json")
    assert (beside.returncode, json.loads(beside.stdout)["ok"]) == (0, True)
    alone = Operator(tmp_path).types("doctor")
    assert alone.returncode == 0, alone.stdout
    assert "FAIL" not in alone.stdout
    ill = Operator(tmp_path, settings={"DATABASE_URL": "postgresql://agenthost_api:sekret@127.0.0.1:1/x"})
    told = ill.types("doctor")
    assert told.returncode == 1
    assert re.search(r"^FAIL\s+database", told.stdout, re.MULTILINE)
    assert "sekret" not in told.stdout + told.stderr
    assert Operator(tmp_path, settings={"AGENTHOST_LIMIT_EFFECTS": "many"}).types("doctor").returncode == 1


async def test_doctor_says_how_tokens_are_checked(tmp_path: Path) -> None:
    issuer = Issuer()
    async with served(issuer.app) as issuer.url:
        operator = Operator(tmp_path, settings={"SUPABASE_URL": issuer.url})

        async def says() -> str:
            told = await asyncio.to_thread(operator.types, "doctor")
            lines = told.stdout.splitlines()
            return "\n".join(line for line in lines if " keys " in line or "SUPABASE_JWT_SECRET" in line)

        assert re.search(r"^ok +keys +Keys of tokens were fetched from http", await says())
        issuer.down = True
        assert re.search(r"^FAIL +keys +No keys of tokens from http.* it answered with status 500\.", await says())
        issuer.down, issuer.answer = False, Response('{"keys": []}')
        assert re.search(r"^FAIL +keys .*holds no key.*\n.*set SUPABASE_JWT_SECRET", await says())
        operator.settings["SUPABASE_JWT_SECRET"] = "sekret" * 8
        assert re.search(r"^ok +keys +Tokens are checked with SUPABASE_JWT_SECRET", await says())
        issuer.answer = None
        assert re.search(r"^note +keys .*whose tokens are refused\.\n.*unset SUPABASE_JWT_SECRET", await says())


async def test_migrate_makes_the_login_that_serves(tmp_path: Path) -> None:
    short = TemporaryDirectory(prefix="ah")  # another process is given the path of its socket, which is bounded
    postgres = EmbeddedPostgres(Path(short.name))
    owner_dsn = (await postgres.start()).owner_dsn
    try:
        settings = {"AGENTHOST_MIGRATE_URL": owner_dsn, "DATABASE_URL": ""}
        operator = Operator(tmp_path, settings=settings)
        first = await asyncio.to_thread(operator.types, "migrate", "--new-password")
        assert first.returncode == 0, first.stderr
        assert "applied" in first.stderr
        name, _, serving_dsn = first.stdout.strip().partition("=")
        assert name == "DATABASE_URL"
        assert serving_dsn.startswith("postgresql://agenthost_api:")
        settings["DATABASE_URL"] = serving_dsn
        told = await asyncio.to_thread(operator.types, "doctor")
        assert told.returncode == 0, told.stdout
        again = await asyncio.to_thread(operator.types, "migrate")
        assert (again.returncode, again.stdout) == (0, "")
        assert "applied" not in again.stderr
        settings["DATABASE_URL"] = owner_dsn
        refused = await asyncio.to_thread(operator.types, "up")
        assert refused.returncode == 1
        assert "agenthost_api" in refused.stderr
    finally:
        await postgres.stop()
        short.cleanup()
    unreachable = await asyncio.to_thread(operator.types, "migrate")
    assert unreachable.returncode == 1
    assert "Traceback" not in unreachable.stderr
    assert Operator(tmp_path).types("migrate").returncode == 0


def test_nothing_is_coloured_when_piped(operator: Operator, host: Up) -> None:
    for arguments in (("--help",), ("doctor",), ("runs",), ("run", "nobody"), ("up", "--port", "x")):
        done = operator.types(*arguments)
        assert "\x1b" not in done.stdout + done.stderr, arguments
