"""kv: JSON values that one agent keeps between its runs, optionally with a time to live.

The dry run reads what is there and writes to an overlay of its own, so that later reads of the run and its child runs
see its writes and nothing else ever does. One difference is left: the number of keys of a user is counted live only.
"""

import json
import time
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from service.capabilities.capability import Arguments, Capability, DryContext, GuestError, LiveContext, RunContext
from service.capabilities.plain_json import canonical, plain

MAX_KEY_BYTES: Final = 512
MAX_TTL_SECONDS: Final = 10 * 365 * 86_400
LIST_PAGE: Final = 1000
_EXACT: Final = Context(prec=1200, Emax=MAX_EMAX, Emin=MIN_EMIN)

Seconds = Annotated[int | float, Field(gt=0, le=MAX_TTL_SECONDS)]


def _kept(value: Any) -> Any:
    """A value that `jsonb` keeps; its numbers end at 1e308."""
    if _largest(plain(value)).bit_length() > 1023:
        raise ValueError("cannot be used: a number in it is too large")
    return value


def _largest(value: Any) -> int:
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return max(map(_largest, parts), default=0)
    return abs(value) if isinstance(value, int) else 0


def _key(key: str) -> str:
    if len(plain(key).encode()) > MAX_KEY_BYTES:
        raise ValueError(f"has more than {MAX_KEY_BYTES} bytes")
    if "\U0010ffff" in key:
        raise ValueError("may not contain U+10FFFF")
    return key


Key = Annotated[str, Field(min_length=1), AfterValidator(_key)]


class Get(Arguments):
    key: Key


class Set(Arguments):
    key: Key
    value: Annotated[Any, AfterValidator(_kept)]
    ttl_seconds: Seconds | None = None


class Delete(Arguments):
    key: Key


class List(Arguments):
    prefix: Annotated[str, AfterValidator(_key)] = ""
    limit: Annotated[int, Field(ge=1, le=LIST_PAGE)] = 100


class Increment(Arguments):
    key: Key
    by: Annotated[int | float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)] = 1
    ttl_seconds: Seconds | None = None


class LiveKv:
    """Rows of `agent_kv`, under the caller's policies."""

    def __init__(self, context: LiveContext) -> None:
        self._run = context

    async def get(self, arguments: Get) -> Any:
        return await _stored(self._run, arguments.key)

    async def set(self, arguments: Set) -> Any:
        _require_small(self._run, arguments.value)
        answer = await self._run.database.call(
            self._run.caller,
            "kv_set",
            p_agent_id=self._run.agent_id,
            p_key=arguments.key,
            p_value=arguments.value,
            p_ttl_seconds=arguments.ttl_seconds,
            p_max_keys=self._run.limits.limit_kv_keys,
        )
        _require_stored(self._run, answer, arguments.key)

    async def delete(self, arguments: Delete) -> Any:
        answer = await self._run.database.call(
            self._run.caller, "kv_delete", p_agent_id=self._run.agent_id, p_key=arguments.key
        )
        return bool(answer["deleted"])

    async def list(self, arguments: List) -> Any:
        return await _page(self._run, arguments.prefix, None, arguments.limit)

    async def increment(self, arguments: Increment) -> Any:
        answer = await self._run.database.call(
            self._run.caller,
            "kv_increment",
            p_agent_id=self._run.agent_id,
            p_key=arguments.key,
            p_by=_number(arguments.by),
            p_ttl_seconds=arguments.ttl_seconds,
            p_max_keys=self._run.limits.limit_kv_keys,
        )
        _require_stored(self._run, answer, arguments.key)
        return answer["value"]


@dataclass(frozen=True, slots=True)
class _Written:
    """What a dry run wrote to a key. `present` is false for a deletion; `expires_at` is on the run's clock."""

    value: Any = None
    present: bool = True
    expires_at: float | None = None

    def is_there(self) -> bool:
        return self.present and (self.expires_at is None or time.monotonic() < self.expires_at)


class DryKv:
    """Reads what is stored, under what this run wrote."""

    def __init__(self, context: DryContext) -> None:
        self._run = context
        self._overlay: dict[str, _Written] = context.overlays.setdefault(context.agent_id, {})

    async def get(self, arguments: Get) -> Any:
        written = self._overlay.get(arguments.key)
        if written is None:
            return await _stored(self._run, arguments.key)
        return {"found": True, "value": written.value} if written.is_there() else {"found": False, "value": None}

    async def set(self, arguments: Set) -> Any:
        _require_small(self._run, arguments.value)
        self._overlay[arguments.key] = _Written(arguments.value, expires_at=_expiry(arguments.ttl_seconds))

    async def delete(self, arguments: Delete) -> Any:
        was_there = (await self.get(Get(key=arguments.key)))["found"]
        self._overlay[arguments.key] = _Written(present=False)
        return was_there

    async def list(self, arguments: List) -> Any:
        mine = {
            key for key, written in self._overlay.items() if written.is_there() and key.startswith(arguments.prefix)
        }
        after: str | None = None
        found: list[str] = []
        while len(found) < arguments.limit:
            keys = await _page(self._run, arguments.prefix, after, LIST_PAGE)
            found.extend(key for key in keys if key not in self._overlay)
            if len(keys) < LIST_PAGE:
                break
            after = keys[-1]
        return sorted([*found, *mine])[: arguments.limit]

    async def increment(self, arguments: Increment) -> Any:
        before = await self.get(Get(key=arguments.key))
        held = before["value"] if before["found"] else 0
        if isinstance(held, bool) or not isinstance(held, int | float):
            raise _not_a_number(arguments.key)
        value = json.loads(format(_EXACT.add(_number(held), _number(arguments.by)), "f"))
        written = self._overlay.get(arguments.key)
        kept = written.expires_at if written is not None and written.is_there() else None
        expires_at = kept if arguments.ttl_seconds is None else _expiry(arguments.ttl_seconds)
        self._overlay[arguments.key] = _Written(value, expires_at=expires_at)
        return value


async def _stored(run: RunContext, key: str) -> Any:
    """What is kept under `key`: {"found": bool, "value": any}."""
    answer = await run.reads.call("kv_get", p_agent_id=run.agent_id, p_key=key)
    return {"found": bool(answer["found"]), "value": answer.get("value")}


async def _page(run: RunContext, prefix: str, after: str | None, limit: int) -> list[str]:
    """Up to `limit` keys behind `after`, in the order of their code points."""
    keys = await run.reads.call("kv_list", p_agent_id=run.agent_id, p_prefix=prefix, p_after=after, p_limit=limit)
    return [str(key) for key in keys]


def _number(value: int | float) -> Decimal:
    """Exactly what the JSON text of a number says, as Postgres reads it."""
    return Decimal(json.dumps(value))


def _expiry(ttl_seconds: float | None) -> float | None:
    return None if ttl_seconds is None else time.monotonic() + ttl_seconds


def _require_small(run: RunContext, value: Any) -> None:
    size, most = len(canonical(value)), run.limits.limit_kv_value_bytes
    if size > most:
        raise GuestError("ValueError", f"kv.set: the value has {size} bytes as JSON, the limit is {most} bytes")


def _require_stored(run: RunContext, answer: Any, key: str) -> None:
    match answer.get("reason"):
        case None:
            return
        case "too_many_keys":
            most = run.limits.limit_kv_keys
            raise GuestError("ServiceError", f"kv: your agents hold {most} keys, the limit; delete some first")
        case "not_a_number":
            raise _not_a_number(key)
        case _:
            raise GuestError("ServiceError", "kv: the value was not stored")


def _not_a_number(key: str) -> GuestError:
    return GuestError("TypeError", f"kv.increment: what is kept under {key[:80]!r} is not a number")


KV: Final = Capability(
    name="kv",
    arguments={"get": Get, "set": Set, "delete": Delete, "list": List, "increment": Increment},
    live=LiveKv,
    dry_run=DryKv,
    reads=frozenset({"get", "list"}),
)
