"""`services.agents` as an agent sees it."""

from typing import Any

from sandbox.guest.services.asking import Ask


class Agents:
    """Other agents of the same owner."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def run(self, name: str, input: dict[str, Any] | None = None) -> Any:
        """Run another agent and wait for its output. Raises ServiceError when it does not succeed."""
        return self._ask("agents", "run", {"name": name, "input": {} if input is None else input})["output"]
