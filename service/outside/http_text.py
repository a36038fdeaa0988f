"""The text of a body. A server names the charset, so only those count whose decoders are linear and give text."""

import codecs
import re
from typing import Final

_CHARSET: Final = re.compile(r""";\s*charset\s*=\s*["']?([a-z0-9_.:-]{1,40})""", re.I | re.A)
_KNOWN: Final = frozenset(
    codecs.lookup(name).name
    for name in (
        *("ascii", "utf-8", "utf-16", "utf-16-le", "utf-16-be"),
        *(f"iso8859-{part}" for part in range(1, 17) if part != 12),
        *(f"cp125{part}" for part in range(9)),
        *("koi8-r", "koi8-u", "shift_jis", "cp932", "euc_jp", "iso2022_jp", "euc_kr", "cp949"),
        *("gb2312", "gbk", "gb18030", "big5"),
    )
)


def text_of(body: bytes, content_type: str) -> str:
    """`body` in the charset of its type, by default and when that one is unknown UTF-8; what does not fit is U+FFFD."""
    named = _CHARSET.search(content_type)
    try:
        charset = codecs.lookup(named[1]).name if named else "utf-8"
    except LookupError:
        charset = "utf-8"
    return body.decode(charset if charset in _KNOWN else "utf-8", "replace").removeprefix("\ufeff")
