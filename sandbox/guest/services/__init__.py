"""What an agent sees as `services`: plain synchronous calls, each one frame to the broker and one frame back.

Nothing here grants anything: the broker decides, and a guest that forges frames gets no further than these methods do.
"""

from typing import Any

from sandbox.guest.services.agents import Agents
from sandbox.guest.services.asking import Ask, CapabilityDenied, ServiceError, calls_of
from sandbox.guest.services.db import Db
from sandbox.guest.services.email import Email
from sandbox.guest.services.http import Http
from sandbox.guest.services.kv import Kv
from sandbox.guest.services.llm import Llm
from sandbox.guest.services.notify import Notify
from sandbox.guest.services.secrets import Secrets


class Services:
    """The door. A service that this host does not have is an AttributeError that lists those it has."""

    CapabilityDenied = CapabilityDenied
    ServiceError = ServiceError

    def __init__(self, ask: Ask) -> None:
        self.http = Http(ask)
        self.llm = Llm(ask)
        self.kv = Kv(ask)
        self.db = Db(ask)
        self.email = Email(ask)
        self.notify = Notify(ask)
        self.agents = Agents(ask)
        self.secrets = Secrets(ask)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"there is no service {name!r}; there are: {', '.join(SERVICES)}")


SERVICES = ("http", "llm", "kv", "db", "email", "notify", "agents", "secrets")
"""The services that an agent can name."""

CALLS = {kind.__name__.lower(): calls_of(kind) for kind in (Http, Llm, Kv, Db, Email, Notify, Agents, Secrets)}
"""What each of them can be asked."""

ERRORS = ("CapabilityDenied", "ServiceError")
"""What else `services` has: the exceptions that calls raise."""
