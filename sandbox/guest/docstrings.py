"""What a docstring says of a function and of its parameters. Only text: whatever it holds is right."""

import re
from dataclasses import dataclass, field

_SECTION = re.compile(r"(Args|Arguments|Parameters|Inputs?)\s*:\s*$")
_OTHER_SECTION = re.compile(r"(Returns?|Raises?|Yields?|Examples?|Notes?)\s*:\s*$")
_GOOGLE = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(\S.*)$")
_SPHINX = re.compile(r":param\s+(?:[^:]*\s)?(\w+)\s*:\s*(\S.*)$")
_MAX_DESCRIPTION = 1000


@dataclass(frozen=True, slots=True)
class Documentation:
    """`description` is the first paragraph, in one line; `parameters` maps names to one line each."""

    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def read_docstring(text: str) -> Documentation:
    """Understands a first paragraph, Google's `Args:` and Sphinx's `:param x:`."""
    lines = text.splitlines()
    return Documentation(_first_paragraph(lines), _parameters(lines))


def _first_paragraph(lines: list[str]) -> str:
    taken: list[str] = []
    for line in lines:
        stripped = line.strip()
        heading = _SECTION.match(stripped) or _OTHER_SECTION.match(stripped) or stripped.startswith(":param")
        if (not stripped and taken) or heading:
            break
        if stripped:
            taken.append(stripped)
    return " ".join(taken)[:_MAX_DESCRIPTION]


def _parameters(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    indent: int | None = None  # of the entries of the section we are in; -1 before the first one
    last = ""
    for line in lines:
        stripped = line.strip()
        width = len(line) - len(line.lstrip())
        sphinx = _SPHINX.match(stripped)
        if sphinx:
            found[sphinx[1]] = sphinx[2]
        elif _SECTION.match(stripped):
            indent, last = -1, ""
        elif _OTHER_SECTION.match(stripped):
            indent = None
        elif indent is not None and stripped:
            if indent == -1:
                indent = width
            entry = _GOOGLE.match(stripped) if width == indent else None
            if entry:
                last = entry[1]
                found[last] = entry[2]
            elif last and width > indent:
                found[last] += f" {stripped}"
            elif width < indent:
                indent = None
    return {name: description[:_MAX_DESCRIPTION] for name, description in found.items()}
