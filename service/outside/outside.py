"""What live services act with: one adapter to each part of the world. A dry run never has one of these."""

from dataclasses import dataclass
from typing import Any

from service.database.user_tables import Tables
from service.outside.http import HttpDoor
from service.outside.model import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """The adapters of a host; None is what it has not been configured for."""

    http: HttpDoor | None = None
    model: Model | None = None
    mail: Any = None
    tables: Tables | None = None
    vault: Any = None
