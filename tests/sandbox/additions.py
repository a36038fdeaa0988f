"""Python that RestrictedPython refuses or lacks, and that agents have: short sources, compared with plain Python."""

# Each leaves a `result` that must be the same as under plain Python.
ADDITIONS = {
    "match args": """
class P:
    __match_args__ = ('x', 'y')
    def __init__(self, x, y): self.x, self.y = x, y
match P(1, 2):
    case P(1, y): result = y
""",
    "cause of an exception": """
try:
    try:
        1 / 0
    except ZeroDivisionError as e:
        raise ValueError('v') from e
except ValueError as e:
    result = (type(e.__cause__).__name__, str(e.__context__))
""",
    "annotated assignment": """
x: int = 1
y: 'list[int]' = [x]
result = (x, y)
""",
    "annotated attribute": """
class C:
    def __init__(self):
        self.x: int = 1
result = C().x
""",
    "annotated item": """
d = {}
d['a']: int = 1
result = d
""",
    "bare annotation": """
x: int
class C:
    y: str
result = 1
""",
    "augmented item": """
d = {'a': 1}
d['a'] += 2
result = d
""",
    "augmented slice": """
a = [1, 2]
a[1:] += [3]
result = a
""",
    "augmented attribute": """
class C:
    x = [1]
c = C()
c.x += [2]
c.x *= 2
result = (c.x, C.x)
""",
    "augmented private": """
class C:
    _n = 1
    def f(self):
        self._n += 1
        return self._n
result = C().f()
""",
    "every operator": """
class M:
    def __matmul__(self, o): return 'm'
m = M()
m @= 1
n = 7
n += 1; n -= 2; n *= 3; n //= 2; n **= 2; n %= 50; n <<= 2; n >>= 1; n |= 1; n &= 63; n ^= 5
f = 1.0
f /= 4
result = (m, n, f)
""",
    "in place methods": """
class C:
    def __init__(self): self.log = []
    def __iadd__(self, o):
        self.log.append(o)
        return self
c = C()
d = {'c': c}
d['c'] += 1
c += 2
result = (c.log, d['c'] is c)
""",
    "nonlocal": """
def f():
    n = 0
    def g():
        nonlocal n
        n += 1
        return n
    g()
    return g()
result = f()
""",
    "global": """
n = 0
def f():
    global n
    n += 1
f()
result = n
""",
    "private names": """
_rate = 2
def _helper(_x): return _x * _rate
_, __ = 1, 2
result = (_helper(3), _, __)
""",
    "class private": """
class C:
    __n = 1
    def __init__(self): self.__x = 2
    def __get(self): return self.__x + C.__n
    def get(self):
        __local = self.__get()
        return __local
result = C().get()
""",
    "underscore class": """
class _C:
    def __init__(self): self.__x = 1
    def x(self): return self.__x
result = _C().x()
""",
    "slots": """
class C:
    __slots__ = ('a', '_b')
    def __init__(self): self.a, self._b = 1, 2
result = C()._b
""",
    "special names in a class": """
class C:
    def __add__(self, o): return 'add'
    __radd__ = __add__
    __hash__ = None
result = (C() + 1, 1 + C())
""",
    "module names": """
__all__ = ['run']
__version__ = '1'
result = (__all__, __name__, __version__)
""",
    "main block": """
x = 1
if __name__ == '__main__':
    import sys
    x = eval('2')
result = x
""",
    "type names": """
class C: pass
result = (type(C()).__name__, C().__class__.__name__, C.__name__, int.__name__, C.__doc__)
""",
    "type tests": "result = (type(1) is int, type(1) == type(2), isinstance(int, type), type(int) is type)",
    "type as annotation": """
def f(x: type, y: type[int] | None = None) -> type: return x
result = f(1)
""",
    "super": """
class A:
    def __init__(self, x): self.x = x
    def __repr__(self): return f'A{self.x}'
class B(A):
    def __init__(self):
        super().__init__(1)
        super(B, self).__init__(2)
    def __repr__(self): return 'B' + super().__repr__()
result = repr(B())
""",
    "init of a base": """
class E(Exception):
    def __init__(self):
        Exception.__init__(self, 'm')
result = str(E())
""",
    "own dict": """
class C:
    def __init__(self, **k): self.__dict__.update(k)
result = (C(a=1).a, vars(C(b=2)))
""",
    "object setattr": """
from dataclasses import dataclass
@dataclass(frozen=True)
class C:
    x: int
    def __post_init__(self): object.__setattr__(self, 'x', self.x * 2)
result = C(2).x
""",
    "getattr and setattr": """
class C: pass
c = C()
setattr(c, 'a', 1)
setattr(c, '_b', 2)
result = [getattr(c, 'a'), getattr(c, '_b'), getattr(c, 'n', 5), hasattr(c, 'a'), hasattr(c, 'q')]
delattr(c, 'a')
result.append(hasattr(c, 'a'))
""",
    "function attributes": """
def f(): f.calls += 1
f.calls = 0
f._x = 3
f()
f.__name__ = 'g'
result = (f.calls, f._x, f.__name__)
""",
    "exception attributes": """
e = ValueError('a')
e.code = 5
result = (e.code, e.args)
""",
    "computed attributes": """
class C:
    def __getattr__(self, n): return n.upper()
result = C().abc
""",
    "class keywords": """
class A:
    def __init_subclass__(cls, /, tag='', **k):
        super().__init_subclass__(**k)
        cls.tag = tag
class B(A, tag='b'): pass
result = B.tag
""",
    "abstract metaclass": """
from abc import ABCMeta, abstractmethod
class A(metaclass=ABCMeta):
    @abstractmethod
    def f(self): ...
try:
    A()
except TypeError:
    result = 'abstract'
""",
    "type parameters": """
type P[T] = list[T]
class S[T: int]:
    def f[U](self, x: U) -> U: return x
result = S().f(1)
""",
    "star arguments": """
def f(*a, **k): return a, k
result = f(*[1], 2, *(3,), x=1, **{'y': 2})
""",
    "star in index": """
t = (1, 2)
d = {(0, 1, 2): 'x'}
result = d[0, *t]
""",
    "unpacking": """
(a, *b), c = ([1, 2, 3], 4)
for i, (j, *k) in [(1, (2, 3, 4))]: pass
result = (a, b, c, i, j, k)
""",
    "future annotations": """
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar
@dataclass
class C:
    x: Later
    n: ClassVar[int] = 0
result = repr(C(1))
""",
    "lambda in class": """
class C:
    f = lambda self: self.__class__.__name__
result = C().f()
""",
    "with several": """
from contextlib import nullcontext as n
with n(1) as a, n((2, 3)) as (b, c): result = (a, b, c)
""",
    "namedtuple names": """
from collections import namedtuple
P = namedtuple('P', 'a b')
result = (P(1, 2)._asdict(), P._fields)
""",
    "print": """
import io
o = io.StringIO()
print(1, 'a', sep='-', end='!', file=o)
result = o.getvalue()
""",
    "star expression": """
def f():
    x = 1, 2
    return *x, 3
result = f()
""",
    "conditional import": """
try:
    import json
except ImportError:
    json = None
result = json is not None
""",
    "deep closure": """
def a():
    def b():
        def c(): return x
        return c()
    x = 5
    return b()
result = a()
""",
    "chained comparison": "result = 1 < 2 < 3 != 4",
    "try else finally": """
r = []
try:
    r.append(1)
except ValueError: pass
else: r.append(2)
finally: r.append(3)
result = r
""",
    "with exit": """
class C:
    def __enter__(self): return self
    def __exit__(self, kind, error, tb): return kind is ValueError
with C():
    raise ValueError
result = 1
""",
}

# Cases of a match, and subjects for it.
MATCHES: dict[str, tuple[str, list[object]]] = {
    "values": (
        """
    case 1 | 2: r = 'few'
    case -1: r = 'minus'
    case 'a': r = 'letter'
""",
        [1, -1, "a"],
    ),
    "singletons": (
        """
    case None: r = 'none'
    case True: r = 'true'
    case False: r = 'false'
""",
        [None, True, False],
    ),
    "sequences": (
        """
    case []: r = 0
    case [x]: r = x
    case (x, y, *z): r = [y, z]
""",
        [[], [1], (1, 2, 3), "ab"],
    ),
    "mappings": (
        """
    case {'a': 1, **rest}: r = rest
    case {'b': [x]}: r = x
    case {}: r = 'map'
""",
        [{"a": 1, "c": 2}, {"b": [3]}, {}],
    ),
    "classes": (
        """
    case bool(): r = 'b'
    case int(n) if n > 5: r = n
    case str() | float(): r = 's'
""",
        [True, 9, 3, "x", 1.5],
    ),
    "nested": (
        """
    case {'p': [int(x), {'q': str(y)}]}: r = (x, y)
""",
        [{"p": [1, {"q": "z"}]}, {"p": []}],
    ),
    "as": (
        """
    case [int() as x, *_] as whole: r = (x, whole)
""",
        [[1, 2], ["a"]],
    ),
    "dotted": (
        """
    case math.pi: r = 'pi'
    case Colour.RED: r = 'red'
""",
        [3.141592653589793, 1],
    ),
    "own class": (
        """
    case Point(0, y=y): r = y
    case Point(x, 1) if x: r = x
    case Point(): r = 'p'
""",
        ["Point(0, 5)", "Point(3, 1)", "Point(4, 4)"],
    ),
    "in a method": (
        """
    case Point(x=Point(x=inner)): r = inner
""",
        ["Point(Point(7, 0), 0)"],
    ),
}
