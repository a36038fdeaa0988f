"""Several statements sent as one and answered as one: a round trip. `AsyncConnection.pipeline` would make a system
call, and wake the server, for each of them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import psycopg
from psycopg import generators, waiting
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

_LOOK_AGAIN_SECONDS: Final = 0.5

Statements = Sequence[tuple[bytes, Sequence[str | None]]]


async def exchange(connection: psycopg.AsyncConnection[tuple[object, ...]], statements: Statements) -> list[PGresult]:
    """One result for each statement; parameters are untyped texts, `%s` in the SQL. Raises the first error.

    Behind a statement that failed nothing was executed, and its transaction is still to be rolled back. When the
    exchange itself breaks off, or is cancelled, the connection is closed: nobody knows what it is in the middle of.
    """
    sent = [(_numbered(text), [_text(value) for value in parameters]) for text, parameters in statements]
    async with connection.lock:
        try:
            connection.pgconn.enter_pipeline_mode()
            # Not `connection.wait`: cancelled, it waits for the server to give up, which a server that hangs does not.
            work = _exchange(connection.pgconn, sent)
            results = await waiting.wait_async(work, connection.pgconn.socket, interval=_LOOK_AGAIN_SECONDS)
            connection.pgconn.exit_pipeline_mode()
        except BaseException:
            await connection.close()
            raise
    for result in results:
        if result.status == ExecStatus.FATAL_ERROR:
            raise psycopg.errors.error_from_result(result)
    return results


def _exchange(pgconn: PGconn, statements: Sequence[tuple[bytes, Sequence[bytes | None]]]) -> PQGen[list[PGresult]]:
    for text, parameters in statements:
        pgconn.send_query_params(text, parameters or None)
    pgconn.pipeline_sync()
    yield from generators.send(pgconn)
    results: list[PGresult] = []
    for _ in statements:
        results += yield from generators.fetch_many(pgconn)
    yield from generators.fetch_many(pgconn)  # the answer to the sync
    return results


def _text(value: str | None) -> bytes | None:
    # To libpq a text ends at its first null byte: without this, the rest would silently be lost.
    if value is not None and "\0" in value:
        raise psycopg.DataError("a text for Postgres cannot contain U+0000")
    return None if value is None else value.encode()


@lru_cache(250)
def _numbered(text: bytes) -> bytes:
    """`%s`, `%s` as `$1`, `$2`. The statements of this package hold no other `%`."""
    first, *others = text.split(b"%s")
    return first + b"".join(b"$%d%s" % (number, part) for number, part in enumerate(others, 1))
