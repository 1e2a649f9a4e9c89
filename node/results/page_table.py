"""The page's table: every body with its numbers, and whether it counts."""

from itertools import accumulate
from typing import Final, TypeVar

from inference.findings import Findings, RoiKind, VertebraFinding
from node.results import wording
from node.results.density_class import origin
from node.results.experts import expert_cells
from node.results.page_text import GREY, LIGHT, WHITE, Cell, Drawable, Row, Style
from node.results.second_reader import second_cells

_WIDTHS: Final = (106, 80, 90, 60, 90, 90, 60, 80, 74, 74)
"""Widths of the columns of measured numbers in pixels."""
_SECOND_WIDTHS: Final = (72, 70)
"""The same of the second reader's columns, which are there only with a second reader."""
_PREDICTED_WIDTHS: Final = (82, 92)
"""The same of what the experts predict, which are there only with their readings."""
_GAP: Final = 32
_NAMES: Final = ("level", "mean", "median", "SD", "mean", "median", "SD", "front", "mid", "back")
_SECOND_NAMES: Final = ("Dice", "HU")
_PREDICTED_NAMES: Final = ("g/cm2", "osteop.")
_VERDICT: Final = "use of the level, and why"
_GROUPS: Final = {0: "", 1: "core, HU", 4: "ellipse, HU", 7: "height, mm"}
"""Headings by the first column that they stand over."""
_STATISTICS: Final = ("mean", "median")


def table(findings: Findings, width: int, factor: float) -> list[Drawable]:
    """Rows of the table, head first.

    Parameters
    ----------
    width
        Width in pixels.
    factor
        Size of the type, 1.0 at most.
    """
    columns = _columns(findings, width)
    last = len(columns) - 1
    head = Style(size=18, bold=True, grey=GREY).scaled(factor)
    groups = _groups(findings)
    spans = tuple((columns[first][0] + (20 if first else 0), _span(columns, first, groups, width)) for first in groups)
    names = (*_by_part(findings, _NAMES, _SECOND_NAMES, _PREDICTED_NAMES), _VERDICT)
    rows: list[Drawable] = [
        Row(cells=tuple(Cell(text=text, style=head) for text in groups.values()), columns=spans, rule=False, padding=1),
        Row(cells=tuple(Cell(text=text, style=head, right=0 < i < last) for i, text in enumerate(names)), columns=columns, padding=2),
    ]
    return rows + [_row(vertebra, findings, columns, factor) for vertebra in findings.vertebrae]


_Part = TypeVar("_Part")


def _by_part(findings: Findings, measured: tuple[_Part, ...], second: tuple[_Part, ...], predicted: tuple[_Part, ...]) -> tuple[_Part, ...]:
    """What belongs to the columns of numbers that are there, in their order."""
    with_second = measured if findings.second_reader is None else (*measured, *second)
    return with_second if not _predicts(findings) else (*with_second, *predicted)


def _predicts(findings: Findings) -> bool:
    """Whether experts predict a density of any level."""
    return findings.experts is not None and any(one.bmd_g_cm2 is not None for one in findings.experts.readings)


def _groups(findings: Findings) -> dict[int, str]:
    """Headings by the first column that they stand over; what a model predicts says so there, with scale and what it was trained on."""
    found, last = dict(_GROUPS), len(_NAMES)
    if findings.second_reader is not None:
        found[last] = "2nd reader"
        last += len(_SECOND_NAMES)
    read = findings.experts
    if read is not None and read.model is not None and _predicts(findings):
        found[last] = f"PREDICTED on the scale of {read.densitometer}, {origin(read.model)}"
    return found


def _span(columns: tuple[tuple[int, int], ...], first: int, groups: dict[int, str], width: int) -> int:
    """Pixels that the heading over ``first`` may take: to the next heading, or to the margin."""
    following = [columns[other][0] for other in groups if other > first]
    return (min(following) if following else width) - columns[first][0] - 20


def _columns(findings: Findings, width: int) -> tuple[tuple[int, int], ...]:
    """(left, width) of every column; the last one, in words, reaches the margin."""
    widths = _by_part(findings, _WIDTHS, _SECOND_WIDTHS, _PREDICTED_WIDTHS)
    edges = (0, *accumulate(widths))
    words = edges[-1] + _GAP
    return (*zip(edges[:-1], widths, strict=True), (words, width - words))


def _row(vertebra: VertebraFinding, findings: Findings, columns: tuple[tuple[int, int], ...], factor: float) -> Row:
    """One body; the value that carries the band stands black on white."""
    line = wording.level_line(vertebra, findings)
    carries = vertebra is wording.reported_vertebra(findings) and findings.reason is None
    grey = WHITE if carries else LIGHT if vertebra.used else GREY
    style = Style(size=21, bold=carries, grey=grey).scaled(factor)
    inverse = _reported_column(findings) if carries else None
    measured = (line.short_name, *line.core, *line.ellipse, *line.heights)
    texts = (*_by_part(findings, measured, second_cells(vertebra), expert_cells(vertebra, findings)), _verdict(line, findings))
    last = len(texts) - 1
    cells = tuple(Cell(text=text, style=style, right=0 < i < last, inverse=i == inverse) for i, text in enumerate(texts))
    return Row(cells=cells, columns=columns, padding=round(5 * factor))


def _verdict(line: wording.LevelLine, findings: Findings) -> str:
    """Use and warnings; those that stand below the table for the whole study are only named here."""
    below = [wording.notice_text(notice) for notice in findings.warnings]
    named: list[str] = []
    told: list[str] = []
    for warning in line.warnings:
        code, text = warning.split(": ", 1)
        if text in line.verdict:  # the very reason why the level does not count
            continue
        repeated = any(other.startswith(code) and other.endswith(text) for other in below)
        (named if repeated else told).append(code if repeated else warning)
    parts = [line.verdict, *(f"! {warning}" for warning in told)]
    if named:
        parts.append(f"! {', '.join(named)}: see below")
    return ". ".join(part.rstrip(".") for part in parts)


def _reported_column(findings: Findings) -> int | None:
    statistic = wording.reported_statistic(findings)
    if findings.summary is None or statistic is None:
        return None
    return (1 if findings.summary.roi_kind is RoiKind.CORE else 4) + _STATISTICS.index(statistic)
