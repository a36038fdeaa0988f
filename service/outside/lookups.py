"""Looking names up, off the event loop. Invariant: no account can take the threads that all share.

A lookup cannot be called off: one that nobody waits for any more still takes the turn of the account that began it.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from weakref import WeakValueDictionary

THREADS: Final = 32
PER_ACCOUNT: Final = 4

Resolve = Callable[[str], Sequence[str]]


def system_addresses(host: str) -> Sequence[str]:
    """The addresses of `host` as this machine knows them, the best first. None for a name that has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


class Lookups:
    """Runs `resolve` in threads of its own, at most PER_ACCOUNT at a time for one account."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="lookup")
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def addresses(self, host: str, account: str) -> Sequence[str]:
        """The addresses of `host`, once it is the account's turn. Waits without an end: the caller sets one."""
        turns = self._turns.setdefault(account, asyncio.Semaphore(PER_ACCOUNT))
        await turns.acquire()
        lookup = asyncio.get_running_loop().run_in_executor(self._threads, self._resolve, host)
        lookup.add_done_callback(lambda _: turns.release())
        return await asyncio.shield(lookup)
