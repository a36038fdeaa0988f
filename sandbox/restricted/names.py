"""Which names, attributes and methods an agent may write, as allow-lists with a reason each. Decided on static names.

Every attribute in a source has a literal name, and the guards of `guards.py` hold built names to the same lists.
"""

import re
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType, TracebackType

# Methods, between double underscores, that a class may define. Left out are those that change what an attribute or a
# type is (getattribute, setattr, class, instancecheck, subclasshook, mro_entries, prepare), that make objects behind a
# constructor's back (new, reduce, setstate), or that run at unforeseen times (del).
_METHODS = (
    # life, text, truth, order
    "init post_init init_subclass set_name repr str bytes format bool hash eq ne lt le gt ge "
    # containers and iteration
    "len length_hint contains iter next reversed getitem setitem delitem missing "
    # calls, with, copies, computed attributes, descriptors
    "call enter exit copy deepcopy replace getattr get set delete "
    # numbers
    "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and or xor "
    "radd rsub rmul rmatmul rtruediv rfloordiv rmod rdivmod rpow rlshift rrshift rand ror rxor "
    "iadd isub imul imatmul itruediv ifloordiv imod ipow ilshift irshift iand ior ixor "
    "neg pos abs invert int float complex index round trunc floor ceil"
)
METHODS = frozenset(f"__{name}__" for name in _METHODS.split())

# Those that super() may be asked for: not the ones that look up attributes by name.
SUPER_METHODS = METHODS - {"__getattr__", "__get__", "__set__", "__delete__", "__set_name__"}

# Enum calls these by name; they have no meaning outside a class.
CLASS_NAMES = frozenset({"_missing_", "_generate_next_value_", "_ignore_", "_order_"})

# Attributes that may be read although they begin and end with "__"; each goes through a guard.
READABLE_DUNDERS = frozenset(
    {
        "__name__",
        "__qualname__",
        "__doc__",
        "__class__",
        "__dict__",
        "__members__",
        "__init__",
        "__cause__",
        "__context__",
    }
)

# Decorators copy these from one function to another.
WRITABLE_DUNDERS = frozenset({"__name__", "__qualname__", "__doc__"})

# Names of a module that carry no power, only custom.
MODULE_NAMES = frozenset({"__all__", "__version__", "__author__"})
READABLE_NAMES = frozenset({"__name__", "__debug__"}) | MODULE_NAMES

# Attributes that mean something else on some objects than on others: always looked at by a guard at run time.
#   format format_map: of a string, reach attributes by text        obj: of an AttributeError, the host's object
#   mro, register: of a class, change or show what a type is         now ... strptime: of dates, the host's clock
GUARDED = frozenset({"format", "format_map", "obj", "mro", "register", "now", "utcnow", "today", "strptime"})

_INTROSPECTED = (FrameType, CodeType, TracebackType, GeneratorType, CoroutineType, AsyncGeneratorType)
_ORDINARY = {"send", "throw", "close", "asend", "athrow", "aclose", "clear", "replace"}

# Public names of frames, code, tracebacks and suspended functions, taken from the running Python: new ones are in.
INTROSPECTION = frozenset(
    name for kind in _INTROSPECTED for name in dir(kind) if not name.startswith("_") and name not in _ORDINARY
)

_GUARD_SHAPED = re.compile(r"_.*_")


def is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__") and len(name) > 4


def variable_allowed(name: str, *, in_class: bool = False) -> bool:
    """May a variable, function, class or parameter be called so? The guards' own names, `_like_this_`, may not.

    `__name` is private to a class: Python itself makes `_Class__name` of it.
    """
    if not name.startswith("_") or set(name) == {"_"}:
        return True
    if name.startswith("__"):
        return in_class and not name.endswith("_")
    return not _GUARD_SHAPED.fullmatch(name) or (in_class and name in CLASS_NAMES)


def attribute_allowed(name: str) -> bool:
    """May an attribute of this name be asked for? Whether a private one is given is for the guard to say."""
    return (not is_dunder(name) or name in READABLE_DUNDERS) and name not in INTROSPECTION
