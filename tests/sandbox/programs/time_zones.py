"""Meetings across time zones, calendars and dates."""

import calendar
import datetime as dt
import time
from zoneinfo import ZoneInfo


def meeting(when: str, zones: list[str]):
    start = dt.datetime.strptime(when, "%Y-%m-%d %H:%M").replace(tzinfo=ZoneInfo("Europe/Berlin"))
    return {zone: start.astimezone(ZoneInfo(zone)).strftime("%a %d %b %H:%M %Z") for zone in zones}


def workdays(first, last):
    day = first
    while day <= last:
        if day.weekday() < calendar.SATURDAY:
            yield day
        day += dt.timedelta(days=1)


def run(when: str, zones: list[str]):
    first = dt.date(2024, 2, 26)
    moment = dt.datetime(2024, 3, 31, 0, 30, tzinfo=ZoneInfo("Europe/London"))
    later = (moment.astimezone(dt.UTC) + dt.timedelta(hours=1)).astimezone(ZoneInfo("Europe/London"))
    return {
        "meeting": meeting(when, zones),
        "workdays": [d.isoformat() for d in workdays(first, first + dt.timedelta(days=8))],
        "leap": calendar.isleap(2024),
        "month": calendar.monthrange(2024, 2),
        "week": calendar.monthcalendar(2024, 2)[0],
        "names": [calendar.day_name[0], calendar.month_abbr[12]],
        "summer": [str(moment), later.isoformat(), later.utcoffset().total_seconds(), later.tzname()],
        "iso": [first.isocalendar().week, f"{first:%Y/%m/%d}", dt.date.fromisoformat("2024-12-31").timetuple().tm_yday],
        "parts": str(dt.timedelta(days=1, seconds=3661)),
        "struct": time.strftime("%H:%M", time.gmtime(3600)),
        "parsed": time.strptime("12:34", "%H:%M").tm_min,
        "utc": dt.datetime.fromtimestamp(0, dt.timezone.utc).isoformat(),
        "now": [isinstance(dt.datetime.now(), dt.datetime), dt.date.today() >= dt.date(2024, 1, 1), time.time() > 1.7e9],
        "aware": dt.datetime.now(dt.timezone.utc).tzinfo is dt.timezone.utc,
        "zone": dt.datetime.now(ZoneInfo("Asia/Tokyo")).utcoffset() == dt.timedelta(hours=9),
        "combined": dt.datetime.combine(first, dt.time(8, 15)).isoformat(timespec="minutes"),
    }


EXAMPLES = [{"when": "2024-07-01 09:00", "zones": ["America/New_York", "Asia/Kolkata", "UTC"]}]
