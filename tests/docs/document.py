"""What stands in a Markdown file that a test can hold it to: its code blocks and its links."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, its text, and where it begins."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [Block(found[1], found[2], text.count("\n", 0, found.start()) + 1) for found in _FENCE.finditer(text)]


def links(page: Path) -> Iterator[str]:
    """The targets of the links of a page, those inside code left out."""
    text = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", page.read_text()))
    yield from (found[1] for found in _LINK.finditer(text))


def anchors(page: Path) -> set[str]:
    """The headings of a page, spelled as GitHub spells them in a link."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def differences(shown: Any, real: Any, where: str = "$") -> Iterator[str]:
    """Where a real answer is not what a page shows. A page may leave members out, and write "..." for any value."""
    if shown == "...":
        return
    if isinstance(shown, dict) and isinstance(real, dict):
        for name, value in shown.items():
            if name in real:
                yield from differences(value, real[name], f"{where}.{name}")
            else:
                yield f"{where}.{name} is not there"
    elif isinstance(shown, list) and isinstance(real, list) and len(shown) == len(real):
        for index, (one, other) in enumerate(zip(shown, real, strict=True)):
            yield from differences(one, other, f"{where}[{index}]")
    elif shown != real:
        yield f"{where}: the page shows {json.dumps(shown)}, the answer is {json.dumps(real)}"
