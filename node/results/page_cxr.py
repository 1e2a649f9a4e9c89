"""The page of a chest film: the answer, the film with the regions that were read, and what each level and each region gave.

The film is the normalised one: bone bright, upright, border cut off, print beside the chest filled.
"""

from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from inference.cxr.film import NormalisedFilm
from inference.cxr.findings import CxrFindings, CxrMeasurement
from inference.cxr.rois import REGION_NAMES, ROI_NAMES, WHOLE, region_words
from inference.cxr.words import LevelReading
from inference.findings import Findings
from node.results import wording
from node.results.cxr import attention_percents, page_lines, sides_of
from node.results.density_class import origin
from node.results.objects import ResultContext
from node.results.page_text import BLACK, DARK, GREY, LIGHT, WHITE, Block, Cell, Drawable, Row, Style, draw_all, paragraph
from node.results.picture import BACKGROUND, BOLD, FINE_PRINT, HEIGHT, INNER, MARGIN, SMALL, WIDTH, draw_title, fit_below

MAX_VIEWS_HEIGHT: Final = 1160
_GAP: Final = 20
_CAPTION: Final = 88
_BARS_WIDTH: Final = 430
_NUMBER: Final = Style(size=20, bold=True)
_COLUMNS: Final = ((0, 70), (80, 150), (240, 170), (420, 130), (560, 150), (730, 150), (900, 612))
_HEADINGS: Final = ("level", "BMD, g/cm2", "spread", "T-score", "spread", "threshold", "against the threshold")


def draw_cxr_page(findings: Findings, context: ResultContext) -> Image.Image:
    """The page of a study whose film was read.

    Returns
    -------
    PIL.Image.Image
        Mode ``L``, 1600 x 2000 pixels. The same findings give the same pixels.

    Raises
    ------
    ValueError
        No film was read.
    """
    cxr = findings.cxr
    if cxr is None or cxr.measurement is None or cxr.used is None or cxr.used.film is None:
        raise ValueError("a page needs the film that was read")
    film, measurement = cxr.used.film, cxr.measurement
    page = Image.new("L", (WIDTH, HEIGHT), BACKGROUND)
    y = draw_title(page, findings)
    below, height = fit_below(lambda factor: _below(findings, cxr, context, factor), HEIGHT - MARGIN - y, MAX_VIEWS_HEIGHT)
    percents = attention_percents(measurement)
    size = (INNER - (_BARS_WIDTH + _GAP if percents else 0), height - _CAPTION)
    view = film_view(film, measurement, size)
    page.paste(view, (MARGIN + (size[0] - view.width) // 2, y + (size[1] - view.height) // 2))
    ImageDraw.Draw(page).rectangle([MARGIN - 1, y - 1, MARGIN + size[0], y + size[1]], outline=DARK)
    paragraph(_caption(film, measurement), SMALL, size[0]).draw(page, MARGIN, y + size[1] + 4)
    if percents:
        x = MARGIN + size[0] + _GAP
        bars = attention_view(percents, film, (_BARS_WIDTH, size[1]))
        page.paste(bars, (x, y))
        paragraph("Attention, mean of the networks, per cent. The mark: evenly shared.", SMALL, _BARS_WIDTH).draw(page, x, y + size[1] + 4)
    draw_all(page, below, MARGIN, y + height)
    return page


def film_view(film: NormalisedFilm, measurement: CxrMeasurement, size: tuple[int, int]) -> Image.Image:
    """The film with the fourteen regions, numbered as in the list beside it, and the sixteen landmarks.

    Parameters
    ----------
    size
        Width and height in pixels into which it is fitted, its aspect kept.
    """
    rows, columns = film.image.shape
    factor = min(size[0] / columns, size[1] / rows)
    grey = np.rint(np.clip(film.image, 0.0, 1.0) * 255).astype(np.uint8)
    shown = Image.fromarray(grey).resize((round(columns * factor), round(rows * factor)), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(shown)
    boxes = measurement.estimate.rois.boxes * factor
    for shade, width in ((BLACK, 5), (WHITE, 2)):
        for top, left, bottom, right in boxes:
            pen.rectangle([left, top, right, bottom], outline=shade, width=width)
    for row, column in (measurement.estimate.landmarks + 0.5) * factor:
        pen.ellipse([column - 6, row - 6, column + 6, row + 6], fill=WHITE, outline=BLACK, width=2)
    for number, (top, left, _, _) in enumerate(boxes, start=1):
        place = (max(4.0, left + 6), max(2.0, top + 3))
        pen.text(place, str(number), font=_NUMBER.font, fill=WHITE, stroke_width=3, stroke_fill=BLACK)
    return shown


def attention_view(percents: dict[str, int], film: NormalisedFilm, size: tuple[int, int]) -> Image.Image:
    """A bar for each region, numbered as on the film, as wide as its share, across it a mark where every share were the same."""
    view = Image.new("L", size, BACKGROUND)
    pen = ImageDraw.Draw(view)
    step = size[1] / len(REGION_NAMES)
    style = Style(size=max(11, min(20, round(step * 0.36))), grey=LIGHT)
    room = size[0] - 60  # the shares stand in a column of their own, clear of bars and marks
    scale = room / max(*percents.values(), 1)
    even = 100 / len(percents) * scale
    for index, name in enumerate(REGION_NAMES):
        y = index * step
        number = "" if name == WHOLE else f"{ROI_NAMES.index(name) + 1}  "
        pen.text((0, y), f"{number}{region_words(name, sides=sides_of(film))}", font=style.font, fill=LIGHT)
        top, bottom = y + style.line_height, y + step - 4
        pen.rectangle([0, top, max(1.0, percents[name] * scale), bottom], fill=GREY)
        pen.line([(even, top), (even, bottom)], fill=WHITE, width=3)
        pen.text((size[0] - 8, (top + bottom) / 2), str(percents[name]), font=style.font, fill=WHITE, anchor="rm")
    return view


def _caption(film: NormalisedFilm, measurement: CxrMeasurement) -> str:
    side = "" if film.side_certain else " Which side is the patient's left is not known."
    found = measurement.landmark_model
    return (
        f"The film as it was read, bone bright. Dots: landmarks, boxes: regions, both by {found.name}, a {origin(found)}. "
        f"Networks see these regions and the whole film.{side}"
    )


def _below(findings: Findings, cxr: CxrFindings, context: ResultContext, factor: float) -> list[Drawable]:
    small, bold, fine = (style.scaled(factor) for style in (SMALL, BOLD, FINE_PRINT))
    blocks: list[Drawable] = []
    if cxr.measurement is not None:
        blocks += level_table(cxr.measurement, factor)
    blocks += [Block(lines=(), after=round(8 * factor))]
    blocks += [paragraph(f"! {wording.notice_text(w)}", bold, INNER, hanging=24, after=2) for w in findings.warnings]
    lines = page_lines(cxr)
    if findings.skipped:
        lines.append(f"Not used: {len(findings.skipped)} other instance(s) of the study; the text report says why.")
    blocks += [paragraph(line, small, INNER, after=2) for line in lines]
    return blocks + [paragraph(line, fine, INNER) for line in wording.provenance_lines(findings, context)]


def level_table(measurement: CxrMeasurement, factor: float) -> list[Drawable]:
    """A row for each level; a low one stands black on white."""
    head = Style(size=18, bold=True, grey=GREY).scaled(factor)
    rows: list[Drawable] = [Row(cells=tuple(Cell(text=text, style=head) for text in _HEADINGS), columns=_COLUMNS, padding=2)]
    return rows + [_level_row(level, factor) for level in measurement.reading.levels]


def _level_row(level: LevelReading, factor: float) -> Row:
    style = Style(size=23, bold=bool(level.low), grey=WHITE).scaled(factor)
    spread = "-" if level.spread_g_cm2 is None else f"SD {level.spread_g_cm2:.2f}"
    t_spread = "-" if level.t_spread is None else f"SD {level.t_spread:.1f}"
    score = "-" if level.t_score is None else f"{level.t_score + 0.0:.1f}"
    verdict = {True: "at or below", False: "above", None: "not compared: no reference"}[level.low]
    if level.members_low is not None and not level.certain:
        verdict = f"{verdict}; {level.members_low} of {level.members} networks say at or below"
    texts = (level.level, f"{level.bmd_g_cm2:.2f}", spread, score, t_spread, f"{level.threshold:g}", verdict)
    cells = tuple(Cell(text=text, style=style, inverse=bool(level.low) and index == 3) for index, text in enumerate(texts))
    return Row(cells=cells, columns=_COLUMNS, padding=3)
