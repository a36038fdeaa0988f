"""The migration that carries the policies. The files in supabase/policies are the source; whoever applies migrations,
the host or the Supabase CLI, applies the newest copy of them last.

    python -m tests.policies.migration            writes a new one, if the newest is not what the files say
    python -m tests.policies.migration --again    rewrites the newest instead: only while no release has it
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from service.database.migrations import SUPABASE_DIRECTORY

TITLE = "policies"
_HEAD = "-- Made from supabase/policies by `python -m tests.policies.migration`: change those files, never this one.\n"
_VERSION = """
-- What a host asks before it serves: the migration that the database is at.
create or replace function agenthost.schema_version() returns text
language sql stable set search_path = '' as $$ select '{name}' $$;
"""


def text(name: str, directory: Path = SUPABASE_DIRECTORY) -> str:
    """What the migration of this name should hold."""
    policies = sorted((directory / "policies").glob("*.sql"))
    parts = [f"\n-- {path.name}\n{path.read_text()}" for path in policies]
    return "".join([_HEAD, *parts, _VERSION.format(name=name)])


def newest(directory: Path = SUPABASE_DIRECTORY) -> Path:
    """The last migration, whatever it holds."""
    return sorted((directory / "migrations").glob("*.sql"))[-1]


def is_current(directory: Path = SUPABASE_DIRECTORY) -> bool:
    last = newest(directory)
    return last.stem.endswith(f"_{TITLE}") and last.read_text() == text(last.stem, directory)


def write(*, again: bool, directory: Path = SUPABASE_DIRECTORY) -> Path:
    """Make it current, and say which file that is."""
    last = newest(directory)
    if is_current(directory):
        return last
    if again and last.stem.endswith(f"_{TITLE}"):
        last.unlink()
    now = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    made = last.with_name(f"{max(now, str(int(last.stem.partition('_')[0]) + 1))}_{TITLE}.sql")
    made.write_text(text(made.stem, directory))
    return made


if __name__ == "__main__":
    print(write(again="--again" in sys.argv[1:]))
