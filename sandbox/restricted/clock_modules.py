"""time, datetime and zoneinfo for agents: the clock is the run's `Sources`, and no time zone file is opened."""

import datetime
import io
import os
import time
import zoneinfo
from collections.abc import Mapping
from typing import Any

from sandbox.restricted.guards import Guards, Substitute
from sandbox.restricted.packages import directory_of
from sandbox.restricted.sources import Sources

SECOND = 1_000_000_000
_MICROSECOND = datetime.timedelta(microseconds=1)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def time_module(guards: Guards, sources: Sources) -> Mapping[str, Any]:
    def now() -> float:
        return sources.time_ns() / SECOND

    def monotonic() -> float:
        return sources.monotonic_ns() / SECOND

    def sleep(seconds: float, /) -> None:
        sources.sleep(seconds)

    def gmtime(seconds: float | None = None, /) -> time.struct_time:
        return time.gmtime(now() if seconds is None else seconds)

    def localtime(seconds: float | None = None, /) -> time.struct_time:
        return time.localtime(now() if seconds is None else seconds)

    def strftime(format: str, moment: Any = None, /) -> str:
        return time.strftime(format, localtime() if moment is None else moment)

    def strptime(text: str, format: str = "%a %b %d %H:%M:%S %Y", /) -> time.struct_time:
        return time.strptime(text, format)

    def ctime(seconds: float | None = None, /) -> str:
        return time.ctime(now() if seconds is None else seconds)

    def asctime(moment: Any = None, /) -> str:
        return time.asctime(localtime() if moment is None else moment)

    def time_ns() -> int:
        return sources.time_ns()

    def monotonic_ns() -> int:
        return sources.monotonic_ns()

    return {
        "time": now,
        "time_ns": time_ns,
        "monotonic": monotonic,
        "monotonic_ns": monotonic_ns,
        "perf_counter": monotonic,
        "perf_counter_ns": monotonic_ns,
        "sleep": sleep,
        "gmtime": gmtime,
        "localtime": localtime,
        "strftime": strftime,
        "strptime": strptime,
        "ctime": ctime,
        "asctime": asctime,
        "mktime": time.mktime,
        "struct_time": time.struct_time,
    }


def datetime_module(guards: Guards, sources: Sources) -> Mapping[str, Any]:
    """The real classes. What reads the clock or imports lazily is substituted by the attribute guard, below."""
    names = ("date", "datetime", "time", "timedelta", "timezone", "tzinfo", "MINYEAR", "MAXYEAR", "UTC")
    return {name: getattr(datetime, name) for name in names}


def date_substitutes(sources: Sources) -> Mapping[str, Substitute]:
    """By method name, from the class it was looked up on, what agents get instead of the C method."""

    def moment() -> datetime.datetime:
        return _EPOCH + (sources.time_ns() // 1000) * _MICROSECOND

    def local(cls: Any) -> Any:
        here = moment().astimezone()
        if issubclass(cls, datetime.datetime):
            return cls(here.year, here.month, here.day, here.hour, here.minute, here.second, here.microsecond)
        return cls(here.year, here.month, here.day)

    def now_of(cls: Any) -> Any:
        def now(tz: Any = None) -> Any:
            if tz is None:
                return local(cls)
            utc = moment().replace(tzinfo=tz)
            return tz.fromutc(cls(utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond, tz))

        return now

    def utcnow(cls: Any) -> Any:
        def utcnow() -> Any:
            utc = moment()
            return cls(utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond)

        return utcnow

    def today(cls: Any) -> Any:
        return lambda: local(cls)

    def strptime(cls: Any) -> Any:
        def strptime(text: str, format: str, /) -> Any:  # the C method imports _strptime through the agent's importer
            return cls.strptime(text, format)

        return strptime

    return {"now": now_of, "utcnow": utcnow, "today": today, "strptime": strptime}


_zone_data: dict[str, bytes] = {}


def preload_zones() -> None:
    """Read every time zone into memory, aliases sharing one copy: a jail has no files. About 500 KB.

    From the package tzdata, not from the machine: an agent's clock must not depend on where it runs.
    """
    package = directory_of("tzdata")
    copies: dict[bytes, bytes] = {}
    with open(os.path.join(package, "zones")) as zones:
        keys = zones.read().split()
    for key in keys:
        with open(os.path.join(package, "zoneinfo", *key.split("/")), "rb") as zone:
            data = zone.read()
        _zone_data[key] = copies.setdefault(data, data)


def zoneinfo_module(guards: Guards, sources: Sources) -> Mapping[str, Any]:
    known: dict[str, Any] = {}

    class ZoneInfo(zoneinfo.ZoneInfo):
        """`zoneinfo.ZoneInfo` from memory. One object a zone, as in the original."""

        __module__ = "zoneinfo"

        def __new__(cls, key: str) -> Any:
            if key not in known:
                if key not in _zone_data:
                    raise zoneinfo.ZoneInfoNotFoundError(f"No time zone found with key {key}")
                known[key] = super().from_file(io.BytesIO(_zone_data[key]), key=key)
            return known[key]

        @classmethod
        def from_file(cls, *args: Any, **keywords: Any) -> Any:
            raise TypeError("a ZoneInfo is made of its key")  # a parser in C is no place for an agent's bytes

        def __repr__(self) -> str:
            return f"zoneinfo.ZoneInfo(key={self.key!r})"

    def available_timezones() -> set[str]:
        return set(_zone_data)

    return {
        "ZoneInfo": ZoneInfo,
        "available_timezones": available_timezones,
        "ZoneInfoNotFoundError": zoneinfo.ZoneInfoNotFoundError,
    }
