"""BMD and T-scores out of a densitometer's structured report.

No vendor's template could be checked against a real file, so nothing is recognised by a private code. A number counts only where the report
itself names all that it means: a unit of g/cm2 and "BMD" or "bone mineral density" for a density, "T-score" for a score, and one
level (L1 ... or the region L1-L4) in the concept's name, its modifiers or the containers around it. Anything else is left alone.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from inference.errors import Refusal
from inference.tolerant import READ_ERRORS, read_dataset, text_of, tolerant
from training.data.columns import BMD_COLUMNS, recognise
from training.data.values import BMD_RANGE_G_CM2, T_SCORE_RANGE

_G_CM2 = frozenset({"g/cm2", "g/cm^2", "g/cm**2", "g.cm-2"})
_BMD = re.compile(r"\b(a?BMD|bone (mineral )?density)\b", re.IGNORECASE)
_T_SCORE = re.compile(r"\bT[\s-]?score\b", re.IGNORECASE)
_ELSEWHERE = re.compile(
    r"\b(hip|femur|femoral|neck|trochanter|ward|forearm|radius|wrist|total body|whole body|lateral|Z[\s-]?score)\b", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class DxaValues:
    """What a report states: BMD in g/cm2 and T-scores by level; ``t_score`` is that of the region L1-L4."""

    bmd_g_cm2: Mapping[str, float]
    t_scores: Mapping[str, float]

    @property
    def t_score(self) -> float | None:
        """The examination's T-score."""
        return self.t_scores.get("L1-L4")


def read_values(path: Path) -> DxaValues | None:
    """The values of a structured report file; None where it holds none or cannot be read."""
    try:
        return values_of(read_dataset(path))
    except Refusal:
        return None


def values_of(dataset: Dataset) -> DxaValues | None:
    """The values of a structured report; None where it holds none, or states one level twice with different values."""
    bmd: dict[str, set[float]] = {}
    scores: dict[str, set[float]] = {}
    with tolerant():
        try:
            numbers = list(_numbers(dataset, ()))
        except READ_ERRORS:
            return None
    for said, unit, value in numbers:
        level = _level(said)
        if level is None:
            continue
        if unit in _G_CM2 and _BMD.search(said) and not _T_SCORE.search(said) and BMD_RANGE_G_CM2[0] <= value <= BMD_RANGE_G_CM2[1]:
            bmd.setdefault(level, set()).add(value)
        elif _T_SCORE.search(said) and T_SCORE_RANGE[0] <= value <= T_SCORE_RANGE[1]:
            scores.setdefault(level, set()).add(value)
    if any(len(values) > 1 for values in (*bmd.values(), *scores.values())) or not (bmd or scores):
        return None
    return DxaValues(
        bmd_g_cm2={level: min(found) for level, found in bmd.items()}, t_scores={level: min(found) for level, found in scores.items()}
    )


def _numbers(item: Dataset, around: tuple[str, ...]) -> Iterator[tuple[str, str, float]]:
    """Every number of a content tree (PS3.3 C.17.3): the words around it, its unit, its value."""
    name = _meaning(item, "ConceptNameCodeSequence")
    children = list(item.get("ContentSequence") or ())
    said = (*around, name, *(_modifier(child) for child in children))
    if text_of(item, "ValueType") == "NUM":
        for measured in item.get("MeasuredValueSequence") or ():
            yield " | ".join(part for part in said if part), _code(measured, "MeasurementUnitsCodeSequence"), float(measured.NumericValue)
    for child in children:
        yield from _numbers(child, said)


def _modifier(child: Dataset) -> str:
    """The meaning of a coded or written property of an item: a finding site, a laterality, a region."""
    if text_of(child, "RelationshipType") not in ("HAS CONCEPT MOD", "HAS OBS CONTEXT", "CONTAINS", "HAS PROPERTIES"):
        return ""
    if text_of(child, "ValueType") == "CODE":
        return _meaning(child, "ConceptCodeSequence")
    return text_of(child, "TextValue") if text_of(child, "ValueType") == "TEXT" else ""


def _meaning(item: Dataset, keyword: str) -> str:
    codes = item.get(keyword) or ()
    return text_of(codes[0], "CodeMeaning") if codes else ""


def _code(item: Dataset, keyword: str) -> str:
    codes = item.get(keyword) or ()
    return text_of(codes[0], "CodeValue").lower() if codes else ""


def _level(said: str) -> str | None:
    """The one level or region that the words around a number name, the nearest first; None in doubt or where another region is named."""
    if _ELSEWHERE.search(said):
        return None
    for part in reversed(said.split(" | ")):
        column = recognise(f"BMD {part} g/cm2")
        if column is not None:
            return BMD_COLUMNS[column.name]
    return None
