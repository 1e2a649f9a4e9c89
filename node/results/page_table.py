"""The page's table: every body with its numbers, and whether it counts."""

from itertools import pairwise
from typing import Final

from inference.findings import Findings, RoiKind, VertebraFinding
from node.results import wording
from node.results.page_text import GREY, LIGHT, WHITE, Cell, Drawable, Row, Style
from node.results.second_reader import second_cells

_NUMBERS: Final = (0, 106, 186, 276, 336, 426, 516, 576, 656, 730, 804)
"""Left edges of the columns of numbers in pixels, and where the last one ends."""
_SECOND: Final = (804, 876, 946)
"""The same of the second reader's columns, which are there only with a second reader."""
_GAP: Final = 32
_NAMES: Final = ("level", "mean", "median", "SD", "mean", "median", "SD", "front", "mid", "back")
_SECOND_NAMES: Final = ("Dice", "HU")
_VERDICT: Final = "use of the level, and why"
_GROUPS: Final = {0: "", 1: "core, HU", 4: "ellipse, HU", 7: "height, mm", 10: "2nd reader"}
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
    groups = [first for first in _GROUPS if first < last]
    spans = tuple((columns[first][0] + (20 if first else 0), 220) for first in groups)
    names = (*_NAMES, *(_SECOND_NAMES if last > len(_NAMES) else ()), _VERDICT)
    rows: list[Drawable] = [
        Row(cells=tuple(Cell(text=_GROUPS[first], style=head) for first in groups), columns=spans, rule=False, padding=1),
        Row(cells=tuple(Cell(text=text, style=head, right=0 < i < last) for i, text in enumerate(names)), columns=columns, padding=2),
    ]
    return rows + [_row(vertebra, findings, columns, factor) for vertebra in findings.vertebrae]


def _columns(findings: Findings, width: int) -> tuple[tuple[int, int], ...]:
    """(left, width) of every column; the last one, in words, reaches the margin."""
    edges = _NUMBERS if findings.second_reader is None else (*_NUMBERS, *_SECOND[1:])
    numbers = tuple((left, right - left) for left, right in pairwise(edges))
    words = edges[-1] + _GAP
    return (*numbers, (words, width - words))


def _row(vertebra: VertebraFinding, findings: Findings, columns: tuple[tuple[int, int], ...], factor: float) -> Row:
    """One body; the value that carries the band stands black on white."""
    line = wording.level_line(vertebra, findings)
    carries = vertebra is wording.reported_vertebra(findings) and findings.reason is None
    grey = WHITE if carries else LIGHT if vertebra.used else GREY
    style = Style(size=21, bold=carries, grey=grey).scaled(factor)
    inverse = _reported_column(findings) if carries else None
    second = second_cells(vertebra) if findings.second_reader is not None else ()
    texts = (line.short_name, *line.core, *line.ellipse, *line.heights, *second, _verdict(line, findings))
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
