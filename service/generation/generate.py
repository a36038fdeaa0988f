"""The loop: ask the model, check, rehearse, and go back to it with what was wrong.

What comes back has passed its check and its dry run, as code that a user writes must; nothing of it ran outside a jail.
"""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog

from sandbox.job import Failure
from service.agents.check import Definition, examine, require_lower
from service.agents.line import TooManyChecks
from service.agents.models import AgentConfig, parsed
from service.auth import Caller
from service.capabilities.effects import Effect
from service.errors import ApiError
from service.generation import prompt
from service.generation.rehearsal import rehearse
from service.host import Host
from service.outside.model import Model
from service.outside.model_question import Completion, ModelError, Question
from service.runs.inputs import BodyInput, fit
from service.strict_json import NotJson, parse_json

log = structlog.get_logger("agenthost.generation")

MAX_ANSWER_TOKENS: Final = 8000
MAX_PROBLEMS: Final = 10
BACKOFF_SECONDS: Final = (1.0, 2.0, 4.0, 8.0)
TOKEN_MARGIN_SECONDS: Final = 5.0
"""Nothing goes on until the caller's token has expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for: a new agent, or with `code` and `instruction` a change of one."""

    description: str
    instruction: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    """The rest of the agent's config. Of a change, `code` is in it."""

    def text(self) -> str:
        if self.instruction is None:
            return prompt.for_description(self.description)
        return prompt.for_instruction(str(self.config.get("code", "")), self.description, self.instruction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What the model answered."""

    code: str
    summary: str
    example_input: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """An agent that passed its check and its dry run."""

    draft: Draft
    definition: Definition
    output: Any
    effects: Sequence[Effect]
    provenance: Mapping[str, Any]


class Refused(Exception):
    """An attempt that did not do: `step` is where, `problems` are sentences for the model and for the user."""

    def __init__(self, step: str, problems: Sequence[str], *, code: str = "") -> None:
        super().__init__(problems[0] if problems else step)
        self.step = step
        self.problems = list(problems)
        self.code = code


class Progress(Protocol):
    """Who follows a generation: `kind` is the event's name behind "generation."."""

    def __call__(self, kind: str, data: Mapping[str, Any]) -> None: ...


def _nobody(kind: str, data: Mapping[str, Any]) -> None: ...


async def generate(host: Host, caller: Caller, wish: Wish, progress: Progress = _nobody) -> Generated:
    """Raises ApiError: `model_not_configured`, `model_unavailable`, `generation_failed`, or what a check may raise."""
    model = host.outside.model
    if model is None:
        raise ApiError("model_not_configured", "This host has no language model to write agents with.")
    return await _Generation(host, caller, wish, model, progress).run()


class _Generation:
    """One generation: its attempts so far, and what they cost."""

    def __init__(self, host: Host, caller: Caller, wish: Wish, model: Model, progress: Progress) -> None:
        self._host = host
        self._caller = caller
        self._wish = wish
        self._model = model
        self._progress = progress
        self._started = time.monotonic()
        allowed = host.settings.limit_generation_seconds
        token_seconds = caller.expires_at - time.time() - TOKEN_MARGIN_SECONDS
        self._deadline = self._started + min(allowed, token_seconds)
        self._failures: list[Refused] = []
        self._tokens = {"input": 0, "output": 0}

    async def run(self) -> Generated:
        asked = question = self._wish.text()
        attempts = self._host.settings.generation_attempts
        for attempt in range(1, attempts + 1):
            self._progress("attempt", {"attempt": attempt, "of": attempts})
            try:
                return await self._attempt(question)
            except Refused as refused:
                self._failures.append(refused)
                self._progress("refused", {"attempt": attempt, "step": refused.step, "problems": refused.problems})
                question = prompt.for_repair(asked, refused.code, refused.problems) if refused.code else asked
        raise self._failed()

    async def _attempt(self, question: str) -> Generated:
        draft = await self._draft(question)
        self._progress("code", {"code": draft.code})
        definition = await self._checked(draft)
        self._progress("check", {"ok": True, "capabilities": definition.manifest.shown()})
        fitted = fit(BodyInput(draft.example_input), definition.checked.input_schema)
        if fitted.problems:
            said = [f"example_input_json: {each['pointer']} {each['message']}" for each in fitted.problems]
            raise Refused("input", said, code=draft.code)
        rehearsed = await rehearse(self._host, self._caller, definition, fitted.value)
        outcome = rehearsed.outcome
        effects = [effect.shown() for effect in rehearsed.effects]
        self._progress("dry_run", {"status": outcome.status, "output": outcome.output, "effects": effects})
        if outcome.failure is not None:
            raise Refused("dry_run", [_failure_said(outcome.failure)], code=draft.code)
        return Generated(
            draft=draft,
            definition=definition,
            output=outcome.output,
            effects=rehearsed.effects,
            provenance=self._provenance(),
        )

    async def _draft(self, question: str) -> Draft:
        limits = self._host.settings.sandbox_limits()
        system = prompt.instructions(
            wall_seconds=limits.wall_seconds,
            cpu_seconds=limits.cpu_seconds,
            effects=limits.effects,
            output_bytes=limits.output_bytes,
        )
        asked = Question(
            prompt=question,
            system=system,
            model=self._model.default_model,
            max_tokens=MAX_ANSWER_TOKENS,
            schema=prompt.ANSWER_SCHEMA,
        )
        answer = await self._patiently(asked)
        return _draft_of(answer)

    async def _patiently(self, question: Question) -> Completion:
        """The model's answer, asked for again while the provider may come back. Raises Refused for an answer of no
        use, ApiError `model_unavailable` when there is none."""
        backoff = iter(BACKOFF_SECONDS)
        while True:
            try:
                completion = await self._model.complete(question, deadline=self._deadline)
            except ModelError as error:
                self._spend(error.spent.input, error.spent.output)
                if error.wait_seconds is None:
                    raise Refused("model", [error.message]) from None
                wait = max(next(backoff, math.inf), error.wait_seconds)
                if time.monotonic() + wait >= self._deadline:
                    raise self._unavailable(error) from None
                await asyncio.sleep(wait)
            else:
                self._spend(completion.tokens.input, completion.tokens.output)
                return completion

    async def _checked(self, draft: Draft) -> Definition:
        """The draft as a definition. Raises Refused with what the check says, and what to write instead."""
        config = parsed(AgentConfig, {**self._wish.config, "code": draft.code})
        while True:
            try:
                definition = await examine(self._host, self._caller.user_id, config, proposes=True)
                require_lower(self._host.settings.sandbox_limits(), definition)
                return definition
            except TooManyChecks:
                if time.monotonic() + 1 > self._deadline:
                    raise
                await asyncio.sleep(1)
            except ApiError as error:
                said = [_problem_said(each) for each in error.errors][:MAX_PROBLEMS] or [error.detail]
                self._progress("check", {"ok": False, "errors": [dict(each) for each in error.errors]})
                raise Refused("check", said, code=draft.code) from None

    def _spend(self, input_tokens: int, output_tokens: int) -> None:
        self._tokens["input"] += input_tokens
        self._tokens["output"] += output_tokens

    def _provenance(self) -> dict[str, Any]:
        return {
            "model": self._model.default_model,
            "attempts": len(self._failures) + 1,
            "tokens": {**self._tokens},
            "seconds": round(time.monotonic() - self._started, 3),
        }

    def _failed(self) -> ApiError:
        """What every attempt came to. A model that wrote no code at all has not been of any use."""
        log.info("generation_failed", user_id=str(self._caller.user_id), attempts=len(self._failures))
        attempts = [
            {"attempt": number, "step": each.step, "problems": each.problems}
            for number, each in enumerate(self._failures, 1)
        ]
        last = next((each.code for each in reversed(self._failures) if each.code), "")
        code = "generation_failed" if last else "model_unavailable"
        detail = f"No attempt of {len(attempts)} gave an agent that can run; the last one: {self._failures[-1]}"
        provenance = {**self._provenance(), "attempts": len(attempts)}
        return ApiError(
            code, detail[:2000], extra={"attempts": attempts, "code_written": last, "generation": provenance}
        )

    def _unavailable(self, error: ModelError) -> ApiError:
        headers = {} if error.wait_seconds is None else {"Retry-After": str(max(1, round(error.wait_seconds)))}
        return ApiError("model_unavailable", f"The language model gave no answer: {error.message}.", headers=headers)


def _draft_of(completion: Completion) -> Draft:
    """The parts of an answer. Raises Refused when it has other ones."""
    value = completion.value or {}
    code, summary, example = (value.get(name) for name in ("code", "summary", "example_input_json"))
    if not isinstance(code, str) or not code.strip():
        raise Refused("model", ["The answer has no `code`."])
    if not isinstance(example, str):
        raise Refused("model", ["`example_input_json` should be a JSON object, as a string."], code=code)
    try:
        given = parse_json(example.encode(errors="replace")) if example.strip() else {}
    except NotJson as error:
        raise Refused("input", [f"`example_input_json` is not JSON: {error}"], code=code) from None
    if not isinstance(given, dict):
        raise Refused("input", ["`example_input_json` should be a JSON object."], code=code)
    return Draft(code=code, summary=summary if isinstance(summary, str) else "", example_input=given)


def _problem_said(problem: Mapping[str, Any]) -> str:
    where = f"line {problem['line']}, column {problem['column']}: " if problem.get("line") else ""
    hint = f" {problem['hint']}" if problem.get("hint") else ""
    return f"{where}{problem.get('message', '')}{hint}".strip()


def _failure_said(failure: Failure) -> str:
    kind = f"{failure.type}: " if failure.type else f"{failure.code}: "
    where = f"\n{failure.traceback}" if failure.traceback else ""
    return f"In its dry run with the example input the agent failed. {kind}{failure.message}{where}"[:4000]
