"""What is asked of a language model, and what comes back: plain values, whoever the provider is."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

BYTES_PER_TOKEN = 4
"""Of English text; only for what no provider has counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One prompt. With a `schema` (JSON Schema of an object) the answer is to be JSON that fits it."""

    prompt: str
    model: str
    max_tokens: int
    system: str | None = None
    temperature: float | None = None
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What an answer cost. `estimated` when the provider did not say, or nobody knows how far it came."""

    input: int = 0
    output: int = 0
    estimated: bool = False

    @property
    def total(self) -> int:
        return self.input + self.output


Ending = Literal["complete", "cut", "filtered", "refused", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A model's answer. `cut` is one that reached `max_tokens`; of a refusal the text is its reason."""

    text: str
    ending: Ending
    tokens: Tokens | None


@dataclass(frozen=True, slots=True)
class Received:
    """What came of a question: JSON, of so many bytes."""

    answer: Any
    size: int


Fault = Literal["provider", "answer", "refusal"]
"""Whose an error is: the provider gave no answer; one came that is of no use, the next may be; the model would not."""


class ModelError(Exception):
    """No answer. The message is for an agent's author: nothing of the host's, of its key, or of other users.

    `spent` is what it cost all the same; `wait_seconds` is set when asking again later may help, `hint` when something
    else would. `text` is what the model said that should have said JSON.
    """

    def __init__(
        self,
        message: str,
        *,
        spent: Tokens | None = None,
        wait_seconds: float | None = None,
        fault: Fault = "provider",
        hint: str | None = None,
        text: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.spent = spent or Tokens()
        self.wait_seconds = wait_seconds
        self.fault: Fault = fault
        self.hint = hint
        self.text = text


class Unsupported(ModelError):
    """The provider refused the request as such, or its answer is none: it may understand another way of asking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """An answer that can be used: of a question with a schema, `value` is the JSON object in it."""

    text: str
    value: dict[str, Any] | None = None
    tokens: Tokens
    cut: bool


def estimated_tokens(*texts: str | None) -> int:
    """About how many tokens the texts are."""
    return sum(math.ceil(len(text.encode(errors="replace")) / BYTES_PER_TOKEN) for text in texts if text)


def worst(question: Question) -> Tokens:
    """What a question costs at most, as far as one can tell before it is asked."""
    schema = None if question.schema is None else json.dumps(question.schema)
    asked = estimated_tokens(question.prompt, question.system, schema)
    return Tokens(input=asked, output=question.max_tokens, estimated=True)


def so_far(most: Tokens, size: int) -> Tokens:
    """What an answer counts for of which so many bytes came, none of them of use. At `most` what it could cost."""
    return replace(most, output=min(most.output, math.ceil(size / BYTES_PER_TOKEN)), estimated=True)
