"""One cell at a time: text to value, or a ``ValueError`` that says what is wrong with it. No default, no guess."""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum
from typing import TypeVar

from training.data.columns import BmdUnit, fold
from training.data.labels import BoneLabel

Word = TypeVar("Word", bound=StrEnum)

MISSING = frozenset(
    (
        "",
        "-",
        "--",
        "---",
        ".",
        "..",
        "?",
        "na",
        "n/a",
        "n.a.",
        "#n/a",
        "nan",
        "nat",
        "null",
        "none",
        "nil",
        "unknown",
        "unbekannt",
        "k.a.",
        "k. a.",
    )
)
"""Folded texts that say "not known". Zero is none of them."""

BMD_RANGE_G_CM2 = (0.1, 3.0)
T_SCORE_RANGE = (-10.0, 10.0)
MAX_AGE = 120.0


class Modality(StrEnum):
    """What kind of study a row is about."""

    CT = "CT"
    CXR = "CXR"
    DXA = "DXA"


class Sex(StrEnum):
    """Patient's Sex (0010,0040), PS3.3 C.2.2."""

    FEMALE = "F"
    MALE = "M"
    OTHER = "O"


class DateOrder(StrEnum):
    """Which comes first in dates such as 03/04/2024."""

    DAY_FIRST = "dmy"
    MONTH_FIRST = "mdy"


MODALITIES: Mapping[str, Modality] = {
    "ct": Modality.CT, "cxr": Modality.CXR, "dxa": Modality.DXA, "cr": Modality.CXR, "dx": Modality.CXR, "dexa": Modality.DXA,
    "bmd": Modality.DXA, "chest x-ray": Modality.CXR, "chest xray": Modality.CXR, "thorax": Modality.CXR,
}  # fmt: skip
SEXES: Mapping[str, Sex] = {
    "f": Sex.FEMALE, "female": Sex.FEMALE, "w": Sex.FEMALE, "weiblich": Sex.FEMALE, "woman": Sex.FEMALE,
    "m": Sex.MALE, "male": Sex.MALE, "maennlich": Sex.MALE, "man": Sex.MALE,
    "o": Sex.OTHER, "other": Sex.OTHER, "d": Sex.OTHER, "divers": Sex.OTHER,
}  # fmt: skip
LABEL_WORDS: Mapping[str, BoneLabel] = {
    "normal": BoneLabel.NORMAL, "healthy": BoneLabel.NORMAL, "normal bone": BoneLabel.NORMAL, "unauffaellig": BoneLabel.NORMAL,
    "osteopenia": BoneLabel.OSTEOPENIA, "osteopenie": BoneLabel.OSTEOPENIA, "osteopenic": BoneLabel.OSTEOPENIA,
    "low bone mass": BoneLabel.OSTEOPENIA,
    "osteoporosis": BoneLabel.OSTEOPOROSIS, "osteoporose": BoneLabel.OSTEOPOROSIS, "osteoporotic": BoneLabel.OSTEOPOROSIS,
}  # fmt: skip

DEVICES: Mapping[str, tuple[str, ...]] = {
    "Hologic": ("hologic", "discovery", "horizon", "qdr", "delphi"),
    "GE Lunar": ("lunar", "prodigy", "idxa", "dpx"),
    "MEDIX": ("medix", "medilink", "stratos", "osteocore"),
    "Norland": ("norland",),
}
"""Makers of densitometers, each with words that name it or its models."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.IGNORECASE)
_COMMA_DECIMAL = re.compile(r"[+-]?(0,\d+|\d+,(\d{1,2}|\d{4,})|\d{1,3}(\.\d{3})+,\d+)")
_POINT_DECIMAL = re.compile(r"[+-]?(0\.\d+|\d+\.(\d{1,2}|\d{4,})|\d{1,3}(,\d{3})+\.\d+)")
_UNSURE = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_PER_YEAR = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}
_BMD_UNIT = re.compile(r"\s*(m?g)\s*/\s*cm\s*\^?2$")


def is_missing(cell: str) -> bool:
    """Whether a cell says that nothing is known."""
    return fold(cell) in MISSING


def decimal_comma(cells: Iterable[str]) -> bool | None:
    """Whether the numbers of one table are written with a decimal comma; None where nothing speaks for either.

    "1,05" and "0,950" can only be decimal commas, "1.05" and "0.950" only points; "1,050" and "1.050" prove nothing.

    Raises
    ------
    ValueError
        Some cells prove one and some the other: the two first are named.
    """
    comma = point = None
    for cell in cells:
        comma = comma or (cell if _COMMA_DECIMAL.fullmatch(cell) else None)
        point = point or (cell if _POINT_DECIMAL.fullmatch(cell) else None)
    if comma is not None and point is not None:
        raise ValueError(f"{comma!r} is written with a decimal comma and {point!r} with a decimal point; state which one holds (decimal)")
    return None if comma is None and point is None else comma is not None


def parse_number(cell: str, comma: bool | None) -> float:
    """A finite number. ``comma`` as :func:`decimal_comma` found it or the person stated it.

    Raises
    ------
    ValueError
        It is none, or may be one thousand as well as one ("1,050" in a table that proves neither).
    """
    text = cell.replace("\u2212", "-").replace("\u2013", "-").replace("'", "").replace(" ", "")
    if comma is None and _UNSURE.fullmatch(text):
        raise ValueError(
            f"{cell!r} may be {text.replace(',', '.')} or {text.replace(',', '')}; state the decimal sign (decimal: ',' or '.')"
        )
    if comma:
        if re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+(,\d+)?|[+-]?\d+(,\d+)?", text) is None:
            raise ValueError(f"{cell!r} is not a number with a decimal comma, as the others of this table are")
        text = text.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", text):
        text = text.replace(",", "")
    if _NUMBER.fullmatch(text) is None or not math.isfinite(float(text)):
        raise ValueError(f"{cell!r} is not a number")
    return float(text)


def parse_bmd(cell: str, comma: bool | None, unit: BmdUnit | None) -> float:
    """An areal BMD in g/cm2. ``unit`` is what the header or the person states; a unit inside the cell must agree with it.

    Raises
    ------
    ValueError
        No number, zero, out of the range of bone, or plainly in mg/cm2 where nobody said so.
    """
    folded = fold(cell)
    inside = _BMD_UNIT.search(folded)
    if inside is not None:
        said = BmdUnit(f"{inside[1]}/cm2")
        if unit is not None and said is not unit:
            raise ValueError(f"{cell!r} is in {said}, its column in {unit}")
        unit, cell = said, folded[: inside.start()]
    value = parse_number(cell, comma)
    if unit is BmdUnit.MG_CM2:
        value /= 1000.0
    low, high = BMD_RANGE_G_CM2
    if low <= value <= high:
        return value
    if value == 0:
        raise ValueError("0 is not a bone mineral density; leave the cell empty where none was measured")
    if unit is None and low <= value / 1000.0 <= high:
        raise ValueError(f"{cell} looks like mg/cm2; if it is, say so in the header (mg/cm2) or state it (bmd_unit: mg/cm2)")
    raise ValueError(f"{value:g} g/cm2 is no bone mineral density of a vertebra ({low:g} to {high:g}); a missing value is an empty cell")


def parse_t_score(cell: str, comma: bool | None) -> float:
    """A T-score.

    Raises
    ------
    ValueError
        No number, or none that a T-score can be: -25 is a -2.5 that lost its decimal sign, -999 a missing value.
    """
    value = parse_number(cell, comma)
    if not T_SCORE_RANGE[0] <= value <= T_SCORE_RANGE[1]:
        raise ValueError(f"{cell} is no T-score ({T_SCORE_RANGE[0]:g} to {T_SCORE_RANGE[1]:g}); a missing value is an empty cell")
    return value


def parse_age(cell: str, comma: bool | None) -> float:
    """An age in years: a number, or a DICOM age string (PS3.5 6.2, AS: ``062Y``, ``018M``).

    Raises
    ------
    ValueError
        Anything else, or an age of nobody.
    """
    found = re.fullmatch(r"(\d{3})([DWMY])", cell.upper())
    value = int(found[1]) / _PER_YEAR[found[2]] if found is not None else parse_number(cell, comma)
    if not 0.0 <= value <= MAX_AGE:
        raise ValueError(f"{cell} is no age in years")
    return value


def parse_word(cell: str, words: Mapping[str, Word], stated: Mapping[str, Word], key: str) -> Word:
    """A word of a small vocabulary; ``stated`` goes before the known spellings.

    Raises
    ------
    ValueError
        The word is unknown: those known are listed, with the option ``key`` that would explain it.
    """
    folded = fold(cell)
    for known in ({fold(word): value for word, value in stated.items()}, words):
        if folded in known:
            return known[folded]
    known_values = ", ".join(dict.fromkeys(value.value for value in words.values()))
    raise ValueError(f"{cell!r} is unknown; known: {known_values}. State what it means ({key}: {{{cell!r}: ...}})")


def known_device(cell: str, stated: Mapping[str, str]) -> str | None:
    """The maker of a densitometer (``Hologic``, ``GE Lunar``, ``MEDIX`` ...) by its or its model's name; None where it is unknown."""
    folded = fold(cell)
    for word, maker in stated.items():
        if fold(word) == folded:
            return maker
    found = {maker for maker, words in DEVICES.items() if any(re.search(rf"(?<![a-z]){word}(?![a-z])", folded) for word in words)}
    return found.pop() if len(found) == 1 else None


_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ][\d:.+Z-]*)?")
_DICOM = re.compile(r"(\d{4})(\d{2})(\d{2})(?:\d{6}(?:\.\d+)?)?")
_DOTTED = re.compile(r"(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})(?:\s[\d:]*)?")
_SLASHED = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})(?:\s[\d:APMapm ]*)?")
_SLASHED_ISO = re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2})(?:\s[\d:]*)?")


def date_order(cells: Iterable[str]) -> DateOrder | None:
    """Whether dates such as 03/04/2024 of one column put the day or the month first; None where nothing proves either.

    Raises
    ------
    ValueError
        Some cells prove one and some the other.
    """
    day_first = month_first = None
    for cell in cells:
        found = _SLASHED.fullmatch(cell)
        if found is not None:
            day_first = day_first or (cell if int(found[1]) > 12 else None)
            month_first = month_first or (cell if int(found[2]) > 12 else None)
    if day_first is not None and month_first is not None:
        raise ValueError(f"{day_first!r} puts the day first and {month_first!r} the month; write dates as YYYY-MM-DD")
    if day_first is None and month_first is None:
        return None
    return DateOrder.DAY_FIRST if day_first is not None else DateOrder.MONTH_FIRST


def parse_date(cell: str, order: DateOrder | None) -> date:
    """A date: ISO 8601, DICOM DA or DT (PS3.5 6.2), 31.12.2024, or with slashes where the order of day and month is known.

    Raises
    ------
    ValueError
        No such date, or 03/04/2024 where nothing says which of the two is the month.
    """
    for pattern in (_ISO, _DICOM, _SLASHED_ISO):
        found = pattern.fullmatch(cell)
        if found is not None:
            return _date(cell, found[1], found[2], found[3])
    found = _DOTTED.fullmatch(cell)
    if found is not None:
        return _date(cell, found[3], found[2], found[1])
    found = _SLASHED.fullmatch(cell)
    if found is None:
        raise ValueError(f"{cell!r} is not a date with four digits of year; write YYYY-MM-DD")
    first, second = int(found[1]), int(found[2])
    if order is None and first != second and max(first, second) <= 12:
        raise ValueError(f"{cell!r} may be day/month or month/day; state which (date_order: dmy or mdy) or write YYYY-MM-DD")
    day_first = first > 12 if order is None else order is DateOrder.DAY_FIRST
    return _date(cell, found[3], *((found[2], found[1]) if day_first else (found[1], found[2])))


def _date(cell: str, year: str, month: str, day: str) -> date:
    try:
        found = date(int(year), int(month), int(day))
    except ValueError:
        raise ValueError(f"{cell!r} is not a date of the calendar") from None
    if not 1970 <= found.year <= 2100:
        raise ValueError(f"{cell!r} lies in the year {found.year}")
    return found
