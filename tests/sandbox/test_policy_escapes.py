"""What the language must not give away, each tried the way an attacker would: refused at the check or when it runs."""

import pytest

from sandbox.guest.language import Refused
from tests.sandbox.languages import namespace_of, problems_of

# Refused before anything runs.
REFUSED = {
    "subclasses": "().__class__.__base__.__subclasses__()",
    "globals of a function": "(lambda: 0).__globals__",
    "code of a function": "(lambda: 0).__code__",
    "self of a builtin": "print.__self__",
    "frame of a generator": "(x for x in [1]).gi_frame",
    "suspended frame": "(x for x in [1]).gi_yieldfrom",
    "traceback": "try:\n    1 / 0\nexcept Exception as e:\n    e.__traceback__",
    "frame of a traceback": "class C:\n    def __exit__(self, a, b, tb):\n        tb.tb_frame",
    "frame attribute": "x = 1\nx.f_back",
    "look-alike letters": "().__\uff43lass__.__base__",
    "augmented code": "def f(): pass\nf.__code__ += 1",
    "with as code": "def f(): pass\nwith f as f.__code__: pass",
    "for into code": "def f(): pass\nfor f.__code__ in []: pass",
    "deleted dunder": "class C: pass\ndel C.__module__",
    "mangled": "class _Printer:\n    def f(self): return license.__filenames",
    "loader": "__loader__",
    "spec": "__spec__",
    "builtins": "__builtins__",
    "import function": "__import__('os')",
    "type call": "type.__getattribute__(1, 'x')",
    "metaclass": "class M(metaclass=type): pass",
    "metaclass in keywords": "class M(**{'metaclass': type}): pass",
    "class getitem": "class C:\n    def __class_getitem__(cls, x): pass",
    "getattribute": "class C:\n    def __getattribute__(self, x): pass",
    "setattr method": "class C:\n    def __setattr__(self, n, v): pass",
    "del method": "class C:\n    def __del__(self): pass",
    "new": "class C:\n    def __new__(cls): pass",
    "reduce": "class C:\n    def __reduce__(self): return print, ()",
    "class attribute": "class C:\n    __class__ = int",
    "match args of a frame": "class C:\n    __match_args__ = ('gi_frame',)",
    "match args of a dunder": "class C:\n    __match_args__ = ('__dict__',)",
    "match args of a format": "class C(str):\n    __match_args__ = ('format',)",
    "computed match args": "n = 'x'\nclass C:\n    __match_args__ = (n,)",
    "annotations": "class C:\n    __annotations__ = {}",
    "dunder slot": "class C:\n    __slots__ = ('__class__',)",
    "computed slot": "n = 'x'\nclass C:\n    __slots__ = (n,)",
    "slots and a guard": "class C:\n    __slots__ = _getattr_ = ('a',)",
    "async def": "async def f(): pass",
    "async comprehension": "async def f(): return [x async for x in y]",
    "exception group": "try:\n    pass\nexcept* ValueError:\n    pass",
    "exec": "exec('1')",
    "eval": "eval('1')",
    "open": "open('/etc/passwd')",
    "globals": "globals()",
    "match obj": "match 1:\n    case AttributeError(obj=o): pass",
    "match format": "match 'x':\n    case str(format=f): pass",
    "match frame": "match 1:\n    case object(gi_frame=f): pass",
    "match dunder": "match 1:\n    case object(__class__=c): pass",
    "match private": "match 1:\n    case object(_x=c): pass",
    "match value path": "class C: pass\nmatch 1:\n    case C.__dict__: pass",
    "match value obj": "class C: pass\nmatch 1:\n    case C.obj: pass",
    "match mapping key": "class C: pass\nmatch {}:\n    case {C.__name__: x}: pass",
    "augmented format": "class S(str): pass\nS().format += 1",
    "shadowed super": "def f(super): return super().__init__",
    "super with arguments": "class C:\n    def f(self): return super(C, self).__getattribute__('f')",
    "super getattr": "class C:\n    def f(self): return super().__getattr__('x')",
    "module attribute": "import re\nre.enum.sys",
    "module name": "from statistics import sys",
    "private module name": "from random import _os",
    "import": "import os",
    "import submodule": "import os.path",
    "from submodule": "from json import decoder",
    "import star": "from math import *",
    "relative import": "from . import os",
    "attrgetter": "from operator import attrgetter",
    "methodcaller": "import operator\noperator.methodcaller('x')",
    "formatter": "from string import Formatter",
    "type hints": "from typing import get_type_hints",
    "make_dataclass": "from dataclasses import make_dataclass",
}

# Every construct that binds a name, binding a guard's.
BINDINGS = {
    "assignment": "_getattr_ = 1",
    "tuple": "a, (_write_, b) = 1, (2, 3)",
    "star": "a, *_write_ = 1, 2",
    "annotation": "_getattr_: int = 1",
    "augmented": "_getattr_ += 1",
    "walrus": "(_getattr_ := 1)",
    "for": "for _getattr_ in []: pass",
    "comprehension": "[1 for _getattr_ in []]",
    "with": "with x as _getattr_: pass",
    "except": "try:\n    pass\nexcept ValueError as _getattr_:\n    pass",
    "import": "import math as _getattr_",
    "from import": "from math import pi as _getattr_",
    "def": "def _getattr_(a, b): pass",
    "class": "class _getattr_: pass",
    "parameter": "def f(_getattr_): pass",
    "positional-only": "def f(_getattr_, /): pass",
    "keyword-only": "def f(*, _getattr_): pass",
    "star parameter": "def f(*_getattr_): pass",
    "double star": "def f(**_getattr_): pass",
    "lambda": "lambda _getattr_: 1",
    "global": "def f():\n    global _getattr_",
    "nonlocal": "def f():\n    _getattr_ = 1\n    def g():\n        nonlocal _getattr_",
    "match capture": "match 1:\n    case _getattr_: pass",
    "match as": "match 1:\n    case int() as _getattr_: pass",
    "match star": "match 1:\n    case [*_getattr_]: pass",
    "match rest": "match 1:\n    case {**_getattr_}: pass",
    "type parameter": "def f[_getattr_](): pass",
    "type alias": "type _getattr_ = int",
    "method": "class C:\n    def _getattr_(self, b): pass",
    "class variable": "class C:\n    _getattr_ = 1",
    "delete": "del _getattr_",
    "read": "x = _getattr_",
    "temporary": "_tmp1_ = 1",
    "builtins": "__builtins__ = {}",
    "build class": "class C:\n    __build_class__ = 1",
}

# Passes the check, and must raise when it runs. `stolen` is what the attacker would have.
RAISES = {
    "getattr dunder": "stolen = getattr(int, '__base' + '__')",
    "getattr globals": "stolen = getattr(lambda: 0, '__glob' + 'als__')",
    "getattr str subclass": (
        "class S(str):\n    def startswith(self, x): return False\nstolen = getattr((), S('__class__'))"
    ),
    "getattr frame": "g = (x for x in [1])\nstolen = getattr(g, 'gi_' + 'frame')",
    "setattr on a module": "import json\nsetattr(json, 'dumps', 1)\nstolen = 1",
    "write to a module": "import json\njson.dumps = 1\nstolen = 1",
    "write to a class": "from json import JSONEncoder\nJSONEncoder.default = 1\nstolen = 1",
    "write to a builtin": "dict.get = 1\nstolen = 1",
    "setattr dunder": "class C: pass\nsetattr(C, '__class' + '__', int)\nstolen = 1",
    "vars of a class": "class C: pass\nstolen = vars(C)",
    "vars of a module": "import json\nstolen = vars(json)",
    "dict of a module": "import json\nstolen = json.__dict__",
    "dict of a class": "class C: pass\nstolen = C.__dict__",
    "dict of a function": "stolen = (lambda: 0).__dict__",
    "format": "stolen = '{0.__class__.__base__}'.format(1)",
    "format items": "stolen = '{a[0].__class__.__base__}'.format(a=[1])",
    "format map": "stolen = '{a.__class__.__base__}'.format_map({'a': 1})",
    "format alias": "stolen = list(map('{0.__class__.__base__}'.format, [1]))",
    "format unbound": "stolen = str.format('{0.__class__.__base__}', 1)",
    "format by getattr": "stolen = getattr('{0.__class__.__base__}', 'form' + 'at')(1)",
    "format of a subclass": "class S(str): pass\nstolen = S('{0.__class__.__base__}').format(1)",
    "format by super": "class S(str):\n    def f(self): return super().format(1)\nstolen = S('{0.mro}').f()",
    "format by proxy": "from typing import Annotated\nstolen = Annotated[str, 1].format('{0.__class__.__base__}', 1)",
    "format in a spec": "stolen = '{:{0.__class__.__base__}}'.format(1)",
    "format frame": "g = (x for x in [1])\nstolen = '{0.gi_frame}'.format(g)",
    "attribute error object": "try:\n    [].nothing\nexcept AttributeError as e:\n    stolen = e.obj",
    "object by getattr": "try:\n    [].nothing\nexcept AttributeError as e:\n    stolen = getattr(e, 'obj')",
    "type makes no class": "stolen = type('X', (), {})",
    "type of type": "stolen = type(type(1))('X', (), {})",
    "type of a class": "class C: pass\nstolen = type(C)('X', (), {})",
    "type of a function": "stolen = type(lambda: 0)(1, {})",
    "class of a function": "stolen = (lambda: 0).__class__(1, {})",
    "extend type": "class M(type): pass\nstolen = M",
    "extend a function": "f = lambda: 0\nclass M(f): pass\nstolen = M",
    "extend partial": "from functools import partial\nclass M(partial): pass\nstolen = M",
    "extend by alias": "from functools import partial\nclass M(partial[int]): pass\nstolen = M",
    "extend by equality": (
        "class B:\n    def __hash__(self): return hash(object)\n    def __eq__(self, o): return True\n"
        "    def __getattr__(self, n): return lambda b: (int,)\nclass M(B()): pass\nstolen = M"
    ),
    "abstract metaclass call": "from abc import ABCMeta\nstolen = ABCMeta('X', (), {})",
    "enum call": "from enum import Enum\nstolen = Enum('X', {'__del__': print})",
    "enum create": "from enum import Enum\nclass E(Enum): pass\nstolen = E._create_('X', {'a': 1})",
    "enum convert": "from enum import Enum\nclass E(Enum): pass\nstolen = E._convert_('X', 'sys', lambda n: True)",
    "enum convert by getattr": (
        "from enum import IntEnum\nclass E(IntEnum):\n    A = 1\nstolen = getattr(E, '_conv' + 'ert_')"
    ),
    "mro": "stolen = int.mro()",
    "mro by getattr": "stolen = getattr(int, 'mro')()",
    "register": "from abc import ABC\nclass A(ABC): pass\nA.register(int)\nstolen = A",
    "register of a library class": "from collections.abc import Sized\nSized.register(int)\nstolen = 1",
    "private of a library": "import random\nstolen = random.Random()._randbelow",
    "private of an extended library": "import random\nclass R(random.Random): pass\nstolen = R()._randbelow",
    "private by super": (
        "import random\nclass R(random.Random):\n    def f(self): return super()._randbelow\nstolen = R().f()"
    ),
    "private of print": "stolen = print._log",
    "init of anything": "f = lambda: 0\nstolen = f.__init__",
    "init of a library class": "from functools import partial\nstolen = partial.__init__",
    "match position of a library class": (
        "from datetime import date\nmatch date(2024, 1, 1):\n    case date(y): stolen = y"
    ),
    "match position of a protocol": (
        "from dataclasses import dataclass\nfrom typing import Protocol, runtime_checkable\n@runtime_checkable\n"
        "@dataclass\nclass P(Protocol):\n    _log: object\nmatch print:\n    case P(x): stolen = x"
    ),
    "match frame by position": (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    gi_frame: object\n"
        "match P(1):\n    case P(x): stolen = x"
    ),
    "match format by position": (
        "from dataclasses import dataclass, field\n@dataclass\nclass S(str):\n    format: object = field(init=False)\n"
        "match S():\n    case S(f): stolen = f"
    ),
    "wraps copies any attribute": "from functools import wraps\nstolen = wraps(print, assigned=('__self__',))",
    "update_wrapper on a module": "import functools, json\nstolen = functools.update_wrapper(json, print)",
    "update_wrapper from a class": (
        "import functools, random\nclass C: pass\nc = C()\nfunctools.update_wrapper(c, random.Random)\nstolen = vars(c)"
    ),
    "dispatch evaluates a string": (
        "from functools import singledispatch\n@singledispatch\ndef f(x): pass\n"
        "@f.register\ndef g(x: '().__class__'): pass\nstolen = 1"
    ),
    "dataclass of a library class": "import dataclasses, random\nstolen = dataclasses.dataclass(random.Random)",
    "namedtuple source": "from collections import namedtuple\nstolen = namedtuple('X', ['a=print('])",
    "namedtuple str subclass": (
        "from collections import namedtuple\nclass S(str):\n    def isidentifier(self): return True\n"
        "    def __str__(self): return self\nstolen = namedtuple('X', [S('a=1):#')])"
    ),
    "object setattr on a library": "import json\nobject.__setattr__(json, 'dumps', 1)\nstolen = 1",
    "private by contextmanager": (
        "import random\nfrom contextlib import contextmanager\nstolen = contextmanager(random.Random)._randbelow"
    ),
    "private by singledispatch": (
        "import random\nfrom functools import singledispatch\nstolen = singledispatch(random.Random)._randbelow"
    ),
    "private by a decorator's copy": (
        "import random, functools\nfrom contextlib import contextmanager\n"
        "@functools.wraps(contextmanager(random.Random))\ndef f(): pass\nstolen = f._randbelow"
    ),
    "private by a cache's copy": (
        "import random, functools\n@functools.wraps(functools.cache(random.Random))\ndef f(): pass\n"
        "stolen = f._randbelow"
    ),
    "field renamed by deepcopy": (
        "import copy\nfrom dataclasses import dataclass, fields\n@dataclass\nclass X:\n    a: int\nclass E: pass\n"
        "e = E()\nf = fields(X)[0]\nvars(e)['__reduce_ex__'] = lambda p: (lambda: f, (), (None, {'name': 'a=1, b'}))\n"
        "copy.deepcopy(e)\n@dataclass\nclass Y(X):\n    c: int\nstolen = Y"
    ),
    "field renamed through a namespace": (
        "import copy\nfrom types import SimpleNamespace\nfrom dataclasses import dataclass, fields\n@dataclass\n"
        "class X:\n    a: int\nf = fields(X)[0]\n"
        "e = SimpleNamespace(**{'__reduce_ex__': lambda p: (lambda: f, (), (None, {'name': 'a=1, b'}))})\n"
        "copy.deepcopy(e)\nstolen = f.name"
    ),
    "answer taken back in time": (
        "import copy\nfrom dataclasses import dataclass, fields\n@dataclass\nclass X:\n    a: int\nclass E: pass\n"
        "e = E()\nf = fields(X)[0]\ndef answer(p):\n    del vars(e)['__reduce_ex__']\n"
        "    return (lambda: f, (), (None, {'name': 'z'}))\nvars(e)['__reduce_ex__'] = answer\n"
        "copy.deepcopy(e)\nif f.name == 'a':\n    raise TypeError\nstolen = f.name"
    ),
    "zone from bytes": "import io, zoneinfo\nstolen = zoneinfo.ZoneInfo.from_file(io.BytesIO(b'TZif'))",
    "deepcopy of print": "import copy\nstolen = copy.deepcopy(print)",
    "deepcopy of a guard": "import copy\nstolen = copy.deepcopy(getattr)",
    "copy of a module": "import copy, json\nstolen = copy.copy(json)",
    "import through a name": "import json as j\nm = j\nstolen = m.codecs",
    "import by fallback": "import collections\nc = collections\nstolen = c.sys",
}


@pytest.mark.parametrize("name", REFUSED)
def test_escape_is_refused_before_it_runs(name: str) -> None:
    assert problems_of(REFUSED[name])


@pytest.mark.parametrize("name", BINDINGS)
def test_name_of_a_guard_cannot_be_bound_or_read(name: str) -> None:
    assert {p["code"] for p in problems_of(BINDINGS[name])} & {"name_not_allowed", "method_not_allowed"}


@pytest.mark.parametrize("name", RAISES)
def test_escape_raises_when_it_runs(name: str) -> None:
    try:
        namespace = namespace_of(RAISES[name])
    except Refused as refused:
        pytest.fail(f"refused already, move it: {refused.problems}")
    except (AttributeError, TypeError, ValueError, ImportError):
        return
    pytest.fail(f"stolen: {namespace.get('stolen')!r}")


def test_deepcopy_shows_no_part_of_a_host_object() -> None:
    source = """
import copy
seen = []
class Spy:
    def __deepcopy__(self, memo):
        seen.extend(memo.values())
        return self
for target in (print, getattr, vars):
    try:
        copy.deepcopy([target, Spy()])
    except TypeError:
        pass
    memo = {}
    try:
        copy.deepcopy(target, memo)
    except TypeError:
        pass
    seen.extend(memo.values())
result = seen
"""
    assert all(type(item) in (list, dict) and not item for item in namespace_of(source)["result"])


def test_hasattr_says_no_to_what_getattr_refuses() -> None:
    source = "result = [hasattr((), '__class' + '__x'), hasattr(lambda: 0, '__code' + '__'), hasattr('', 'upper')]"
    assert namespace_of(source)["result"] == [False, False, True]
