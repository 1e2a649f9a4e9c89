"""Calendar months: the edges, and what holds for any two days."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.pairing.months import add_months, days_off, earliest_within, within_months

pytestmark = pytest.mark.unit

DAYS = st.dates(min_value=date(1990, 1, 1), max_value=date(2040, 12, 31))
MONTHS = st.integers(0, 60)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        ("2023-08-31", 6, "2024-02-29"),
        ("2022-08-31", 6, "2023-02-28"),
        ("2024-02-29", 12, "2025-02-28"),
        ("2024-02-29", 48, "2028-02-29"),
        ("2024-01-31", 1, "2024-02-29"),
        ("2024-12-15", 1, "2025-01-15"),
        ("2024-05-05", 0, "2024-05-05"),
        ("2023-12-31", 2, "2024-02-29"),
    ],
)
def test_adding_months_ends_at_the_end_of_short_ones(day: str, months: int, expected: str) -> None:
    assert add_months(date.fromisoformat(day), months) == date.fromisoformat(expected)


@pytest.mark.parametrize(
    ("one", "other", "months", "within"),
    [
        ("2023-08-31", "2024-02-29", 6, True),
        ("2023-08-31", "2024-03-01", 6, False),
        ("2024-01-15", "2024-07-15", 6, True),
        ("2024-01-15", "2024-07-16", 6, False),
        ("2024-02-29", "2025-02-28", 12, True),
        ("2024-02-29", "2025-03-01", 12, False),
        ("2024-05-05", "2024-05-05", 0, True),
        ("2024-05-05", "2024-05-06", 0, False),
        ("9999-12-01", "9999-12-31", 6, True),
    ],
)
def test_within_months_in_both_directions(one: str, other: str, months: int, within: bool) -> None:
    assert within_months(date.fromisoformat(one), date.fromisoformat(other), months) is within
    assert within_months(date.fromisoformat(other), date.fromisoformat(one), months) is within


def test_negative_months_are_refused() -> None:
    for refuse in (lambda: add_months(date(2024, 1, 1), -1), lambda: earliest_within(date(2024, 1, 1), -1)):
        with pytest.raises(ValueError, match="not negative"):
            refuse()
    with pytest.raises(ValueError, match="not negative"):
        within_months(date(2024, 1, 1), date(2024, 1, 2), -1)


@given(DAYS, DAYS, MONTHS)
def test_more_months_never_exclude(one: date, other: date, months: int) -> None:
    if within_months(one, other, months):
        assert within_months(one, other, months + 1)
        assert abs(days_off(one, other)) <= 31 * months


@given(DAYS, MONTHS)
def test_the_earliest_day_asked_for_misses_nothing_and_little_more(day: date, months: int) -> None:
    earliest = earliest_within(day, months)
    assert not within_months(earliest - timedelta(days=1), day, months)
    assert within_months(earliest + timedelta(days=3), day, months) or months == 0
