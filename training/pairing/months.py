"""Calendar months between two days. A month is no fixed number of days, so the rule is written down once, here."""

import calendar
from datetime import date


def add_months(day: date, months: int) -> date:
    """The same day of the month ``months`` later; the last day of that month where it is too short (31 August + 6 = 28 or 29 February).

    Raises
    ------
    ValueError
        ``months`` is negative, or the result lies beyond the year 9999.
    """
    if months < 0:
        raise ValueError(f"a number of months is not negative: {months}")
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    if year > date.max.year:
        raise ValueError(f"{months} months after {day} lies beyond the calendar")
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def earliest_within(day: date, months: int) -> date:
    """A day no later than any from which ``day`` is at most ``months`` away; at the end of short months up to three days too early.

    Raises
    ------
    ValueError
        ``months`` is negative.
    """
    if months < 0:
        raise ValueError(f"a number of months is not negative: {months}")
    years, month = divmod(day.month - 1 - months, 12)
    year = day.year + years
    if year < date.min.year:
        return date.min
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def within_months(one: date, other: date, months: int) -> bool:
    """Whether the later day is at most ``months`` calendar months after the earlier one, that day included; 0 means the same day."""
    earlier, later = sorted((one, other))
    try:
        return later <= add_months(earlier, months)
    except ValueError:
        if months < 0:
            raise
        return True  # the window ends beyond the calendar


def days_off(one: date, other: date) -> int:
    """Days from ``one`` to ``other``; negative where ``other`` is earlier."""
    return (other - one).days
