"""Structured objects of a densitometer, as tests need them: a report's content tree, Hologic's table of results."""

from collections.abc import Mapping, Sequence

from pydicom.dataset import Dataset

ENHANCED_SR = "1.2.840.10008.5.1.4.1.1.88.22"
PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def code(meaning: str, value: str = "X", scheme: str = "99TEST") -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return [item]


def container(name: str, children: Sequence[Dataset]) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence = "CONTAINS", "CONTAINER", code(name)
    item.ContentSequence = list(children)
    return item


def number(name: str, value: float, unit: str) -> Dataset:
    measured, item = Dataset(), Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = str(value), code(unit, unit, "UCUM")
    item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence = "CONTAINS", "NUM", code(name)
    item.MeasuredValueSequence = [measured]
    return item


def level_item(level: str, bmd_g_cm2: float, t_score: float) -> Dataset:
    return container(level, [number("BMD", bmd_g_cm2, "g/cm2"), number("T-score", t_score, "{T-score}")])


def report(content: Dataset) -> Dataset:
    ds = Dataset()
    ds.ValueType, ds.ConceptNameCodeSequence = "CONTAINER", code("Bone densitometry report")
    ds.ContentSequence = [content]
    return ds


def hologic_text(bmd: Mapping[str, float], scores: Mapping[str, float], total: tuple[float, float]) -> str:
    """Assignments as Hologic APEX writes them into (0019,1000): HTML in the titles, a space for what was not measured."""
    titles = ("Region", "Area[cm<sup><small>2</small></sup>]", "BMC[g]", "BMD[g/cm<sup><small>2</small></sup>]", "T - score", "Z - score")
    rows = [titles, *((name, "12.1", "9.9", str(bmd[name]), str(scores[name]), " ") for name in bmd)]
    rows.append(("Total", "60.1", "50.2", str(total[0]), str(total[1]), " "))
    lines = [f'ResultsTable1[ {row}][ {column}] = "{cell}";' for row, cells in enumerate(rows) for column, cell in enumerate(cells)]
    return "<JavaScriptFile>\r\n" + "\r\n".join(lines)
