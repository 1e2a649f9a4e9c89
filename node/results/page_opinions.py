"""The page's three opinions, side by side: each in a column of its own, the one that leads marked, and their agreement in words."""

from typing import Final

from inference.ct.opinions import Opinion, OpinionSource
from inference.findings import Findings
from node.results.experts import page_opinion
from node.results.page_text import GREY, LIGHT, WHITE, Block, Cell, Drawable, Row, Style, paragraph

_GAP: Final = 36
_INDENT: Final = 8
"""The white behind what leads is a little wider than its letters."""
_TITLE: Final = {
    OpinionSource.MEASUREMENT: "MEASURED ATTENUATION",
    OpinionSource.CLASSIFIER: "L1, BY A CLASSIFIER",
    OpinionSource.EXPERTS: "EVERY VERTEBRA, BY A MODEL",
}
_LEADS: Final = " - LEADS"


def opinion_blocks(findings: Findings, width: int, factor: float) -> list[Drawable]:
    """Headings, what each says, how far they agree; nothing where none are compared.

    Parameters
    ----------
    width
        Width in pixels.
    factor
        Size of the type, 1.0 at most.
    """
    opinions = findings.opinions
    if opinions is None or not opinions.given:
        return []
    number = len(opinions.given)
    column = (width - _INDENT - _GAP * (number - 1)) // number
    columns = tuple((_INDENT + place * (column + _GAP), column) for place in range(number))
    led = [one is opinions.leading for one in opinions.given]
    heads = tuple(_head(one, leads, factor) for one, leads in zip(opinions.given, led, strict=True))
    said = tuple(
        Cell(text=page_opinion(one, findings), style=Style(size=21, bold=leads, grey=WHITE if leads else LIGHT).scaled(factor))
        for one, leads in zip(opinions.given, led, strict=True)
    )
    told = opinions.sentence if opinions.leading is not None else f"{opinions.sentence} {opinions.lead_sentence}"
    return [
        Block(lines=(), after=round(10 * factor)),
        Row(cells=heads, columns=columns, rule=False, padding=round(5 * factor)),
        Row(cells=said, columns=columns, rule=False, padding=round(3 * factor)),
        Block(lines=(), after=round(6 * factor)),
        paragraph(told, Style(size=21, bold=True, grey=WHITE).scaled(factor), width, after=round(16 * factor)),
    ]


def _head(opinion: Opinion, leads: bool, factor: float) -> Cell:
    """Whose opinion; black on white where it leads."""
    text = f"{_TITLE[opinion.source]}{_LEADS if leads else ''}"
    return Cell(text=text, style=Style(size=19, bold=True, grey=GREY).scaled(factor), inverse=leads)
