"""The loop: ask the model, check, rehearse, and go back to it with what was wrong.

What comes back has passed its check and its dry run, as code that a user writes must; nothing of it ran outside a jail.
"""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from service.agents.check import Definition, examine, require_lower
from service.agents.line import TooManyChecks
from service.agents.models import AgentConfig, parsed
from service.agents.store import over_quota
from service.auth import Caller
from service.capabilities.day_tokens import DayIsOver, DayTokens
from service.capabilities.effects import Effect
from service.errors import ApiError
from service.generation import prompt
from service.generation.draft import Draft, DraftRefused, draft_of, fenced_draft, of_check, of_failure
from service.generation.partial_code import PartialCode
from service.generation.progress import UNWATCHED, Progress
from service.generation.rehearsal import rehearse
from service.host import Host
from service.outside.model import SET_UP_HINT, Model, OnText
from service.outside.model_question import Completion, ModelError, Question, Tokens, worst
from service.runs.inputs import BodyInput, fit

log = structlog.get_logger("agenthost.generation")

MAX_ANSWER_TOKENS: Final = 8000
EXPECTED_ANSWER_TOKENS: Final = 2000
"""Taken from the user's day before an answer. What it costs beyond is counted afterwards."""

BACKOFF_SECONDS: Final = (1.0, 2.0, 4.0, 8.0)
SECONDS_TO_TELL: Final = 0.25
"""A question ends so long before the generation, which can then say what was wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for: a new agent, or with `instruction` a change of the one that `config` is."""

    description: str
    instruction: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        if self.instruction is None:
            return prompt.for_description(self.description)
        return prompt.for_instruction(str(self.config["code"]), self.description, self.instruction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """An agent that passed its check and its dry run."""

    draft: Draft
    definition: Definition
    output: Any
    effects: Sequence[Effect]
    provenance: Mapping[str, Any]


async def generate(host: Host, caller: Caller, wish: Wish, progress: Progress = UNWATCHED) -> Generated:
    """Raises ApiError: `model_unavailable`, `generation_failed`, `quota_exceeded`, `invalid_token` when the caller's
    token ends before anything could be done, `too_many_checks`; and SandboxUnavailable."""
    generation = _Generation(host, caller, wish, model_of(host), progress)
    try:
        async with asyncio.timeout(generation.remaining_seconds()):
            return await generation.run()
    except TimeoutError:
        raise generation.failed("generation_failed", "The time for writing an agent was over.") from None


def model_of(host: Host) -> Model:
    """The host's model. Raises ApiError `model_not_configured`."""
    if host.outside.model is None:
        raise ApiError(
            "model_not_configured",
            "This host has no language model to write agents with.",
            hint="Send the code as agent_config. Or whoever runs this host sets OPENAI_MODEL, with OPENAI_API_KEY for "
            "OpenAI's own API, or with OPENAI_BASE_URL for any compatible one.",
        )
    return host.outside.model


class _Generation:
    """One generation: its attempts so far, and what they cost."""

    def __init__(self, host: Host, caller: Caller, wish: Wish, model: Model, progress: Progress) -> None:
        self._host = host
        self._caller = caller
        self._wish = wish
        self._model = model
        self._progress = progress
        self._started = time.monotonic()
        if (token_seconds := caller.seconds_left()) <= 0:
            raise ApiError("invalid_token", "The token expires before an agent could be written: get a new one.")
        self._deadline = self._started + min(host.settings.limit_generation_seconds, token_seconds)
        self._day = DayTokens(host.database, caller, host.settings.limit_tokens_per_day)
        self._failures: list[DraftRefused] = []
        self._input_tokens = 0
        self._output_tokens = 0

    def remaining_seconds(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    async def run(self) -> Generated:
        asked = question = self._wish.text()
        most = self._host.settings.generation_attempts
        for attempt in range(1, most + 1):
            last = self._failures[-1].shown() if self._failures else None
            self._progress.attempt(attempt, most, last)
            try:
                return await self._attempt(attempt, question)
            except DraftRefused as refused:
                self._failures.append(refused)
                if refused.code:
                    question = prompt.for_repair(asked, refused.code, refused.problems)
        # A provider whose every answer was of no use is as good as none; a model that would not has answered.
        useful = any(each.code or each.step == "refusal" for each in self._failures)
        problem = self._failures[-1].problems[0]
        raise self.failed(
            "generation_failed" if useful else "model_unavailable",
            f"None of {most} attempts gave an agent that can run. The last one: {problem}",
            hint=None if useful else SET_UP_HINT,
        )

    async def _attempt(self, attempt: int, question: str) -> Generated:
        draft = await self._draft(attempt, question)
        async with self._host.drafts.place(self._caller.user_id):
            definition = await self._checked(attempt, draft)
            self._progress.check(attempt, definition, ())
            fitted = fit(BodyInput(draft.example_input), definition.checked.input_schema)
            if fitted.problems:
                said = [f"example_input_json: {each['pointer']} {each['message']}" for each in fitted.problems]
                raise DraftRefused("input", said, code=draft.code)
            rehearsed = await rehearse(self._host, definition, fitted.value)
        outcome = rehearsed.outcome
        self._progress.dry_run(attempt, outcome, rehearsed.effects)
        if outcome.failure is not None:
            raise DraftRefused("dry_run", [of_failure(outcome.failure)], code=draft.code)
        return Generated(
            draft=draft,
            definition=definition,
            output=outcome.output,
            effects=rehearsed.effects,
            provenance=self._provenance(attempt),
        )

    async def _draft(self, attempt: int, question: str) -> Draft:
        asked = Question(
            prompt=question,
            system=prompt.instructions(self._host.settings.sandbox_limits()),
            model=self._model.default_model,
            max_tokens=MAX_ANSWER_TOKENS,
            schema=prompt.ANSWER_SCHEMA,
        )
        code = PartialCode(self._host.settings.limit_source_bytes)

        def on_text(text: str) -> None:
            if piece := code.take(text):
                self._progress.code(attempt, piece)

        draft = await self._patiently(asked, on_text if self._progress.watched else None)
        if not code.begun:
            self._progress.code(attempt, draft.code)
        return draft

    async def _patiently(self, question: Question, on_text: OnText | None) -> Draft:
        """What the model wrote, asked for again while the provider may come back. Raises DraftRefused for an answer
        of no use, ApiError `model_unavailable` when there is none."""
        backoff = iter(BACKOFF_SECONDS)
        while True:
            try:
                return draft_of(await self._asked(question, on_text))
            except ModelError as error:
                if fenced := fenced_draft(error.text):
                    return fenced
                if error.fault != "provider":
                    raise DraftRefused("refusal" if error.fault == "refusal" else "model", [error.message]) from None
                wait = math.inf if error.wait_seconds is None else max(next(backoff, math.inf), error.wait_seconds)
                if wait >= self.remaining_seconds():
                    raise self._unavailable(error) from None
                await asyncio.sleep(wait)

    async def _asked(self, question: Question, on_text: OnText | None) -> Completion:
        """One question, paid for from the user's day. Raises ModelError, ApiError `quota_exceeded`."""
        spent = most = worst(question)  # unless told otherwise: also of a question that is cut off
        try:
            await self._day.take(most.input + EXPECTED_ANSWER_TOKENS)
        except DayIsOver as over:
            detail = f"You have used {over.used} of the {over.limit} model tokens of your day, too many for this"
            if self._failures:
                detail += f" after an attempt that failed ({self._failures[-1].problems[0]})"
            quota = over_quota(detail, over.resets_at)
            raise self.failed(quota.code, quota.detail, headers=quota.headers) from None
        try:
            completion = await self._model.complete(
                question, deadline=self._deadline - SECONDS_TO_TELL, on_text=on_text
            )
            spent = completion.tokens
            return completion
        except ModelError as error:
            spent = error.spent
            raise
        finally:
            await self._spend(spent)

    async def _spend(self, tokens: Tokens) -> None:
        self._input_tokens += tokens.input
        self._output_tokens += tokens.output
        await self._day.settle(tokens)

    async def _checked(self, attempt: int, draft: Draft) -> Definition:
        """The draft as a definition. Raises DraftRefused with what the check says, and what to write instead."""
        while True:
            try:
                config = parsed(AgentConfig, {**self._wish.config, "code": draft.code}, within=("agent_config",))
                definition = await examine(self._host, self._caller.user_id, config, proposes=True)
                require_lower(self._host.settings, definition)
                return definition
            except TooManyChecks as error:
                seconds = float(error.headers["Retry-After"])
                if seconds >= self.remaining_seconds():
                    raise
                await asyncio.sleep(seconds)
            except ApiError as error:
                self._progress.check(attempt, None, error.errors)
                raise DraftRefused("check", of_check(error), code=draft.code) from None

    def _provenance(self, attempts: int) -> dict[str, Any]:
        return {
            "model": self._model.default_model,
            "attempts": attempts,
            "tokens": {"input": self._input_tokens, "output": self._output_tokens},
            "seconds": round(time.monotonic() - self._started, 3),
        }

    def failed(
        self, code: str, detail: str, *, headers: Mapping[str, str] | None = None, hint: str | None = None
    ) -> ApiError:
        """An error that tells of every attempt."""
        log.info("generation_failed", user_id=str(self._caller.user_id), code=code, attempts=len(self._failures))
        told = {
            "attempts": [{"attempt": number, **each.shown()} for number, each in enumerate(self._failures, 1)],
            "last_code": next((each.code for each in reversed(self._failures) if each.code), None),
            "generation": self._provenance(len(self._failures)),
        }
        hint = None if hint is None else f"{hint} Or send agent_config."
        return ApiError(code, detail[:2000], extra=told, headers=headers, hint=hint)

    def _unavailable(self, error: ModelError) -> ApiError:
        wait = error.wait_seconds
        headers = {} if wait is None else {"Retry-After": str(max(1, math.ceil(wait)))}
        return self.failed("model_unavailable", f"No answer: {error.message}.", headers=headers, hint=error.hint)
