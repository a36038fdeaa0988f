"""`services.agents` as an agent sees it."""

from typing import Any

from sandbox.guest.services.asking import Service


class Agents(Service):
    """Other agents of the same owner."""

    def run(self, name: str, input: dict[str, Any] | None = None) -> Any:
        """Run another agent with this input, within the time this run has left; its output.

        Raises ServiceError when it does not succeed or there is no such agent, ValueError when its signature does not
        take the input. In a dry run it is a dry run too.
        """
        return self._ask("agents", "run", {"name": name, "input": {} if input is None else input})["output"]
