"""What a parked guest does while it waits: a whole run of a trusted agent, to no effect.

After a fork each page that is touched for the first time costs a fault; touched while parked, they cost no run.
"""

import json
import marshal
from collections.abc import Callable
from typing import Any

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
    """Encodes and decodes as the real channel does; nothing is read or written."""

    def __init__(self, message: dict[str, Any]) -> None:
        super().__init__(-1)
        self._frame = wire.encode(message)

    def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._frame[wire.LENGTH.size :])
        return message

    def _write(self, frame: bytes) -> None:
        del frame


def rehearsal(language: Language) -> Callable[[], None]:
    """Made once, before the first fork; called in every child. Never sees a tenant's byte."""
    reply = {"kind": "reply", "result": {"found": True, "value": [1.5, "x"]}}
    job = {
        "code": pack(marshal.dumps(language.compile(_AGENT))),
        "entry": "run",
        "input": {"name": "somebody"},
        "test": True,
        "output_bytes": 4096,
        "log_bytes": 4096,
        "frame_bytes": 4096,
    }
    guest = Guest(_Nowhere(reply), language)
    opening = json.dumps(job)

    def rehearse() -> None:
        guest.run(json.loads(opening))

    return rehearse
