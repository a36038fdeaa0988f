"""`services.llm` as an agent sees it."""

from typing import Any

from sandbox.guest.services.asking import Ask


class Llm:
    """A language model."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def complete(
        self,
        prompt: str,
        system: str | None = None,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        schema: dict[str, Any] | None = None,
    ) -> Any:
        """The model's answer: text, or with a JSON schema a dict that satisfies it."""
        args = {"prompt": prompt, "system": system, "model": model, "temperature": temperature}
        answer = self._ask("llm", "complete", {**args, "max_tokens": max_tokens, "schema": schema})
        return answer["text"] if schema is None else answer["value"]
