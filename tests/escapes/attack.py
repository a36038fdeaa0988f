"""What one attack is: data. A family is a file that holds a list of these; the harness runs all of them alike.

A program says that it got somewhere with one of two words in its output or logs. REACHED: the language was overcome,
and something the policy should have withheld is in hand; a failure with the policy on, the starting point without it.
ESCAPED: the jail was overcome; never acceptable. Flags are looked for besides, whatever a program says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any, Literal

from sandbox.limits import Limits

Layer = Literal["check", "policy", "facades", "jail", "broker"]
Ends = frozenset[str]

REFUSED: Ends = frozenset({"refused"})
"""The check names a problem in the attack's own lines; nothing runs."""
RAISED: Ends = frozenset({"agent_error"})
RETURNED: Ends = frozenset({"succeeded"})
KILLED: Ends = frozenset({"sandbox_violation"})
CONTAINED: Ends = RETURNED | KILLED
"""The technique works in plain Python, and the jail leaves nothing to reach with it: empty hands, or death."""
DENIED: Ends = RETURNED | RAISED | KILLED
"""Whatever becomes of the program, its author learns and changes nothing."""

LOOT = """
def loot(os, hint):
    print("REACHED")
    steps = [
        lambda: str(dict(os.environ)),
        lambda: os.read(os.open(hint["file"], 0), 4096),
        lambda: os.read(os.open("/proc/self/environ", 0), 65536),
        lambda: os.read(os.open("/proc/%d/environ" % hint["host_pid"], 0), 65536),
        lambda: os.open("/etc/passwd", 0),
        lambda: os.write(os.open("/tmp/" + hint["mark"], 65, 438), b"x"),
        lambda: os.write(os.open("/dev/shm/" + hint["mark"], 65, 438), b"x"),
        lambda: os.popen("env; cat " + hint["file"] + "; touch /tmp/" + hint["mark"]).read(),
    ]
    for step in steps:
        try:
            print(step())
        except BaseException as error:
            print(error)
    return "looted"
"""
"""For whoever holds the module `os`: take all there is, the deadly step last. The policy lets this text pass."""

NATIVE = """
import ctypes
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
def syscall(number, *arguments):
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result = LIBC.syscall(ctypes.c_long(number), *words)
    return result if result >= 0 else -ctypes.get_errno()
"""
"""Native code in the child: any system call, by number. Without the policy nothing of Python stands in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """`program` runs with the policy on, `raw` (else the same program) as plain Python inside the jail.

    `guarded` and `bare` are the acceptable ends of the two: "refused", "succeeded", "cancelled" or a FailureCode.
    `calls` are the "service.action"s that the broker may be asked for: in the open, and the broker decides.
    `rounds` above 1 runs the program that many times over: what a round left behind must not be there in the next.
    """

    id: str
    technique: str
    source: str
    layer: Layer
    program: str
    guarded: Ends
    bare: Ends
    raw: str | None = None
    calls: frozenset[str] = frozenset()
    rounds: int = 1
    limits: Mapping[str, Any] = field(default_factory=dict)

    def text(self, *, bare: bool) -> str:
        """The source to run. What it borrows (LOOT) comes last, so that a refusal's line tells what was refused."""
        chosen = self.raw if bare and self.raw is not None else self.program
        return chosen if "loot(" not in chosen else chosen + LOOT

    def own_lines(self) -> int:
        return self.program.count("\n") + 1

    def under(self, limits: Limits) -> Limits:
        return limits.lowered(dict(self.limits))


def program(text: str) -> str:
    """A program as it is written between triple quotes in a family's file."""
    return dedent(text).strip("\n") + "\n"


def native(text: str) -> str:
    """A program that calls the kernel by number."""
    return NATIVE.lstrip("\n") + program(text)
