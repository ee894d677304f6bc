"""Times of a cadence, as people write them, as cron expressions."""

import re
from typing import Literal

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
