"""What goes into a sandbox and what comes out: frozen values, no behaviour.

Guest failure is an `Outcome` or a `Checked` with problems; host failure is `SandboxUnavailable`. Nothing else crosses.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from sandbox.limits import Limits

Status = Literal["succeeded", "failed", "timed_out", "cancelled"]

FailureCode = Literal[
    "agent_error",
    "output_not_json",
    "output_too_large",
    "logs_too_large",
    "too_many_effects",
    "memory_exceeded",
    "wall_time_exceeded",
    "cpu_time_exceeded",
    "sandbox_violation",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a source was refused. `line` counts from 1, `column` from 0 (as in `ast`); 0, 0: the file."""

    line: int
    column: int
    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found. With `problems` the source is refused and the rest is empty, but for `metadata`.

    `code` is opaque to the host: it is handed to a guest of the same engine and never decoded outside a jail.
    `input_schema` is a JSON Schema of type object. `metadata` is the TOML of the `# /// agent` block, as JSON.
    `inferred` maps each service used to what is literally there, in the shape of a manifest: {"kv": {}, "notify": {}}.
    """

    problems: tuple[Problem, ...] = ()
    code: bytes = b""
    entry: str = ""
    description: str = ""
    input_schema: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    inferred: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run: checked code, its entry point, its input (already validated against the schema), the dry-run flag."""

    code: bytes
    entry: str
    input: Mapping[str, Any]
    test: bool
    limits: Limits
    source: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """What a guest asks for: an untrusted, size- and depth-limited claim. `args` are keyword arguments, any JSON."""

    service: str
    action: str
    args: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a call. With `error` ({"type", "message"}) the guest raises it, else it gets `result`."""

    result: Any = None
    error: Mapping[str, str] | None = None


class EndRun(Exception):
    """Raised by `on_call` to end the run at once, as a failure of the guest (the broker's limits)."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code: FailureCode = code
        self.message = message


OnCall = Callable[[Call], Awaitable[Reply]]
OnLog = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run did not succeed. `traceback` has the agent's own lines only; `type` is the exception's name, if one."""

    code: FailureCode
    message: str
    type: str | None = None
    traceback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the kernel says a run used; never what the guest says. `cpu_ms` and `max_rss_bytes` are 0 when unknown."""

    engine: str
    wall_ms: float
    cpu_ms: float
    max_rss_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended. `output` is JSON, and meaningful only with status `succeeded`."""

    status: Status
    output: Any
    failure: Failure | None
    logs: tuple[str, ...]
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """Can this engine take a run now? `isolation` names the layers in force, `missing` those that should be."""

    name: str
    ready: bool
    detail: str
    isolation: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class SandboxUnavailable(Exception):
    """The host cannot run anything right now: the zygote died, Docker is down. Never the guest's doing."""


TAKE_SECONDS = 10.0
"""How long an engine lets a job wait until a sandbox is free; then it is unavailable."""


class Engine(Protocol):
    """Runs hostile Python. `start` raises SandboxUnavailable when a layer of the jail is missing (fail closed)."""

    name: str

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def status(self) -> EngineStatus: ...

    def known(self, source: str) -> Checked | None:
        """What `check` would say at once, from what was found before."""
        ...

    async def check(self, source: str) -> Checked:
        """Parse, apply the language policy, read the signature; executes nothing of the source. May be cached."""
        ...

    async def run(self, job: Job, *, on_call: OnCall, on_log: OnLog | None = None) -> Outcome:
        """One job in a sandbox used once. Cancelling kills the guest and re-raises when nothing of it is left."""
        ...
