"""The life of a guest: one message in, one job done, one closing frame out. The caller ends the process afterwards."""

import base64
import marshal
import zlib
from collections.abc import Callable
from types import FunctionType, TracebackType
from typing import Any

from sandbox import wire
from sandbox.guest.channel import Channel
from sandbox.guest.language import AGENT_FILE, Language
from sandbox.guest.results import NotJson, to_json
from sandbox.guest.services import Services
from sandbox.guest.services.asking import asker


class OutputTooLarge(Exception):
    """What the agent returned is over its limit."""


MESSAGE_CHARS = 2000
TRACEBACK_FRAMES = 20
CLOSING_BYTES = 64
COMPRESS_BYTES = 16 * 1024
CO_VARKEYWORDS = 0x08
"""Of a code object's flags, as `inspect` has it."""


class Guest:
    """One channel and one fresh namespace, for one job. Made ahead of it: then only the job is left to be done."""

    def __init__(self, channel: Channel, language: Language) -> None:
        self._channel = channel
        self._language = language
        self._namespace = language.globals(log=channel.log, test=False)

    def serve(self) -> None:
        """Do the one job that the host sends. Afterwards there is nothing left to say."""
        message = self._channel.receive()
        match message["kind"]:
            case "run":
                self._channel.send_frame(self.run(message))
            case "check":
                self._channel.send({"kind": "done", **check_source(message["source"], self._language)})
            case "probe":
                from sandbox.guest.probe import probe

                self._channel.send({"kind": "done", "denied": probe(message["name"])})
            case kind:
                raise ValueError(f"the host sent a {kind!r} frame")

    def run(self, job: dict[str, Any]) -> bytes:
        """Execute the agent and call its entry point. Its return value or its exception becomes the closing frame."""
        namespace = self._namespace
        namespace["IS_TEST_MODE"] = job["test"]
        self._channel.frame_bytes, self._channel.log_bytes = job["frame_bytes"], job["log_bytes"]
        try:
            exec(marshal.loads(unpack(job["code"])), namespace)
            value = to_json(self._call(namespace[job["entry"]], job))
            frame = wire.encode({"kind": "done", "output": value})
            if len(frame) > job["output_bytes"] + CLOSING_BYTES:
                raise OutputTooLarge(f"the output is {len(frame)} bytes; at most {job['output_bytes']} are allowed")
            self._language.finish_log(namespace)
            return frame
        except BaseException as error:
            return wire.encode({"kind": "done", "failure": self._failure(error)})

    def _call(self, entry: Callable[..., Any], job: dict[str, Any]) -> Any:
        """Bind the input by the names of the entry point's parameters; `services`, `input` and `test` are ours."""
        given = job["input"]
        own: dict[str, Any] = {"services": Services(asker(self._channel)), "input": given, "test": job["test"]}
        names, takes_any = parameters(entry)
        bound = {name: value for name, value in given.items() if takes_any or name in names}
        return entry(**bound, **{name: own[name] for name in names if name in own})

    def _failure(self, error: BaseException) -> dict[str, Any]:
        """The exception as data: type, message, and where in the agent's own source it came from."""
        kinds = {NotJson: "output_not_json", OutputTooLarge: "output_too_large", MemoryError: "memory_exceeded"}
        code = next((code for kind, code in kinds.items() if isinstance(error, kind)), "agent_error")
        frames = agent_frames(error.__traceback__)
        error.__traceback__ = None
        try:
            self._language.finish_log(self._namespace)
            message = str(error)
        except BaseException:
            message = "(its message cannot be shown)"
        return {
            "code": code,
            "type": clean(type(error).__name__, 100),
            "message": clean(message, MESSAGE_CHARS),
            "frames": frames,
        }


def check_source(source: str, language: Language) -> dict[str, Any]:
    """What a check found, and the code for later runs: opaque bytes to the host, marshalled here and read in a jail."""
    from sandbox.guest.check import check  # a guest that runs an agent starts sooner without

    found, code = check(source, language)
    return {"checked": found, "code": "" if code is None else pack(marshal.dumps(code))}


def pack(data: bytes) -> str:
    """Bytes as text for a frame. Only what is long is compressed: for the rest inflating costs more than it saves."""
    if len(data) < COMPRESS_BYTES:
        return "=" + base64.b64encode(data).decode()
    return "z" + base64.b64encode(zlib.compress(data, 1)).decode()


def unpack(text: str) -> bytes:
    """The reverse of `pack`; only ever applied to what a check in a jail made."""
    data = base64.b64decode(text[1:])
    return zlib.decompress(data) if text[0] == "z" else data


def parameters(entry: Callable[..., Any]) -> tuple[tuple[str, ...], bool]:
    """The names that the entry point takes by keyword, and whether it takes any other."""
    if type(entry) is FunctionType:
        code = entry.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        return names, bool(code.co_flags & CO_VARKEYWORDS)
    import inspect  # rarely needed, and slower to import than all the rest

    taken = inspect.signature(entry).parameters
    return tuple(taken), any(one.kind is one.VAR_KEYWORD for one in taken.values())


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
