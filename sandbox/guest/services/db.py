"""`services.db` as an agent sees it."""

from typing import Any

from sandbox.guest.results import ISO, is_one_of
from sandbox.guest.services.asking import Service

Row = dict[str, Any]
_AS_TEXT = (("decimal", "Decimal"), ("uuid", "UUID"))


class Db(Service):
    """The owner's own tables, under the owner's own policies.

    `where` is {column: value} or {column: {op: value}} with op one of eq neq gt gte lt lte like in is; None is SQL's
    null, and all of it must hold. Names are plain: lower case, digits and _. What comes back is JSON: dates and times
    are text. Raises ValueError for what the table does not have or take, ServiceError for what it refuses.
    """

    def select(
        self,
        table: str,
        *,
        columns: list[str] | None = None,
        where: dict[str, Any] | None = None,
        order: str | list[str] | None = None,
        limit: int | None = None,
    ) -> list[Row]:
        """Rows as dicts; `order` is "column" or "column desc", or a list of such.

        With `limit` at most so many, so that a full answer may have more behind it. Without it all there are: a
        ValueError when they are more than the host reads in one call (limit_db_rows, 1000).
        """
        args = {"table": table, "columns": columns, "where": _plain(where), "order": order, "limit": limit}
        return list(self._ask("db", "select", args))

    def insert(self, table: str, rows: Row | list[Row]) -> list[Row]:
        """Add a row, or several with the same columns: all or none. They come back as stored, with their defaults."""
        each = [rows] if isinstance(rows, dict) else rows
        return list(self._ask("db", "insert", {"table": table, "rows": _plain(each)}))

    def update(self, table: str, values: Row, *, where: dict[str, Any]) -> list[Row]:
        """Change the rows that `where` names, which may not be empty; they come back as they are now."""
        return list(self._ask("db", "update", {"table": table, "values": _plain(values), "where": _plain(where)}))

    def delete(self, table: str, *, where: dict[str, Any]) -> list[Row]:
        """Delete the rows that `where` names, which may not be empty; they come back as they were."""
        return list(self._ask("db", "delete", {"table": table, "where": _plain(where)}))


def _plain(value: Any, depth: int = 3) -> Any:
    """Dates, times, decimals and UUIDs as Postgres reads them, as deep as rows and conditions go."""
    if is_one_of(value, ISO):
        return value.isoformat()
    if is_one_of(value, _AS_TEXT):
        return str(value)
    if depth and isinstance(value, dict):
        return {key: _plain(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, list | tuple):
        return [_plain(item, depth - 1) for item in value]
    return value
