"""What live services act with: one adapter to each part of the world. A dry run never has one of these."""

from dataclasses import dataclass

from service.database.user_tables import Tables
from service.outside.http import HttpDoor
from service.outside.mail import Mail
from service.outside.model import Model
from service.outside.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """The adapters of a host; None is what it has not been configured for."""

    vault: Vault
    http: HttpDoor | None = None
    model: Model | None = None
    mail: Mail | None = None
    tables: Tables | None = None
