"""What the zygote imports beforehand is enough: afterwards no agent makes Python open a file or import a module."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

WATCHED = """
import sys
from tests.sandbox.languages import PROGRAMS, check, finish_log, plain, restricted, to_json

EXTRA = '''
import datetime, zoneinfo, urllib.parse, json, re, hashlib, uuid, statistics, functools, typing, copy, csv, decimal
@typing.runtime_checkable
class P(typing.Protocol):
    x: int
def run():
    found = []
    for name in ("ascii", "latin-1", "utf-8-sig", "utf-16", "utf-32", "cp1252", "idna", "punycode", "unicode_escape"):
        found.append("abc".encode(name).decode(name))
    try:
        "x".encode("no-such-codec")
    except LookupError as error:
        found.append(str(error))
    try:
        zoneinfo.ZoneInfo("No/Zone")
    except KeyError as error:
        found.append(type(error).__name__)
    found.append(len(zoneinfo.available_timezones()) > 400)
    for key in sorted(zoneinfo.available_timezones()):
        found.append(str(datetime.datetime.now(zoneinfo.ZoneInfo(key)).tzinfo))
    found.append(datetime.datetime.strptime("3 Mar 2021 10:11 PM +0200", "%d %b %Y %I:%M %p %z").isoformat())
    found.append(f"{datetime.datetime(2024, 1, 2):%A %c}")
    found.append(isinstance(3, P))
    found.append(urllib.parse.urlsplit("http://[::1]:80/x").port)
    found.append(urllib.parse.urlsplit("http://b\\u00fccher.example/").hostname)
    found.append(re.sub("(a)", r"<\\\\1>", "aa"))
    found.append(hashlib.new("sha256", b"").hexdigest())
    try:
        json.loads("{")
    except ValueError as error:
        found.append(str(error))
    try:
        raise ExceptionWithALongName
    except NameError as error:
        found.append(str(error))
    return found
'''
jobs = [(program.source, example) for program in PROGRAMS for example in program.examples] + [(EXTRA, {})]
language = restricted()
opened = []

def watch(event, arguments):
    if event in ("open", "import") and (event == "import" or "site-packages" not in str(arguments[0])):
        opened.append((event, str(arguments[0])))

sys.addaudithook(watch)
for source, given in jobs:
    found, code = check(source, language)
    assert code, found["problems"]
    namespace = language.globals(log=lambda line: None, test=False)
    before = len(opened)
    exec(code, namespace)
    to_json(namespace[found["entry"]](**given))
    finish_log(namespace)
print(sorted(set(opened)))
"""


def test_nothing_is_opened_or_imported_while_agents_run() -> None:
    done = subprocess.run([sys.executable, "-c", WATCHED], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert eval(done.stdout) == [("import", "encodings.no_such_codec")]
