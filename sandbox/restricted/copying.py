"""copy for agents: a second instance of the module, that takes apart only what is the agent's or a library's value.

The parts of an object are seen by every `__deepcopy__` on the way, in `memo`, and an answer of `__reduce_ex__` is set
on whatever it names, past every guard. So no host object is taken apart, and no answer of the agent's is believed.
"""

import importlib.util
from collections.abc import Mapping
from typing import Any

from sandbox.guest.language import AGENT_MODULE
from sandbox.restricted.guards import Guards
from sandbox.restricted.names import is_dunder
from sandbox.restricted.ownership import MODULE_OF
from sandbox.restricted.sources import Sources

# Modules whose objects may be taken apart to be copied; nothing of the host's is among them.
_COPYABLE = frozenset(
    f"{AGENT_MODULE} builtins calendar collections csv datetime decimal enum fractions functools graphlib itertools "
    "random re statistics string textwrap types typing urllib uuid zoneinfo".split()
)
_PROTOCOL = 4


def _has_own_answers(x: Any) -> bool:
    """Is there a `__reduce__`, `__getstate__` or their like in the instance itself? `vars(self)` can put it there."""
    try:
        names = object.__getattribute__(x, "__dict__")
    except AttributeError:
        return False
    return not all(type(name) is str and not is_dunder(name) for name in names)


def _private_copy() -> Any:
    spec = importlib.util.find_spec("copy")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    reconstruct = module._reconstruct

    def checked(x: Any, memo: Any, *answer: Any, **options: Any) -> Any:
        kind: Any = type(x)
        if MODULE_OF(kind).partition(".")[0] not in _COPYABLE or _has_own_answers(x):
            raise TypeError(f"cannot copy a {kind.__name__}")
        real = kind.__reduce_ex__(x, _PROTOCOL)  # asked again, of the class: `answer` may be the agent's
        return x if isinstance(real, str) else reconstruct(x, memo, *real, **options)

    module._reconstruct = checked
    return module


_copy = _private_copy()


def copy_module(guards: Guards, sources: Sources) -> Mapping[str, Any]:
    return {name: getattr(_copy, name) for name in ("copy", "deepcopy", "Error")}
