"""What live services act with: one adapter to each part of the world. A dry run never has one of these."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """The adapters of a host; None is what it has not been configured for."""

    http: Any = None
    model: Any = None
    mail: Any = None
    tables: Any = None
    vault: Any = None
