"""Texts: wrapping, slugs, templates, similar words, escaping, every kind of formatting."""

import difflib
import html
import string
import textwrap
import unicodedata
from urllib.parse import parse_qs, quote, urlencode, urljoin, urlsplit


def slug(text):
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    kept = [c.lower() if c.isalnum() else "-" for c in plain]
    return "-".join(part for part in "".join(kept).split("-") if part)


class Person:
    def __init__(self, name, age):
        self.name, self.age = name, age


def run(title: str, body: str):
    person = Person("Ada", 36)
    number = 1234567.891
    link = urljoin("https://example.com/a/b?x=1", "../c?" + urlencode({"q": title, "n": [1, 2]}, doseq=True))
    parts = urlsplit(link)
    return {
        "slug": slug(title),
        "wrapped": textwrap.fill(body, width=30, initial_indent="* ", subsequent_indent="  ").splitlines(),
        "short": textwrap.shorten(body, 25, placeholder="..."),
        "dedent": textwrap.dedent("    a\n      b\n"),
        "template": string.Template("Dear $name, ${greeting}! $$5").substitute(name=title, greeting="hi"),
        "close": difflib.get_close_matches("appel", ["ape", "apple", "peach"]),
        "ratio": round(difflib.SequenceMatcher(None, title, body).ratio(), 4),
        "diff": list(difflib.unified_diff(["a", "b"], ["a", "c"], lineterm="")),
        "escaped": html.escape(f"<{title}> & 'x'"),
        "unescaped": html.unescape("&lt;&eacute;&#33;"),
        "quoted": quote(title),
        "link": [parts.hostname, parts.path, parse_qs(parts.query)],
        "formats": [
            f"{number:,.2f}", f"{number:>15.1e}", f"{255:#x} {255:08b} {0.256:.1%}", f"{title!r:^20}", f"{person.age=}",
            "{0.name} is {0.age:>4} and {1[k]}".format(person, {"k": "v"}),
            "{name:*^{width}}".format(name=title[:3], width=9),
            "{x} {y}".format_map({"x": 1, "y": 2}),
            "%s %05.1f" % ("a", 2.25),
            "%(x)s" % {"x": 3},
            list(map("{:03d}".format, [1, 22])),
            str.format("{}-{}", 1, 2),
        ],
        "case": [title.upper(), title.title(), title.swapcase(), string.capwords("a b"), title.casefold()],
        "split": [body.partition(" "), body.rsplit(maxsplit=1), "a,b;c".translate(str.maketrans(",;", "  ")).split()],
        "digits": string.digits + string.ascii_lowercase[:3],
    }


EXAMPLES = [{"title": "Déjà vu: Café №5!", "body": "The quick brown fox jumps over the lazy dog, and then some more."}]
