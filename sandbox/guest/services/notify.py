"""`services.notify` as an agent sees it."""

from typing import Any

from sandbox.guest.services.asking import Service


class Notify(Service):
    """Notifications to the agent's owner."""

    def send(
        self,
        title: str,
        content: str = "",
        type: str = "info",
        priority: str = "normal",
        actions: list[dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """Leave a notification; its id comes back as {"id": ...}."""
        args = {"title": title, "content": content, "type": type, "priority": priority, "actions": actions}
        return dict(self._ask("notify", "send", args))
