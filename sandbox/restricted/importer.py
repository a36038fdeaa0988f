"""`import` for agents: which modules exist, which names each has, and the objects behind them in one run."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from sandbox.restricted import chance_modules, clock_modules, copying, type_modules
from sandbox.restricted.guards import Guards
from sandbox.restricted.modules import PLAIN, Factory, Module, plain_names
from sandbox.restricted.sources import Sources

FACTORIES: Final[Mapping[str, Factory]] = {
    "abc": type_modules.abc_module,
    "collections": type_modules.collections_module,
    "contextlib": type_modules.contextlib_module,
    "copy": copying.copy_module,
    "dataclasses": type_modules.dataclasses_module,
    "datetime": clock_modules.datetime_module,
    "enum": type_modules.enum_module,
    "functools": type_modules.functools_module,
    "pprint": type_modules.pprint_module,
    "random": chance_modules.random_module,
    "secrets": chance_modules.secrets_module,
    "statistics": chance_modules.statistics_module,
    "time": clock_modules.time_module,
    "types": type_modules.types_module,
    "typing": type_modules.typing_module,
    "uuid": chance_modules.uuid_module,
    "zoneinfo": clock_modules.zoneinfo_module,
}

# A dotted module's parent has that one name, beside its own.
CHILDREN: Final[Mapping[str, str]] = {"collections": "abc", "urllib": "parse"}

# What an agent's class may extend, beside builtin types, exceptions and its own classes.
EXTENDABLE: Final[Mapping[str, str]] = {
    "abc": "ABC",
    "collections": "ChainMap Counter OrderedDict UserDict UserList UserString defaultdict deque",
    "collections.abc": PLAIN["collections.abc"],
    "contextlib": "AbstractContextManager ContextDecorator",
    "csv": "Dialect excel excel_tab unix_dialect",
    "datetime": "tzinfo",
    "enum": "Enum IntEnum StrEnum Flag IntFlag",
    "json": "JSONEncoder JSONDecoder",
    "random": "Random",
    "string": "Template",
    "types": "SimpleNamespace",
    "typing": "Any Generic NamedTuple Protocol TypedDict",
}

MODULES: Final = frozenset({*PLAIN, *FACTORIES, *CHILDREN})

# What the allowed modules import when they are first used; a jail has no files to import them from.
_LAZY: Final = [
    "_strptime",
    "encodings.ascii",
    "encodings.latin_1",
    "encodings.utf_8",
    "encodings.utf_8_sig",
    "encodings.utf_16",
    "encodings.utf_16_le",
    "encodings.utf_16_be",
    "encodings.utf_32",
    "encodings.utf_7",
    "encodings.cp1252",
    "encodings.iso8859_1",
    "encodings.iso8859_15",
    "encodings.cp437",
    "encodings.idna",
    "encodings.punycode",
    "encodings.unicode_escape",
    "encodings.raw_unicode_escape",
    "heapq",
    "inspect",
    "ipaddress",
    "linecache",
    "stringprep",
    "traceback",
    "unicodedata",
]

_names: dict[str, frozenset[str]] = {}


def preload() -> None:
    """Import and read beforehand all that an agent can need: afterwards no file is opened. Called before the jail."""
    for module in _LAZY:
        importlib.import_module(module)
    for module in MODULES:
        module_names(module)
    "preload".encode("idna")
    clock_modules.preload_zones()


class Importer:
    """The modules of one run, each made when it is first imported."""

    def __init__(self, guards: Guards, sources: Sources, log: Callable[..., None]) -> None:
        self._guards = guards
        self._sources = sources
        self._log = log
        self._loaded: dict[str, Module] = {}

    def __call__(
        self, name: Any, globals: Any = None, locals: Any = None, fromlist: Any = (), level: Any = 0
    ) -> Module:
        """The `__import__` of agents: a façade, or ImportError for all else."""
        if type(name) is not str or name not in MODULES or level != 0:
            raise ImportError(f"module {name!r} is not available to agents")
        return self.load(name if fromlist else name.partition(".")[0])

    def load(self, name: str) -> Module:
        if name not in self._loaded:
            names = self._contents(name)
            self._guards.visible.update(value for value in names.values() if isinstance(value, type))
            self._guards.extendable.update(names[base] for base in EXTENDABLE.get(name, "").split())
            if name == "typing":  # typing.Mapping[str, int] stands for one of these
                self.load("collections")
            self._loaded[name] = Module(name, names)
        return self._loaded[name]

    def _contents(self, name: str) -> dict[str, Any]:
        factory = FACTORIES.get(name)
        names = {**_plain(name)} if factory is None else {**factory(self._guards, self._sources)}
        if name == "pprint":
            names |= type_modules.printing(self._log)
        if name in CHILDREN:
            names[CHILDREN[name]] = self.load(f"{name}.{CHILDREN[name]}")
        return names


_plain_cache: dict[str, dict[str, Any]] = {}


def _plain(module: str) -> dict[str, Any]:
    if module not in PLAIN:
        return {}
    if module not in _plain_cache:
        _plain_cache[module] = plain_names(module)
    return _plain_cache[module]


def module_names(module: str) -> frozenset[str]:
    """The names that a module has for agents: what `check` compares a source with."""
    if module not in _names:
        importer = Importer(Guards({}), Sources(), lambda *_: None)
        _names[module] = frozenset(vars(importer.load(module))) - {"__doc__"}
    return _names[module]
