"""The life of a guest: one message in, one job done, one closing frame out. The caller ends the process afterwards."""

import base64
import inspect
import marshal
import zlib
from collections.abc import Callable
from types import FunctionType, TracebackType
from typing import Any

from sandbox import wire
from sandbox.guest.channel import Channel
from sandbox.guest.check import check
from sandbox.guest.language import AGENT_FILE, Language, finish_log
from sandbox.guest.probe import probe
from sandbox.guest.results import NotJson, to_json
from sandbox.guest.services import Services, asker


class OutputTooLarge(Exception):
    """What the agent returned is over its limit."""


MESSAGE_CHARS = 2000
TRACEBACK_FRAMES = 20


def serve(channel: Channel, language: Language) -> None:
    """Does the one job that the host sends."""
    message = channel.receive()
    match message["kind"]:
        case "run":
            done = run(message, channel, language)
        case "check":
            done = check_source(message["source"], language)
        case "probe":
            done = {"denied": probe(message["name"])}
        case kind:
            raise ValueError(f"the host sent a {kind!r} frame")
    channel.send({"kind": "done", **done})


class _Rehearsal(Channel):
    """A channel that leads nowhere: encodes and decodes as the real one does."""

    def __init__(self, reply: dict[str, Any]) -> None:
        super().__init__(-1)
        self._reply = wire.encode(reply)[wire.LENGTH.size :]

    def receive(self) -> dict[str, Any]:
        return wire.decode(self._reply)

    def _write(self, frame: bytes, *, flush: bool = False) -> None:
        if flush:
            self._flush()


def rehearsal(language: Language) -> Callable[[], None]:
    """A run of a trusted agent, for a parked child to do ahead of its job.

    After a fork every page that is touched for the first time costs a fault; touched while parked, they cost nobody.
    """
    code = language.compile(
        "def run(name: str, n: int = 3, services=None):\n"
        "    print('rehearsing', name)\n"
        "    total = sum(item * n for item in range(3))\n"
        "    return {'name': f'{name}', 'total': total, 'value': services.kv.get('key')}\n"
    )
    sizes = {"output_bytes": 1 << 20, "log_bytes": 1 << 20, "frame_bytes": 1 << 20}
    job = {"kind": "run", "code": pack(marshal.dumps(code)), "entry": "run", "input": {"name": "x"}, "test": True}
    channel = _Rehearsal({"kind": "reply", "result": {"found": True, "value": [1.5, "x"]}})
    opening = wire.encode({**job, **sizes})[wire.LENGTH.size :]

    def rehearse() -> None:
        channel.send({"kind": "done", **run(wire.decode(opening), channel, language)})

    return rehearse


def check_source(source: str, language: Language) -> dict[str, Any]:
    """What a check found, and the code for later runs: opaque bytes to the host, marshalled here and read in a jail."""
    found, code = check(source, language)
    return {"checked": found, "code": "" if code is None else pack(marshal.dumps(code))}


def pack(data: bytes) -> str:
    """Bytes as text for a frame."""
    return base64.b64encode(zlib.compress(data, 1)).decode()


def unpack(text: str) -> bytes:
    """The reverse of `pack`; only ever applied to what a check in a jail made."""
    return zlib.decompress(base64.b64decode(text))


def run(job: dict[str, Any], channel: Channel, language: Language) -> dict[str, Any]:
    """Execute the agent and call its entry point. Its return value or its exception becomes the closing frame."""
    namespace = language.globals(log=channel.log, test=job["test"])
    channel.frame_bytes, channel.log_bytes = job["frame_bytes"], job["log_bytes"]
    try:
        exec(marshal.loads(unpack(job["code"])), namespace)
        value = to_json(call_entry(namespace[job["entry"]], job, channel))
        size = len(wire.encode({"output": value}))
        if size > job["output_bytes"]:
            raise OutputTooLarge(f"the output is {size} bytes of JSON; at most {job['output_bytes']} are allowed")
        finish_log(namespace)
    except BaseException as error:
        return closing_failure(error, namespace)
    return {"output": value}


def call_entry(entry: Callable[..., Any], job: dict[str, Any], channel: Channel) -> Any:
    """Bind the input by the names of the entry point's parameters; `services`, `input` and `test` are ours."""
    own = {"services": Services(asker(channel)), "input": dict(job["input"]), "test": job["test"]}
    wanted = {name: own[name] for name in parameters(entry) if name in own}
    return entry(**{**job["input"], **wanted})


def parameters(entry: Callable[..., Any]) -> tuple[str, ...]:
    """The names that the entry point takes by keyword."""
    if type(entry) is FunctionType:
        code = entry.__code__
        return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return tuple(inspect.signature(entry).parameters)


def closing_failure(error: BaseException, namespace: dict[str, Any]) -> dict[str, Any]:
    """The exception as data: type, message, and where in the agent's own source it came from."""
    kinds = {NotJson: "output_not_json", OutputTooLarge: "output_too_large", MemoryError: "memory_exceeded"}
    code = next((code for kind, code in kinds.items() if isinstance(error, kind)), "agent_error")
    frames = agent_frames(error.__traceback__)
    error.__traceback__ = None
    try:
        finish_log(namespace)
        message = str(error)
    except BaseException:
        message = "(its message cannot be shown)"
    return {
        "failure": {
            "code": code,
            "type": clean(type(error).__name__, 100),
            "message": clean(message, MESSAGE_CHARS),
            "frames": frames,
        }
    }


def agent_frames(trace: TracebackType | None) -> list[list[Any]]:
    """[line, function] of the agent's own frames, outermost first; the last ones where there are many."""
    frames = []
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename == AGENT_FILE:
            frames.append([trace.tb_lineno, clean(code.co_name, 100)])
        trace = trace.tb_next
    return frames[-TRACEBACK_FRAMES:]


def clean(text: str, limit: int) -> str:
    """Text that JSON can hold, cut to `limit` characters."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
