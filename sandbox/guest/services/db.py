"""`services.db` as an agent sees it."""

from typing import Any

from sandbox.guest.services.asking import Ask

Row = dict[str, Any]


class Db:
    """The owner's tables, under the owner's policies."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def select(
        self,
        table: str,
        *,
        columns: list[str] | None = None,
        where: dict[str, Any] | None = None,
        order: str | None = None,
        limit: int | None = None,
    ) -> list[Row]:
        """Rows, as dicts. `where` is {column: value} or {column: {op: value}}; `order` a column, or "column desc"."""
        args = {"table": table, "columns": columns, "where": where, "order": order, "limit": limit}
        return list(self._ask("db", "select", args))

    def insert(self, table: str, rows: Row | list[Row]) -> list[Row]:
        """Add one row or several, all or none; they come back as stored."""
        return list(self._ask("db", "insert", {"table": table, "rows": [rows] if isinstance(rows, dict) else rows}))

    def update(self, table: str, values: Row, *, where: dict[str, Any]) -> list[Row]:
        """Change the rows that `where` names; they come back as they are now."""
        return list(self._ask("db", "update", {"table": table, "values": values, "where": where}))

    def delete(self, table: str, *, where: dict[str, Any]) -> list[Row]:
        """Delete the rows that `where` names; they come back as they were."""
        return list(self._ask("db", "delete", {"table": table, "where": where}))
