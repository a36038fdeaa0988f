"""Looking names up, by asking this machine's name servers. Invariant: a lookup belongs to whoever waits for it and ends
with them, so a name server that never answers holds up nobody else.

That is why it is not `getaddrinfo`, which blocks a thread for as long as it likes. Nothing but name servers is asked: a
name that only this machine or its network knows is none of the public internet. What of `dns` comes with an HTTP client
is imported at the first lookup: a host starts sooner without.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import zip_longest
from typing import Final

import structlog
from dns.exception import DNSException
from dns.message import QueryMessage, make_query
from dns.rcode import NOERROR, NXDOMAIN

log = structlog.get_logger("agenthost.http")

ROUNDS: Final = 2
_PAYLOAD_BYTES: Final = 1232
"""What passes every network in one piece. A longer answer comes cut, with some of its addresses as a rule. All of it
would come over TCP, and 64 KiB of it take a third of a second to parse."""


class LookupFailed(Exception):
    """Nobody knows whether the name has an address: no name server answered."""


Resolve = Callable[[str], Awaitable[Sequence[str]]]


async def system_addresses(host: str) -> Sequence[str]:
    """The addresses of `host`, of which a name may have none. Raises LookupFailed."""
    from dns.resolver import Resolver

    try:
        configured = Resolver()  # read anew each time, as it changes with networks
    except (DNSException, ValueError) as error:
        log.warning("no_name_server", reason=type(error).__name__, advice="See /etc/resolv.conf.")
        raise LookupFailed from error
    servers = [str(server) for server in configured.nameservers]
    return await addresses(host, servers, seconds=configured.timeout)


async def addresses(host: str, servers: Sequence[str], *, port: int = 53, seconds: float = 2.0) -> Sequence[str]:
    """The addresses of `host`, IPv4 and IPv6 in turn, since this machine may have only one of them. Each server is
    waited for `seconds`, ROUNDS times; LookupFailed when none answers."""
    try:
        queries = [make_query(host, kind, use_edns=0, payload=_PAYLOAD_BYTES) for kind in ("A", "AAAA")]
    except DNSException:
        return ()
    async with asyncio.TaskGroup() as asking:
        tasks = [asking.create_task(_answer(query, servers, port, seconds)) for query in queries]
    answers = [task.result() for task in tasks]
    if None in answers and not any(answers):
        raise LookupFailed
    pairs = zip_longest(*(answer or () for answer in answers))
    return [address for pair in pairs for address in pair if address is not None]


async def _answer(query: QueryMessage, servers: Sequence[str], port: int, seconds: float) -> list[str] | None:
    """None when no server answers."""
    from dns.asyncquery import udp

    for server in [*servers] * ROUNDS:
        try:
            answer = await udp(query, server, seconds, port, ignore_unexpected=True, ignore_errors=True)
            if isinstance(answer, QueryMessage) and answer.rcode() in (NOERROR, NXDOMAIN):
                return [str(record.address) for record in answer.resolve_chaining().answer or ()]
        except (DNSException, OSError):
            continue
    return None
