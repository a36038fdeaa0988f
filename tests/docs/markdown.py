"""Writing Markdown."""

from collections.abc import Iterable


def table(head: str, rows: Iterable[Iterable[str]]) -> str:
    """A table; `head` has its columns between bars."""
    columns = head.count("|") + 1
    body = (f"| {' | '.join(map(_cell, row))} |" for row in rows)
    return "\n".join([f"| {head} |", "|" + " --- |" * columns, *body]) + "\n"


def _cell(text: str) -> str:
    """On one line: the next one would end the table."""
    return " ".join(text.split()).replace("<", r"\<").replace("|", r"\|")
