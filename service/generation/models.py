"""What an answer says of an agent that a model has just written."""

from typing import Any

from pydantic import BaseModel


class GenerationTokens(BaseModel):
    """Of all attempts, those that failed included."""

    input: int
    output: int


class Generation(BaseModel):
    """What it took a model to write an agent."""

    model: str
    attempts: int
    tokens: GenerationTokens
    seconds: float


class DryRun(BaseModel):
    """How generated code did with the example input that the model gave, before it was stored."""

    input: dict[str, Any]
    output: Any
    effects: list[dict[str, Any]]
