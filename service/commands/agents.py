"""`agenthost agents`: what agents there are."""

from collections.abc import Iterator
from typing import Any

from service.commands.client import Connection
from service.commands.console import Output, fail_with_problem, print_json, print_table, printable


def list_agents(host: Connection, *, output: Output) -> None:
    """Print name, version and description of each, all pages."""
    agents = list(all_agents(host, output))
    if output is Output.JSON:
        print_json({"data": agents, "next_cursor": None})
        return
    rows = [(each["agent_name"], each["version"], printable(" ".join(each["description"].split()))) for each in agents]
    print_table(("NAME", "VERSION", "DESCRIPTION"), rows)


def all_agents(host: Connection, output: Output) -> Iterator[dict[str, Any]]:
    """The summary of each, page by page. Ends the command where the host refuses."""
    cursor: str | None = ""
    while cursor is not None:
        status, document = host.get("/agents", [("limit", "100"), *([("cursor", cursor)] if cursor else [])])
        if status != 200:
            fail_with_problem(document, output)
        yield from document["data"]
        cursor = document["next_cursor"]
