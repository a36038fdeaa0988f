"""What agents get of types: `type`, `ABCMeta`, names of types that they do not get, builtin types they may extend.

Invariant: nothing here makes a class, or shows one that was not handed out on purpose.
"""

import builtins
import typing
from collections.abc import Callable
from typing import Any


class AbstractMeta:
    """What agents get as `abc.ABCMeta`: fit for `metaclass=`, useless as a constructor of classes."""

    def __new__(cls) -> "AbstractMeta":
        raise TypeError("ABCMeta can only be used as metaclass=ABCMeta")


def make_type(kind_of: Callable[[Any], Any]) -> type:
    """What agents get as `type`: good for isinstance, annotations and `type(x)`; it neither makes nor extends types."""

    class TypeOfTypes(type):
        def __call__(cls, *args: Any) -> Any:
            if len(args) != 1:
                raise TypeError("type() takes one argument here; write a class statement to make a class")
            return kind_of(args[0])

        def __instancecheck__(cls, instance: Any) -> bool:
            return issubclass(builtins.type(instance), builtins.type)

        def __repr__(cls) -> str:
            return "<class 'type'>"

    class Type(metaclass=TypeOfTypes):
        def __class_getitem__(cls, item: Any) -> Any:
            return typing.Type[item]  # noqa: UP006 - `type[item]` could be called, and would call the real type

        def __init_subclass__(cls, **keywords: Any) -> None:
            raise TypeError("type cannot be extended")

    Type.__name__ = Type.__qualname__ = "type"
    return Type


class Kind:
    """The name of a type that agents do not get, and nothing else."""

    def __init__(self, name: str) -> None:
        self.__name__ = self.__qualname__ = name

    def __repr__(self) -> str:
        return f"<class '{self.__name__}'>"


SELF_MATCHING: frozenset[Any] = frozenset({bool, bytearray, bytes, dict, float, frozenset, int, list, set, str, tuple})
EXTENDABLE: frozenset[Any] = SELF_MATCHING - {bool} | {object, complex, property}
KNOWN_KINDS: frozenset[Any] = SELF_MATCHING | {
    complex,
    range,
    slice,
    object,
    type(None),
    type(...),
    type(NotImplemented),
}
