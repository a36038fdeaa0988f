"""Family B: the little language inside format strings reads attributes that the policy never sees."""

from tests.escapes.attack import DENIED, REFUSED, RETURNED, Attack, program


def reads(body: str, modules: str = "") -> str:
    """A program that prints REACHED if `text`, which `body` makes, shows that an attribute was read."""
    lines = program(body).replace("\n", "\n    ").rstrip()
    return (
        f"{modules}def run(hint: dict, services=None):\n    {lines}\n"
        '    if "<class" in str(text):\n        print("REACHED", text)\n    return "done"\n'
    )


ATTACKS = [
    Attack(
        id="format-method",
        technique="'{0.__class__}'.format(x)",
        source="RestrictedPython CVE-2023-41039; smolagents issue 2271; langflow issue 13397",
        layer="policy",
        program=reads('text = "{0.__class__.__mro__}".format(1)'),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="format-map",
        technique="'{x.__class__}'.format_map(mapping)",
        source="RestrictedPython CVE-2023-41039",
        layer="policy",
        program=reads('text = "{x.__class__.__mro__}".format_map({"x": 1})'),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="format-unbound",
        technique="str.format taken from the type, not from a string",
        source="RestrictedPython CVE-2023-41039",
        layer="policy",
        program=reads('shape = str.format\ntext = shape("{0.__class__.__mro__}", 1)'),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="format-subclass",
        technique="format taken from a subclass of str",
        source="RestrictedPython CVE-2023-41039, own",
        layer="policy",
        program="class Text(str):\n    pass\n" + reads('text = Text("{0.__class__.__mro__}").format(1)'),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="format-alias-in-map",
        technique="the bound method format given to map()",
        source="own",
        layer="policy",
        program=reads('text = list(map("{0.__class__.__mro__}".format, [1]))'),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="format-partial",
        technique="functools.partial over str.format",
        source="own",
        layer="policy",
        program=reads('text = functools.partial(str.format, "{0.__class__.__mro__}")(1)', "import functools\n"),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="format-getattr",
        technique="getattr(text, 'for' + 'mat')",
        source="smolagents issue 2271",
        layer="facades",
        program=reads('text = getattr("{0.__class__.__mro__}", "for" + "mat")(1)'),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="format-pattern-keyword",
        technique="case str(format=shape): a class pattern reads the method without the guard",
        source="own; n8n visit_MatchClass",
        layer="policy",
        program=reads(
            """
            text = ""
            match "{0.__class__.__mro__}":
                case str(format=shape):
                    text = shape(1)
            """,
        ),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="format-formatter-field",
        technique="string.Formatter().get_field('0.__globals__', ...)",
        source="RestrictedPython CVE-2026-76825",
        layer="facades",
        program=reads('text = string.Formatter().get_field("0.__class__.__mro__", [1], {})', "import string\n"),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="format-formatter-subclass",
        technique="a subclass of string.Formatter",
        source="RestrictedPython CVE-2026-76825",
        layer="facades",
        program="import string\nclass Mine(string.Formatter):\n    pass\n"
        + reads('text = Mine().format("{0.__class__.__mro__}", 1)'),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="format-from-import",
        technique="from string import Formatter as anything",
        source="RestrictedPython CVE-2026-76825",
        layer="facades",
        program=reads('text = F().vformat("{0.__class__.__mro__}", [1], {})', "from string import Formatter as F\n"),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="format-methodcaller",
        technique="operator.methodcaller('format', 1)('{0.__class__}')",
        source="RestrictedPython 9.0, security considerations",
        layer="facades",
        program=reads('text = operator.methodcaller("format", 1)("{0.__class__.__mro__}")', "import operator\n"),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="format-attrgetter",
        technique="operator.attrgetter('__class__.__base__')(1)",
        source="RestrictedPython 9.0, security considerations",
        layer="facades",
        program=reads('text = operator.attrgetter("__class__.__base__")(1)', "import operator\n"),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="format-template-pattern",
        technique="a string.Template with a pattern of one's own, and its braces",
        source="own",
        layer="facades",
        program=reads('text = string.Template("${x.__class__} $x").safe_substitute(x=1)', "import string\n"),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="format-spec-method",
        technique="__format__ of an object receives a spec with a nested field that reads attributes",
        source="own",
        layer="policy",
        program=reads('text = f"{1!r:{().__class__.__name__}}"'),
        guarded=DENIED | REFUSED,
        bare=RETURNED | {"agent_error"},
    ),
    Attack(
        id="format-split-literal",
        technique="'__cl' + 'ass__' and chr() dodge a scan of literals",
        source="n8n, folding of BinOp; crewAI issue 4643",
        layer="facades",
        program=reads('text = ("{0.__cl" + "ass" + chr(95) * 2 + ".__mr" + "o__}").format(1)'),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="format-bytes-and-percent",
        technique="percent formatting with attribute-like keys",
        source="own",
        layer="policy",
        program=reads('text = "%(x.__class__)s" % {"x.__class__": "a plain value"}'),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="format-error-object",
        technique="'{0.obj}' of an AttributeError, in a format string and in format_map",
        source="RestrictedPython CVE-2024-47532; n8n CVE-2026-0863",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                try:
                    getattr(services.kv, "nothing")
                except AttributeError as error:
                    text = "{0.obj}".format(error) + "{e.obj.get}".format_map({"e": error})
                    if "Kv" in text or "0x" in text:
                        print("REACHED", text)
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED,
    ),
    Attack(
        id="format-service-internals",
        technique="'{0.__dict__}' and '{0._ask}' of the services object",
        source="RestrictedPython CVE-2023-41039",
        layer="policy",
        program=program("""
            def run(hint: dict, services=None):
                for shape in ("{0.__dict__}", "{0.kv._ask}", "{0.kv.get.__func__}", "{0.__init__.__globals__}"):
                    try:
                        print("REACHED", shape.format(services))
                    except Exception as error:
                        print(error)
                return "done"
            """),
        guarded=DENIED | REFUSED,
        bare=RETURNED | {"sandbox_violation"},
    ),
]
