"""The `code` of an answer that is still coming: text of a JSON string, decoded as far as it is there.

Only for those who watch; what counts is the whole answer, which is parsed strictly.
"""

import json
import re
from typing import Final

from service.capabilities.plain_json import cleaned_text

_KEY: Final = re.compile(r'"code"\s*:\s*"')
_LONGEST_KEY: Final = 64
_HIGH: Final = r"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW: Final = r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_DECODABLE: Final = re.compile(rf'(?:[^"\\]|\\[^u]|{_HIGH}{_LOW}|(?!{_HIGH})\\u[0-9a-fA-F]{{4}}|{_HIGH}(?!\\|$))*')


class PartialCode:
    """Takes an answer piece by piece and gives its code piece by piece, at most so many characters of it."""

    def __init__(self, most_characters: int) -> None:
        self._room = most_characters
        self._rest = ""
        self.begun = False
        self._over = False

    def take(self, text: str) -> str:
        """What is new of the code."""
        if self._over:
            return ""
        self._rest += text
        if not self.begun:
            key = _KEY.search(self._rest)
            if key is None:
                self._rest = self._rest[-_LONGEST_KEY:]
                return ""
            self.begun = True
            self._rest = self._rest[key.end() :]
        return self._decoded()

    def _decoded(self) -> str:
        found = _DECODABLE.match(self._rest)
        whole = found[0] if found else ""
        self._rest = self._rest[len(whole) :]
        # Behind it stands the end of the string, or an escape that is not complete: or never will be.
        self._over = self._rest.startswith('"') or len(self._rest) > len(r"\ud800\udc00")
        try:
            code = json.loads(f'"{whole}"', strict=False)
        except ValueError:
            self._over = True
            return ""
        code = cleaned_text(code)[: self._room]
        self._room -= len(code)
        self._over = self._over or self._room == 0
        return code
