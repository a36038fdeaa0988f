"""Family C: frames, tracebacks and exception objects hold on to more than they show."""

from tests.escapes.attack import CONTAINED, DENIED, RAISED, REFUSED, RETURNED, Attack, program

ATTACKS = [
    Attack(
        id="frame-generator",
        technique="(x for x in [1]).gi_frame.f_back.f_builtins",
        source="RestrictedPython CVE-2023-37271",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                def walk():
                    yield generator.gi_frame.f_back
                generator = walk()
                frame = next(generator)
                return loot(frame.f_builtins["__import__"]("os"), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="frame-coroutine",
        technique="cr_frame of a coroutine, driven by hand",
        source="RestrictedPython 8.5, change log",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                async def walk():
                    return None
                coroutine = walk()
                frame = coroutine.cr_frame
                coroutine.close()
                return loot(frame.f_builtins["__import__"]("os"), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="frame-async-generator",
        technique="ag_frame of an asynchronous generator",
        source="RestrictedPython 8.5, change log",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                async def walk():
                    yield 1
                return loot(walk().ag_frame.f_builtins["__import__"]("os"), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="frame-traceback",
        technique="e.__traceback__.tb_frame.f_back",
        source="PraisonAI CVE-2026-39888",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                try:
                    1 / 0
                except ZeroDivisionError as error:
                    frame = error.__traceback__.tb_frame
                    return loot(frame.f_back.f_builtins["__import__"]("os"), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="frame-exit-argument",
        technique="__exit__ is handed the traceback itself, without any private name",
        source="own",
        layer="policy",
        program=program("""
            class Catcher:
                def __enter__(self):
                    return self
                def __exit__(self, kind, error, trace):
                    self.frame = trace.tb_frame
                    return True
            def run(hint: dict, services=None):
                with Catcher() as catcher:
                    1 / 0
                return loot(catcher.frame.f_builtins["__import__"]("os"), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="frame-exit-argument-getattr",
        technique="the traceback that __exit__ is handed, read with getattr and a built name",
        source="own",
        layer="facades",
        program=program("""
            class Catcher:
                def __enter__(self):
                    return self
                def __exit__(self, kind, error, trace):
                    self.frame = getattr(trace, "tb" + chr(95) + "frame")
                    return True
            def run(hint: dict, services=None):
                with Catcher() as catcher:
                    1 / 0
                print("REACHED", catcher.frame)
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="frame-exit-argument-pattern",
        technique="a class pattern reads tb_frame of the traceback that __exit__ is handed",
        source="own; n8n visit_MatchClass",
        layer="policy",
        program=program("""
            class Catcher:
                def __enter__(self):
                    return self
                def __exit__(self, kind, error, trace):
                    match trace:
                        case object(tb_frame=frame):
                            print("REACHED", frame)
                    return True
            def run(hint: dict, services=None):
                with Catcher() as catcher:
                    1 / 0
                return "done"
            """),
        guarded=REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="frame-exit-stack-callback",
        technique="contextlib.ExitStack.push hands the traceback to any function",
        source="own",
        layer="policy",
        program=program("""
            import contextlib
            def run(hint: dict, services=None):
                seen = []
                def catch(kind, error, trace):
                    seen.append(trace)
                    return True
                with contextlib.ExitStack() as stack:
                    stack.push(catch)
                    1 / 0
                return loot(seen[0].tb_frame.f_builtins["__import__"]("os"), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="frame-new-names",
        technique="names of introspection that newer Pythons add: gi_yieldfrom, gi_code, f_generator, tb_next",
        source="RestrictedPython, INSPECT_ATTRIBUTES",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                def inner():
                    yield 1
                def outer():
                    yield from inner()
                walk = outer()
                next(walk)
                print("REACHED", walk.gi_yieldfrom.gi_code, walk.gi_running, walk.gi_suspended)
                return "done"
            """),
        guarded=REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="frame-contextmanager-generator",
        technique="contextlib.contextmanager keeps its generator in the public attribute `gen`",
        source="own",
        layer="policy",
        program=program("""
            import contextlib
            @contextlib.contextmanager
            def block():
                yield 1
            def run(hint: dict, services=None):
                frame = block().gen.gi_frame
                return loot(frame.f_builtins["__import__"]("os"), hint)
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="frame-attribute-error-object",
        technique="AttributeError.obj is the object whose attribute was missing: a host's, if the host raised",
        source="RestrictedPython CVE-2024-47532; n8n CVE-2026-0863",
        layer="facades",
        program=program("""
            def run(hint: dict, services=None):
                found, door = [], services
                for attempt in (lambda: door.kv.get.nothing, lambda: door.nothing, lambda: run.nothing):
                    try:
                        attempt()
                    except AttributeError as error:
                        found.append(error.obj)
                for thing in found:
                    for name in ("sock", "socket", "channel", "send", "recv", "stream", "connection"):
                        if hasattr(thing, name):
                            print("REACHED", name)
                return len(found)
            """),
        guarded=DENIED | REFUSED,
        bare=DENIED,
        calls=frozenset({"kv.get", "nothing.nothing"}),
    ),
    Attack(
        id="frame-name-error-name",
        technique="the exceptions of a façade carry frames and arguments of the guest",
        source="RestrictedPython CVE-2024-47532",
        layer="facades",
        program=program("""
            import json, re, datetime
            def run(hint: dict, services=None):
                seen = []
                for attempt in (lambda: json.loads("{"), lambda: re.compile("("), lambda: datetime.date(0, 0, 0)):
                    try:
                        attempt()
                    except Exception as error:
                        seen.append(error)
                        seen.append(error.with_traceback(None))
                for error in seen:
                    trace = getattr(error, chr(95) * 2 + "traceback" + chr(95) * 2, None)
                    if trace is not None:
                        print("REACHED", trace)
                return len(seen)
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="frame-service-error",
        technique="an exception that the broker's refusal becomes carries the guest's frames, paths or the raw reply",
        source="own",
        layer="facades",
        program=program("""
            def run(hint: dict, services=None):
                door = services
                try:
                    door.forbidden.action(value=1)
                except Exception as error:
                    return [str(error), [str(item) for item in error.args]]
            """),
        guarded=DENIED | REFUSED,
        bare=DENIED,
        calls=frozenset({"forbidden.action"}),
    ),
    Attack(
        id="frame-sys-getframe",
        technique="sys._getframe, and the frame above",
        source="PraisonAI CVE-2026-39888",
        layer="facades",
        program=program("""
            import sys
            def run(hint: dict, services=None):
                frame = sys._getframe()
                names = []
                while frame is not None:
                    names.append(str(frame.f_locals))
                    frame = frame.f_back
                print(names)
                return "done"
            """),
        guarded=REFUSED,
        bare=CONTAINED,
    ),
    Attack(
        id="frame-error-text-leaks",
        technique="the text of an error shows paths, addresses or the code of the host",
        source="smolagents issue 2271",
        layer="broker",
        program=program("""
            import json
            class Sneaky(Exception):
                def __str__(self):
                    return json.loads("{")
            def run(hint: dict, services=None):
                raise Sneaky() from ValueError("cause")
            """),
        guarded=RAISED | REFUSED,
        bare=RAISED,
    ),
    Attack(
        id="frame-exception-group",
        technique="split and derive of an exception group are called back with what is inside",
        source="RestrictedPython CVE-2025-22153",
        layer="policy",
        program=program("""
            class Group(ExceptionGroup):
                def derive(self, inner):
                    for error in inner:
                        print("REACHED", error.__traceback__.tb_frame)
                    return Group("again", inner)
            def run(hint: dict, services=None):
                try:
                    raise Group("first", [ValueError(1)])
                except* ValueError as error:
                    pass
                return "done"
            """),
        guarded=REFUSED,
        bare=DENIED,
    ),
]
