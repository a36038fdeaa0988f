"""Looking names up, off the event loop. Invariant: no account can take the threads that all share.

A lookup cannot be called off: one that nobody waits for any more still counts against the account that began it.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

THREADS: Final = 32
PER_ACCOUNT: Final = 4

Resolve = Callable[[str], Sequence[str]]


class TooManyLookups(Exception):
    """The account has PER_ACCOUNT lookups that are not finished."""


def system_addresses(host: str) -> Sequence[str]:
    """The addresses of `host` as this machine knows them, the best first. None for a name that has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


class Lookups:
    """Runs `resolve` in threads of its own."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="lookup")
        self._unfinished: Counter[str] = Counter()

    async def addresses(self, host: str, account: str) -> Sequence[str]:
        """One lookup. Raises TooManyLookups."""
        if self._unfinished[account] >= PER_ACCOUNT:
            raise TooManyLookups
        self._unfinished[account] += 1
        lookup = asyncio.get_running_loop().run_in_executor(self._threads, self._resolve, host)
        lookup.add_done_callback(lambda _: self._finished(account))
        return await asyncio.shield(lookup)

    def _finished(self, account: str) -> None:
        self._unfinished[account] -= 1
        if not self._unfinished[account]:
            del self._unfinished[account]
