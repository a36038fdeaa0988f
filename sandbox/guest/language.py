"""The language an agent is compiled in, and the names its module starts with. One instance serves many runs."""

import builtins
import sys
import warnings
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any, Protocol

AGENT_FILE = "<agent>"
AGENT_MODULE = "agent"

Log = Callable[[str], None]


class Refused(Exception):
    """The source is not in the language. `problems` are dicts with line, column, code, message and hint."""

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


class Language(Protocol):
    """Compiles source, and makes the namespace that the code is executed in. Instances hold nothing of a run."""

    @property
    def version(self) -> str: ...

    def compile(self, source: str) -> CodeType: ...

    def globals(self, *, log: Log, test: bool) -> dict[str, Any]: ...

    def finish_log(self, namespace: dict[str, Any]) -> None:
        """Log the line that was begun and never ended in a namespace of `globals`."""
        ...


def problem(line: int, column: int, code: str, message: str, hint: str) -> dict[str, Any]:
    """One reason for a refusal: `line` from 1, `column` from 0; 0 and 0 mean the file as a whole."""
    return {"line": line, "column": column, "code": code, "message": message, "hint": hint}


class Print:
    """`print` as the agent sees it: whole lines go to the log; `end=""` waits for the rest of its line."""

    __slots__ = ("_log", "_pending")

    def __init__(self, log: Log) -> None:
        self._log = log
        self._pending = ""

    def __call__(
        self, *values: object, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: bool = False
    ) -> None:
        for text in (sep, end):
            if not isinstance(text, str | None):
                raise TypeError(f"sep and end must be None or a string, not {type(text).__name__}")
        text = (" " if sep is None else sep).join([str(value) for value in values]) + ("\n" if end is None else end)
        if file is not None:
            file.write(text)
            return
        *lines, self._pending = (self._pending + text).split("\n")
        if lines:
            self._log("\n".join(lines))

    def finish(self) -> None:
        """Log the line that was begun and never ended. Called once, when the run is over."""
        if self._pending:
            self._log(self._pending)
            self._pending = ""


def agent_module(names: dict[str, Any], *, test: bool) -> dict[str, Any]:
    """The namespace of a new module called `agent`, holding `names`.

    It is registered in `sys.modules` because dataclasses look their string annotations up there.
    """
    module = ModuleType(AGENT_MODULE)
    sys.modules[AGENT_MODULE] = module
    namespace = module.__dict__
    namespace.clear()
    namespace.update({"__name__": AGENT_MODULE, "__doc__": None, "IS_TEST_MODE": test, **names})
    return namespace


def finish_log(namespace: dict[str, Any]) -> None:
    """Flush what `print(..., end="")` left behind, where the namespace's `print` is a `Print`."""
    printer = namespace["__builtins__"]["print"]
    if type(printer) is Print:
        printer.finish()


def syntax_problem(error: BaseException) -> dict[str, Any]:
    """Whatever the parser or compiler raised, as a problem. Hostile source makes it raise more than SyntaxError."""
    if isinstance(error, SyntaxError) and error.lineno:
        column = max((error.offset or 1) - 1, 0)
        hint = f"Python {sys.version_info.major}.{sys.version_info.minor} cannot read this line."
        if "U+FEFF" in error.msg:
            hint = "Remove the byte order mark: save the file as UTF-8 without BOM."
        return problem(error.lineno, column, "syntax_error", f"{error.msg}", hint)
    if isinstance(error, RecursionError | MemoryError):
        return problem(0, 0, "too_complex", "the source is nested too deeply to be parsed", "Nest less, or use data.")
    if isinstance(error, SyntaxError | ValueError):  # null bytes; a lone surrogate is a UnicodeEncodeError
        return problem(0, 0, "not_text", "the source is not clean Unicode text", "Remove null bytes and surrogates.")
    raise error


class PlainLanguage:
    """All of Python: for engines whose isolation does not lean on the language."""

    version = f"plain-{sys.implementation.cache_tag}"
    finish_log = staticmethod(finish_log)

    def compile(self, source: str) -> CodeType:
        """Code of a module. Raises `Refused` when the source is not Python."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return compile(source, AGENT_FILE, "exec", dont_inherit=True)
        except Exception as error:
            raise Refused([syntax_problem(error)]) from None

    def globals(self, *, log: Log, test: bool) -> dict[str, Any]:
        """A module's namespace with every builtin, `print` going to `log`."""
        names = {**vars(builtins), "print": Print(log)}
        return agent_module({"__builtins__": names}, test=test)
