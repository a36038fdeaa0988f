"""All attacks, by family."""

from tests.escapes import (
    attribute_walking,
    denial_of_service,
    format_strings,
    frames,
    imports,
    operating_system,
    protocol,
    type_confusion,
)
from tests.escapes.attack import Attack

FAMILIES = {
    "attribute_walking": attribute_walking.ATTACKS,
    "format_strings": format_strings.ATTACKS,
    "frames": frames.ATTACKS,
    "type_confusion": type_confusion.ATTACKS,
    "imports": imports.ATTACKS,
    "denial_of_service": denial_of_service.ATTACKS,
    "operating_system": operating_system.ATTACKS,
    "protocol": protocol.ATTACKS,
}
CORPUS: list[Attack] = [attack for family in FAMILIES.values() for attack in family]
BY_ID = {attack.id: attack for attack in CORPUS}
