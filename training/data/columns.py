"""Which column of a hospital's export is which: names folded, units split off, levels recognised, doubt left unrecognised."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from inference.ct.levels import LEVELS

BMD_LEVELS = (*LEVELS, "L6", "L1-L4")
"""What an areal BMD or a T-score may belong to: one vertebra, or the region that DXA reports."""


class BmdUnit(StrEnum):
    """Unit of an areal bone mineral density."""

    G_CM2 = "g/cm2"
    MG_CM2 = "mg/cm2"


def _spellings(listed: str) -> tuple[str, ...]:
    return tuple(listed.split())


ALIASES: Mapping[str, tuple[str, ...]] = {
    "patient_id": _spellings("patientid patid pid patientnumber patientno patientennummer patnr patientnr mrn subjectid subject id"),
    "study_date": _spellings(
        "studydate dateofstudy examdate dateofexam scandate acquisitiondate untersuchungsdatum aufnahmedatum date datum"
    ),
    "modality": _spellings("modality modalitaet modalitat"),
    "path": _spellings("path imagepath filepath dicompath folder dicomfolder file filename image pfad datei ordner"),
    "study_uid": _spellings("studyuid studyinstanceuid"),
    "series_uid": _spellings("seriesuid seriesinstanceuid"),
    "label": _spellings("label diagnosis class category whocategory whoclass who diagnose befund klasse"),
    "t_score": _spellings("tscore twert lowesttscore lowesttwert mintscore tscoremin tscoretotal"),
    "dxa_date": _spellings("dxadate bmddate datedxa dxadatum dxascandate"),
    "device": _spellings("device dxadevice dxascanner densitometer dxamanufacturer dxageraet dxagerat geraet gerat"),
    "site": _spellings("site centre center hospital institution institutionname standort klinik"),
    "sex": _spellings("sex patientsex gender geschlecht"),
    "age": _spellings("age ageyears patientage agey alter"),
    "mask": _spellings("mask maskpath segmentation segmentationpath maske"),
    "split": _spellings("split part subset partition"),
    "excluded_because": _spellings("excludedbecause exclusionreason reasonforexclusion excluded ausschlussgrund"),
}
"""Spellings of each column after :func:`fold`, the plainest first: where two headers fit, the earlier spelling wins."""

LONG_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "level": _spellings("level region roi vertebra vertebrallevel wirbel messregion messort"),
    "bmd": _spellings("bmd kmd bonemineraldensity knochendichte density"),
}
"""Columns of a table with one row a level, and their spellings; see :mod:`training.data.long`."""

_UNITS = re.compile(r"(?<![a-z])(mg|g)\s*(?:/|_|\s|per)?\s*(cm|ccm)[\s_^]*(2|3|)(?![a-z0-9])")
_LEVEL = re.compile(r"(?<![a-z])([tl])[\s_]*(\d{1,2})(?!\d)")
_REGION = re.compile(r"(?<![a-z])l[\s_]*1[\s_]*(?:-|–|to|bis)?[\s_]*l?[\s_]*4(?!\d)")
_ANY_REGION = re.compile(r"(?<![a-z])([tl])[\s_]*\d{1,2}[\s_]*(?:-|–|to|bis)[\s_]*[tl]?[\s_]*\d{1,2}")
_ELSEWHERE = re.compile(r"hip|fem|neck|trochanter|ward|forearm|radius|wrist|whole|body|hals|hueft|schenkel|z[\s_-]*(?:score|wert)")
_T_SCORE = re.compile(r"(?<![a-z])t[\s_-]*(?:score|wert)")
_BMD = re.compile(r"bmd|kmd|bone[\s_]*mineral[\s_]*density|knochendichte|density|dichte")
_NOT_DENSITY = re.compile(r"vbmd|qct|volum|bmc|area|flaeche|height|width|hoehe|error|fehler|%|percent|young|hu(?![a-z])")


@dataclass(frozen=True, kw_only=True)
class Column:
    """What a header stands for. ``rank`` orders rivals: the lowest is the plainest. ``unit`` only where the header states it."""

    name: str
    rank: int = 0
    unit: BmdUnit | None = None


def bmd_column(level: str) -> str:
    """The manifest's column of a level's areal BMD: ``bmd_L1_g_cm2``, ``bmd_L1_L4_g_cm2``."""
    return f"bmd_{level.replace('-', '_')}_g_cm2"


def t_score_column(level: str) -> str:
    """The manifest's column of a level's T-score: ``t_score_L1``."""
    return f"t_score_{level.replace('-', '_')}"


BMD_COLUMNS: Mapping[str, str] = {bmd_column(level): level for level in BMD_LEVELS}
T_SCORE_COLUMNS: Mapping[str, str] = {t_score_column(level): level for level in BMD_LEVELS}

COLUMNS = (*ALIASES, *BMD_COLUMNS, *T_SCORE_COLUMNS)
"""Every column of a manifest, in the order in which it is written."""


def fold(text: str) -> str:
    """Lower case without accents, compatibility forms (², ﬁ) or surrounding space; ä, ö, ü, ß written out."""
    lowered = unicodedata.normalize("NFKC", text).casefold().strip()
    for umlaut, written in (("ä", "ae"), ("ö", "oe"), ("ü", "ue")):
        lowered = lowered.replace(umlaut, written)
    return "".join(letter for letter in unicodedata.normalize("NFD", lowered) if not unicodedata.combining(letter))


def recognise(header: str) -> Column | None:
    """What a header stands for, or None where it names nothing of a manifest or leaves doubt.

    A density of which no level is named ("BMD"), another region's ("L2-L4", "femoral neck"), a content or an area is not guessed at.
    """
    if header in COLUMNS:
        return Column(name=header, unit=BmdUnit.G_CM2 if header in BMD_COLUMNS else None)
    text = fold(header)
    unit, text = _split_unit(text)
    key = re.sub(r"[^a-z0-9]", "", text)
    for name, spellings in ALIASES.items():
        if key in spellings:
            return Column(name=name, rank=1 + spellings.index(key))
    return _recognise_value(text, unit)


def named_level(text: str) -> str | None:
    """The level (``L1`` ... ``L1-L4``) that a cell names, or None: another region, several levels, or none."""
    written = _with_letters(fold(text))
    return None if _ELSEWHERE.search(written) else _level_in(written)


def _recognise_long(header: str) -> Column | None:
    """A column that only a table with one row a level has."""
    unit, text = _split_unit(fold(header))
    key = re.sub(r"[^a-z0-9]", "", text)
    for name, spellings in LONG_COLUMNS.items():
        if key in spellings:
            return Column(name=name, rank=spellings.index(key), unit=_bmd_unit(unit))
    return None


def _with_letters(text: str) -> str:
    """Th12 and BWK 12 as t12, LWK 1 and lumbar 1 as l1."""
    return re.sub(r"lwk|lumbar|lendenwirbel", "l", re.sub(r"bwk|th(?=\s?\d)|thoracic", "t", text))


def _bmd_unit(unit: str | None) -> BmdUnit | None:
    return BmdUnit(unit) if unit in tuple(BmdUnit) else None


def _split_unit(text: str) -> tuple[str | None, str]:
    """The unit that a folded header states (``mg/cm2``, ``g/cm3`` ...) and the rest of it."""
    found = _UNITS.search(text)
    if found is None:
        return None, text
    power = "3" if found[2] == "ccm" else found[3] or "2"
    return f"{found[1]}/cm{power}", (text[: found.start()] + " " + text[found.end() :]).strip()


def _recognise_value(text: str, unit: str | None) -> Column | None:
    """A BMD or T-score of one level or of L1 to L4."""
    text = _with_letters(text)
    if _ELSEWHERE.search(text) or _NOT_DENSITY.search(text) or (unit is not None and unit.endswith("3")):
        return None
    is_t_score = _T_SCORE.search(text) is not None
    level = _level_in(_T_SCORE.sub(" ", text))
    if level is None or (is_t_score and unit is not None):
        return None
    if is_t_score:
        return Column(name=t_score_column(level), rank=1)
    if unit is None and not _BMD.search(text):
        return None
    return Column(name=bmd_column(level), rank=1, unit=_bmd_unit(unit))


def _level_in(text: str) -> str | None:
    """The one level that a text names, ``L1-L4`` for that region, None for none, several, or another region."""
    if _REGION.search(text):
        return "L1-L4"
    found = {f"{letter.upper()}{number}" for letter, number in _LEVEL.findall(text)}
    if len(found) != 1 or _ANY_REGION.search(text):
        return None
    (level,) = found
    return level if level in BMD_LEVELS else None


@dataclass(frozen=True, kw_only=True)
class Matched:
    """Where each column of the manifest stands in a table.

    Attributes
    ----------
    positions
        Index into a row's cells, by column name.
    units
        Units that headers state, by column name.
    unused
        Headers that were not recognised, or that lost to a plainer one. Their cells are never looked at.
    rivals
        Columns for which two headers are equally plain: name to headers. The caller refuses them.
    """

    positions: Mapping[str, int]
    units: Mapping[str, BmdUnit]
    unused: tuple[str, ...]
    rivals: Mapping[str, tuple[str, ...]]


def match_columns(headers: Sequence[str], stated: Mapping[str, str], *, long: bool = False) -> Matched:
    """Recognise the headers of a table. ``stated`` (column to header) goes before any recognition.

    ``long`` looks for the columns of a table with one row a level, too.
    """
    taken = {fold(header): name for name, header in stated.items()}
    candidates: dict[str, list[tuple[int, int, BmdUnit | None]]] = {}
    for index, header in enumerate(headers):
        name = taken.get(fold(header))
        column = Column(name=name, rank=-1, unit=_bmd_unit(_split_unit(fold(header))[0])) if name is not None else recognise(header)
        column = column or (_recognise_long(header) if long else None)
        if column is not None and (name is not None or column.name not in stated):
            candidates.setdefault(column.name, []).append((column.rank, index, column.unit))
    positions, units, rivals = {}, {}, {}
    for name, found in candidates.items():
        best = min(found)[0]
        ties = [index for rank, index, _ in found if rank == best]
        if len(ties) > 1:
            rivals[name] = tuple(headers[index] for index in ties)
        _, positions[name], unit = min(found, key=lambda item: item[:2])
        if unit is not None:
            units[name] = unit
    unused = tuple(header for index, header in enumerate(headers) if index not in positions.values() and header.strip())
    return Matched(positions=positions, units=units, unused=unused, rivals=rivals)
