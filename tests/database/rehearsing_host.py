"""A process with a dry run in the middle of its transaction, for a test that kills it.

python -m tests.database.rehearsing_host SERVING_DSN USER_ID
"""

import asyncio
import sys
from uuid import UUID

from service.database.rehearsals import PostgresRehearsals
from tests.postgres import someone


async def main(dsn: str, user_id: str) -> None:
    rehearsal = PostgresRehearsals(dsn, most_rows=10).of(someone(UUID(user_id)))
    await rehearsal.update("leads", {"name": "changed"}, where={"name": "a"})
    print("changed", flush=True)
    await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
