"""The builtins of agents: an allow-list. Those that reach attributes or types by another way are the guards' own."""

import builtins
from typing import Any, Final

from sandbox.restricted.guards import Guards

# Values, conversions, iteration: they only compute. C code iterates past RestrictedPython's `_getiter_`, which is why
# it leaves out sorted, zip and their like; here nothing depends on that guard (see guards.py).
_PLAIN: Final = [
    "None",
    "True",
    "False",
    "Ellipsis",
    "NotImplemented",
    "abs",
    "all",
    "any",
    "ascii",
    "bin",
    "bool",
    "bytearray",
    "bytes",
    "callable",
    "chr",
    "classmethod",
    "complex",
    "dict",
    "divmod",
    "enumerate",
    "filter",
    "float",
    "format",
    "frozenset",
    "hash",
    "hex",
    "id",
    "int",
    "isinstance",
    "issubclass",
    "iter",
    "len",
    "list",
    "map",
    "max",
    "min",
    "next",
    "object",
    "oct",
    "ord",
    "pow",
    "property",
    "range",
    "repr",
    "reversed",
    "round",
    "set",
    "slice",
    "sorted",
    "staticmethod",
    "str",
    "sum",
    "super",
    "tuple",
    "zip",
]

# No exception groups: `except*` confuses types, CVE-2025-22153.
_EXCEPTIONS: Final = [
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException) and not issubclass(value, BaseExceptionGroup)
]

_GUARDED: Final = ("getattr", "hasattr", "setattr", "delattr", "vars", "type", "print")

NAMES: Final = frozenset({*_PLAIN, *_EXCEPTIONS, *_GUARDED, "IS_TEST_MODE"})

_STATIC: Final[dict[str, Any]] = {name: getattr(builtins, name) for name in (*_PLAIN, *_EXCEPTIONS)}


def make_builtins(guards: Guards) -> dict[str, Any]:
    """All but `print` and `__import__`, which belong to the run."""
    return {
        **_STATIC,
        "__build_class__": guards.build_class,
        "getattr": guards.getattr,
        "hasattr": guards.hasattr,
        "setattr": guards.setattr,
        "delattr": guards.delattr,
        "vars": guards.vars,
        "type": guards.type,
    }
