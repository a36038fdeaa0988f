"""Modules for agents that make types or touch attributes: collections, dataclasses, enum, functools, typing, ...

Invariant: nothing here reads or sets an attribute whose name the agent chose at run time, evaluates an annotation that
is a string, or makes a class out of a dict of names.
"""

import abc
import collections
import contextlib
import dataclasses
import enum
import functools
import inspect
import pprint
import types
import typing
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, UnionType
from typing import Any

from sandbox.guest.language import AGENT_MODULE
from sandbox.restricted.guards import Guards
from sandbox.restricted.kinds import AbstractMeta
from sandbox.restricted.names import is_dunder
from sandbox.restricted.sources import Sources

_DATACLASSES = "field fields asdict astuple replace is_dataclass FrozenInstanceError KW_ONLY InitVar MISSING Field"
_TYPING = (
    "Any AnyStr Annotated Callable ClassVar Collection Concatenate Container Counter DefaultDict Deque Dict Final "
    "FrozenSet Generator Generic Hashable ItemsView Iterable Iterator KeysView List Literal LiteralString Mapping "
    "MutableMapping MutableSequence MutableSet NamedTuple Never NewType NoReturn NotRequired Optional OrderedDict "
    "ParamSpec Protocol Required Reversible Self Sequence Set Sized SupportsAbs SupportsFloat SupportsIndex "
    "SupportsInt SupportsRound TYPE_CHECKING Text Tuple Type TypeAlias TypeGuard TypeVar TypedDict Union ValuesView "
    "assert_never assert_type cast final get_args get_origin is_typeddict overload override runtime_checkable"
)
_CONTEXTLIB = "AbstractContextManager ContextDecorator ExitStack closing contextmanager nullcontext suppress"
_WRAPPABLE = (FunctionType, BuiltinFunctionType, MethodType, functools.partial, type(functools.cache(len)))


def _names(module: Any, names: str) -> dict[str, Any]:
    return {name: getattr(module, name) for name in names.split()}


def collections_module(guards: Guards, sources: Sources) -> Mapping[str, Any]:
    def namedtuple(typename: str, field_names: Any, *, rename: bool = False, defaults: Any = None) -> Any:
        """The real one builds source, of names that it checks to be identifiers without an underscore."""
        make: Any = collections.namedtuple
        made = make(typename, field_names, rename=rename, defaults=defaults, module=AGENT_MODULE)
        return guards.register(made)

    names = "ChainMap Counter OrderedDict UserDict UserList UserString defaultdict deque"
    return {**_names(collections, names), "namedtuple": namedtuple}


def dataclasses_module(guards: Guards, sources: Sources) -> Mapping[str, Any]:
    """No make_dataclass: it takes names from data."""

    def dataclass(cls: Any = None, /, **options: Any) -> Any:
        def decorate(cls: Any) -> Any:
            if not isinstance(cls, type) or not guards.owns(cls):
                raise TypeError("dataclass decorates the agent's own classes")
            for name in inspect.get_annotations(cls):  # dataclass makes source of them, and runs it
                if type(name) is not str or not name.isidentifier() or is_dunder(name):
                    raise TypeError("a field's name must be an identifier")
            return guards.register(dataclasses.dataclass(cls, **options))  # slots=True makes a new class

        return decorate if cls is None else decorate(cls)

    return {**_names(dataclasses, _DATACLASSES), "dataclass": dataclass}


class _EnumType(enum.EnumType):
    """Enums are written as classes: `Enum("Name", {...})` would make a class with methods of any name."""

    def __call__(cls, value: Any, *values: Any, **keywords: Any) -> Any:
        if not cls._member_map_ or keywords:
            raise TypeError("write a class statement to make an enum")
        return super().__call__(value, *values)

    def _create_(cls, *args: Any, **keywords: Any) -> Any:
        raise TypeError("write a class statement to make an enum")

    def _convert_(cls, *args: Any, **keywords: Any) -> Any:
        raise TypeError("write a class statement to make an enum")  # the original reads any module's names


class Enum(enum.Enum, metaclass=_EnumType):
    __module__ = "enum"


class IntEnum(int, Enum, enum.ReprEnum):
    __module__ = "enum"


class StrEnum(Enum, enum.StrEnum):
    __module__ = "enum"


class Flag(Enum, enum.Flag):
    __module__ = "enum"


class IntFlag(Flag, enum.IntFlag):
    __module__ = "enum"


def enum_module(guards: Guards, sources: Sources) -> Mapping[str, Any]:
    ours = {"Enum": Enum, "IntEnum": IntEnum, "StrEnum": StrEnum, "Flag": Flag, "IntFlag": IntFlag}
    return {**_names(enum, "auto unique nonmember member CONFORM EJECT KEEP STRICT"), **ours}


def functools_module(guards: Guards, sources: Sources) -> Mapping[str, Any]:
    def update_wrapper(wrapper: Any, wrapped: Any) -> Any:
        """Without the original's lists of attribute names to copy: they would read any attribute. Attributes of a
        function are copied when it is the agent's: another one's may have got private ones of a host object."""
        own = guards.is_own_function(wrapped) or guards.is_own(wrapped)
        if type(wrapper) is not FunctionType and not guards.owns(type(wrapper)):
            raise TypeError("the wrapper must be a function")
        if not isinstance(wrapped, _WRAPPABLE) and not own:
            raise TypeError("the wrapped object must be a function")
        return functools.update_wrapper(wrapper, wrapped, updated=("__dict__",) if own else ())

    def wraps(wrapped: Any) -> Any:
        return lambda wrapper: update_wrapper(wrapper, wrapped)

    def total_ordering(cls: Any) -> Any:
        if not isinstance(cls, type) or not guards.owns(cls):
            raise TypeError("total_ordering decorates the agent's own classes")
        return functools.total_ordering(cls)

    return {
        **_names(functools, "cache cached_property cmp_to_key lru_cache partial reduce"),
        "update_wrapper": update_wrapper,
        "wraps": wraps,
        "total_ordering": total_ordering,
        "singledispatch": single_dispatch,
    }


def single_dispatch(function: Callable[..., Any]) -> Callable[..., Any]:
    """`functools.singledispatch` that never evaluates an annotation: the original calls get_type_hints."""
    real = functools.singledispatch(function)

    def register(cls: Any, implementation: Any = None) -> Any:
        if isinstance(cls, type | UnionType):
            if implementation is None:
                return lambda function: real.register(cls, function)
            return real.register(cls, implementation)
        hints = list(cls.__annotations__.values()) if type(cls) is FunctionType else []
        if not hints or not isinstance(hints[0], type | UnionType):
            raise TypeError("register needs a class: @function.register(int)")
        return real.register(hints[0], cls)

    def dispatcher(*args: Any, **keywords: Any) -> Any:
        return real(*args, **keywords)

    functools.update_wrapper(dispatcher, function)
    vars(dispatcher).update(register=register, dispatch=real.dispatch)
    return dispatcher


def typing_module(guards: Guards, sources: Sources) -> Mapping[str, Any]:
    """No get_type_hints and ForwardRef: they evaluate strings. The origin of `Type[...]` is the agent's `type`."""

    def get_origin(tp: Any) -> Any:
        origin = typing.get_origin(tp)
        return guards.type if origin is type else origin

    return {**_names(typing, _TYPING), "get_origin": get_origin}


def abc_module(guards: Guards, sources: Sources) -> Mapping[str, Any]:
    return {"ABC": abc.ABC, "ABCMeta": AbstractMeta, "abstractmethod": abc.abstractmethod}


def contextlib_module(guards: Guards, sources: Sources) -> Mapping[str, Any]:
    """No redirect_stdout: it sets an attribute of `sys`. `print(file=...)` writes to a StringIO."""
    return _names(contextlib, _CONTEXTLIB)


def types_module(guards: Guards, sources: Sources) -> Mapping[str, Any]:
    return _names(types, "SimpleNamespace MappingProxyType NoneType")


def pprint_module(guards: Guards, sources: Sources) -> Mapping[str, Any]:
    """What returns text; what prints is `printing`. No PrettyPrinter: it writes to `sys.stdout`."""
    return _names(pprint, "pformat saferepr isreadable isrecursive")


def printing(log: Callable[..., None]) -> Mapping[str, Any]:
    """The functions of pprint that print: to the agent's log."""

    def pp(value: Any, *args: Any, sort_dicts: bool = False, **options: Any) -> None:
        log(pprint.pformat(value, *args, sort_dicts=sort_dicts, **options))

    def print_pretty(value: Any, *args: Any, sort_dicts: bool = True, **options: Any) -> None:
        log(pprint.pformat(value, *args, sort_dicts=sort_dicts, **options))

    return {"pprint": print_pretty, "pp": pp}
