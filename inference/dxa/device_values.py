"""What the densitometer itself says: BMD and T-scores from the structured objects of a study. They are the device's, never ours.

Three places are read: a structured report (GE enCORE from version 8, Hologic APEX), the results table that Hologic APEX writes as text into
its private attribute (0019,1000), and the texts of a presentation state. No vendor's template could be checked against a real file, so no
private code is trusted: a number counts only where the object itself names all that it means - quantity, unit and level.
"""

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydicom import Dataset

from inference.dxa.patient import LEVELS, region_name
from inference.errors import Refusal
from inference.reading import InstanceHeader
from inference.tolerant import READ_ERRORS, read_dataset, text_of, tolerant

BMD_RANGE_G_CM2 = (0.1, 3.0)
T_SCORE_RANGE = (-10.0, 10.0)
OWN_MANUFACTURER = "OSTEON"
"""What this node wrote is no densitometer's."""
HOLOGIC_RESULTS = 0x00191000

_SR_PREFIX = "1.2.840.10008.5.1.4.1.1.88."
_PRESENTATION_PREFIX = "1.2.840.10008.5.1.4.1.1.11."
_G_CM2 = frozenset({"g/cm2", "g/cm^2", "g/cm**2", "g.cm-2"})
_BMD = re.compile(r"\b(a?BMD|bone (mineral )?density)\b", re.IGNORECASE)
_T_SCORE = re.compile(r"\bT[\s-]{0,3}score\b", re.IGNORECASE)
_ELSEWHERE = re.compile(
    r"\b(hip|femur|femoral|neck|trochanter|ward|forearm|radius|wrist|total body|whole body|lateral|Z[\s-]{0,3}score)\b", re.IGNORECASE
)
_REGION = re.compile(r"\bL([1-4])\s*(?:-|to|–)\s*L?([1-4])\b", re.IGNORECASE)
_LEVEL = re.compile(r"\bL([1-4])\b|\b(first|second|third|fourth) lumbar\b", re.IGNORECASE)
_ORDINALS = ("first", "second", "third", "fourth")
_CELL = re.compile(r'ResultsTable1\[\s*(\d+)\]\[\s*(\d+)\]\s*=\s*"([^"]*)"')
_TEXT_BMD = re.compile(r"\bBMD\b\D{0,12}?(\d+\.\d+)\s*g/cm", re.IGNORECASE)
_TEXT_T = re.compile(r"\bT\s?-?\s?score\b\s*[:=]?\s*([+-]?\d+\.\d+)", re.IGNORECASE)


class ValueSource(StrEnum):
    """Where a device's values stood, the most trusted first."""

    REPORT = "structured report"
    HOLOGIC_TABLE = "Hologic results table"
    PRESENTATION = "presentation state"


@dataclass(frozen=True, kw_only=True)
class DeviceValues:
    """BMD and T-scores of one object, by level (``L1``) or region (``L1-L4``).

    Attributes
    ----------
    source, sop_instance_uid
        Where they stood.
    device
        Manufacturer and model, as the object says; may be empty.
    """

    source: ValueSource
    sop_instance_uid: str
    device: str
    bmd_g_cm2: Mapping[str, float]
    t_scores: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class DeviceAnswer:
    """The values of a study; None where no object has any, or where two equally trusted ones disagree. ``because`` says which."""

    values: DeviceValues | None
    because: str


def device_values(headers: Sequence[InstanceHeader]) -> DeviceAnswer:
    """The densitometer's own values of a study, from its most trusted objects."""
    found = [values for header in headers if (values := _values_of_file(header)) is not None]
    if not found:
        return DeviceAnswer(values=None, because="no object of the study states the device's values in a form that names what they are")
    best = min(found, key=lambda values: list(ValueSource).index(values.source)).source
    equals = [values for values in found if values.source is best]
    first = equals[0]
    if any((other.bmd_g_cm2, other.t_scores) != (first.bmd_g_cm2, first.t_scores) for other in equals[1:]):
        return DeviceAnswer(values=None, because=f"{len(equals)} objects ({best.value}) state different values, so none is carried")
    return DeviceAnswer(values=first, because=f"{best.value}, instance {first.sop_instance_uid}")


def report_values(dataset: Dataset) -> tuple[dict[str, float], dict[str, float]] | None:
    """BMD and T-scores of a structured report; None where it holds none, or states one level twice with different values.

    A number is a density where its unit is g/cm2 and the words around it say BMD, a score where they say T-score; the level is the nearest
    one named in the concept's name, its modifiers or the containers around it (PS3.3 C.17.3).
    """
    with tolerant():
        try:
            numbers = list(_numbers(dataset, ()))
        except READ_ERRORS:
            return None
    stated: list[tuple[str, str, float]] = []
    for said, unit, value in numbers:
        level = _level_around(said)
        if level is None:
            continue
        if unit in _G_CM2 and _BMD.search(said) and not _T_SCORE.search(said):
            stated.append((level, "bmd", value))
        elif _T_SCORE.search(said):
            stated.append((level, "t", value))
    return _consistent(stated)


def table_values(text: str) -> tuple[dict[str, float], dict[str, float]] | None:
    """BMD and T-scores of the results table in Hologic's private text; None unless it is a table of L1-L4.

    The table is a list of assignments, ``ResultsTable1[ row][ column] = "value";``, row 0 with the titles. ``Total`` is the region of the
    levels that have a value; another row (a neck, an arm) makes it another region's table.
    """
    if re.search(r"\blateral\b", text, re.IGNORECASE):
        return None
    cells = {(int(row), int(column)): _plain(value) for row, column, value in _CELL.findall(text)}
    titles = {column: value for (row, column), value in cells.items() if row == 0}
    bmd = next((column for column, title in titles.items() if _BMD.search(title) and "g/cm" in title), None)
    score = next((column for column, title in titles.items() if _T_SCORE.search(title)), None)
    rows = {row: cells.get((row, 0), "").strip() for row in sorted({row for row, _ in cells}) if row > 0}
    names = [name for name in rows.values() if name]
    if bmd is None or not names or any(name not in (*LEVELS, "Total") for name in names):
        return None
    counted = [name for row, name in rows.items() if name in LEVELS and _number(cells.get((row, bmd), "")) is not None]
    if not counted:
        return None
    stated = []
    for row, name in rows.items():
        level = region_name(counted) if name == "Total" else name
        for column, kind in ((bmd, "bmd"), (score, "t")):
            value = None if column is None else _number(cells.get((row, column), ""))
            if level and value is not None:
                stated.append((level, kind, value))
    return _consistent(stated)


def text_values(texts: Iterable[str]) -> tuple[dict[str, float], dict[str, float]] | None:
    """BMD and T-scores of free texts, each of which names its level and quantity: ``L1-L4 BMD 0.812 g/cm2 T-score -2.1``."""
    stated = []
    for text in texts:
        level = None if _ELSEWHERE.search(text) else level_in(text)
        if level is None:
            continue
        stated += [(level, "bmd", float(value)) for value in _TEXT_BMD.findall(text)]
        stated += [(level, "t", float(value)) for value in _TEXT_T.findall(text)]
    return _consistent(stated)


def level_in(text: str) -> str | None:
    """The one lumbar level or region that a text names; None without one or with several."""
    regions = {f"L{first}-L{last}" for first, last in _REGION.findall(text) if first < last}
    if regions:
        return regions.pop() if len(regions) == 1 else None
    levels = {f"L{number}" if number else f"L{_ORDINALS.index(word.lower()) + 1}" for number, word in _LEVEL.findall(text)}
    return levels.pop() if len(levels) == 1 else None


def _values_of_file(header: InstanceHeader) -> DeviceValues | None:
    is_report, is_state = header.sop_class_uid.startswith(_SR_PREFIX), header.sop_class_uid.startswith(_PRESENTATION_PREFIX)
    hologic = "HOLOGIC" in header.manufacturer.upper()
    if header.path is None or header.manufacturer.strip().upper() == OWN_MANUFACTURER or not (is_report or is_state or hologic):
        return None
    try:
        dataset = read_dataset(header.path, stop_before_pixels=True)
    except Refusal:
        return None
    if is_report:
        found, source = report_values(dataset), ValueSource.REPORT
    elif is_state:
        found, source = text_values(_annotations(dataset)), ValueSource.PRESENTATION
    else:
        found, source = table_values(_private_text(dataset)), ValueSource.HOLOGIC_TABLE
    if found is None:
        return None
    device = " ".join(part for part in (header.manufacturer.strip(), header.manufacturer_model_name.strip()) if part)
    return DeviceValues(source=source, sop_instance_uid=header.sop_instance_uid, device=device, bmd_g_cm2=found[0], t_scores=found[1])


def _consistent(stated: Iterable[tuple[str, str, float]]) -> tuple[dict[str, float], dict[str, float]] | None:
    """Values by level; None without any plausible one, and where one level has two."""
    values: dict[str, dict[str, set[float]]] = {"bmd": {}, "t": {}}
    for level, kind, value in stated:
        low, high = BMD_RANGE_G_CM2 if kind == "bmd" else T_SCORE_RANGE
        if low <= value <= high:
            values[kind].setdefault(level, set()).add(value)
    if any(len(found) > 1 for kind in values.values() for found in kind.values()) or not any(values.values()):
        return None
    bmd, scores = ({level: min(found) for level, found in values[kind].items()} for kind in ("bmd", "t"))
    return bmd, scores


def _numbers(item: Dataset, around: tuple[str, ...]) -> Iterator[tuple[str, str, float]]:
    """Every number of a content tree: the words around it, its unit, its value."""
    name = _meaning(item, "ConceptNameCodeSequence")
    children = list(item.get("ContentSequence") or ())
    said = (*around, name, *(_modifier(child) for child in children))
    if text_of(item, "ValueType") == "NUM":
        for measured in item.get("MeasuredValueSequence") or ():
            unit = measured.get("MeasurementUnitsCodeSequence") or ()
            code = text_of(unit[0], "CodeValue").lower() if unit else ""
            yield " | ".join(part for part in said if part), code, float(measured.NumericValue)
    for child in children:
        yield from _numbers(child, said)


def _modifier(child: Dataset) -> str:
    """The meaning of a coded or written property of an item: a finding site, a region."""
    if text_of(child, "RelationshipType") not in ("HAS CONCEPT MOD", "HAS OBS CONTEXT", "CONTAINS", "HAS PROPERTIES"):
        return ""
    if text_of(child, "ValueType") == "CODE":
        return _meaning(child, "ConceptCodeSequence")
    return text_of(child, "TextValue") if text_of(child, "ValueType") == "TEXT" else ""


def _meaning(item: Dataset, keyword: str) -> str:
    codes = item.get(keyword) or ()
    return text_of(codes[0], "CodeMeaning") if codes else ""


def _level_around(said: str) -> str | None:
    """The nearest level or region named around a number; None where another part of the body is named too."""
    if _ELSEWHERE.search(said):
        return None
    return next((level for part in reversed(said.split(" | ")) if (level := level_in(part)) is not None), None)


def _annotations(dataset: Dataset) -> Iterator[str]:
    """The texts of a presentation state (PS3.3 C.10.5)."""
    with tolerant():
        for annotation in dataset.get("GraphicAnnotationSequence") or ():
            for item in annotation.get("TextObjectSequence") or ():
                yield text_of(item, "UnformattedTextValue")


def _private_text(dataset: Dataset) -> str:
    with tolerant():
        element = dataset.get(HOLOGIC_RESULTS)
        value = None if element is None else element.value
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return "" if value is None else str(value)


def _plain(cell: str) -> str:
    return re.sub(r"<[^>]*>", "", html.unescape(cell)).replace("²", "2").strip()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
