"""`services.llm` as an agent sees it."""

from typing import Any

from sandbox.guest.services.asking import Service


class Llm(Service):
    """A language model."""

    def complete(
        self,
        prompt: str,
        system: str | None = None,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        schema: dict[str, Any] | None = None,
    ) -> Any:
        """The model's answer: a text, or with a JSON Schema of an object a dict that fits it.

        At most `max_tokens` long, by default 2048. Of JSON Schema there are type, properties, required,
        additionalProperties, items, enum, const, anyOf, title and description. Raises ServiceError when the model does
        not answer, refuses to, or does not keep to the schema, and when no tokens are left.
        """
        args = {"prompt": prompt, "system": system, "model": model, "temperature": temperature}
        answer = self._ask("llm", "complete", {**args, "max_tokens": max_tokens, "schema": schema})
        return answer["text"] if schema is None else answer["value"]
