"""The page's table: every body with its numbers, and whether it counts."""

from typing import Final

from inference.findings import Findings, RoiKind, VertebraFinding
from node.results import wording
from node.results.page_text import GREY, LIGHT, WHITE, Cell, Drawable, Row, Style

_EDGES: Final = (0, 106, 186, 276, 336, 426, 516, 576, 656, 730, 804, 836)
"""Left edges of the columns in pixels; the last column reaches the page's margin."""
_NAMES: Final = ("level", "mean", "median", "SD", "mean", "median", "SD", "front", "mid", "back", "use of the level, and why")
_GROUPS: Final = ("", "core, HU", "ellipse, HU", "height, mm", "")
_GROUP_COLUMNS: Final = (0, 1, 4, 7, 10)
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
    columns = _columns(width)
    head = Style(size=18, bold=True, grey=GREY).scaled(factor)
    spans = tuple((columns[first][0] + (20 if 0 < first < 10 else 0), 220) for first in _GROUP_COLUMNS)
    rows: list[Drawable] = [
        Row(cells=tuple(Cell(text=text, style=head) for text in _GROUPS), columns=spans, rule=False, padding=1),
        Row(cells=tuple(Cell(text=text, style=head, right=0 < i < 10) for i, text in enumerate(_NAMES)), columns=columns, padding=2),
    ]
    return rows + [_row(vertebra, findings, columns, factor) for vertebra in findings.vertebrae]


def _columns(width: int) -> tuple[tuple[int, int], ...]:
    lefts = (*_EDGES[:10], _EDGES[11])
    rights = (*_EDGES[1:10], _EDGES[10], width)
    return tuple((left, right - left) for left, right in zip(lefts, rights, strict=True))


def _row(vertebra: VertebraFinding, findings: Findings, columns: tuple[tuple[int, int], ...], factor: float) -> Row:
    """One body; the value that carries the band stands black on white."""
    line = wording.level_line(vertebra, findings)
    carries = vertebra is wording.reported_vertebra(findings) and findings.reason is None
    grey = WHITE if carries else LIGHT if vertebra.used else GREY
    style = Style(size=21, bold=carries, grey=grey).scaled(factor)
    inverse = _reported_column(findings) if carries else None
    texts = (line.short_name, *line.core, *line.ellipse, *line.heights, _verdict(line, findings))
    cells = tuple(Cell(text=text, style=style, right=0 < i < 10, inverse=i == inverse) for i, text in enumerate(texts))
    return Row(cells=cells, columns=columns, padding=round(5 * factor))


def _verdict(line: wording.LevelLine, findings: Findings) -> str:
    """Use and warnings; those that stand below the table for the whole study are only named here."""
    below = [wording.notice_text(notice) for notice in findings.warnings]
    named: list[str] = []
    told: list[str] = []
    for warning in line.warnings:
        code, text = warning.split(": ", 1)
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
