"""What a guest claimed and how the kernel says it ended -> an `Outcome` or a `Checked`. Claims are validated here."""

import re
import signal
from collections.abc import Mapping
from typing import Any, Protocol

from sandbox.conversation import Conversation
from sandbox.job import Checked, Failure, FailureCode, Outcome, Problem, Status, Usage

CLAIMABLE: dict[str, FailureCode] = {
    code: code for code in ("agent_error", "output_not_json", "output_too_large", "memory_exceeded")
}
"""What a guest may say of itself. Everything else is found by the host."""

MAX_PROBLEMS = 200

_LINE_ENDS = re.compile(r"\r\n|\r|\n")
"""As Python counts lines; `splitlines` knows more line ends."""


class Ended(Protocol):
    """How the kernel says a guest ended."""

    @property
    def signal(self) -> signal.Signals | None: ...

    @property
    def cpu_ms(self) -> float: ...

    @property
    def max_rss_bytes(self) -> int: ...


def outcome_of(conversation: Conversation, end: Ended, *, source: str, engine: str, wall_ms: float) -> Outcome:
    """The host's verdict first, then the guest's closing frame, then the way it died."""
    output = None
    failure: Failure | None
    if conversation.verdict is not None:
        failure = Failure(conversation.verdict.code, conversation.verdict.message)
    elif conversation.closing is not None:
        output, failure = _closing(conversation.closing, source, conversation.limits.memory_bytes)
    else:
        failure = _death(end, conversation.limits.wall_seconds, conversation.limits.cpu_seconds)
    status: Status = "succeeded"
    if failure is not None:
        status = "timed_out" if failure.code in ("wall_time_exceeded", "cpu_time_exceeded") else "failed"
    return Outcome(
        status=status,
        output=output,
        failure=failure,
        logs=tuple(conversation.logs),
        usage=Usage(
            engine=engine,
            wall_ms=round(wall_ms, 3),
            cpu_ms=round(end.cpu_ms, 3),
            max_rss_bytes=end.max_rss_bytes,
        ),
    )


def _closing(closing: Mapping[str, Any], source: str, memory_bytes: int) -> tuple[Any, Failure | None]:
    match closing:
        case {"output": output, "kind": "done", **rest} if not rest:
            return output, None
        case {
            "failure": {"code": str(code), "type": str(kind), "message": str(message), "frames": list(frames), **more},
            "kind": "done",
            **rest,
        } if code in CLAIMABLE and not rest and not more:
            traceback = _traceback(frames, source)
            if traceback is not None:
                if code == "memory_exceeded":  # a MemoryError has no text
                    message = f"the run needed more than {memory_bytes} bytes of memory"
                return None, Failure(CLAIMABLE[code], message[:4000], kind[:200], traceback)
    return None, Failure("sandbox_violation", "the guest's closing frame makes no sense")


def _traceback(frames: list[Any], source: str) -> str | None:
    """The agent's own lines, as Python prints them; None for frames that are none."""
    lines = _LINE_ENDS.split(source)
    shown = []
    for frame in frames[:50]:
        match frame:
            case [int(number), str(function)]:
                shown.append(f"  line {number}, in {function[:100]}")
                if 0 < number <= len(lines):
                    shown.append(f"    {lines[number - 1].strip()[:200]}")
            case _:
                return None
    return "\n".join(shown)


def _death(end: Ended, wall_seconds: float, cpu_seconds: int) -> Failure:
    """The kernel ends a run by a coarser clock than the one that `Ended.cpu_ms` is read from, which may show less."""
    match end.signal:
        case signal.SIGALRM:
            return Failure("wall_time_exceeded", f"the run took longer than {wall_seconds:g} s")
        case signal.SIGXCPU:
            return Failure("cpu_time_exceeded", f"the run reached its limit of {cpu_seconds} s of processor time")
        case signal.SIGSYS:
            return Failure("sandbox_violation", "the run was ended for a system call that the sandbox does not allow")
        case signal.SIGKILL if end.cpu_ms >= cpu_seconds * 1000:
            return Failure("cpu_time_exceeded", f"the run reached its limit of {cpu_seconds} s of processor time")
        case signal.SIGKILL:
            return Failure("memory_exceeded", "the run was killed from outside: the machine is short of memory")
        case None:
            return Failure("sandbox_violation", "the run ended without its closing frame")
        case other:
            return Failure("sandbox_violation", f"the run crashed ({other.name})")


def own_fault(conversation: Conversation, end: Ended) -> bool:
    """Whether a check that says nothing ended by what its source is, and would again. Else the machine was at fault."""
    if conversation.verdict is not None:
        return conversation.verdict.code != "wall_time_exceeded"
    return end.signal not in (signal.SIGKILL, signal.SIGALRM, signal.SIGTERM)


def read_checked(closing: Mapping[str, Any] | None, otherwise: str) -> Checked:
    """What a check said, field by field. Without a closing frame that makes sense: refused, for `otherwise`."""
    match closing:
        case {"kind": "done", "checked": {"problems": list(problems), "metadata": dict(metadata)}, "code": str()} if (
            problems
        ):
            return Checked(problems=tuple(_problem(found) for found in problems[:MAX_PROBLEMS]), metadata=metadata)
        case {
            "kind": "done",
            "checked": {
                "problems": [],
                "entry": str(entry),
                "description": str(description),
                "input_schema": dict(input_schema),
                "metadata": dict(metadata),
                "inferred": dict(inferred),
            },
            "code": str(code),
        } if code.isascii():
            return Checked(
                code=code.encode("ascii"),
                entry=entry,
                description=description,
                input_schema=input_schema,
                metadata=metadata,
                inferred=inferred,
            )
    hint = "Make it shorter or simpler: less nesting, smaller literals."
    return Checked(problems=(Problem(0, 0, "source_refused", otherwise, hint),))


def _problem(found: Any) -> Problem:
    match found:
        case {"line": int(line), "column": int(column), "code": str(code), "message": str(message), "hint": str(hint)}:
            return Problem(line, column, code[:100], message[:1000], hint[:1000])
    return Problem(0, 0, "source_refused", "the source was refused for a reason that makes no sense", "")
