"""A value that must be seen nowhere, and the places where it could be: rows, answers, logs, files.

It is looked for by its two random parts and in their common spellings, so that no way to escape the odd characters
between them hides it.
"""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from psycopg import sql

from tests.postgres import Addresses

ODD = "/+=&<'\"%\\ ~"
"""What servers escape when they echo it, each in a way of its own."""


@dataclass(frozen=True, slots=True)
class Canary:
    """One value."""

    first: str = field(default_factory=lambda: token_hex(8))
    last: str = field(default_factory=lambda: token_hex(8))

    @property
    def value(self) -> str:
        return f"{self.first}{ODD}{self.last}"

    def is_in(self, text: str) -> bool:
        lower = text.lower()
        for part in (self.first, self.last):
            if part in lower or part.encode().hex() in lower or part[::-1] in lower:
                return True
            if any(spelled in text for spelled in _inside_base64(part.encode())):
                return True
        return False

    def is_in_files_of(self, directory: Path) -> list[str]:
        """The files that hold it as it is."""
        parts = (self.first.encode(), self.last.encode())
        files = (path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
        return [str(path) for path in files if any(part in path.read_bytes() for part in parts)]


def _inside_base64(part: bytes) -> Iterator[str]:
    """The characters that the part alone decides, wherever it begins."""
    for before in range(3):
        first, last = -(-8 * before // 6), 8 * (before + len(part)) // 6
        yield b64encode(bytes(before) + part).decode()[first:last]


async def rows(addresses: Addresses) -> dict[str, list[str]]:
    """Every row of every table of agenthost and of its users, all columns as text."""
    found: dict[str, list[str]] = {}
    async with await addresses.owner() as owner:
        tables = await owner.execute(
            "select schemaname::text, tablename::text from pg_tables "
            "where schemaname in ('agenthost', 'agenthost_private', 'auth', 'public')"
        )
        for schema, table in await tables.fetchall():
            query = sql.SQL("select t::text from {} t").format(sql.Identifier(str(schema), str(table)))
            found[f"{schema}.{table}"] = [str(text) for (text,) in await (await owner.execute(query)).fetchall()]
    return found
