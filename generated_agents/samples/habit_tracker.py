# /// agent
# [capabilities.kv]
# [capabilities.notify]
# ///
"""Keeps track of habits: say what you did, and see how many days in a row you have done it.

Args:
    habit: What you did, such as "reading". Without it, every habit is shown.
    on: The day, as 2026-01-31; today (UTC) when it is left out.
    undo: Take the day back instead.
"""

from datetime import UTC, date, datetime, timedelta

MILESTONES = (7, 30, 100, 365)
MOST_DAYS = 3000
DAY = timedelta(days=1)


def run(habit: str | None = None, on: str | None = None, undo: bool = False, services=None):
    today = datetime.now(UTC).date()
    if habit is None:
        habits = [key.removeprefix("habit/") for key in services.kv.list(prefix="habit/")]
        return {"habits": [standing(name, days_of(name, services), today) for name in habits]}
    day = today if on is None else date.fromisoformat(on)
    if day > today:
        raise ValueError(f"{day} is yet to come")

    habit = " ".join(habit.lower().split())
    days = days_of(habit, services)
    before = streak(days, today)
    days = days - {day} if undo else days | {day}
    services.kv.set(f"habit/{habit}", [str(each) for each in sorted(days)[-MOST_DAYS:]])

    now = standing(habit, days, today)
    if before < now["streak"] and now["streak"] in MILESTONES:
        services.notify.send(title=f"{habit}: {now['streak']} days in a row", content="Keep going!", type="success")
    return now


def days_of(habit, services):
    return {date.fromisoformat(text) for text in services.kv.get(f"habit/{habit}", [])}


def streak(days, today):
    """Days in a row up to today. One that ended yesterday still counts: today is not over."""
    day = today if today in days else today - DAY
    length = 0
    while day in days:
        length += 1
        day -= DAY
    return length


def longest_streak(days):
    longest = length = 0
    before = None
    for day in sorted(days):
        length = length + 1 if before is not None and day - before == DAY else 1
        longest = max(longest, length)
        before = day
    return longest


def standing(habit, days, today):
    return {
        "habit": habit,
        "done_today": today in days,
        "streak": streak(days, today),
        "longest": longest_streak(days),
        "days": len(days),
    }
