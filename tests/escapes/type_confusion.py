# ruff: noqa: E501 - a table: one entry a line
"""Family D: values that lie about their type, and syntax that a policy written for an older Python does not know."""

from tests.escapes.attack import CONTAINED, DENIED, RAISED, REFUSED, RETURNED, Attack, program

WAYS_TO_BIND = {
    "parameter": "def bound(_getattr_):\n    return 1",
    "keyword-only": "def bound(*, _getattr_=1):\n    return 1",
    "starred": "def bound(*_getattr_):\n    return 1",
    "double-starred": "def bound(**_getattr_):\n    return 1",
    "lambda": "bound = lambda _getattr_: 1",
    "lambda-positional-only": "bound = lambda _getattr_, /: 1",
    "function": "def _getattr_(target, name):\n    return target",
    "class": "class _getattr_:\n    pass",
    "walrus": "bound = (_getattr_ := 1)",
    "for": "for _getattr_ in [1]:\n    pass",
    "comprehension": "bound = [1 for _getattr_ in [1]]",
    "except": "try:\n    1 / 0\nexcept ZeroDivisionError as _getattr_:\n    pass",
    "import-from": "from math import pi as _getattr_",
    "delete": "del _getattr_",
    "augmented": "_getattr_ += 1",
    "annotated": "_getattr_: int = 1",
    "annotation-only": "_getattr_: int",
    "starred-target": "first, *_getattr_ = [1, 2]",
    "type-parameter": "def bound[_getattr_](x):\n    return x",
    "type-alias": "type _getattr_ = int",
    "global": "def bound():\n    global _getattr_\n    _getattr_ = 1",
    "nonlocal": "def bound():\n    x = 1\n    def inner():\n        nonlocal x, _getattr_\n    _getattr_ = 1",
    "pattern-as": "match 1:\n    case int() as _getattr_:\n        pass",
    "pattern-rest": "match {}:\n    case {**_getattr_}:\n        pass",
    "mangled-class": "class _:\n    def take(self):\n        return __builtins__",
    "keyword-argument": "bound = dict(_getattr_=1)\nglobals().update(bound)",
    "builtins": "__builtins__ = {}",
    "name": "__name__ = 'os'",
    "debug": "__debug__ = 0",
    "metaclass-old": "__metaclass__ = type",
}
"""Statements that give a guard, or a name of the machinery, another meaning. Each must be refused on its own."""

WAYS_TO_WRITE = {
    "assign": "target.planted = 1",
    "chained": "other = target.planted = 1",
    "tuple": "(other, target.planted) = (1, 2)",
    "starred": "[other, *target.planted] = [1, 2]",
    "nested": "[(other, [target.planted])] = [(1, [2])]",
    "annotated": "target.planted: int = 1",
    "annotated-parentheses": "(target.planted): int = 1",
    "augmented": "target.kv += 1",
    "for": "for target.planted in [1]: pass",
    "comprehension": "[0 for target.planted in [1]]",
    "generator": "list(0 for other, target.planted in [(1, 2)])",
    "with": "with open_block() as target.planted: pass",
    "with-tuple": "with open_block() as (target.planted,): pass",
    "delete": "del target.kv",
    "setattr": "setattr(target, 'planted', 1)",
    "delattr": "delattr(target, 'kv')",
    "class": "type(target).planted = 1",
    "exception": "services.ServiceError.planted = 1",
    "method": "target.kv.get.planted = 1",
    "vars": "vars(target)['planted'] = 1",
    "update": "vars(target).update(planted=1)",
    "item": "target['planted'] = 1",
}
"""Statements that set or delete an attribute of an object that is not the agent's own."""

ATTACKS = [
    *(
        Attack(
            id=f"confusion-write-{how}",
            technique=f"an attribute of a host's object is written by a statement: {how}",
            source="smolagents CVE-2026-4963; own",
            layer="policy",
            program=program(f"""
                import contextlib
                @contextlib.contextmanager
                def open_block():
                    yield (1,)
                def run(hint: dict, services=None):
                    target = services
                    try:
                        {statement}
                    except (TypeError, AttributeError) as error:
                        return str(error)
                    print("REACHED")
                """),
            guarded=DENIED | REFUSED,
            bare=RETURNED,
        )
        for how, statement in WAYS_TO_WRITE.items()
    ),
    *(
        Attack(
            id=f"confusion-bind-{how}",
            technique=f"a name of the machinery is bound by a statement: {how}",
            source="RestrictedPython CVE-2026-55830 and its naming rules; own",
            layer="policy",
            program=f"{statement}\ndef run(hint: dict, services=None):\n    return hint.nothing if not hint else 'done'\n",
            guarded=REFUSED,
            bare=DENIED | REFUSED,
        )
        for how, statement in WAYS_TO_BIND.items()
    ),
    Attack(
        id="confusion-except-star",
        technique="try/except* splits a group with methods of the attacker's",
        source="RestrictedPython CVE-2025-22153",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                try:
                    raise ExceptionGroup("many", [ValueError(1)])
                except* ValueError as group:
                    print("REACHED", group)
                return "done"
            """),
        guarded=REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-positional-only-guard",
        technique="a positional-only parameter takes the name of a guard",
        source="RestrictedPython CVE-2026-55830",
        layer="policy",
        program=program("""
            def walk(_getattr_, /):
                return ().real
            def run(hint: dict, services=None):
                print("REACHED", walk(lambda target, name: target))
                return "done"
            """),
        guarded=REFUSED,
        bare=DENIED,
    ),
    Attack(
        id="confusion-guard-bound-elsewhere",
        technique="a guard's name bound by walrus, import as, except as, for, with, a pattern, a type parameter",
        source="RestrictedPython, naming rules; own",
        layer="policy",
        program=program("""
            import math as _getattr_
            def run(hint: dict, services=None):
                if (_write_ := hint):
                    pass
                match hint:
                    case {"file": _getitem_, **_getiter_}:
                        print("REACHED")
                return "done"
            """),
        guarded=REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-pattern-captures-guard",
        technique="case [*_getattr_] binds a guard",
        source="own",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                match [1, 2]:
                    case [first, *_getattr_]:
                        print("REACHED")
                match 1:
                    case int() as _write_:
                        print("REACHED")
                return "done"
            """),
        guarded=REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-pattern-attribute",
        technique="match e: case AttributeError(obj=o)",
        source="n8n visit_MatchClass",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                try:
                    services.kv.get.nothing
                    "".nothing
                except AttributeError as error:
                    match error:
                        case AttributeError(__traceback__=trace):
                            print("REACHED", trace)
                return "done"
            """),
        guarded=REFUSED,
        bare=RETURNED,
        calls=frozenset({"kv.get"}),
    ),
    Attack(
        id="confusion-pattern-own-class",
        technique="a class pattern on one's own class reads a private attribute",
        source="own",
        layer="policy",
        program=program("""
            class Mine:
                pass
            def run(hint: dict, services=None):
                match Mine():
                    case Mine(__class__=kind, __init__=method):
                        importer = kind.mro()[1].__subclasses__()
                        print("REACHED", importer)
                return "done"
            """),
        guarded=REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-match-args",
        technique="positional class patterns through __match_args__ of the attacker's",
        source="n8n visit_MatchClass",
        layer="policy",
        program=program("""
            class Mine(Exception):
                __match_args__ = ("__traceback__",)
            def run(hint: dict, services=None):
                try:
                    raise Mine()
                except Mine as error:
                    match error:
                        case Mine(trace):
                            print("REACHED", trace)
                return "done"
            """),
        guarded=REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-type-parameters",
        technique="bounds of type parameters and type aliases are code that older policies never visit",
        source="PEP 695; own",
        layer="policy",
        program=program("""
            def walk[T: ().__class__.__base__](value: T) -> T:
                return value
            type Base = ().__class__.__base__
            def run(hint: dict, services=None):
                print("REACHED", walk.__type_params__[0].__bound__, Base.__value__)
                return "done"
            """),
        guarded=REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-annotation-code",
        technique="annotations of variables, parameters and results are code that is run",
        source="own",
        layer="policy",
        program=program("""
            seen = []
            here: seen.append(().__class__.__base__.__subclasses__()) = 1
            def walk(value: seen.append(len.__self__)) -> seen.append(len.__self__):
                return value
            def run(hint: dict, services=None):
                return loot(seen[1].__import__("os"), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="confusion-annotation-string",
        technique="a string annotation is evaluated by functools.singledispatch (typing.get_type_hints), past the policy",
        source="own; typing evaluates forward references",
        layer="facades",
        program=program("""
            import functools
            @functools.singledispatch
            def walk(value):
                return None
            def run(hint: dict, services=None):
                @walk.register
                def other(value: "print('REACHED', ().__class__.__base__.__subclasses__()) or int"):
                    return None
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-get-type-hints",
        technique="typing.get_type_hints evaluates strings",
        source="typing, documented behaviour",
        layer="facades",
        program=program("""
            import typing
            def walk(value: "print('REACHED', ().__class__.__base__.__subclasses__()) or int"):
                return None
            def run(hint: dict, services=None):
                return str(typing.get_type_hints(walk))
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-forward-reference",
        technique="typing.ForwardRef compiles a string; get_type_hints runs it in a mapping of the attacker's",
        source="typing, documented behaviour",
        layer="facades",
        program=program("""
            import typing
            def run(hint: dict, services=None):
                reference = typing.ForwardRef("().__class__.__base__.__subclasses__()")
                class Holder:
                    pass
                setattr(Holder, chr(95) * 2 + "annotations" + chr(95) * 2, {"x": reference})
                print("REACHED", typing.get_type_hints(Holder))
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=DENIED,
    ),
    Attack(
        id="confusion-make-dataclass",
        technique="dataclasses.make_dataclass builds source from names; a str subclass passes isidentifier and is code",
        source="own; dataclasses builds its methods with exec",
        layer="facades",
        program=program("""
            import dataclasses
            CODE = "a=print('REACHED', ().__class__.__base__.__subclasses__())"
            class Name(str):
                def isidentifier(self):
                    return True
            def run(hint: dict, services=None):
                dataclasses.make_dataclass("Made", [(Name(CODE), int)])
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=DENIED,
    ),
    Attack(
        id="confusion-namedtuple-names",
        technique="collections.namedtuple builds source from names",
        source="CPython, Lib/collections; own",
        layer="facades",
        program=program("""
            import collections
            class Name(str):
                def isidentifier(self):
                    return True
                def __str__(self):
                    return self
            def run(hint: dict, services=None):
                Made = collections.namedtuple("Made", [Name("a=print('REACHED')")])
                return str(Made)
            """),
        guarded=DENIED | REFUSED,
        bare=RAISED,
    ),
    Attack(
        id="confusion-update-wrapper",
        technique="functools.update_wrapper(assigned=('__globals__',)) reads a private attribute and hands it to __setattr__",
        source="own",
        layer="facades",
        program=program("""
            import functools
            caught = []
            class Thief:
                def __setattr__(self, name, value):
                    caught.append((name, value))
            def run(hint: dict, services=None):
                functools.update_wrapper(Thief(), run, assigned=("__globals__",), updated=())
                for name, value in caught:
                    if "globals" in name:
                        print("REACHED", sorted(value))
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-wraps-dict",
        technique="functools.wraps copies __dict__ and __wrapped__ into an object of the attacker's",
        source="own",
        layer="facades",
        program=program("""
            import functools
            def run(hint: dict, services=None):
                class Thief:
                    pass
                thief = functools.wraps(run, assigned=("__code__", "__globals__"))(Thief())
                for name in ("code", "globals"):
                    found = getattr(thief, chr(95) * 2 + name + chr(95) * 2, None)
                    if found is not None:
                        print("REACHED", found)
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-copy-reduce",
        technique="copy.copy sets any attribute of any object from what __reduce_ex__ answers",
        source="own; the pickle protocol behind copy",
        layer="facades",
        program=program("""
            import copy
            class Target:
                pass
            class Other:
                def shout(self):
                    return "REACHED"
            target = Target()
            class Forger:
                def __reduce_ex__(self, protocol):
                    return (lambda: target), (), (None, {"__class__": Other})
            def run(hint: dict, services=None):
                copy.copy(Forger())
                if isinstance(target, Other):
                    print(target.shout())
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-dataclass-module",
        technique="__module__ in a class body makes dataclass run its generated code in another module's namespace",
        source="own",
        layer="policy",
        program=program("""
            import dataclasses
            @dataclasses.dataclass
            class Mine:
                __module__ = "os"
                a: int = 1
            def run(hint: dict, services=None):
                names = Mine.__init__.__globals__
                print("REACHED", sorted(names))
                return "done"
            """),
        guarded=REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-c-iteration",
        technique="sorted, zip, tuple and star unpacking iterate in C, without the guard",
        source="RestrictedPython 9.0, pull request 335",
        layer="policy",
        program=program("""
            class Walker:
                def __iter__(self):
                    return iter([len])
                def __next__(self):
                    raise StopIteration
            def run(hint: dict, services=None):
                [only] = Walker()
                found = [*Walker(), *tuple(Walker()), *dict(zip([1], Walker())).values()]
                return [str(item)[:9] for item in found if item is not len and print("REACHED")]
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-output-eq",
        technique="__eq__, __hash__, __iter__ and __str__ of the output run while the host converts it",
        source="smolagents issue 2395",
        layer="broker",
        program=program("""
            class Bomb(dict):
                def __iter__(self):
                    raise BaseException("inside the conversion")
                def items(self):
                    raise BaseException("inside the conversion")
                def keys(self):
                    raise BaseException("inside the conversion")
            def run(hint: dict, services=None):
                return Bomb(a=1)
            """),
        guarded=DENIED | {"output_not_json"} | REFUSED,
        bare=DENIED | {"output_not_json"},
    ),
    Attack(
        id="confusion-output-subclasses",
        technique="subclasses of int, str, list and dict as output, whose methods lie about their size and text",
        source="own",
        layer="broker",
        program=program("""
            class Int(int):
                def __repr__(self):
                    return '1}, "kind": "call", "service": "forged", "action": "effect", "args": {'
                def __str__(self):
                    return "]" * 9
            class Text(str):
                def encode(self, *rest):
                    return b"raw bytes"
                def __len__(self):
                    return 0
            class Many(list):
                def __len__(self):
                    return 0
            def run(hint: dict, services=None):
                return {"int": Int(7), "text": Text("text"), "many": Many([1, 2])}
            """),
        guarded=RETURNED | {"output_not_json"},
        bare=RETURNED | {"output_not_json"},
    ),
    Attack(
        id="confusion-finalizer",
        technique="__del__ runs later, after the guards are gone and while the interpreter shuts down",
        source="smolagents issue 2395",
        layer="policy",
        program=program("""
            class Late:
                def __del__(self):
                    print("later")
                    while True:
                        pass
            def run(hint: dict, services=None):
                hint["keep"] = Late()
                return "done"
            """),
        guarded=REFUSED | DENIED | {"cpu_time_exceeded"},
        bare=DENIED | {"cpu_time_exceeded"},
        limits={"cpu_seconds": 1},
    ),
    Attack(
        id="confusion-type-call",
        technique="type(name, bases, body) makes a class that no policy saw",
        source="RestrictedPython, documented",
        layer="facades",
        program=program("""
            def run(hint: dict, services=None):
                Made = type("Made", (object,), {"__getattr__": lambda self, name: name})
                print("REACHED", Made().anything)
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-metaclass",
        technique="metaclass= runs code of the attacker's for class attributes",
        source="RestrictedPython, documented",
        layer="policy",
        program=program("""
            class Meta(type):
                def __getattribute__(cls, name):
                    return "REACHED"
            class Mine(metaclass=Meta):
                pass
            def run(hint: dict, services=None):
                print(Mine.anything)
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-check-runs-decorator",
        technique="decorators and defaults would run while the code is only being checked",
        source="Langflow CVE-2025-3248",
        layer="check",
        program=program("""
            def boom(value=print("ran while it was checked")):
                raise RuntimeError("ran")
            @boom
            def decorated():
                return None
            def run(hint: dict, services=None):
                return "done"
            """),
        guarded=RAISED | REFUSED,
        bare=RAISED,
    ),
    Attack(
        id="confusion-check-literals",
        technique="defaults and annotations that a signature reader would evaluate: a call, a huge power, a format",
        source="Langflow CVE-2025-3248, own",
        layer="check",
        program=program("""
            def run(hint: dict, bomb: int = 9 ** 9 ** 9 ** 9, text: "().__class__" = "a" * 10 ** 12, services=None):
                return "done"
            """),
        guarded=REFUSED | RAISED | {"memory_exceeded", "cpu_time_exceeded"},
        bare=REFUSED | RAISED | {"memory_exceeded", "cpu_time_exceeded"},
        limits={"cpu_seconds": 1, "wall_seconds": 3},
    ),
    Attack(
        id="confusion-enum-hooks",
        technique="hooks of enum (_generate_next_value_, _missing_, __set_name__) call back with the machinery's objects",
        source="own",
        layer="policy",
        program=program("""
            import enum
            class Spy:
                def __set_name__(self, owner, name):
                    print("REACHED" if owner.__class__ is not type else "")
            class Colour(enum.Enum):
                def _generate_next_value_(name, start, count, last):
                    return Spy()
                RED = enum.auto()
            def run(hint: dict, services=None):
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=DENIED,
    ),
    Attack(
        id="confusion-class-cell",
        technique="__class__ inside a method is a free variable, not an attribute",
        source="own",
        layer="policy",
        program=program("""
            class Mine:
                def kind(self):
                    return __class__
            def run(hint: dict, services=None):
                print("REACHED", Mine().kind())
                return "done"
            """),
        guarded=REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-augmented-once",
        technique="augmented assignment to an item whose key changes between the read and the write",
        source="own",
        layer="policy",
        program=program("""
            reads = []
            class Key:
                def __hash__(self):
                    reads.append(1)
                    return len(reads)
            class Box(dict):
                def __setitem__(self, key, value):
                    reads.append("__set__")
            def run(hint: dict, services=None):
                box = Box(a=1)
                box[(reads.append("index"), "a")[1]] += 1
                if reads.count("index") != 1:
                    print("REACHED", reads)
                services.kv += 1
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=DENIED,
        calls=frozenset({"kv.get"}),
    ),
    Attack(
        id="confusion-generic-alias",
        technique="type[int] is callable: it calls the real type with three arguments",
        source="own; types.GenericAlias calls its origin",
        layer="facades",
        program=program("""
            def run(hint: dict, services=None):
                make = type[int]
                Made = make("Made", (object,), {"__getattr__": lambda self, name: "REACHED"})
                print(Made().anything)
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-generic-alias-function",
        technique="type[int](f) is the real type of f: the constructor of functions",
        source="own; types.GenericAlias calls its origin",
        layer="facades",
        program=program("""
            def run(hint: dict, services=None):
                Function = type[int](run)
                if Function is not type(run):
                    print("REACHED", Function)
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-alias-base",
        technique="class Made(type[int]): an alias as a base stands for the real type, and makes a metaclass",
        source="own; __mro_entries__ of types.GenericAlias",
        layer="facades",
        program=program("""
            def run(hint: dict, services=None):
                class Meta(type[int]):
                    def __call__(cls, *rest):
                        return "REACHED"
                Made = Meta("Made", (object,), {})
                print(Made())
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-get-origin",
        technique="typing.get_origin(typing.Type[int]) is the real type",
        source="own",
        layer="facades",
        program=program("""
            import typing
            def run(hint: dict, services=None):
                for alias in (typing.Type[int], type[int], typing.Type):
                    make = typing.get_origin(alias)
                    if make is not None:
                        Made = make("Made", (object,), {"__getattr__": lambda self, name: "REACHED"})
                        print(Made().anything)
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-enum-type",
        technique="enum.EnumType, a real metaclass, called with three arguments",
        source="own",
        layer="facades",
        program=program("""
            import enum
            def run(hint: dict, services=None):
                for name in ("EnumType", "EnumMeta"):
                    print("REACHED", getattr(enum, name))
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-mro-entries",
        technique="__mro_entries__ of a SimpleNamespace puts any class among the bases",
        source="own; PEP 560",
        layer="facades",
        program=program("""
            import types
            def run(hint: dict, services=None):
                answers = [(object,), (object,), (object,)]
                def entries(bases):
                    return answers.pop() if answers else (staticmethod,)
                for turn in range(4):
                    class Made(types.SimpleNamespace(**{"__mro_entries__": entries})):
                        pass
                    if issubclass(Made, staticmethod):
                        print("REACHED", Made)
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-copy-state",
        technique="a __getstate__ put into an instance's dictionary makes copy set __class__",
        source="own; the pickle protocol behind copy",
        layer="facades",
        program=program("""
            import copy
            class Forger:
                pass
            class LyingDict(dict):
                def items(self):
                    return [("__class__", Other)]
                def __deepcopy__(self, memo):
                    return self
            class Pretender:
                def items(self):
                    return [("__class__", Other)]
            class LyingTuple(tuple):
                def __deepcopy__(self, memo):
                    return self
            class Other:
                def shout(self):
                    return "REACHED"
            def run(hint: dict, services=None):
                for state in (
                    (None, {"__class__": Other}),
                    (None, LyingDict(shown=1)),
                    (None, Pretender()),
                    LyingTuple((None, LyingDict())),
                ):
                    forger = Forger()
                    vars(forger)["__getstate__"] = lambda state=state: state
                    for duplicate in (copy.copy, copy.deepcopy):
                        try:
                            made = duplicate(forger)
                        except Exception as error:
                            continue
                        if isinstance(made, Other):
                            print(made.shout())
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-pattern-error-object",
        technique="case AttributeError(obj=thing) hands over the object that an attribute was missing on",
        source="n8n CVE-2026-0863; RestrictedPython CVE-2024-47532",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                try:
                    getattr(services.kv, "nothing")
                except AttributeError as error:
                    match error:
                        case AttributeError(obj=thing):
                            print("REACHED", thing)
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-wrapper-of-guard",
        technique="functools.update_wrapper reads __self__ of getattr, hasattr or a service's method: the guards themselves",
        source="own",
        layer="facades",
        program=program("""
            import functools
            caught = []
            class Thief:
                def __setattr__(self, name, value):
                    caught.append(value)
            def run(hint: dict, services=None):
                for target in (getattr, setattr, type, services.kv.get, print):
                    functools.update_wrapper(Thief(), target, assigned=("__self__", "__func__"), updated=())
                if caught:
                    print("REACHED", caught)
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-wrapper-annotations",
        technique="functools.wraps gives an object of the attacker's the __dict__ of a function of the host's",
        source="own",
        layer="facades",
        program=program("""
            import functools, json
            class Thief:
                def update(self, other):
                    print("REACHED", other)
            class Holder:
                pass
            def run(hint: dict, services=None):
                holder = Holder()
                setattr(holder, "names", Thief())
                functools.update_wrapper(holder, json, assigned=(), updated=("names",))
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=DENIED,
    ),
    Attack(
        id="confusion-foreign-match-args",
        technique="a positional pattern of a class that is not one's own, whose __match_args__ one could set",
        source="n8n visit_MatchClass, own",
        layer="policy",
        program=program("""
            import types, json
            def run(hint: dict, services=None):
                for target in (types.SimpleNamespace, json.JSONEncoder, ValueError, property):
                    try:
                        setattr(target, "__match_args__", ("__class__", "__init__"))
                        print("REACHED", target)
                    except (AttributeError, TypeError):
                        pass
                match json.JSONEncoder():
                    case json.JSONEncoder(first, second):
                        print("REACHED", second)
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=DENIED,
    ),
    Attack(
        id="confusion-generic-alias-globals",
        technique="the real type makes a class whose __match_args__ and __instancecheck__ read __globals__ of any function",
        source="own; types.GenericAlias calls its origin, n8n visit_MatchClass",
        layer="facades",
        program=program("""
            import json
            def run(hint: dict, services=None):
                real = type[int](int)
                Meta = real("Meta", (real,), {"__instancecheck__": lambda cls, thing: True})
                Key = Meta("Key", (), {"__match_args__": ("__globals__",)})
                match json.loads:
                    case Key(names):
                        return loot(names["__builtins__"]["__import__"]("os"), hint)
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="confusion-alias-mro",
        technique="type[int].mro, forwarded to the real type, shows the bases of any class",
        source="own; aliases forward attributes to their origin",
        layer="facades",
        program=program("""
            import zoneinfo, typing
            def run(hint: dict, services=None):
                for alias in (type[int], typing.Type[int], typing.Type):
                    for kind in (zoneinfo.ZoneInfo, services.kv.get, int):
                        try:
                            print("REACHED", alias.mro(kind))
                        except (TypeError, AttributeError) as error:
                            print(error)
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=DENIED,
    ),
    Attack(
        id="confusion-alias-forwarding",
        technique="list[int], Callable[...] and type[int] forward attributes that are refused on the class itself",
        source="own; aliases forward attributes to their origin",
        layer="facades",
        program=program("""
            import typing, collections
            def run(hint: dict, services=None):
                for alias in (list[int], typing.List[int], type[int], collections.OrderedDict[int, int], typing.Callable[[], int]):
                    for name in ("subclasses", "globals", "origin", "mro", "bases", "args", "getattribute", "prepare"):
                        found = getattr(alias, chr(95) * 2 + name + chr(95) * 2, None)
                        if found is not None:
                            print("REACHED", name, found)
                shape = typing.Type[str] if hint else None
                text = str[int].format if hasattr(str, "nothing") else typing.Text.format
                print(text("{0.__class__.__mro__}", 1))
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="confusion-dataclass-of-namedtuple",
        technique="NamedTuple keeps a lying str as an annotation's name; dataclass makes source of it and runs that",
        source="own; dataclasses builds its methods with exec",
        layer="facades",
        program=program("""
            import dataclasses, typing
            class Name(str):
                def __str__(self):
                    return "x"
                def __format__(self, spec):
                    return "x,)) and print('REACHED', ().__class__.__base__.__subclasses__()[:3]) #"
            def run(hint: dict, services=None):
                Made = typing.NamedTuple("Made", [(Name("x"), int)])
                Kind = dataclasses.dataclass(Made, init=False, repr=False, eq=False, unsafe_hash=True)
                return str(hash(Kind(1)))
            """),
        guarded=DENIED | REFUSED,
        bare=DENIED,
    ),
    Attack(
        id="confusion-dataclass-of-typeddict",
        technique="a TypedDict may have any text for a key; dataclass makes source of it and runs that",
        source="own; dataclasses builds its methods with exec",
        layer="facades",
        program=program("""
            import dataclasses, typing
            NAME = '''x,))
             print("REACHED", ().__class__.__base__.__subclasses__()[:3])
             x = ((0'''
            def run(hint: dict, services=None):
                Made = typing.TypedDict("Made", {NAME.replace("\\n" + " " * 12, "\\n"): int})
                dataclasses.dataclass(Made, init=False, repr=False, eq=False, unsafe_hash=True)
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=DENIED,
    ),
]
