"""llm: a language model that answers with text, or with JSON that fits a schema.

Live it is one question to the operator's provider; a dry run answers from the agent's fixtures, else with the last live
answer to the same call, else with something made up. Both count tokens: a dry run as many as it estimates.
"""

import json
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from service.capabilities.capability import (
    Answer,
    Arguments,
    Capability,
    DryContext,
    GuestError,
    LiveContext,
    RunContext,
)
from service.capabilities.day_tokens import DayIsOver, DayTokens
from service.capabilities.json_schema import example, misfit, require_schema
from service.capabilities.plain_json import canonical, cleaned_text, fault, plain
from service.outside.model_question import Completion, ModelError, Question, Tokens, estimated_tokens, worst

DEFAULT_MAX_TOKENS: Final = 2048
MAX_ANSWER_BYTES: Final = 1024 * 1024
MADE_UP: Final = "This answer is made up: no model was asked."


def _understood(schema: dict[str, Any]) -> dict[str, Any]:
    require_schema(plain(schema))
    return schema


Schema = Annotated[dict[str, Any], AfterValidator(_understood)]


class Complete(Arguments):
    prompt: Annotated[str, Field(min_length=1), AfterValidator(plain)]
    system: Annotated[str | None, AfterValidator(plain)] = None
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$")] | None = None
    temperature: Annotated[int | float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    schema_: Annotated[Schema | None, Field(alias="schema")] = None

    def question(self, *, model: str, max_tokens: int) -> Question:
        return Question(
            prompt=self.prompt,
            system=self.system,
            model=self.model or model,
            temperature=self.temperature,
            max_tokens=max_tokens,
            schema=self.schema_,
        )


class LiveLlm:
    """Questions to the operator's provider.

    The day's tokens are taken before the answer, as many as it may cost at most; what it did not need, later calls of
    the run use first. So users of one day never get more than their limit, and lose at most one call's rest a run.
    """

    def __init__(self, context: LiveContext) -> None:
        self._run = context
        self._allowance = _Allowance(context)
        self._day = DayTokens(context.database, context.caller, context.limits.limit_tokens_per_day)

    async def complete(self, arguments: Complete) -> Any:
        model = self._run.outside.model
        if model is None:
            raise _failed("this host has no model; its operator may set OPENAI_MODEL")
        room = await self._within_the_day(self._allowance.room(arguments))
        question = arguments.question(model=model.default_model, max_tokens=room.max_tokens)
        spent = worst(question)  # unless told otherwise: also of a call that is cut off
        try:
            completion = await model.complete(question, deadline=self._run.budget.call_deadline)
            spent = completion.tokens
        except ModelError as error:
            spent = error.spent
            raise _failed(error.message, performed=True) from None
        finally:
            self._allowance.spend(spent)
            await self._day.settle(spent)
        return _answered(arguments, completion, room)

    async def _within_the_day(self, room: "_Room") -> "_Room":
        """The room, smaller if the day has less, and taken from the day. Raises GuestError when nothing is left."""
        try:
            await self._day.take(room.asked + room.max_tokens)
            return room
        except DayIsOver as over:
            used = f"{over.used} of the {over.limit} model tokens of your day"
            left = over.limit - over.used + self._day.unused - room.asked
            nothing = _failed(
                f"{used} are used, and the question has about {room.asked}; they begin again at {over.resets_at}"
            )
        if left < 1:
            raise nothing
        try:
            await self._day.take(room.asked + left)
        except DayIsOver:
            raise nothing from None
        return replace(room, max_tokens=left, limit=f"what is left of a limit: {used} are used")


class DryLlm:
    """No model is asked. Answers of the agent's owner and of its past are held against the schema as a model's are."""

    def __init__(self, context: DryContext) -> None:
        self._run = context
        self._allowance = _Allowance(context)

    async def complete(self, arguments: Complete) -> Any:
        room = self._allowance.room(arguments)
        answer = await self._answer(arguments)
        said = answer.result["text"] if arguments.schema_ is None else json.dumps(answer.result["value"])
        self._allowance.spend(Tokens(input=room.asked, output=estimated_tokens(said), estimated=True))
        return answer

    async def _answer(self, arguments: Complete) -> Answer:
        fixture = self._run.fixtures.for_prompt(arguments.prompt)
        if fixture is not None:
            return Answer(_of_fixture(arguments, fixture.answer), "fixture")
        recorded = await self._run.recorded("llm", "complete", arguments)
        if _is_answer(arguments, recorded):
            return Answer(recorded, "recorded")
        if arguments.schema_ is None:
            return Answer({"text": MADE_UP}, "made_up")
        return Answer({"value": example(arguments.schema_)}, "made_up")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Room:
    """How many tokens one call may use: those it asks with, and those of its answer. `limit` says what made it so."""

    asked: int
    max_tokens: int
    limit: str | None


class _Allowance:
    """What one run may still use: its grant's tokens, and the operator's, which its child runs share."""

    def __init__(self, context: RunContext) -> None:
        self._run = context
        self._used = 0

    def room(self, arguments: Complete) -> _Room:
        """What is left for a call. Raises GuestError when that is nothing."""
        wanted = arguments.max_tokens or DEFAULT_MAX_TOKENS
        asked = worst(arguments.question(model="", max_tokens=wanted)).input
        left, limit = self._left()
        if asked >= left:
            raise _failed(f"the question has about {asked} tokens, and {max(left, 0)} are left of {limit}")
        capped = wanted > left - asked
        return _Room(asked=asked, max_tokens=min(wanted, left - asked), limit=limit if capped else None)

    def _left(self) -> tuple[int, str]:
        budget, most = self._run.budget, self._run.limits.limit_tokens_per_run
        left = most - budget.input_tokens - budget.output_tokens
        limit = f"the {most} model tokens of a run and its child runs"
        grant = self._run.manifest.llm
        granted = None if grant is None else grant.max_tokens_per_run
        if granted is not None and granted - self._used < left:
            return granted - self._used, f"the {granted} model tokens a run: max_tokens_per_run of [capabilities.llm]"
        return left, limit

    def spend(self, tokens: Tokens) -> None:
        budget = self._run.budget
        self._used += tokens.total
        budget.input_tokens += tokens.input
        budget.output_tokens += tokens.output
        budget.tokens_estimated |= tokens.estimated


def _answered(arguments: Complete, completion: Completion, room: _Room) -> Any:
    """What the guest gets. Raises GuestError for an answer that is not what was asked for."""
    if arguments.schema_ is not None:
        if reason := misfit(arguments.schema_, completion.value):
            raise _failed(f"the model's answer does not fit the schema: {reason}", performed=True)
        result: dict[str, Any] = {"value": completion.value}
    else:
        if completion.cut and (arguments.max_tokens is None or room.limit is not None):
            why = f" by {room.limit}" if room.limit else "; give a larger max_tokens"
            raise _failed(f"the answer was cut at {room.max_tokens} tokens{why}", performed=True)
        result = {"text": cleaned_text(completion.text)}
    size = len(canonical(result))
    if size > MAX_ANSWER_BYTES:
        raise _failed(f"the answer has {size} bytes as JSON, the limit is {MAX_ANSWER_BYTES} bytes", performed=True)
    return result


def _of_fixture(arguments: Complete, answer: str | dict[str, Any]) -> Any:
    if arguments.schema_ is None:
        return {"text": answer if isinstance(answer, str) else json.dumps(answer)}
    if reason := misfit(arguments.schema_, answer):
        raise _failed(f"the answer of the fixture does not fit the schema: {reason}")
    return {"value": answer}


def _is_answer(arguments: Complete, recorded: Any) -> bool:
    """Whether a row, which the user may have written, holds what this call can be answered with."""
    if not isinstance(recorded, dict) or len(recorded) != 1 or fault(recorded):
        return False
    if arguments.schema_ is None:
        return isinstance(recorded.get("text"), str)
    return "value" in recorded and misfit(arguments.schema_, recorded["value"]) is None


def _failed(message: str, *, performed: bool = False) -> GuestError:
    return GuestError("ServiceError", f"llm.complete: {cleaned_text(message)}", performed=performed)


LLM: Final = Capability(name="llm", arguments={"complete": Complete}, live=LiveLlm, dry_run=DryLlm)
