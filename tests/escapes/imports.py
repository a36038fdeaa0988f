# ruff: noqa: E501 - a table: one entry a line
"""Family E: from an allowed module to everything it imported itself; and what one tenant leaves behind for the next."""

from tests.escapes.attack import CONTAINED, DENIED, REFUSED, RETURNED, Attack, Ends, program


def walk(
    id: str, technique: str, source: str, lines: str, *, guarded: Ends = REFUSED | DENIED, bare: Ends = CONTAINED
) -> Attack:
    """An import, and then `loot` called with the module os as it is reached from there."""
    head, _, expression = lines.rpartition("\n")
    text = f"{head}\ndef run(hint: dict, services=None):\n    return loot({expression}, hint)\n"
    return Attack(id=id, technique=technique, source=source, layer="facades", program=text, guarded=guarded, bare=bare)


ATTACKS = [
    walk("import-os", "import os", "every prompt", "import os\nos"),
    walk("import-dotted", "import os.path", "every prompt", "import os.path\nos"),
    walk("import-as", "import os under a harmless name", "own", "import os as math\nmath"),
    walk("import-builtins", "import builtins", "own", 'import builtins\nbuiltins.__import__("os")'),
    walk("import-dunder", "__import__('os')", "every prompt", '\n__import__("os")'),
    walk(
        "import-importlib", "importlib.import_module", "every prompt", 'import importlib\nimportlib.import_module("os")'
    ),
    walk("import-sys-modules", "sys.modules['os']", "openswarm issue 134", 'import sys\nsys.modules["os"]'),
    walk(
        "import-statistics-sys",
        "statistics.sys.modules['os']: no underscore in it",
        "RestrictedPython 9.0 lets it pass",
        'import statistics\nstatistics.sys.modules["os"]',
    ),
    walk(
        "import-re-enum-sys",
        "re.enum.sys.modules['os']",
        "RestrictedPython 9.0 lets it pass",
        'import re\nre.enum.sys.modules["os"]',
    ),
    walk(
        "import-json-codecs",
        "json.codecs.builtins.open",
        "RestrictedPython 9.0 lets it pass",
        'import json\njson.codecs.builtins.__import__("os")',
    ),
    walk("import-random-os", "random._os", "smolagents documentation", "import random\nrandom._os"),
    walk("import-random-os-from", "from random import _os", "smolagents documentation", "from random import _os\n_os"),
    walk(
        "import-collections-abc",
        "collections.abc.sys and collections._sys",
        "own",
        'import collections\ncollections._sys.modules["os"]',
    ),
    walk(
        "import-dataclasses-inspect",
        "dataclasses.inspect.os",
        "own; Agenta CVE-2026-27952",
        "import dataclasses\ndataclasses.inspect.os",
    ),
    walk("import-typing-sys", "typing.sys.modules", "own", 'import typing\ntyping.sys.modules["os"]'),
    walk("import-uuid-os", "uuid.os", "own", "import uuid\nuuid.os"),
    walk("import-csv-io", "csv.re.enum.sys", "own", 'import csv\ncsv.re.enum.sys.modules["os"]'),
    walk(
        "import-urllib-parse-sys",
        "urllib.parse.sys and urllib itself",
        "own",
        'import urllib.parse\nurllib.parse.re.enum.sys.modules["os"]',
    ),
    walk("import-contextlib-os", "contextlib.os and contextlib.sys", "own", "import contextlib\ncontextlib.os"),
    walk(
        "import-zoneinfo-os",
        "zoneinfo._tzpath.os",
        "own",
        "import zoneinfo\nzoneinfo._tzpath.os",
    ),
    walk(
        "import-guest", "the guest's own modules", "own", "import sandbox.guest.run\nsandbox.guest.run.os", bare=DENIED
    ),
    walk("import-relative", "from . import os", "own", "from . import os\nos", bare=DENIED),
    walk("import-star", "from os import *", "own", 'from os import *\n__import__("os")'),
    walk(
        "import-submodule-attribute",
        "from json import decoder; decoder.scanner.re.enum.sys",
        "own",
        'from json import decoder\ndecoder.re.enum.sys.modules["os"]',
    ),
    Attack(
        id="import-ctypes",
        technique="ctypes and mmap, which deny-lists forget",
        source="smolagents issue 2094; Grist CVE-2026-24002",
        layer="facades",
        program=program("""
            import ctypes
            def run(hint: dict, services=None):
                environment = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
                print("REACHED")
                index = 0
                while environment and environment[index]:
                    print(environment[index])
                    index = index + 1
                return index
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="import-exec-eval",
        technique="exec, eval and compile",
        source="every prompt",
        layer="facades",
        program=program("""
            def run(hint: dict, services=None):
                exec("import os\\nfound = os", globals())
                return loot(eval("found"), hint)
            """),
        guarded=REFUSED | DENIED,
        bare=CONTAINED,
    ),
    Attack(
        id="import-open",
        technique="open() of a file that everybody may read",
        source="every prompt",
        layer="facades",
        program=program("""
            def run(hint: dict, services=None):
                for path in (hint["file"], "/proc/self/environ", "/proc/self/maps", "/etc/passwd", "/proc/1/environ"):
                    try:
                        print("REACHED", path, open(path).read())
                    except OSError as error:
                        print(error)
                return "done"
            """),
        guarded=REFUSED | DENIED,
        bare=CONTAINED,
    ),
    Attack(
        id="import-io-open",
        technique="io.open, io.FileIO, io.open_code",
        source="own",
        layer="facades",
        program=program("""
            import io
            def run(hint: dict, services=None):
                for opener in (lambda: io.open, lambda: io.FileIO, lambda: io.open_code):
                    try:
                        print("REACHED", opener()(hint["file"]).read())
                    except OSError as error:
                        print(error)
                return "done"
            """),
        guarded=REFUSED | DENIED,
        bare=CONTAINED,
    ),
    Attack(
        id="import-zoneinfo-path",
        technique="ZoneInfo of a path, and reset_tzpath to a directory of choice",
        source="own",
        layer="facades",
        program=program("""
            import zoneinfo
            def run(hint: dict, services=None):
                for key in ("../../../" + hint["file"], hint["file"], "../etc/passwd"):
                    try:
                        print("REACHED", zoneinfo.ZoneInfo(key))
                    except Exception as error:
                        print(error)
                zoneinfo.reset_tzpath(to=["/"])
                zoneinfo.ZoneInfo(hint["file"].strip("/"))
                return "done"
            """),
        guarded=REFUSED | DENIED,
        bare=DENIED,
    ),
    Attack(
        id="import-uuid-node",
        technique="uuid.uuid1 and getnode run programs of the machine and tell its network card",
        source="CPython, Lib/uuid",
        layer="facades",
        program=program("""
            import uuid
            def run(hint: dict, services=None):
                return [uuid.getnode() >> 48, str(uuid.uuid1())[:8]]
            """),
        guarded=REFUSED | DENIED,
        bare=DENIED,
    ),
    Attack(
        id="import-poison-module",
        technique="replace json.dumps for whoever comes next",
        source="Open Chat Studio issue 4238",
        layer="facades",
        program=program("""
            import json
            def run(hint: dict, services=None):
                if json.dumps({}) == "ESCAPED":
                    return json.dumps({})
                json.dumps = lambda *rest, **more: "ESCAPED"
                return "planted"
            """),
        guarded=REFUSED | DENIED,
        bare=DENIED | {"output_not_json"},
        rounds=2,
    ),
    Attack(
        id="import-poison-builtins",
        technique="replace len, print and the import machinery for whoever comes next",
        source="Open Chat Studio issue 4238, own",
        layer="jail",
        program=program("""
            import builtins, sys
            def run(hint: dict, services=None):
                if hasattr(builtins, "planted") or "planted" in sys.modules:
                    return "ESCAPED"
                builtins.planted = 1
                sys.modules["planted"] = sys
                sys.meta_path.clear()
                builtins.len = lambda value: 0
                return "planted"
            """),
        guarded=REFUSED,
        bare=DENIED | {"output_not_json"},
        rounds=2,
    ),
    Attack(
        id="import-shared-random-state",
        technique="random.seed here makes the next tenant's secrets predictable",
        source="RestrictedPython 9.0 lets it pass",
        layer="jail",
        program=program("""
            import random
            def run(hint: dict, services=None):
                expected = random.Random(1234)
                expected.random()
                if random.random() == expected.random():
                    return "ESCAPED"
                random.seed(1234)
                random.random()
                return "planted"
            """),
        guarded=RETURNED | REFUSED | DENIED,
        bare=RETURNED,
        rounds=2,
    ),
    Attack(
        id="import-same-random-numbers",
        technique="two tenants forked from one process draw the same random numbers and identifiers",
        source="vm0 issue 8212",
        layer="jail",
        program=program("""
            import random, uuid
            def run(hint: dict, services=None):
                drawn = [random.random(), random.Random().random(), str(uuid.uuid4()), str(random.SystemRandom().random())]
                if any(item in hint["earlier"] for item in drawn):
                    return "ESCAPED"
                return drawn
            """),
        guarded=RETURNED,
        bare=RETURNED,
        rounds=3,
    ),
    Attack(
        id="import-shared-caches",
        technique="re.purge, lru_cache, the decimal context and csv dialects are shared by calls alone",
        source="RestrictedPython 9.0 lets it pass",
        layer="jail",
        program=program("""
            import decimal, csv
            def run(hint: dict, services=None):
                if decimal.getcontext().prec == 7 or "planted" in csv.list_dialects():
                    return "ESCAPED"
                decimal.getcontext().prec = 7
                csv.register_dialect("planted", delimiter=";")
                return "planted"
            """),
        guarded=RETURNED | REFUSED | DENIED,
        bare=RETURNED,
        rounds=2,
    ),
    *(
        Attack(
            id=f"import-builtin-{name}",
            technique=f"the builtin {name}, which starts something",
            source="own",
            layer="facades",
            program=program(f"""
                def run(hint: dict, services=None):
                    print("REACHED", {call})
                    return "done"
                """),
            guarded=REFUSED | {"agent_error"},
            bare=DENIED,
        )
        for name, call in {
            "breakpoint": "breakpoint()",
            "input": "input()",
            "help": "help(run)",
            "license": "license()",
            "globals": "globals()",
            "locals": "locals()",
            "memoryview": "memoryview(b'x').obj",
            "quit": "quit(7)",
            "classmethod": "classmethod(run).__func__",
            "object": "object.__subclasses__()",
        }.items()
    ),
]
