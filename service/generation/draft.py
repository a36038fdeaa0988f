"""What the model answered, and what is wrong with it: sentences for the model and for the user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sandbox.job import Failure
from service.capabilities.plain_json import cleaned_text
from service.errors import ApiError
from service.outside.model_question import Completion
from service.strict_json import NotJson, parse_json

MAX_PROBLEMS: Final = 10
MAX_SENTENCE: Final = 1000
MAX_FAILURE: Final = 4000
MAX_SUMMARY: Final = 2000
MAX_EXAMPLE: Final = 64 * 1024
"""Characters of an example input, far below what a run may take."""

_PYTHON_BLOCK: Final = ("```python", "```py")

Step = Literal["model", "refusal", "check", "input", "dry_run"]
"""Where an attempt ended: no answer of use, the model would not, the code, its example input, its dry run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An agent as the model wrote it."""

    code: str
    summary: str
    example_input: Mapping[str, Any]


class DraftRefused(Exception):
    """An attempt that did not do. `code` is what it wrote, if anything."""

    def __init__(self, step: Step, problems: Sequence[str], *, code: str = "") -> None:
        super().__init__(step)
        self.step: Step = step
        self.problems = list(problems)
        self.code = code

    def shown(self) -> dict[str, Any]:
        return {"step": self.step, "problems": self.problems}


def draft_of(completion: Completion) -> Draft:
    """The parts of an answer. Raises DraftRefused when it has other ones."""
    value = completion.value or {}
    code, summary, example = (value.get(name) for name in ("code", "summary", "example_input_json"))
    if not isinstance(code, str) or not code.strip():
        if fenced := fenced_draft(completion.text):
            return fenced
        raise DraftRefused("model", ["The answer has no `code`."])
    if isinstance(example, str) and len(example) > MAX_EXAMPLE:
        raise DraftRefused("input", [f"`example_input_json` has more than {MAX_EXAMPLE} characters."], code=code)
    try:
        given = parse_json(example.encode(errors="replace") or b"{}") if isinstance(example, str) else None
    except NotJson as error:
        raise DraftRefused("input", [f"`example_input_json` is not JSON: {error}."], code=code) from None
    if not isinstance(given, dict):
        raise DraftRefused("input", ["`example_input_json` should be a text that holds a JSON object."], code=code)
    summary = summary[:MAX_SUMMARY] if isinstance(summary, str) else ""
    return Draft(code=code, summary=summary, example_input=given)


def fenced_draft(text: str) -> Draft | None:
    """The code of an answer that is no JSON, where exactly one block of it is Python; without an example of its own."""
    lines = text.split("\n")
    opened = [number for number, line in enumerate(lines) if line.strip().lower() in _PYTHON_BLOCK]
    if len(opened) != 1:
        return None
    rest = lines[opened[0] + 1 :]
    closed = next((number for number, line in enumerate(rest) if line.strip() == "```"), 0)
    code = "\n".join(rest[:closed])
    return Draft(code=f"{code}\n", summary="", example_input={}) if code.strip() else None


def of_check(error: ApiError) -> list[str]:
    """What a check refused, a sentence each."""
    return [_of_problem(each)[:MAX_SENTENCE] for each in error.errors[:MAX_PROBLEMS]] or [error.detail]


def _of_problem(problem: Mapping[str, Any]) -> str:
    where = f"line {problem['line']}, column {problem['column'] + 1}: " if problem.get("line") else ""
    where = where or (f"{problem['pointer']}: " if problem.get("pointer") else "")
    hint = f". {problem['hint']}" if problem.get("hint") else ""
    return f"{where}{problem.get('message', '')}{hint}"


def of_failure(failure: Failure) -> str:
    """How a dry run failed."""
    kind = failure.type or failure.code
    where = f"\n{failure.traceback}" if failure.traceback else ""
    said = f"In its dry run with the example input the agent failed. {kind}: {failure.message}{where}"
    return cleaned_text(said[:MAX_FAILURE])
