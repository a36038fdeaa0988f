"""`agenthost notifications`: what agents told their owner."""

from service.commands.client import Connection
from service.commands.console import Output, fail_with_problem, print_json, print_table, printable


def list_notifications(host: Connection, *, unread: bool, limit: int, output: Output) -> None:
    """Print the newest notifications."""
    status, document = host.get("/notifications", [("limit", str(limit)), *([("read", "false")] if unread else [])])
    if status != 200:
        fail_with_problem(document, output)
    if output is Output.JSON:
        print_json(document)
        return
    rows = [
        (
            each["notification_id"],
            printable(each["created_at"]),
            printable(each["type"]),
            *(_on_one_line(each[name]) for name in ("title", "content")),
        )
        for each in document["data"]
    ]
    print_table(("ID", "CREATED", "TYPE", "TITLE", "CONTENT"), rows)


def _on_one_line(text: str) -> str:
    return printable(" ".join(text.split()))
