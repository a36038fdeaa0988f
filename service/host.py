"""The parts of a running host, as routes see them. `app.py` puts them together; nothing here is changed afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request

from sandbox.job import Engine
from service.agents.kept_files import KeptFiles
from service.agents.line import CheckLine
from service.auth import TokenVerifier
from service.capabilities.registry import Registry
from service.database.gateway import Database
from service.database.user_tables import Rehearsals
from service.generation.line import DraftLine
from service.local import LocalIdentity
from service.outside.outside import Outside
from service.runs.signature import RecordSigner
from service.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Everything a request may need. One instance a process, at `app.state.host`."""

    settings: Settings
    database: Database
    engines: Mapping[str, Engine]
    verifier: TokenVerifier
    capabilities: Registry
    signer: RecordSigner
    outside: Outside
    rehearsals: Rehearsals | None = None
    """Where dry runs try what they do to the user's own tables; None without a connection to Postgres itself."""
    files: KeptFiles | None = None
    """Writes stored agents to a directory, where one is configured."""
    checks: CheckLine = field(default_factory=CheckLine)
    drafts: DraftLine = field(default_factory=DraftLine)
    identity: LocalIdentity | None = None
    """Signs the tokens of local users; None where an identity provider is configured."""


async def host_of(request: Request) -> Host:
    """The host that answers this request."""
    return cast(Host, request.app.state.host)


HostDep = Annotated[Host, Depends(host_of)]
