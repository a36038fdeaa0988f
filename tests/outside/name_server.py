"""A DNS server that answers each look-up with the next addresses on its list, and a resolver that asks it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

from service.outside.lookups import Resolve

_HEADER = struct.Struct("!HHHHHH")
_ANSWER = struct.Struct("!HHHIH")
_A, _IN, _TTL = 1, 1, 0


class NameServer(asyncio.DatagramProtocol):
    """`script`: the addresses of each look-up in turn; the last ones are repeated."""

    def __init__(self, script: Sequence[Sequence[str]]) -> None:
        self.script = script
        self.asked: list[str] = []
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        (query_id, *_) = _HEADER.unpack_from(data)
        question = data[_HEADER.size :]
        addresses = self.script[min(len(self.asked), len(self.script) - 1)]
        self.asked.append(_name(question))
        answers = b"".join(
            b"\xc0\x0c" + _ANSWER.pack(_A, _IN, 0, _TTL, 4) + IPv4Address(address).packed for address in addresses
        )
        self._transport.sendto(_HEADER.pack(query_id, 0x8180, 1, len(addresses), 0, 0) + question + answers, addr)

    @property
    def resolve(self) -> Resolve:
        def ask(host: str) -> list[str]:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(5)
                question = b"".join(bytes([len(label)]) + label.encode() for label in host.split(".")) + b"\0"
                question += struct.pack("!HH", _A, _IN)
                client.sendto(_HEADER.pack(7, 0x0100, 1, 0, 0, 0) + question, ("127.0.0.1", self.port))
                answer = client.recv(512)
            count = _HEADER.unpack_from(answer)[3]
            records = answer[_HEADER.size + len(question) :]
            size = 2 + _ANSWER.size + 4
            return [str(IPv4Address(records[at * size + size - 4 : at * size + size])) for at in range(count)]

        return ask


@asynccontextmanager
async def name_server(*script: Sequence[str]) -> AsyncIterator[NameServer]:
    """One that serves on a free port of loopback."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(script), local_addr=("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()


def _name(question: bytes) -> str:
    labels, at = [], 0
    while size := question[at]:
        labels.append(question[at + 1 : at + 1 + size].decode())
        at += 1 + size
    return ".".join(labels)
