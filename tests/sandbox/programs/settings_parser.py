"""Parses an INI-like text with sections, comments, typed values and interpolation."""

import re
from collections import ChainMap
from types import SimpleNamespace

DEFAULTS = {"retries": 3, "debug": False}
_SECTION = re.compile(r"\[(?P<name>[^]]+)\]$")
_CONVERTERS = [("int", int), ("float", float)]


def _convert(text):
    lowered = text.lower()
    if lowered in {"yes", "true", "on"}:
        return True
    if lowered in {"no", "false", "off"}:
        return False
    if lowered in ("", "none"):
        return None
    for _name, converter in _CONVERTERS:
        try:
            return converter(text)
        except ValueError:
            continue
    if "," in text:
        return [_convert(part.strip()) for part in text.split(",")]
    return text.strip("\"'")


def parse(text):
    sections, current = {}, None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("#", 1)[0].strip()
        if not line:
            continue
        if found := _SECTION.match(line):
            current = sections.setdefault(found["name"], {})
        elif "=" in line and current is not None:
            key, _, value = line.partition("=")
            current[key.strip()] = _convert(value.strip())
        else:
            raise SyntaxError(f"line {number}: {raw!r}")
    return sections


def run(text: str):
    try:
        sections = parse(text)
    except SyntaxError as error:
        return {"error": error.msg}
    result = {}
    for name, section in sections.items():
        settings = SimpleNamespace(**ChainMap(section, DEFAULTS))
        settings.name = name
        result[name] = {**vars(settings), "has_host": hasattr(settings, "host"), "port": getattr(settings, "port", None)}
    return result


EXAMPLES = [
    {"text": "[web]\nhost = 'example.com'\nport=8080 # the port\nratio = 0.5\ntags = a, 2, yes\n\n[db]\ndebug = on\nempty =\n"},
    {"text": "nonsense"},
]
