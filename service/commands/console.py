"""What the command line says: data on standard output, the rest on standard error, one meaning an exit code."""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import Any, NoReturn

import typer


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    AGENT_FAILED = 3
    UNREACHABLE = 4


class Output(StrEnum):
    """How data is written: for people, or as JSON."""

    TEXT = "text"
    JSON = "json"


def started_as() -> str:
    """How this command line is typed here: by its path, unless the shell finds it by its name."""
    path = sys.argv[0]
    found = shutil.which("agenthost")
    if os.path.basename(path) != "agenthost" or not os.path.exists(path):
        return "agenthost"
    return "agenthost" if found is not None and os.path.samefile(found, path) else shlex.quote(path)


def say(text: str = "") -> None:
    """Something for the person at the terminal, on standard error."""
    typer.echo(text, err=True)


def print_json(value: Any) -> None:
    """Data, as JSON, on standard output."""
    indent = 2 if sys.stdout.isatty() else None
    typer.echo(json.dumps(value, ensure_ascii=False, indent=indent).encode("utf-8", "replace"))


def print_table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Data, as aligned columns, on standard output."""
    lines = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(heads, *lines, strict=True)]
    for line in [list(heads), *lines]:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def fail(message: str, *, hint: str = "", code: Exit = Exit.FAILED) -> NoReturn:
    """End the command with one sentence, and what to do about it."""
    say(f"{typer.style('Error:', fg='red', bold=True)} {message}")
    if hint:
        say(hint)
    raise typer.Exit(code)


def printable(text: Any) -> str:
    """A tenant's text for a terminal: control characters, which could steer it, are shown instead of sent."""
    return "".join(char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in str(text))


def fail_with_problem(problem: Mapping[str, Any], output: Output, *, code: Exit = Exit.FAILED) -> NoReturn:
    """End the command with the problem document that the host answered."""
    if output is Output.JSON:
        print_json(dict(problem))
        raise typer.Exit(code)
    detail = printable(problem.get("detail", "the host gave no reason"))
    for number, place in enumerate(problem.get("errors") or ()):
        pointer, message = place.get("pointer"), printable(place.get("message", ""))
        if (
            number == 0
            and pointer is not None
            and all(part in detail for part in (message, *printable(pointer).split("/")))
        ):
            continue  # it is the detail
        where = (
            f"line {place.get('line')}, column {place.get('column', 0) + 1}"
            if pointer is None
            else pointer or "all of it"
        )
        say(f"  {printable(where)}: {message}")
    fail(f"{detail} ({problem.get('code', 'unknown')})", hint=printable(problem.get("hint", "")), code=code)
