"""A small Markdown to HTML converter."""

import html
import re

INLINE = [
    (re.compile(r"\*\*(.+?)\*\*"), r"<b>\1</b>"),
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\[([^\]]+)\]\(([^)]+)\)"), r'<a href="\2">\1</a>'),
]


def inline(text):
    text = html.escape(text, quote=False)
    for pattern, replacement in INLINE:
        text = pattern.sub(replacement, text)
    return text


def blocks(lines):
    block = []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []


def render(block):
    match block:
        case [line] if heading := re.match(r"(#{1,6})\s+(.*)", line):
            level = len(heading[1])
            return f"<h{level}>{inline(heading[2])}</h{level}>"
        case ["```" | "```python", *code, "```"]:
            return "<pre>" + html.escape("\n".join(code)) + "</pre>"
        case [first, *_] if first.startswith("- "):
            items = "".join(f"<li>{inline(line[2:])}</li>" for line in block)
            return f"<ul>{items}</ul>"
        case lines:
            return f"<p>{inline(' '.join(lines))}</p>"


def run(text: str):
    return [render(block) for block in blocks(text.splitlines())]


EXAMPLES = [{"text": "# Title <x>\n\nSome **bold** `code`\nand [link](https://e.com).\n\n- a\n- b & c\n\n```\nx < 1\n```\n"}]
