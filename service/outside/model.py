"""A language model behind any OpenAI-compatible provider. Every answer ends in a Completion or in ModelError.

Which way of asking the provider understands is found out once, with a question of the host's own: what a tenant asks
can never change how the others are asked. Only the settings are used, never the environment.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from service.outside.model_dialects import DIALECTS, Dialect, Unreadable
from service.outside.model_question import (
    Completion,
    ModelError,
    Question,
    Received,
    Said,
    Tokens,
    Unsupported,
    estimated_tokens,
    so_far,
    worst,
)
from service.strict_json import parse_json

if TYPE_CHECKING:
    from service.outside.model_wire import Wire

OnText = Callable[[str], None]
"""Is told each piece of an answer as it comes. Must neither block nor raise."""

MAX_REASON: Final = 300
MAX_PATIENCE_SECONDS: Final = 30.0
"""How long to wait before asking again."""
SET_UP_HINT: Final = (
    "If it goes on so, trying again does not help: whoever runs this host should look at OPENAI_BASE_URL and "
    "OPENAI_MODEL."
)
"""Where a provider answers, and not as one."""
PROBE_TOKENS: Final = 1000
PROBE_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"ready": {"type": "boolean"}},
    "required": ["ready"],
    "additionalProperties": False,
}


class Model:
    """One provider with its default model."""

    def __init__(self, *, api_key: str | None, base_url: str | None, model: str) -> None:
        self.default_model = model
        self._api_key = api_key
        self._base_url = base_url
        self._wire: Wire | None = None
        self._dialect: Dialect | None = None
        self._discovery = asyncio.Lock()

    async def complete(self, question: Question, *, deadline: float, on_text: OnText | None = None) -> Completion:
        """The answer, before `deadline` (of time.monotonic). Raises ModelError, also for an answer without use.

        A question is asked once more when the provider says that it did nothing, or cannot be reached: never when an
        answer was lost on the way or does not fit, which costs. With `on_text` the answer comes in pieces, where the
        provider has them.
        """
        async with _before(deadline, Tokens()):
            dialect = await self._understood(deadline)
        async with _before(deadline, worst(question)):
            said = await self._patiently(dialect, question, deadline, on_text)
        return _completion(question, said)

    async def close(self) -> None:
        if self._wire is not None:
            await self._wire.close()

    async def _understood(self, deadline: float) -> Dialect:
        """The best way of asking that this provider answers."""
        if self._dialect is None:
            async with self._discovery:
                if self._dialect is None:
                    self._dialect = await self._discover(deadline)
        return self._dialect

    async def _discover(self, deadline: float) -> Dialect:
        probe = Question(
            prompt='Answer with {"ready": true}.',
            model=self.default_model,
            max_tokens=PROBE_TOKENS,
            schema=PROBE_SCHEMA,
        )
        told = ""
        understood: Dialect | None = None
        for dialect in DIALECTS:
            try:
                said = await self._patiently(dialect, probe, deadline)
            except Unsupported as error:
                told = error.message
                continue
            except ModelError as error:  # what the host's own question cost is not the agent's to pay
                raise ModelError(error.message, wait_seconds=error.wait_seconds, hint=error.hint) from None
            understood = dialect
            if said.ending == "cut" or _object_in(said.text) is not None:
                break
        if understood is None:
            raise ModelError(told, hint=SET_UP_HINT)
        return understood

    async def _patiently(
        self, dialect: Dialect, question: Question, deadline: float, on_text: OnText | None = None
    ) -> Said:
        """Ask, and ask once more if that may help within the deadline."""
        try:
            return await self._ask(dialect, question, on_text)
        except ModelError as error:
            wait = error.wait_seconds
            if wait is None or wait > MAX_PATIENCE_SECONDS or time.monotonic() + wait >= deadline:
                raise
            await asyncio.sleep(wait)
        return await self._ask(dialect, question, on_text)

    async def _ask(self, dialect: Dialect, question: Question, on_text: OnText | None) -> Said:
        received = await self._answer(dialect, question, on_text)
        try:
            return dialect.read(received.answer)
        except Unreadable:
            message = "the model provider's answer is not one of an OpenAI-compatible API"
            raise Unsupported(message, spent=so_far(worst(question), received.size), fault="answer") from None

    async def _answer(self, dialect: Dialect, question: Question, on_text: OnText | None) -> Received:
        if self._wire is None:
            # In a thread: it takes about a second, in which this host has others to answer.
            make = await asyncio.to_thread(_wire_maker)
            self._wire = self._wire or make(api_key=self._api_key, base_url=self._base_url)
        body, lost = dialect.body(question), worst(question)
        if on_text is not None:
            try:
                return await self._streamed(self._wire, dialect, body, lost, on_text)
            except Unsupported as error:
                if error.fault != "provider":
                    raise
                # Refused as such: perhaps for being asked to stream.
        return await self._wire.post(dialect.path, body, worst=lost)

    async def _streamed(
        self, wire: "Wire", dialect: Dialect, body: dict[str, Any], lost: Tokens, on_text: OnText
    ) -> Received:
        gathering = dialect.gather()

        def take(event: Any) -> None:
            if text := gathering.take(event):
                on_text(text)

        received = await wire.stream(dialect.path, body | dict(dialect.streamed), worst=lost, on_event=take)
        if received.answer is None:
            received = Received(gathering.answer(), received.size)
        if received.answer is None:
            spent = so_far(lost, received.size)
            raise ModelError("the model provider's answer was cut short", spent=spent, fault="answer")
        return received


def _wire_maker() -> "type[Wire]":
    from service.outside.model_wire import Wire

    return Wire


@asynccontextmanager
async def _before(deadline: float, spent: Tokens) -> AsyncIterator[None]:
    """Ends what is inside at the deadline. Raises ModelError then, with what was `spent` at worst."""
    seconds = max(0.0, deadline - time.monotonic())
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        message = f"the model provider did not answer within {seconds:.1f} seconds, the time that was left"
        raise ModelError(message, spent=spent) from None


def _completion(question: Question, said: Said) -> Completion:
    """The answer, if it is one. Raises ModelError."""
    tokens = said.tokens or Tokens(input=worst(question).input, output=estimated_tokens(said.text), estimated=True)
    cut_at = f"its answer was cut at max_tokens={question.max_tokens}"
    match said.ending:
        case "refused":
            message = f"the model refused to answer: {said.text[:MAX_REASON]}"
            raise ModelError(message, spent=tokens, fault="refusal")
        case "filtered":
            message = "the provider's content filter stopped the model's answer"
            raise ModelError(message, spent=tokens, fault="refusal")
        case "failed":
            message = "the model provider failed in the middle of its answer"
            raise ModelError(message, spent=tokens, fault="answer")
    cut = said.ending == "cut"
    if not said.text.strip():
        message = f"the model answered nothing{f': {cut_at}' if cut else ''}"
        raise ModelError(message, spent=tokens, fault="answer")
    value: dict[str, Any] | None = None
    if question.schema is not None:
        value = _object_in(said.text)
        if value is None:
            message = f"the model did not answer with JSON{f': {cut_at}' if cut else ''}"
            raise ModelError(message, spent=tokens, fault="answer", text=said.text)
    return Completion(text=said.text, value=value, tokens=tokens, cut=cut)


def _object_in(text: str) -> dict[str, Any] | None:
    """The JSON object in an answer: all of it, or behind prose, or in a fenced block; None when there is none."""
    _, fence, fenced = text.partition("```")
    for place in (fenced, text) if fence else (text,):
        start = place.find("{")
        if start < 0:
            continue
        try:
            _, end = json.JSONDecoder().raw_decode(place, start)
            value = parse_json(place[start:end].encode(errors="replace"))
        except (ValueError, RecursionError):
            continue
        return value if isinstance(value, dict) else None
    return None
