"""Times of a cadence: as people write them, as cron expressions, and where clocks go back."""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise, takewhile
from typing import Literal
from zoneinfo import ZoneInfo

from dagster._utils.schedules import cron_string_iterator

Period = Literal["hour", "day", "week", "month"]

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_CYCLES: dict[Period, str] = {"hour": "0 * * * *", "day": "0 0 * * *", "week": "0 0 * * 0", "month": "0 0 1 * *"}
_FORMS: dict[Period, tuple[str, str]] = {
    "hour": (r":(?P<minute>\d\d)", "':15'"),
    "day": (r"(?P<hour>\d\d?):(?P<minute>\d\d)", "'06:00'"),
    "week": (rf"((?P<weekday>{'|'.join(_DAYS)})[a-z]* )?(?P<hour>\d\d?):(?P<minute>\d\d)", "'Mon 06:00'"),
    "month": (r"((?P<day>\d\d?) )?(?P<hour>\d\d?):(?P<minute>\d\d)", "'1 06:00'"),
}
_LAST_DAY_OF_EVERY_MONTH = 28
_FIRST_YEAR, _LAST_YEAR = 1970, 2038
"""What time zones were like before is not certain; their rules stay the same afterwards."""
_DAYS_LOOKED_AT = 40 * 366
"""Dates fall on the same days of the week again after 28 years, and a time zone may have changed its rules before."""
_LONGEST_CHANGE = timedelta(hours=3)


def cycle_cron(every: Period) -> str:
    """When cycles of a length begin."""
    return _CYCLES[every]


def schedule_cron(every: Period, at: str) -> str:
    """Once in each period, at a time.

    Raises:
        ValueError: the time is not one of the period.
    """
    pattern, example = _FORMS[every]
    found = re.fullmatch(pattern, at.strip().lower())
    parts = found.groupdict() if found else {}
    minute, hour, day = int(parts.get("minute") or 0), int(parts.get("hour") or 0), int(parts.get("day") or 1)
    if found is None or minute > 59 or hour > 23 or not 1 <= day <= _LAST_DAY_OF_EVERY_MONTH:
        raise ValueError(f"{at!r} is no time of a cycle of a {every}; write one such as {example}")
    if every == "hour":
        return f"{minute} * * * *"
    weekday = _DAYS.index(parts.get("weekday") or "sun") if every == "week" else "*"
    return f"{minute} {hour} {day if every == 'month' else '*'} * {weekday}"


def times_alike(cron: str, timezone: str, start: date) -> list[datetime]:
    """Times of a cron expression in an hour that comes twice, if there are several: clocks do not tell which is which.

    A single one is no trouble: it is taken to be in the second of the two hours.
    """
    for day in _days_of_going_back(timezone, min(max(start.year, _FIRST_YEAR), _LAST_YEAR)):
        until = day + timedelta(days=1) + _LONGEST_CHANGE
        times = cron_string_iterator((day - _LONGEST_CHANGE).timestamp(), cron, timezone)
        twice = [*filter(_is_double, takewhile(lambda time, until=until: time < until, times))]
        if len(twice) > 1:
            return twice
    return []


@lru_cache
def _days_of_going_back(timezone: str, year: int) -> list[datetime]:
    """When the days of UTC begin in which clocks go back, from a year on."""
    zone, first = ZoneInfo(timezone), datetime(year, 1, 1, tzinfo=UTC)
    days = (first + timedelta(days=number) for number in range(_DAYS_LOOKED_AT))
    return [day for day, after in pairwise(days) if _offset(after.astimezone(zone)) < _offset(day.astimezone(zone))]


def _is_double(time: datetime) -> bool:
    """Whether clocks show a time twice."""
    return _offset(time.replace(fold=1)) < _offset(time.replace(fold=0))


def _offset(time: datetime) -> timedelta:
    return time.utcoffset() or timedelta()
