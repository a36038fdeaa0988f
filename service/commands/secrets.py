"""The commands of secrets. A value is read from standard input: the arguments of a process are no secret."""

import sys
from collections.abc import Sequence
from getpass import getpass
from typing import Any
from urllib.parse import quote

from service.commands.client import Connection
from service.commands.console import Exit, Output, fail, fail_with_problem, print_json, print_table, printable

MAX_INPUT_BYTES = 1024 * 1024


def set_secret(host: Connection, name: str, hosts: Sequence[str]) -> None:
    """Store a secret, or replace it."""
    body = {"value": _value(), "hosts": list(hosts)}
    status, document = host.ask("PUT", f"/secrets/{quote(name, safe='')}", body=body)
    if status != 204:
        fail_with_problem(document, Output.TEXT)


def list_secrets(host: Connection, *, output: Output) -> None:
    """Print names, hosts and times, all pages."""
    secrets: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        status, document = host.get("/secrets", [("limit", "100"), *([("cursor", cursor)] if cursor else [])])
        if status != 200:
            fail_with_problem(document, output)
        secrets += document["data"]
        cursor = document["next_cursor"]
    if output is Output.JSON:
        print_json({"data": secrets, "next_cursor": None})
        return
    rows = [(each["name"], printable(" ".join(each["hosts"])), each["updated_at"]) for each in secrets]
    print_table(("NAME", "HOSTS", "UPDATED"), rows)


def delete_secret(host: Connection, name: str) -> None:
    """Delete a secret."""
    status, document = host.ask("DELETE", f"/secrets/{quote(name, safe='')}")
    if status != 204:
        fail_with_problem(document, Output.TEXT)


def _value() -> str:
    """What is piped in, without the line break at its end, or what is typed unseen."""
    if sys.stdin.isatty():
        return getpass("Value: ")
    raw = sys.stdin.buffer.read(MAX_INPUT_BYTES)
    try:
        return raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        fail("The value is not text.", code=Exit.USAGE)
