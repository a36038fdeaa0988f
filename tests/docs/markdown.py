"""Writing Markdown."""

from collections.abc import Iterable


def table(head: str, rows: Iterable[Iterable[str]]) -> str:
    """A table; `head` has its columns between bars."""
    columns = head.count("|") + 1
    body = (f"| {' | '.join(row)} |".replace("<", r"\<") for row in rows)
    return "\n".join([f"| {head} |", "|" + " --- |" * columns, *body]) + "\n"
