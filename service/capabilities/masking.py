"""Secrets that come back in an answer are masked, also in the spellings that servers commonly give what they echo.

A server that means to give a secret away can always spell it otherwise: that a secret is sent only to the hosts it is
bound to is what protects it.
"""

import html
import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "[secret]"
_PLACE: Final = "\udfff"
"""Stands for MASK until all is found: half a surrogate pair is in no secret and in no text that was decoded, so that
no secret is looked for in what masks another one. Short ones would make a small answer a huge one."""

_FEWEST_CHARACTERS: Final = 4
"""Of a spelling other than the plain one; fewer would be found everywhere."""


class Mask:
    """Takes some secrets out of texts."""

    def __init__(self, secrets: Iterable[str]) -> None:
        found = {spelled for secret in secrets for spelled in _spellings(secret)}
        self._spellings = sorted(found, key=len, reverse=True)

    def text(self, text: str) -> str:
        for spelled in self._spellings:
            text = text.replace(spelled, _PLACE)
        return text.replace(_PLACE, MASK)


def _spellings(secret: str) -> Iterator[str]:
    """In lower case too: so are the names of headers."""
    yield secret
    for spelled in (
        secret.lower(),
        *_percent(secret),
        *_escaped(secret),
        *_base64(secret.encode()),
        *_hex(secret.encode()),
    ):
        if len(spelled) >= _FEWEST_CHARACTERS:
            yield spelled


def _percent(secret: str) -> Iterator[str]:
    for spelled in (quote_plus(secret), *(quote(secret, safe=safe) for safe in ("", "/", "!*'()", ";,/?:@&=+$!*'()#"))):
        yield spelled
        yield "%".join(part if at == 0 else part[:2].lower() + part[2:] for at, part in enumerate(spelled.split("%")))


def _escaped(secret: str) -> Iterator[str]:
    once = json.dumps(secret)[1:-1]
    yield from (once, once.replace("/", "\\/"), json.dumps(once)[1:-1], repr(secret)[1:-1])
    yield from (html.escape(secret), html.escape(secret, quote=False), html.escape(secret).replace("&#x27;", "&#39;"))


def _base64(secret: bytes) -> Iterator[str]:
    """Alone, and as it appears behind one, two or three other bytes: the characters that it alone decides."""
    whole = b64encode(secret).decode()
    found = [whole, whole.rstrip("=")]
    for before, undecided in ((0, 0), (1, 2), (2, 3)):
        decided = 8 * (before + len(secret)) // 6
        found.append(b64encode(bytes(before) + secret).decode()[undecided:decided])
    for spelled in found:
        yield spelled
        yield spelled.replace("+", "-").replace("/", "_")


def _hex(secret: bytes) -> tuple[str, str]:
    return secret.hex(), secret.hex().upper()
