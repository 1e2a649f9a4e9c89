"""Cells: what each means, and what is refused rather than guessed."""

from datetime import date

import pytest

from training.data.columns import BmdUnit
from training.data.labels import BoneLabel, who_label, worst_label
from training.data.values import (
    SEXES,
    DateOrder,
    Sex,
    date_order,
    decimal_comma,
    is_missing,
    known_device,
    parse_age,
    parse_bmd,
    parse_date,
    parse_number,
    parse_t_score,
    parse_word,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("t_score", "label"),
    [(0.0, "normal"), (-1.0, "normal"), (-1.01, "osteopenia"), (-2.49, "osteopenia"), (-2.5, "osteoporosis"), (-4.0, "osteoporosis")],
)
def test_the_who_edges(t_score: float, label: str) -> None:
    assert who_label(t_score) is BoneLabel(label)


def test_a_missing_t_score_has_no_class() -> None:
    with pytest.raises(ValueError, match="no class"):
        who_label(float("nan"))
    assert worst_label([None, None]) is None
    assert worst_label([BoneLabel.NORMAL, None, BoneLabel.OSTEOPENIA]) is BoneLabel.OSTEOPENIA


@pytest.mark.parametrize(
    ("cell", "comma", "value"),
    [("1.05", False, 1.05), ("1,05", True, 1.05), ("\u22122,5", True, -2.5), ("1.234,5", True, 1234.5), ("1,234.5", False, 1234.5),
     ("0", None, 0.0), ("+0.9", None, 0.9), ("12", True, 12.0), ("1e-1", False, 0.1), ("1'050", False, 1050.0)],
)  # fmt: skip
def test_numbers(cell: str, comma: bool | None, value: float) -> None:
    assert parse_number(cell, comma) == pytest.approx(value)


@pytest.mark.parametrize(
    ("cell", "comma"), [("1,050", None), ("1.05", True), ("<0.5", False), ("nan", False), ("inf", False), ("1,5", False), ("1 or 2", None)]
)
def test_no_numbers(cell: str, comma: bool | None) -> None:
    with pytest.raises(ValueError, match=r"not a number|may be"):
        parse_number(cell, comma)


def test_decimal_signs_are_proved_by_the_table() -> None:
    assert decimal_comma(["1,050", "0,987"]) is True
    assert decimal_comma(["1.050", "1.2"]) is False
    assert decimal_comma(["1,050", "12", ""]) is None
    with pytest.raises(ValueError, match=r"'1,05' is written with a decimal comma and '0\.9' with a decimal point"):
        decimal_comma(["1,05", "0.9"])


@pytest.mark.parametrize(
    ("cell", "unit", "value"),
    [("0.987", None, 0.987), ("987", BmdUnit.MG_CM2, 0.987), ("987 mg/cm²", None, 0.987), ("1.05 g/cm2", BmdUnit.G_CM2, 1.05)],
)
def test_bone_mineral_density(cell: str, unit: BmdUnit | None, value: float) -> None:
    assert parse_bmd(cell, False, unit) == pytest.approx(value)


@pytest.mark.parametrize(
    ("cell", "unit", "said"),
    [("0", None, "0 is not"), ("987", None, "looks like mg/cm2"), ("987", BmdUnit.G_CM2, "no bone"), ("-999", None, "empty cell"),
     ("0.987", BmdUnit.MG_CM2, "no bone"), ("0.9 g/cm2", BmdUnit.MG_CM2, "its column in mg/cm2"), ("9.87", None, "no bone")],
)  # fmt: skip
def test_no_bone_mineral_density(cell: str, unit: BmdUnit | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_bmd(cell, False, unit)


def test_a_zero_t_score_is_a_t_score_and_minus_25_is_none() -> None:
    assert parse_t_score("0", None) == 0.0
    for cell in ("-25", "-999"):
        with pytest.raises(ValueError, match="no T-score"):
            parse_t_score(cell, None)


@pytest.mark.parametrize(("cell", "age"), [("062Y", 62.0), ("018M", 1.5), ("62", 62.0), ("62,5", 62.5), ("0", 0.0)])
def test_ages(cell: str, age: float) -> None:
    assert parse_age(cell, True) == pytest.approx(age)


@pytest.mark.parametrize("cell", ["130", "-1", "old"])
def test_no_ages(cell: str) -> None:
    with pytest.raises(ValueError, match=r"no age|not a number"):
        parse_age(cell, None)


@pytest.mark.parametrize(
    "cell",
    [
        "2024-03-05",
        "20240305",
        "05.03.2024",
        "5.3.2024",
        "2024/03/05",
        "2024-03-05T14:22:10",
        "2024-03-05 14:22",
        "20240305142210.5",
        "5. 3. 2024",
    ],
)
def test_dates(cell: str) -> None:
    assert parse_date(cell, None) == date(2024, 3, 5)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("03/04/2024", "day/month or month/day"),
        ("05.03.24", "four digits"),
        ("30.02.2024", "calendar"),
        ("45356", "not a date"),
        ("1850-01-01", "1850"),
    ],
)
def test_no_dates(cell: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_date(cell, None)


def test_slashed_dates_follow_what_the_column_proves() -> None:
    assert date_order(["03/04/2024", "25/04/2024"]) is DateOrder.DAY_FIRST
    assert date_order(["03/04/2024", "04/25/2024"]) is DateOrder.MONTH_FIRST
    assert date_order(["03/04/2024", "2024-01-31"]) is None
    assert parse_date("03/04/2024", DateOrder.DAY_FIRST) == date(2024, 4, 3)
    assert parse_date("03-04-2024", DateOrder.MONTH_FIRST) == date(2024, 3, 4)
    assert parse_date("04/04/2024", None) == date(2024, 4, 4)  # the same either way
    with pytest.raises(ValueError, match="puts the day first"):
        date_order(["25/04/2024", "04/25/2024"])


def test_words_and_what_was_stated_of_them() -> None:
    assert parse_word("Männlich", SEXES, {}, "sexes") is Sex.MALE
    assert parse_word("1", SEXES, {"1": Sex.FEMALE}, "sexes") is Sex.FEMALE
    with pytest.raises(ValueError, match=r"'1' is unknown; known: F, M, O. State what it means \(sexes"):
        parse_word("1", SEXES, {}, "sexes")


@pytest.mark.parametrize(
    ("cell", "maker"),
    [("Hologic Discovery A (S/N 123)", "Hologic"), ("HORIZON W", "Hologic"), ("GE Lunar iDXA", "GE Lunar"), ("Prodigy Advance", "GE Lunar"),
     ("MEDIX DR", "MEDIX"), ("Raum 3", "Hologic"), ("Fancy", None), ("GE", None), ("Hologic or Lunar", None)],
)  # fmt: skip
def test_devices(cell: str, maker: str | None) -> None:
    assert known_device(cell, {"raum 3": "Hologic"}) == maker


def test_zero_is_not_missing() -> None:
    assert all(is_missing(cell) for cell in ("", "n/a", "k.A.", "NaN", "-", "Unbekannt"))
    assert not any(is_missing(cell) for cell in ("0", "0.0", "no", "-1"))
