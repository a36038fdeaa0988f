# ruff: noqa: E501 - a table: one entry a line
"""Family F: no secret is wanted; the host should stop answering. Each of these must cost its own run and nobody else's."""

from collections.abc import Mapping
from typing import Any

from tests.escapes.attack import DENIED, RAISED, REFUSED, RETURNED, Attack, Ends, Layer, program

SHORT: Mapping[str, Any] = {"cpu_seconds": 1, "wall_seconds": 4}
SHORTER: Mapping[str, Any] = {"cpu_seconds": 1, "wall_seconds": 0.5}
"""For what would go on for ever: sooner over, by the other limit."""

ONLY_CPU: Ends = frozenset({"cpu_time_exceeded"})
WALL: Ends = frozenset({"wall_time_exceeded"})
CPU = ONLY_CPU | WALL
MEMORY: Ends = frozenset({"memory_exceeded"})
LOGS: Ends = frozenset({"logs_too_large"})
OUTPUT: Ends = frozenset({"output_too_large", "output_not_json"})
MUCH = CPU | WALL | MEMORY
"""Either runs out: which one first is a matter of the machine."""


def bomb(
    id: str,
    technique: str,
    source: str,
    text: str,
    ends: Ends,
    *,
    bare: Ends | None = None,
    raw: str | None = None,
    layer: Layer = "jail",
    limits: Mapping[str, Any] | None = None,
    calls: frozenset[str] = frozenset(),
) -> Attack:
    """An attack whose policy and bare ends are the same, but for what the policy may refuse besides."""
    endless = ends | (bare or ends) <= MUCH | RAISED
    return Attack(
        id=id,
        technique=technique,
        source=source,
        layer=layer,
        program=program(text),
        raw=None if raw is None else program(raw),
        guarded=ends | REFUSED,
        bare=ends if bare is None else bare,
        limits=limits or (SHORTER if endless and ends & CPU else SHORT),
        calls=calls,
    )


def line(expression: str, imports: str = "") -> str:
    return f"{imports}\ndef run(hint: dict, services=None):\n    return len(str({expression}))\n"


COMPUTING = [
    bomb("dos-power", "9 ** 9 ** 9 ** 2: one call in C that no signal handler of Python's interrupts", "own",
         line("(9 ** 9 ** 9 ** int('2')) > 1"), MUCH),
    bomb("dos-square", "squaring a number again and again", "own", """
        def run(hint: dict, services=None):
            number = 3
            while True:
                number = number * number
        """, MUCH),
    bomb("dos-factorial", "math.factorial(10 ** 7)", "own", line("math.factorial(10 ** 7) > 1", "import math"), MUCH),
    bomb("dos-regex", "(a+)+$ on forty letters", "classic ReDoS", """
        import re
        def run(hint: dict, services=None):
            return re.match("(a+)+$", "a" * 40 + "b") is None
        """, ONLY_CPU, limits=SHORT),
    bomb("dos-regex-compile", "a pattern whose compilation is the bomb", "own", """
        import re
        def run(hint: dict, services=None):
            for turn in range(10000):
                re.compile("(?:" * 80 + "a{1,65000}" * 9000 + str(turn) + "){1,9}" * 80)
            return "compiled"
        """, MUCH | RAISED),
    bomb("dos-endless-iterator", "sum(itertools.repeat(1)): a loop in C without end", "own",
         line("sum(itertools.repeat(1))", "import itertools"), CPU | RAISED, bare=CPU),
    bomb("dos-swallow-everything", "while True: try ... except BaseException: pass", "own", """
        def run(hint: dict, services=None):
            while True:
                try:
                    while True:
                        pass
                except BaseException:
                    pass
        """, ONLY_CPU, limits=SHORT),
    bomb("dos-swallow-in-finally", "a loop in finally, and one in a generator's close", "own", """
        def walk():
            while True:
                try:
                    yield 1
                except GeneratorExit:
                    pass
        def run(hint: dict, services=None):
            try:
                raise SystemExit(0)
            finally:
                for item in walk():
                    pass
        """, CPU, bare=CPU),
    bomb("dos-sleep", "sleep until long after the deadline", "own", """
        import time
        def run(hint: dict, services=None):
            while True:
                time.sleep(3600)
        """, WALL | RAISED, bare=WALL, limits={"wall_seconds": 1}),
    bomb("dos-decimal", "decimal arithmetic with a precision of its own choosing", "own", """
        import decimal
        def run(hint: dict, services=None):
            decimal.getcontext().prec = 999999999
            return str(decimal.Decimal(2).sqrt())[:9]
        """, MUCH | RAISED),
    bomb("dos-fraction", "a fraction of an astronomic exponent", "own",
         line("fractions.Fraction('1e999999999')", "import fractions"), MUCH | RAISED),
    bomb("dos-digits", "int -> str of a million digits", "CVE-2020-10735",
         line("10 ** 1000000"), RAISED | CPU),
    bomb("dos-difflib", "difflib on two long texts", "own", """
        import difflib
        def run(hint: dict, services=None):
            left = [str(number % 90) for number in range(20000)]
            return difflib.SequenceMatcher(None, left, left[::-1], autojunk=False).ratio()
        """, MUCH),
    bomb("dos-equal-hashes", "keys of one's own whose hashes all collide", "own", """
        class Key:
            def __hash__(self):
                return 1
            def __eq__(self, other):
                return False
        def run(hint: dict, services=None):
            table = {}
            while True:
                table[Key()] = 1
        """, MUCH),
    bomb("dos-sort-key-loop", "sorting with a key that never comes back", "own", """
        def stuck(item):
            while True:
                pass
        def run(hint: dict, services=None):
            return sorted([1, 2], key=stuck)
        """, CPU | RAISED, bare=CPU),
    bomb("dos-scrypt", "hashlib.scrypt and pbkdf2 with costs of the attacker's", "own", """
        import hashlib
        def run(hint: dict, services=None):
            return hashlib.pbkdf2_hmac("sha256", b"p", b"s", 10 ** 9).hex()
        """, CPU | RAISED, bare=CPU),
]  # fmt: skip

MEMORY_BOMBS = [
    bomb("dos-string", "'a' * (1 << 33)", "own", line("'a' * (1 << 33)"), MEMORY),
    bomb("dos-list", "[0] * (1 << 31)", "own", line("[0] * (1 << 31)"), MEMORY),
    bomb("dos-list-grows", "append until nothing is left", "own", """
        def run(hint: dict, services=None):
            kept = []
            while True:
                kept.append("x" * 100000 + str(len(kept)))
        """, MEMORY),
    bomb("dos-memory-error-swallowed", "catch MemoryError and go on", "own", """
        def run(hint: dict, services=None):
            kept = []
            while True:
                try:
                    kept.append("x" * 1000000 + str(len(kept)))
                except MemoryError:
                    pass
        """, MUCH),
    bomb("dos-product", "list(itertools.product(range(100), repeat=5))", "own",
         line("list(itertools.product(range(100), repeat=5))", "import itertools"), MUCH | RAISED, bare=MUCH),
    bomb("dos-choices", "random.choices(k=1 << 30)", "own",
         line("random.choices([1, 2], k=1 << 30)", "import random"), MUCH | RAISED, bare=MUCH),
    bomb("dos-format-width", "f'{1:>2000000000}'", "own", line("f'{1:>2000000000}'"), MEMORY | RAISED),
    bomb("dos-percent-width", "'%2000000000d' % 1", "own", line("'%2000000000d' % 1"), MEMORY),
    bomb("dos-zlib", "a small text that unpacks to gigabytes", "bashkit TM-DOS-007", """
        import zlib
        def run(hint: dict, services=None):
            small = zlib.compress(b"a" * 10000000)
            for turn in range(3):
                small = zlib.compress(small)
            data = zlib.compress(b"b" * 60000000)
            kept = [zlib.decompress(data) for turn in range(100)]
            return len(kept)
        """, MUCH),
    bomb("dos-replace-blow-up", "str.replace multiplies a text by itself", "own", """
        def run(hint: dict, services=None):
            text = "aa"
            while True:
                text = text.replace("a", text)
        """, MUCH),
]  # fmt: skip

DEEP = [
    bomb("dos-recursion", "a function that calls itself", "own", """
        def deeper(level):
            return deeper(level + 1)
        def run(hint: dict, services=None):
            return deeper(0)
        """, RAISED),
    bomb("dos-recursion-swallowed", "RecursionError caught at the deepest level, again and again", "own", """
        def deeper():
            try:
                deeper()
            except RecursionError:
                pass
            finally:
                deeper()
        def run(hint: dict, services=None):
            return deeper()
        """, CPU | RAISED | frozenset({"sandbox_violation"})),
    bomb("dos-deep-repr", "repr of a list nested a hundred thousand times", "own", """
        def run(hint: dict, services=None):
            nest = []
            for level in range(100000):
                nest = [nest]
            return len(str(nest))
        """, RAISED),
    bomb("dos-deep-output", "an output nested a hundred thousand times", "own", """
        def run(hint: dict, services=None):
            nest = []
            for level in range(100000):
                nest = [nest]
            return nest
        """, OUTPUT | RAISED, layer="broker"),
    bomb("dos-deep-output-just-legal", "an output nested one level deeper than a frame may be", "own", """
        def run(hint: dict, services=None):
            nest = 1
            for level in range(66):
                nest = {"deeper": nest}
            return nest
        """, OUTPUT | frozenset({"sandbox_violation"}), layer="broker"),
    bomb("dos-cyclic-output", "an output that contains itself", "own", """
        def run(hint: dict, services=None):
            nest = {}
            nest["self"] = [nest]
            return nest
        """, OUTPUT, layer="broker"),
    bomb("dos-deep-json", "json.loads of two hundred thousand brackets", "own",
         line("json.loads('[' * 200000)", "import json"), RAISED),
    bomb("dos-deep-free", "a chain of a million objects freed at once: recursion in C, not in Python", "own", """
        def run(hint: dict, services=None):
            chain = None
            for link in range(1000000):
                chain = (chain, link)
            chain = None
            return "freed"
        """, RETURNED | MUCH),
    bomb("dos-exception-chain", "an exception with ten thousand causes", "own", """
        def run(hint: dict, services=None):
            error = ValueError("first")
            for link in range(10000):
                try:
                    raise ValueError(str(link)) from error
                except ValueError as caught:
                    error = caught
            raise error
        """, RAISED),
    bomb("dos-native-stack", "a recursion limit of a thousand million, and recursion in C", "own", """
        def run(hint: dict, services=None):
            import sys
            return sys
        """, REFUSED, raw="""
        import sys
        def run(hint: dict, services=None):
            sys.setrecursionlimit(10 ** 9)
            def deeper(level):
                return sorted([level], key=deeper)
            return deeper(0)
        """, bare=DENIED | MUCH),
]  # fmt: skip

FLOODS = [
    bomb("dos-print-flood", "print without end", "own", """
        def run(hint: dict, services=None):
            while True:
                print("x" * 1000)
        """, LOGS, layer="broker"),
    bomb("dos-print-nothing", "print empty lines without end", "own", """
        def run(hint: dict, services=None):
            while True:
                print()
        """, LOGS, layer="broker"),
    bomb("dos-print-one-line", "one line of a hundred megabytes", "own", """
        def run(hint: dict, services=None):
            print("x" * 100000000)
            return "done"
        """, LOGS | RETURNED | MEMORY, layer="broker"),
    bomb("dos-print-no-newline", "a line that never ends", "own", """
        def run(hint: dict, services=None):
            while True:
                print("x" * 1000, end="")
        """, LOGS | MUCH, layer="broker"),
    bomb("dos-output-flood", "an output of fifty megabytes", "own", """
        def run(hint: dict, services=None):
            return ["x" * 1000000 + str(part) for part in range(50)]
        """, OUTPUT | MEMORY, layer="broker"),
    bomb("dos-output-amplified", "a small object that is enormous as JSON", "own", """
        def run(hint: dict, services=None):
            shared = ["x" * 1000] * 1000
            return [[shared] * 1000] * 1000
        """, OUTPUT | MUCH, layer="broker"),
    bomb("dos-exception-text", "an exception whose text is fifty megabytes", "own", """
        def run(hint: dict, services=None):
            raise ValueError("x" * 50000000)
        """, RAISED | MEMORY, layer="broker"),
    bomb("dos-exception-str", "an exception whose __str__ never comes back", "own", """
        class Stuck(Exception):
            def __str__(self):
                while True:
                    pass
        def run(hint: dict, services=None):
            raise Stuck()
        """, CPU | RAISED, layer="broker"),
    bomb("dos-call-flood", "calls without end, every refusal swallowed", "own", """
        def run(hint: dict, services=None):
            while True:
                try:
                    services.kv.get(key="x")
                except BaseException:
                    pass
        """, frozenset({"too_many_effects"}), layer="broker", calls=frozenset({"kv.get"})),
    bomb("dos-call-huge", "one call with an argument of fifty megabytes, and one nested too deep", "own", """
        def run(hint: dict, services=None):
            nest = []
            for level in range(100):
                nest = [nest]
            for value in ("x" * 50000000, nest):
                try:
                    services.kv.set(key="x", value=value)
                except Exception as error:
                    print(str(error)[:200])
            return "done"
        """, DENIED | MEMORY | OUTPUT, layer="broker"),
    bomb("dos-call-not-json", "a call whose arguments are not JSON: NaN, a surrogate, bytes, a function, U+0000", "own", """
        def run(hint: dict, services=None):
            for value in (float("nan"), float("inf"), chr(0xD800), b"bytes", run, chr(0), {1: 2}, {(1, 2): 3}):
                try:
                    services.kv.set(key="x", value=value)
                except Exception as error:
                    print(str(error)[:200])
            return "done"
        """, DENIED, layer="broker", calls=frozenset({"kv.set"})),
    bomb("dos-output-not-json", "an output with NaN, a surrogate, U+0000, keys that are not text", "own", """
        def run(hint: dict, services=None):
            return {"nan": float("nan"), "half": chr(0xD800), "zero": chr(0), 1: 2, "function": run}
        """, OUTPUT, layer="broker"),
    bomb("dos-log-not-text", "log lines with surrogates, U+0000 and terminal controls", "bashkit TM-LOG", """
        def run(hint: dict, services=None):
            print(chr(0xD800), chr(0), chr(27) + "[2J" + chr(27) + "]0;title" + chr(7), chr(13), chr(10))
            return "done"
        """, RETURNED | RAISED, layer="broker"),
    bomb("dos-exception-not-text", "an exception whose type and text are surrogates", "own", """
        class Odd(Exception):
            def __str__(self):
                return chr(0xD800) + chr(0)
        def run(hint: dict, services=None):
            raise Odd()
        """, RAISED, layer="broker"),
]  # fmt: skip


def source_bomb(id: str, technique: str, text: str, *, bare: Ends = REFUSED, guarded: Ends = REFUSED) -> Attack:
    """The bomb is the source itself: it goes off while it is read, in the check."""
    return Attack(
        id=id, technique=technique, source="RestrictedPython 9.0 raises out of compile_restricted; own", layer="check",
        program=text, guarded=guarded, bare=bare, limits=SHORT,
    )  # fmt: skip


END = "\ndef run(hint: dict, services=None):\n    return 1\n"
EITHER = REFUSED | RETURNED
SOURCES = [
    source_bomb("dos-source-minus", "a hundred thousand minus signs", "x = " + "-" * 100000 + "1" + END),
    source_bomb("dos-source-plus", "1+1+1+... a hundred thousand times", "x = " + "1+" * 100000 + "1" + END),
    source_bomb("dos-source-brackets", "a thousand open brackets", "x = " + "(" * 1000 + "1" + ")" * 1000 + END),
    source_bomb("dos-source-surrogate", "half of a surrogate pair in the source", "x = '\ud800'" + END),
    source_bomb("dos-source-zero", "U+0000 in the source", "x = '\0'" + END),
    source_bomb("dos-source-digits", "a literal of a hundred thousand digits", "x = " + "9" * 100000 + END),
    source_bomb("dos-source-attributes", "a.b.b.b... fifty thousand deep", "def f(a):\n  a" + ".b" * 50000 + END),
    source_bomb("dos-source-calls", "f()()()... fifty thousand deep", "def f(a):\n  f" + "()" * 50000 + END),
    source_bomb("dos-source-indent", "ninety-nine and more blocks inside each other",
                "".join(" " * depth + "if 1:\n" for depth in range(120)) + " " * 120 + "x = 1" + END),
    source_bomb("dos-source-constant-fold", "constants that the compiler folds", "x = (((9**99)**99)*'a')*9999999" + END,
                guarded=REFUSED | DENIED | MUCH, bare=REFUSED | DENIED | MUCH),
    source_bomb("dos-source-huge", "more source than the limit", "# " + "x" * 300000 + END, guarded=REFUSED, bare=REFUSED),
    source_bomb("dos-source-lines", "sixty thousand lines", "x=1\n" * 60000 + END, guarded=EITHER | MUCH, bare=EITHER | MUCH),
    source_bomb("dos-source-fstrings", "f-strings inside f-strings", 'x = ' + 'f"{' * 160 + "1" + '}"' * 160 + END,
                guarded=EITHER, bare=EITHER),
    source_bomb("dos-source-lambdas", "lambdas inside lambdas", "x = " + "lambda: " * 5000 + "1" + END, guarded=REFUSED,
                bare=REFUSED),
    source_bomb("dos-source-comparisons", "a boolean expression of forty thousand terms", "x = " + "1 < " * 40000 + "2" + END,
                guarded=EITHER, bare=EITHER),
    source_bomb("dos-source-encoding", "a coding comment that names another codec", "# coding: utf-7\nx = 1" + END,
                guarded=EITHER, bare=EITHER),
    source_bomb("dos-source-escapes", "a SyntaxWarning for every character", "x = '" + "\\ " * 60000 + "'" + END,
                guarded=EITHER, bare=EITHER),
    source_bomb("dos-source-empty", "nothing at all", "", guarded=REFUSED, bare=REFUSED),
    source_bomb("dos-source-metadata", "an inline metadata block nested without end",
                "# /// agent\n# a = " + "[" * 50000 + "]" * 50000 + "\n# ///" + END),
    source_bomb("dos-source-signature", "sixty thousand parameters",
                "def run(" + ", ".join(f"p{i}=1" for i in range(25000)) + "):\n    return 1\n",
                guarded=EITHER | MUCH, bare=EITHER | MUCH),
    source_bomb("dos-source-docstring", "a docstring of 250 kB becomes the description",
                '"""' + "d" * 250000 + '"""' + END, guarded=EITHER, bare=EITHER),
    source_bomb("dos-source-annotation-nest", "an annotation nested two thousand deep, as the schema reader reads it",
                "def run(x: " + "list[" * 150 + "int" + "]" * 150 + ", hint: dict = None):\n    return 1\n",
                guarded=EITHER, bare=EITHER),
]  # fmt: skip

ATTACKS = [*COMPUTING, *MEMORY_BOMBS, *DEEP, *FLOODS, *SOURCES]
