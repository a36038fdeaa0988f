"""The façades: what each has, and that nothing dangerous can be reached from any of them."""

import enum
import inspect
import types
from abc import ABCMeta
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sandbox.restricted import importer
from sandbox.restricted.guards import Guards
from sandbox.restricted.importer import EXTENDABLE, MODULES, Importer, module_names
from sandbox.restricted.modules import Module
from sandbox.restricted.sources import Sources
from tests.sandbox.languages import evaluate, namespace_of, problems_of

# One object of each kind that the modules can make, by the means of an agent.
SAMPLES = """
import abc, base64, binascii, calendar, cmath, collections, contextlib, copy, csv, dataclasses, datetime, decimal
import difflib, enum, fractions, functools, graphlib, hashlib, heapq, hmac, html, io, itertools, json, math, operator
import pprint, random, re, secrets, statistics, string, textwrap, time, types, typing, unicodedata, urllib.parse, uuid
import zlib, zoneinfo

@contextlib.contextmanager
def manager():
    yield 1

@functools.singledispatch
def dispatched(x): return x

@functools.lru_cache
def cached(x): return x

@dataclasses.dataclass
class Data:
    x: int = 1
    @functools.cached_property
    def y(self): return 2
    @property
    def z(self): return 3
    @classmethod
    def k(cls): return cls
    @staticmethod
    def s(): return 1

class Colour(enum.Enum):
    RED = 1

class Named(typing.NamedTuple):
    a: int

class Typed(typing.TypedDict):
    a: int

class Shape(abc.ABC):
    @abc.abstractmethod
    def f(self): ...

class Proto(typing.Protocol):
    a: int

class Own(random.Random): pass

def generator():
    yield 1

def caught(function, *args):
    try:
        function(*args)
    except Exception as error:
        return error

T = typing.TypeVar("T")
d = datetime.datetime.now(datetime.timezone.utc)
stream = io.StringIO("a,b\\n1,2\\n")
result = [
    re.compile("(?P<n>a)"), re.match("(?P<n>a)", "a"), re.finditer("a", "aa"), decimal.Decimal(1), decimal.getcontext(),
    decimal.localcontext(), fractions.Fraction(1, 2), d, d.date(), d.time(), d - d, d.isocalendar(), d.timetuple(),
    zoneinfo.ZoneInfo("Europe/Paris"), datetime.timezone.utc, io.StringIO(), io.BytesIO(b"abc"),
    io.BytesIO(b"abc").getbuffer(), collections.Counter("a"), collections.deque([1]), collections.OrderedDict(a=1),
    collections.defaultdict(list), collections.ChainMap({}), collections.namedtuple("N", "a b")(1, 2),
    collections.UserDict(), collections.UserList(), csv.reader(stream), csv.DictReader(stream),
    csv.writer(io.StringIO()),
    csv.DictWriter(io.StringIO(), ["a"]), csv.Sniffer(), csv.get_dialect("excel"), hashlib.sha256(), hashlib.blake2b(),
    hmac.new(b"a", b"b", "sha256"), json.JSONEncoder(), json.JSONDecoder(), caught(json.loads, "{"), manager,
    manager(),
    contextlib.ExitStack(), contextlib.suppress(ValueError), contextlib.closing(io.StringIO()),
    contextlib.nullcontext(),
    textwrap.TextWrapper(), difflib.SequenceMatcher(), difflib.Differ(), difflib.HtmlDiff(), string.Template("$a"),
    uuid.uuid4(), urllib.parse.urlsplit("http://a/b"), urllib.parse.urlparse("http://a/b"), time.localtime(),
    statistics.NormalDist(), graphlib.TopologicalSorter(), functools.partial(print, 1), dispatched, cached, Data(),
    Data, dataclasses.fields(Data)[0], dataclasses.MISSING, Colour.RED, Colour, Named(1), Named, Typed, Shape, Proto,
    Own(), random.Random(), random.SystemRandom(), calendar.TextCalendar(), calendar.HTMLCalendar(),
    calendar.month_name,
    zlib.compressobj(), zlib.decompressobj(), types.MappingProxyType({}), types.SimpleNamespace(a=1), itertools.count(),
    itertools.groupby("a"), generator, generator(), (x for x in [1]), lambda: 0, print, len, [].append, "".join,
    typing.List[int], typing.Optional[int], typing.Literal[1], typing.Annotated[int, 2], typing.Callable[[int], int],
    typing.NewType("U", int), T, list[int], int | str, property(len), classmethod(len), staticmethod(len), range(3),
    slice(1), object(), NotImplemented, ..., map(len, []), zip(), {}.keys(), iter([]),
    caught(lambda: 1 / 0), caught(lambda: [].x), caught(lambda: undefined), caught(lambda: {}["a"]),
    caught(lambda: b"\\xff".decode()), caught(int, "x"), caught(lambda: (yield_ for yield_ in 1)), type(1), type(print),
    operator.itemgetter(1), enum.auto(), functools.cmp_to_key(len), secrets.token_bytes, copy.copy, super,
]
"""

FORBIDDEN_TYPES = (types.ModuleType, types.FrameType, types.CodeType, types.TracebackType, Guards, Importer, Sources)
FORBIDDEN_BUILTINS: list[Any] = [
    eval,
    exec,
    compile,
    open,
    __import__,
    globals,
    locals,
    vars,
    getattr,
    setattr,
    delattr,
    input,
    breakpoint,
]
CONTAINERS = (dict, list, tuple, set, frozenset, types.MappingProxyType)
FORBIDDEN_CLASSES = frozenset(
    {type, ABCMeta, enum.EnumType, types.FunctionType, types.GeneratorType, types.MethodType, types.CellType}
)


def children(guards: Guards, obj: Any, private: bool) -> Iterator[tuple[str, Any]]:
    """All that an agent gets out of an object without calling it."""
    for name in dir(obj):
        try:
            value = getattr(obj, name) if private and not name.startswith("__") else guards.read(obj, name)
        except Exception:
            continue
        yield f".{name}", value
    if isinstance(obj, Mapping):
        yield from ((f"[{key!r}]", value) for key, value in list(obj.items())[:300])
    elif isinstance(obj, CONTAINERS):
        yield from (("[]", value) for value in list(obj)[:300])


def complaint(obj: Any) -> str:
    if isinstance(obj, FORBIDDEN_TYPES) and not isinstance(obj, Module):
        return f"a {type(obj).__name__}"
    if any(obj is builtin for builtin in FORBIDDEN_BUILTINS):
        return f"the builtin {obj.__name__}"
    if isinstance(obj, type) and (
        obj in FORBIDDEN_CLASSES or (issubclass(obj, type) and obj.__name__ != "TypeOfTypes")
    ):
        return f"the class {obj.__name__}"
    if isinstance(obj, type) and obj.__module__.partition(".")[0] not in ALLOWED_MODULES:
        return f"the class {obj.__module__}.{obj.__name__}"
    return ""


# Where the classes that can be reached come from: the allowed modules, and those that these are written in.
ALLOWED_MODULES = frozenset(
    {*(name.partition(".")[0] for name in MODULES), "builtins", "agent", "_csv", "_hashlib", "_io", "_random", "_sre"}
    | {"_blake2", "_json", "_decimal", "_thread", "sandbox"}
)


def walk(guards: Guards, roots: Mapping[str, Any], depth: int, private: bool = False) -> list[str]:
    seen: dict[int, Any] = {}
    found = []
    level = list(roots.items())
    for _ in range(depth):
        following = []
        for path, obj in level:
            if id(obj) in seen or isinstance(obj, str | int | float | bytes | None):
                continue
            seen[id(obj)] = obj
            wrong = complaint(obj)
            if wrong:
                found.append(f"{path} is {wrong}")
                continue
            following += [(path + step, child) for step, child in children(guards, obj, private)]
        level = following
    assert len(seen) > len(roots)
    return found


def loaded() -> tuple[Guards, dict[str, Any]]:
    guards = Guards({})
    one = Importer(guards, Sources(), print)
    return guards, {name: one.load(name) for name in sorted(MODULES)}


def test_nothing_dangerous_is_reachable_from_a_module() -> None:
    guards, modules = loaded()
    assert walk(guards, modules, depth=6) == []


def test_nothing_dangerous_is_reachable_from_what_modules_make() -> None:
    guards, _ = loaded()
    samples = evaluate(SAMPLES)
    guards.own.update(item for item in samples if isinstance(item, type) and item.__module__ == "agent")
    assert walk(guards, {f"sample {index} {item!r:.60}": item for index, item in enumerate(samples)}, depth=5) == []
    for view in samples:
        if isinstance(view, memoryview):
            view.release()  # or a collection of this cycle may end its BytesIO first, which Python 3.13 complains of


def test_nothing_dangerous_is_reachable_from_builtins() -> None:
    namespace = namespace_of("")
    guards = namespace["_getspecial_"].__self__
    public = {name: value for name, value in namespace["__builtins__"].items() if not name.startswith("_")}
    assert walk(guards, public, depth=4) == []


def test_private_names_of_classes_that_can_be_extended_are_harmless() -> None:
    """A class of the agent's inherits them; the guard refuses them, and a mistake of its would not matter."""
    guards, modules = loaded()
    bases = {f"{m}.{n}": vars(modules[m])[n] for m, names in EXTENDABLE.items() for n in names.split()}
    bases = {path: base for path, base in bases.items() if isinstance(base, type) and not path.startswith("enum.")}
    found = walk(guards, bases, depth=2, private=True)
    assert found == []


def test_walk_would_find_what_it_looks_for() -> None:
    import re

    assert walk(Guards({}), {"re": Module("re", {"enum": re})}, depth=3) != []
    assert walk(Guards({}), {"x": Module("x", {"f": {"a": [eval]}})}, depth=5) != []


@pytest.mark.parametrize("name", sorted(MODULES))
def test_module_is_no_real_module_and_holds_none(name: str) -> None:
    _, modules = loaded()
    module = modules[name]
    assert type(module) is Module
    assert not any(inspect.ismodule(value) for value in vars(module).values())
    assert not hasattr(module, "__name__")  # or `from x import y` would reach sys.modules["x.y"]
    assert not hasattr(module, "__file__")


def test_every_listed_module_can_be_imported_and_used() -> None:
    for name in sorted(MODULES - {"__future__"}):
        assert problems_of(f"import {name}") == []
        assert module_names(name) or name in importer.CHILDREN


def test_from_import_does_not_fall_back_to_a_real_submodule() -> None:
    import json.decoder

    assert json.decoder
    code = compile("from json import decoder", "<agent>", "exec")
    namespace = namespace_of("")
    with pytest.raises(ImportError):
        exec(code, namespace)


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        ("import os", "module 'os' is not available", "services.kv"),
        ("import requests", "module 'requests' is not available", "services.http.get"),
        ("import numpy.linalg", "module 'numpy.linalg' is not available", "math, statistics"),
        ("from urllib.request import urlopen", "module 'urllib.request' is not available", "services.http.get"),
        ("import urllib\nurllib.request.urlopen('x')", "module 'urllib.request' is not available", "services.http.get"),
        ("import logging", "module 'logging' is not available", "print"),
        ("from math import *", '"import *" is not available', "from math import ..."),
        ("from . import x", "relative imports are not available", "one file"),
        ("from json import codecs", "module 'json' has no 'codecs' for agents", "dumps, load"),
        ("import re as r\nr.enum", "module 're' has no 'enum' for agents", "compile"),
        ("from operator import attrgetter", "module 'operator' has no 'attrgetter' for agents", "lambda"),
        ("from uuid import uuid1", "module 'uuid' has no 'uuid1' for agents", "uuid4"),
    ],
)
def test_import_is_refused_with_its_place_and_a_hint(source: str, message: str, hint: str) -> None:
    (problem,) = problems_of("\n  \n" + source)
    assert problem["code"] == "import_not_allowed"
    assert problem["line"] == source.count("\n") + 3
    assert problem["column"] in (0, source.rfind(" ") + 1)
    assert message in problem["message"]
    assert hint in problem["hint"]


@pytest.mark.parametrize(
    "source",
    [
        "import urllib.parse\nresult = urllib.parse.quote(' ')",
        "import urllib.parse as p\nresult = p.quote(' ')",
        "from urllib import parse\nresult = parse.quote(' ')",
        "from urllib.parse import quote as q\nresult = q(' ')",
        "def f():\n    from urllib.parse import quote\n    return quote(' ')\nresult = f()",
    ],
)
def test_every_form_of_import_works(source: str) -> None:
    assert evaluate(source) == "%20"


def test_collections_abc_is_reached_every_way() -> None:
    source = "import collections, collections.abc as c\nfrom collections import abc\nfrom collections.abc import Sized"
    assert evaluate(f"{source}\nresult = [collections.abc.Sized is Sized, c.Sized is abc.Sized]") == [True, True]


def test_a_name_that_is_also_a_variable_is_not_taken_for_the_module() -> None:
    assert problems_of("import time\ndef f(time):\n    return time.anything") == []
    assert problems_of("import datetime\nfrom datetime import datetime\ndatetime.anything") == []
