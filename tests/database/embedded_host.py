"""A host in a process of its own, for tests that kill it: starts the embedded Postgres, migrates, and inserts rows,
saying each on standard output only once it is acknowledged.

    python -m tests.database.embedded_host DATA_DIR
"""

import asyncio
import sys
from pathlib import Path

from service.database.embedded import EmbeddedPostgres
from service.database.gateway import DatabaseError
from service.database.migrations import migrate
from service.database.postgres import PostgresDatabase
from tests.postgres import someone


async def main(data_dir: Path) -> None:
    embedded = EmbeddedPostgres(data_dir)
    connections = await embedded.start()
    await migrate(connections.owner_dsn, serving_password=connections.serving_password)
    database = PostgresDatabase(connections.serving_dsn)
    await database.start()
    print("pid", embedded.pid, flush=True)
    ada = someone()
    for number in range(100_000):
        name = f"a{number}"
        await database.insert(ada, "agents", [{"agent_name": name, "agent_config": {}}])
        print("stored", ada.user_id, name, flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1])))
    except DatabaseError as error:
        print("refused", error, flush=True)
        sys.exit(3)
