"""What a parked guest does while it waits: a whole run of a trusted agent, to no effect.

After a fork each page that is touched for the first time costs a fault; touched while parked, they cost no run. Done in
the zygote as well, before the first fork, it leaves the guests less to write: what Python learns from it, they inherit.
"""

import marshal
from collections.abc import Callable

from sandbox import wire
from sandbox.guest.channel import Channel
from sandbox.guest.language import Language
from sandbox.guest.serve import Guest, pack

_AGENT = """
def run(name: str, n: int = 3, services=None):
    print('rehearsing', name)
    total = sum(item * n for item in range(3))
    return {'name': f'{name}', 'total': total, 'value': services.kv.get('key')}
"""


class _Nowhere(Channel):
    """Encodes and decodes as the real channel does; what it reads is given, what it writes is lost."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.given = memoryview(b"")

    def read_exactly(self, size: int) -> bytes:
        read, self.given = self.given[:size], self.given[size:]
        return bytes(read)

    def _write(self, frame: bytes) -> None:
        del frame


def rehearsal(language: Language) -> Callable[[], None]:
    """Made once; called in the zygote, and in every child. Never sees a tenant's byte."""
    job = {
        "kind": "run",
        "code": pack(marshal.dumps(language.compile(_AGENT))),
        "entry": "run",
        "input": {"name": "somebody"},
        "test": True,
        "output_bytes": 4096,
        "log_bytes": 4096,
        "frame_bytes": 4096,
    }
    reply = {"kind": "reply", "result": {"found": True, "value": [1.5, "x"]}}
    given = memoryview(wire.encode(job) + wire.encode(reply))
    channel = _Nowhere()
    guest = Guest(channel, language)

    def rehearse() -> None:
        channel.given = given
        guest.serve()

    return rehearse
