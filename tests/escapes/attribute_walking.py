"""Family A: from a harmless object to a powerful one, attribute by attribute."""

from tests.escapes.attack import CONTAINED, DENIED, RAISED, REFUSED, RETURNED, Attack, program

ATTACKS = [
    Attack(
        id="attribute-subclasses",
        technique="().__class__.__base__.__subclasses__() leads to the importer of built-in modules",
        source="smolagents CVE-2025-9959",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                for kind in ().__class__.__base__.__subclasses__():
                    if kind.__name__ == "BuiltinImporter":
                        return loot(kind.load_module("posix"), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="attribute-code-augmented",
        technique="an augmented assignment writes f.__code__",
        source="smolagents CVE-2026-4963",
        layer="policy",
        program=program("""
            class Code:
                def __radd__(self, other):
                    return (lambda: __import__("os")).__code__
            def stand_in():
                return None
            def run(hint: dict, services=None):
                stand_in.__code__ += Code()
                return loot(stand_in(), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED | {"agent_error"},
    ),
    Attack(
        id="attribute-code-with-target",
        technique="a with statement writes f.__code__ as its target",
        source="smolagents CVE-2026-4963",
        layer="policy",
        program=program("""
            class Holder:
                def __init__(self, value):
                    self.value = value
                def __enter__(self):
                    return self.value
                def __exit__(self, *rest):
                    return None
            def stand_in():
                return None
            def other():
                import os
                return os
            def run(hint: dict, services=None):
                with Holder(other.__code__) as stand_in.__code__:
                    return loot(stand_in(), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="attribute-write-targets",
        technique="for, tuple, star and annotated targets write a private attribute",
        source="smolagents CVE-2026-4963, own",
        layer="policy",
        program=program("""
            class Plain:
                pass
            class Other:
                def os(self):
                    import os
                    return os
            def run(hint: dict, services=None):
                plain = Plain()
                for plain.__class__ in [Other]:
                    pass
                (plain.__class__, *plain.rest) = [Other, 1]
                plain.__class__: type = Other
                return loot(plain.os(), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="attribute-print-self",
        technique="print.__self__ is the module builtins",
        source="PraisonAI CVE-2026-47392",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                return loot(len.__self__.__import__("os"), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="attribute-trampoline",
        technique="type.__getattribute__(o, name) reads what a syntax filter would have seen",
        source="PraisonAI CVE-2026-40158",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                read = type.__getattribute__
                kinds = read(object, "__sub" + "classes__")()
                importer = [kind for kind in kinds if "BuiltinImporter" in str(kind)][0]
                return loot(importer.load_module("posix"), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="attribute-mangled-name",
        technique="inside a class _Printer a name with two underscores is mangled after the filter saw it",
        source="n8n pull request 21482",
        layer="policy",
        program=program("""
            import builtins
            class _Printer:
                def read(self, other):
                    return other.__filenames
            def run(hint: dict, services=None):
                print(_Printer().read(builtins.license))
                return "printed"
            """),
        guarded=REFUSED,
        bare=DENIED,
    ),
    Attack(
        id="attribute-mangled-own-class",
        technique="a class of a chosen name mangles __x into the private name of another class",
        source="n8n pull request 21482, own",
        layer="policy",
        program=program("""
            class Getattr:
                def take(self):
                    return self.__class__, __getattr
            def run(hint: dict, services=None):
                print("REACHED", Getattr().take())
            """),
        guarded=REFUSED | RAISED,
        bare=DENIED,
    ),
    Attack(
        id="attribute-loader",
        technique="__loader__.load_module('os')",
        source="n8n test suite of its Python runner",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                try:
                    return loot(__loader__.load_module("os"), hint)
                except NameError:
                    return loot(__builtins__["__loader__"].load_module("posix"), hint)
            """),
        guarded=REFUSED,
        bare=DENIED,
    ),
    Attack(
        id="attribute-spec-loader",
        technique="the __spec__ of a module that may be imported",
        source="n8n test suite of its Python runner",
        layer="policy",
        program=program("""
            import math
            def run(hint: dict, services=None):
                return loot(math.__spec__.loader.__init__.__globals__["sys"].modules["os"], hint)
            """),
        guarded=REFUSED,
        bare=DENIED,
    ),
    Attack(
        id="attribute-look-alike",
        technique="full-width letters become ASCII in the parser: a filter of the text sees another name",
        source="PEP 3131 (NFKC); defeats scanners of the text",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                kinds = ().__\N{FULLWIDTH LATIN SMALL LETTER C}lass__.__b\N{FULLWIDTH LATIN SMALL LETTER A}se__
                importer = [k for k in kinds.__subclasses__() if "BuiltinImporter" in str(k)][0]
                return loot(importer.load_module("posix"), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="attribute-look-alike-underscore",
        technique="full-width low lines become underscores in the parser",
        source="PEP 3131 (NFKC)",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                low = ()._\N{FULLWIDTH LOW LINE}class_\N{FULLWIDTH LOW LINE}
                print("REACHED", low)
                return loot(low.__base__.__subclasses__()[0], hint)
            """),
        guarded=REFUSED,
        bare=DENIED,
    ),
    Attack(
        id="attribute-getattr-built-string",
        technique="getattr with a name that is put together at run time",
        source="smolagents CVE-2025-5120; llama_index issue 22184",
        layer="facades",
        program=program("""
            def run(hint: dict, services=None):
                low = chr(95) * 2
                base = getattr(getattr((), low + "class" + low), low + "base" + low)
                kinds = getattr(base, low + "subclasses" + low)()
                importer = [kind for kind in kinds if "BuiltinImporter" in str(kind)][0]
                return loot(importer.load_module("posix"), hint)
            """),
        guarded=DENIED | REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="attribute-getattr-lying-string",
        technique="a subclass of str whose startswith lies to the guard",
        source="PraisonAI CVE-2026-34938",
        layer="facades",
        program=program("""
            class Liar(str):
                def startswith(self, *rest):
                    return False
                def endswith(self, *rest):
                    return False
                def __contains__(self, item):
                    return False
            def run(hint: dict, services=None):
                low = chr(95) * 2
                base = getattr(getattr((), Liar(low + "class" + low)), Liar(low + "base" + low))
                print("REACHED", base)
                kinds = getattr(base, Liar(low + "subclasses" + low))()
                importer = [kind for kind in kinds if "BuiltinImporter" in str(kind)][0]
                return loot(importer.load_module("posix"), hint)
            """),
        guarded=DENIED | REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="attribute-setattr-built-string",
        technique="setattr and delattr with a private name put together at run time",
        source="smolagents CVE-2025-5120, own",
        layer="facades",
        program=program("""
            class Plain:
                pass
            class Other:
                def shout(self):
                    return "REACHED"
            def run(hint: dict, services=None):
                plain = Plain()
                setattr(plain, chr(95) * 2 + "class" + chr(95) * 2, Other)
                print(plain.shout())
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="attribute-hasattr-side-door",
        technique="vars of an object, a class and a module tells private names and values",
        source="PraisonAI issue 1106",
        layer="facades",
        program=program("""
            import json
            def run(hint: dict, services=None):
                for thing in (services, services.kv, run, json, type(services), ValueError, print):
                    try:
                        print("REACHED", str(vars(thing)))
                    except TypeError as error:
                        print(error)
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED | {"agent_error"},
    ),
    Attack(
        id="attribute-code-replace",
        technique="code.replace makes a function out of chosen constants and names",
        source="Hack Monty, list of attacks",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                def fetch():
                    return json
                fetch.__code__ = fetch.__code__.replace(co_names=("__builtins__",))
                powers = fetch()
                powers = powers if isinstance(powers, dict) else vars(powers)
                return loot(powers["__import__"]("os"), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="attribute-crafted-bytecode",
        technique="bytecode reads constants out of bounds: the interpreter does not verify",
        source="Hack Monty, list of attacks; CPython does not verify bytecode",
        layer="jail",
        program=program("""
            def run(hint: dict, services=None):
                def victim():
                    return None
                code = victim.__code__
                for index in range(3, 255, 7):
                    body = bytes([151, 0, 100, index, 83, 0])
                    victim.__code__ = code.replace(co_code=body, co_consts=())
                    print(victim())
                return "survived"
            """),
        guarded=REFUSED,
        bare=DENIED,
    ),
    Attack(
        id="attribute-function-globals",
        technique="the __globals__ of one's own function hold the guards and the builtins",
        source="own",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                names = run.__globals__
                powers = names["__builtins__"]
                powers = powers if isinstance(powers, dict) else vars(powers)
                return loot(powers["__import__"]("os"), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="attribute-guard-by-name",
        technique="the guards are globals: call or replace them by their own names",
        source="RestrictedPython, naming rules",
        layer="policy",
        program=program("""
            _getattr_ = lambda target, name: target
            def run(hint: dict, services=None):
                global _write_, __builtins__
                _write_ = lambda target: target
                return loot(__builtins__["__import__"]("os"), hint)
            """),
        guarded=REFUSED,
        bare=DENIED,
    ),
    Attack(
        id="attribute-services-internals",
        technique="the object `services` leads to the guest's modules and its socket",
        source="own; smolagents, host objects passed to tools",
        layer="facades",
        program=program("""
            def run(hint: dict, services=None):
                call = services.kv.get
                for step in ("func", "fn", "channel", "socket", "sock", "send", "wire", "client", "call", "transport"):
                    for start in (services, services.kv, call):
                        found = getattr(start, step, None)
                        if hasattr(found, "sendall") or hasattr(found, "fileno"):
                            print("REACHED", step)
                return "nothing"
            """),
        guarded=DENIED | REFUSED,
        bare=DENIED,
        calls=frozenset({f"{step}.{sub}" for step in ("kv", "func") for sub in ("get",)}),
    ),
    Attack(
        id="attribute-services-dunder-method",
        technique="services.kv.get.__func__.__globals__['sys'].modules['os']",
        source="own",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                method = services.kv.get
                inner = getattr(method, "__func__", method)
                names = getattr(inner, "__globals__", None) or type(services).__init__.__globals__
                return loot(names["__builtins__"]["__import__"]("os"), hint)
            """),
        guarded=REFUSED,
        bare=DENIED,
    ),
    Attack(
        id="attribute-super-proxy",
        technique="super() proxies a method that the guard forbids on the class itself",
        source="own",
        layer="policy",
        program=program("""
            class Text(str):
                def shape(self, *values):
                    return super().format(*values)
            def run(hint: dict, services=None):
                text = Text("{0.__class__.__base__}").shape(1)
                if "object" in text:
                    print("REACHED", text)
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="attribute-pattern-value",
        technique="a dotted value in a pattern is read without the guard, and __eq__ of the subject receives it",
        source="own; n8n visit_MatchClass",
        layer="policy",
        program=program("""
            caught = []
            class Spy:
                def __eq__(self, other):
                    caught.append(other)
                    return False
            def run(hint: dict, services=None):
                match Spy():
                    case len.__self__:
                        pass
                return loot(caught[0].__import__("os"), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="attribute-pattern-key",
        technique="a dotted key in a mapping pattern is read without the guard, and get() of the subject receives it",
        source="own",
        layer="policy",
        program=program("""
            caught = []
            class Spy(dict):
                def get(self, key, default=None):
                    caught.append(key)
                    return default
            def run(hint: dict, services=None):
                match Spy(a=1):
                    case {len.__self__: found}:
                        pass
                return loot(caught[0].__import__("os"), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
]
