"""What the compiled code calls instead of touching attributes itself. Invariant: decides by `type(x)`, never by what
an object says of itself (`isinstance`, `__class__`, a `str` subclass), and refuses what it does not know.

There is no guard for items, iteration, unpacking and calls: RestrictedPython has them for hosts whose objects carry
permissions. Here no object carries any; all power is behind the broker.
"""

import builtins
import string
from _string import formatter_field_name_split  # type: ignore[import-not-found]
from abc import ABCMeta
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Context
from textwrap import TextWrapper
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    SimpleNamespace,
    TracebackType,
    resolve_bases,
)
from typing import Any

from sandbox.restricted.kinds import EXTENDABLE, KNOWN_KINDS, SELF_MATCHING, AbstractMeta, Kind, make_type
from sandbox.restricted.names import GUARDED, READABLE_DUNDERS, attribute_allowed, is_dunder
from sandbox.restricted.ownership import MODULE_OF, Ownership

# Objects that an agent should never hold, and can do nothing with when it does.
OPAQUE = frozenset({ModuleType, FrameType, CodeType, TracebackType, CoroutineType, AsyncGeneratorType})

# Library objects that are made to be written to.
WRITABLE = (SimpleNamespace, FunctionType, Context, TextWrapper)

# What namedtuple makes of a tuple: public, in spite of the underscore.
NAMEDTUPLE_NAMES = frozenset({"_asdict", "_replace", "_make", "_fields", "_field_defaults"})

SELF_CLASS_OF: Callable[[Any], type] = super.__dict__["__self_class__"].__get__

Substitute = Callable[[Any], Any]


def guarded_getattr(obj: Any, name: str) -> Any:
    """`obj.name`, for a name that the policy has allowed when it compiled the source."""
    if type(obj) in OPAQUE:
        raise AttributeError(f"attributes of a {type(obj).__name__} are not available")
    return getattr(obj, name)


def refused(obj: Any, name: str) -> AttributeError:
    return AttributeError(f"attribute {name!r} of {type(obj).__name__!r} is not available to agents")


class SafeFormatter(string.Formatter):
    """`str.format` whose fields reach attributes through the guard: CVE-2023-41039, CVE-2026-76825."""

    def __init__(self, read: Callable[[Any, Any], Any]) -> None:
        self._read = read

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        first, rest = formatter_field_name_split(field_name)
        obj = self.get_value(first, args, kwargs)
        for is_attribute, name in rest:
            obj = self._read(obj, name) if is_attribute else obj[name]
        return obj, first


class Guards(Ownership):
    """The guards of one run."""

    def __init__(self, substitutes: Mapping[str, Substitute]) -> None:
        """`substitutes`: by name, what to give instead of a library's own method (the clock's)."""
        self.extendable: set[Any] = set(EXTENDABLE)
        self.visible: set[type] = set(KNOWN_KINDS)
        super().__init__(WRITABLE)
        self._substitutes = substitutes
        self._format = SafeFormatter(self.read)
        self._kinds: dict[str, Kind] = {}
        self._readable: set[tuple[type, str]] = set()
        self.type = make_type(self.kind_of)

    def write(self, obj: Any) -> Any:
        """`_write_(obj).name = ...`: the object itself when its attributes may be set, else TypeError."""
        if type(obj) in self.writable or self.is_own(obj) or issubclass(type(obj), BaseException):
            return obj
        raise TypeError(f"attributes of {type(obj).__name__!r} cannot be set")

    def read(self, obj: Any, name: Any) -> Any:
        """`getattr(obj, name)` for a name that was made at run time."""
        if type(name) is not str:
            raise TypeError("attribute name must be string")
        if not attribute_allowed(name):
            raise refused(obj, name)
        if name in GUARDED or name.startswith("_"):
            return self.special(obj, name)
        return guarded_getattr(obj, name)

    def special(self, obj: Any, name: str) -> Any:
        """Attributes that are private, double-underscored, or in GUARDED."""
        kind = type(obj)
        if kind in OPAQUE:
            raise refused(obj, name)
        if name in GUARDED:
            return self._guarded(obj, kind, name)
        if is_dunder(name):
            return self._dunder(obj, kind, name)
        return self._private(obj, kind, name)

    def private(self, obj: Any, name: str) -> Any:
        """`obj._name`, for a name that the policy has allowed. Remembers the answer where nothing can change it."""
        kind = type(obj)
        if (kind, name) in self._readable:
            return getattr(obj, name)
        value = self.special(obj, name)
        if self.owns(kind) and not issubclass(kind, type) and name not in self.foreign_names(kind):
            self._readable.add((kind, name))
        return value

    def _private(self, obj: Any, kind: type, name: str) -> Any:
        """Private attributes are for what the agent itself defined: not those of a library's class that it extends, nor
        of a metaclass. `E._convert_("X", "sys", ...)`, of any enum, would be all of `sys.modules`."""
        if kind is SimpleNamespace or self.is_own_function(obj):
            return getattr(obj, name)
        is_class = issubclass(kind, type)
        cls = obj if is_class else SELF_CLASS_OF(obj) if kind is super else kind
        if name in NAMEDTUPLE_NAMES and issubclass(cls, tuple):
            return getattr(obj, name)
        if not self.owns(cls) or (name in self.foreign_names(cls) and (kind is super or not self.defines(cls, name))):
            raise refused(obj, name)
        return getattr(obj, name)

    def _dunder(self, obj: Any, kind: type, name: str) -> Any:
        if name == "__class__":
            return self.kind_of(obj)
        if name in ("__cause__", "__context__") and not issubclass(kind, BaseException):
            raise refused(obj, name)
        if name == "__dict__" and (issubclass(kind, type) or not self.owns(kind)):
            raise refused(obj, name)
        if name == "__init__":  # Base.__init__(self, ...)
            if not issubclass(kind, type) or not self.may_extend(obj):
                raise refused(obj, name)
        elif name not in READABLE_DUNDERS:
            raise refused(obj, name)
        return getattr(obj, name)

    def _guarded(self, obj: Any, kind: type, name: str) -> Any:
        """Decides by the value found, so that an alias, `super()` or a proxy makes no difference."""
        if name == "obj" and not (kind is SimpleNamespace or self.is_own(obj)):
            raise refused(obj, name)
        if name == "mro" and (issubclass(kind, type) or not (kind is SimpleNamespace or self.is_own(obj))):
            raise refused(obj, name)
        value = getattr(obj, name)
        if name in ("format", "format_map"):
            return self._safe_format(value, name)
        if name == "register" and type(value) is MethodType and issubclass(type(value.__self__), ABCMeta):
            raise refused(obj, name)
        if name in self._substitutes and type(value) is BuiltinFunctionType and value.__name__ == name:
            owner: Any = value.__self__
            if issubclass(type(owner), type) and issubclass(owner, date):
                return self._substitutes[name](owner)
        return value

    def _safe_format(self, value: Any, name: str) -> Any:
        """Stands in for the method of `str`, bound or not; any other value is itself."""
        vformat = self._format.vformat
        if type(value) is BuiltinFunctionType and value.__name__ == name and issubclass(type(value.__self__), str):
            text = str.__str__(value.__self__)
            if name == "format_map":
                return lambda mapping, /: vformat(text, (), mapping)
            return lambda *args, **kwargs: vformat(text, args, kwargs)
        if type(value) is MethodDescriptorType and value.__name__ == name and value.__objclass__ is str:
            if name == "format_map":
                return lambda text, mapping, /: vformat(str.__str__(text), (), mapping)
            return lambda text, /, *args, **kwargs: vformat(str.__str__(text), args, kwargs)
        return value

    # Builtins that take an attribute's name, or that make or show types.

    def getattr(self, obj: Any, name: Any, *default: Any) -> Any:
        if len(default) > 1:
            raise TypeError(f"getattr expected at most 3 arguments, got {len(default) + 2}")
        try:
            return self.read(obj, name)
        except AttributeError:
            if default:
                return default[0]
            raise

    def hasattr(self, obj: Any, name: Any) -> bool:
        try:
            self.read(obj, name)
        except AttributeError:
            return False
        return True

    def _settable(self, name: Any) -> None:
        if type(name) is not str:
            raise TypeError("attribute name must be string")
        if is_dunder(name) or not attribute_allowed(name):
            raise AttributeError(f"attribute {name!r} cannot be set by agents")

    def setattr(self, obj: Any, name: Any, value: Any) -> None:
        self._settable(name)
        builtins.setattr(self.write(obj), name, value)

    def delattr(self, obj: Any, name: Any) -> None:
        self._settable(name)
        builtins.delattr(self.write(obj), name)

    def object_setattr(self, obj: Any, name: Any, value: Any) -> None:
        """`object.__setattr__(self, ...)`: how a frozen dataclass sets a field of its own."""
        self._settable(name)
        if not self.owns(type(obj)):
            raise TypeError("object.__setattr__ works on instances of the agent's own classes")
        object.__setattr__(obj, name, value)

    def vars(self, obj: Any) -> Any:
        if type(obj) is SimpleNamespace or (self.owns(type(obj)) and not isinstance(obj, type)):
            return obj.__dict__
        raise TypeError("vars() works on instances of the agent's own classes")

    def kind_of(self, obj: Any) -> Any:
        """`type(obj)`: a class that is the agent's, or that it may have anyway; else a stand-in with its name.

        The real type of a function, generator or class would be a constructor that nobody meant to hand out.
        """
        kind = type(obj)
        if issubclass(kind, type):
            return self.type
        if self.owns(kind) or kind in self.visible or issubclass(kind, BaseException):
            return kind
        return self._kinds.setdefault(kind.__name__, Kind(kind.__name__))

    def match_class(self, cls: Any) -> Any:
        """A class in a pattern with positions. `__match_args__` read attributes by text, past every guard: so only
        built-in types, which take the subject itself, and the agent's own, if their fields have names for all to read.
        A private one is read from instances only: what an abstract class or a protocol takes for one may be anything.
        """
        if issubclass(type(cls), type):
            if cls in SELF_MATCHING:
                return cls
            fields = getattr(cls, "__match_args__", ())
            private = any(name.startswith("_") for name in fields) and type(cls) is not type
            if self.owns(cls) and not private and not GUARDED & {*fields} and all(map(attribute_allowed, fields)):
                return cls
        raise TypeError(f"{cls!r} cannot be matched by position; match by keyword, or test with isinstance")

    # Classes

    def may_extend(self, base: Any) -> bool:
        if not issubclass(type(base), type):
            return type(base) is FunctionType and base in self.extendable  # NamedTuple, TypedDict
        return self.owns(base) or base in self.extendable or issubclass(base, BaseException)

    def _check_base(self, base: Any) -> None:
        """An alias such as `Generic[T]` stands for other bases; nothing else may, least of all an agent's object."""
        is_alias = MODULE_OF(type(base)) in ("typing", "types") and not issubclass(type(base), (type, SimpleNamespace))
        for actual in resolve_bases((base,)) if is_alias else (base,):
            if not self.may_extend(actual):
                raise TypeError(f"{getattr(actual, '__name__', 'this object')} cannot be extended; hold one instead")

    def build_class(self, body: Any, name: str, *bases: Any, **keywords: Any) -> Any:
        """The `class` statement: bases from an allow-list, no metaclass but that of abstract classes."""
        for base in bases:
            self._check_base(base)
        if keywords.get("metaclass") is AbstractMeta:
            keywords["metaclass"] = ABCMeta
        elif "metaclass" in keywords:
            raise TypeError("metaclasses are not available")
        return self.register(builtins.__build_class__(body, name, *bases, **keywords))
