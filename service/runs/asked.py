"""What a request asks to be run: the strict `test` flag, the idempotency key, and the input as it came.

A doubt is never a live run: whatever might be meant as the test flag and is not exactly it, is refused.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

from fastapi import Request

from service.body import read_json
from service.capabilities.plain_json import canonical
from service.errors import ApiError
from service.runs.inputs import BodyInput, QueryInput
from service.settings import Settings

FLAGS: Final[Mapping[str, bool]] = {"true": True, "1": True, "false": False, "0": False}
MAX_FIELDS: Final = 1000
_NOT_OF_A_NAME: Final = re.compile(r"[^\w.-]+")
_WITHIN_A_NAME: Final = re.compile(r"[\W_]+")
_OTHER_SEPARATOR: Final = re.compile(r"([;?]|%(?:26|3b|3f))", re.IGNORECASE)
_BEGINS_WITH_TEST: Final = re.compile(r"[\W_]*test\b")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One run as a caller asks for it."""

    agent_name: str
    input: QueryInput | BodyInput
    test: bool
    idempotency_key: str | None = None
    trigger: str = "http"

    def fingerprint(self) -> str:
        """The same for the same question; a key is not to be used for two."""
        if isinstance(self.input, QueryInput):
            what: list[Any] = ["query", sorted(map(list, self.input.pairs), key=lambda pair: pair[0])]
        else:
            what = ["body", self.input.raw()]
        return sha256(canonical([self.test, *what])).hexdigest()


async def asked_in_query(request: Request, agent_name: str) -> Asked:
    """What a GET asks for: its query is the input. Raises ApiError."""
    _refuse_resuming(request)
    key = _idempotency_key(request)
    test, rest = _split_flag(_query(request))
    return Asked(agent_name=agent_name, input=QueryInput(rest), test=test, idempotency_key=key)


async def asked_in_body(request: Request, agent_name: str, settings: Settings) -> Asked:
    """What a POST asks for: its JSON body is the input, its query holds nothing but `test`. Raises ApiError."""
    _refuse_resuming(request)
    key = _idempotency_key(request)
    test, rest = _split_flag(_query(request))
    if rest:
        errors = [{"pointer": f"/{name[:80]}", "message": "belongs into the JSON body"} for name, _ in rest[:20]]
        raise ApiError("invalid_input", "The input of a POST is its JSON body, not its query.", errors=errors)
    limit = min(settings.limit_input_bytes, settings.limit_body_bytes)
    body = await read_json(request, limit, if_empty={}, seconds=settings.limit_body_seconds)
    if not isinstance(body, dict):
        errors = [{"pointer": "", "message": "should be an object"}]
        raise ApiError("invalid_input", "The input of a run is a JSON object.", errors=errors)
    if flag := next((name for name in body if may_mean_test(name)), None):
        raise _doubt(f"The body has a key {flag[:80]!r}; the flag stands in the query.")
    return Asked(agent_name=agent_name, input=BodyInput(body), test=test, idempotency_key=key)


def _query(request: Request) -> list[tuple[str, str]]:
    """Names and texts of the query, decoded strictly."""
    raw: bytes = request.scope["query_string"]
    try:
        text = raw.decode("ascii")
        if any(_has_hidden_flag(part) for part in text.split("&", MAX_FIELDS)):
            raise _doubt("The query seems to have 'test' behind a separator other than '&'.")
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except UnicodeDecodeError:
        raise ApiError("invalid_input", "The query is not percent-encoded UTF-8.") from None
    except ValueError:
        raise ApiError("invalid_input", f"The query has more than {MAX_FIELDS} fields.") from None


def _split_flag(pairs: Iterable[tuple[str, str]]) -> tuple[bool, Sequence[tuple[str, str]]]:
    """The test flag, and the other fields. Raises ApiError `invalid_test_flag`."""
    values, rest = [], []
    for name, text in pairs:
        if name == "test":
            values.append(text)
        elif may_mean_test(name):
            raise _doubt(f"The query has a field {name[:80]!r}, which is not exactly 'test'.")
        else:
            rest.append((name, text))
    if len(values) > 1:
        raise _doubt("The query has 'test' more than once.")
    if values and values[0] not in FLAGS:
        raise _doubt("The value of 'test' is not true, false, 1 or 0.")
    return (FLAGS[values[0]] if values else False), rest


def may_mean_test(name: str) -> bool:
    """Whether some word in a name is `test`: "Test", "test ", "test[]", "_test", "te-st", "amp;test", full-width."""
    folded = _folded(name)
    words = (folded, *_NOT_OF_A_NAME.split(folded))
    return any(_WITHIN_A_NAME.sub("", word) == "test" for word in words)


def _has_hidden_flag(part: str) -> bool:
    """Whether a field as it was sent has the flag behind another separator: "x=1?test=true", "x=1;test=1".

    A separator that is percent-encoded is text, unless an "=" that is not encoded comes after the flag.
    """
    pieces = _OTHER_SEPARATOR.split(part)
    for separator, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        name, equals, _ = piece.partition("=")
        name = unquote_plus(name)
        if equals and may_mean_test(name):
            return True
        if len(separator) == 1 and _BEGINS_WITH_TEST.match(_folded(name)):
            return True
    return False


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _doubt(detail: str) -> ApiError:
    return ApiError("invalid_test_flag", detail)


def _refuse_resuming(request: Request) -> None:
    if "last-event-id" in request.headers:
        raise ApiError("resume_not_supported", "A request with Last-Event-ID never starts a run.")


def _idempotency_key(request: Request) -> str | None:
    values = request.headers.getlist("idempotency-key")
    if not values:
        return None
    if len(values) > 1 or not _KEY.fullmatch(values[0]):
        raise ApiError(
            "invalid_request", "Idempotency-Key should be given once, with 1 to 200 visible ASCII characters."
        )
    return values[0]
