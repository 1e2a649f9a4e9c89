"""The page of a densitometry study: whose value it is, where L1 to L4 lie on the scan, and beside it what the model was given.

Print that was found on the scan is blanked, and so is everything around it: the page shows bone and soft tissue, not a report.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from inference.dxa.crop import SpineRoi
from inference.dxa.patient import LEVELS
from inference.dxa.pixels import GreyArray
from inference.findings import Findings
from node.results import wording
from node.results.density_class import density_class_lines, origin
from node.results.dxa import device_lines, image_line
from node.results.objects import ResultContext
from node.results.page_text import BLACK, DARK, WHITE, Drawable, Style, draw_all, paragraph
from node.results.picture import BACKGROUND, BOLD, FINE_PRINT, HEIGHT, INNER, MARGIN, SMALL, WIDTH, draw_title, fit_below

_GAP: Final = 20
_CAPTION: Final = 88
MAX_VIEWS_HEIGHT: Final = 1160
"""A spine scan is about 1.4 times as tall as wide."""
_LABEL: Final = Style(size=24, bold=True)


def draw_dxa_page(findings: Findings, context: ResultContext) -> Image.Image:
    """The page of a densitometry study with a used image.

    Returns
    -------
    PIL.Image.Image
        Mode ``L``, 1600 x 2000 pixels. The same findings give the same pixels.

    Raises
    ------
    ValueError
        No image is used.
    """
    used = findings.dxa.used if findings.dxa is not None else None
    if used is None or used.roi is None or used.scan is None:
        raise ValueError("a page needs the image that is used")
    page = Image.new("L", (WIDTH, HEIGHT), BACKGROUND)
    y = draw_title(page, findings)
    below, views_height = fit_below(lambda factor: _below(findings, context, factor), HEIGHT - MARGIN - y, MAX_VIEWS_HEIGHT)
    size = ((INNER - _GAP) // 2, views_height - _CAPTION)
    views = (scan_view(used.scan, used.roi, size), crop_view(used.roi, size))
    for number, (view, caption) in enumerate(zip(views, _captions(findings, used.roi), strict=True)):
        x = MARGIN + number * (size[0] + _GAP)
        page.paste(view, (x + (size[0] - view.width) // 2, y + (size[1] - view.height) // 2))
        ImageDraw.Draw(page).rectangle([x - 1, y - 1, x + size[0], y + size[1]], outline=DARK)
        paragraph(caption, SMALL, size[0]).draw(page, x, y + size[1] + 4)
    draw_all(page, below, MARGIN, y + views_height)
    return page


def scan_view(scan: GreyArray, roi: SpineRoi, size: tuple[int, int]) -> Image.Image:
    """The scan with the box of the crop, the five discs, and the levels' names.

    Parameters
    ----------
    scan
        float32 (rows, columns), 0 to 1, bone bright.
    size
        Width and height in pixels into which it is fitted, its aspect kept.
    """
    factor = min(size[0] / scan.shape[1], size[1] / scan.shape[0])
    shown = Image.fromarray(_bytes(scan)).resize((round(scan.shape[1] * factor), round(scan.shape[0] * factor)), Image.Resampling.BICUBIC)
    top, left, bottom, right = (edge * factor for edge in roi.box)
    rows = [(row + 0.5) * factor for row in roi.discs]
    pen = ImageDraw.Draw(shown)
    for grey, width in ((BLACK, 6), (WHITE, 3)):
        pen.rectangle([left, top, right, bottom], outline=grey, width=width)
        for row in rows:
            pen.line([(left, row), (right, row)], fill=grey, width=max(width - 1, 2))
    for level, above, below in zip(LEVELS, rows[:-1], rows[1:], strict=True):
        name = level if roi.levels_certain else f"{level}?"
        x = max(4.0, left - 12 - _LABEL.font.getlength(name))
        pen.text((x, (above + below) / 2 - _LABEL.size / 2), name, font=_LABEL.font, fill=WHITE, stroke_width=3, stroke_fill=BLACK)
    return shown


def crop_view(roi: SpineRoi, size: tuple[int, int]) -> Image.Image:
    """The crop as the network gets it, enlarged without smoothing."""
    height, width = roi.image.shape
    factor = min(size[0] / width, size[1] / height)
    return Image.fromarray(_bytes(roi.image)).resize((round(width * factor), round(height * factor)), Image.Resampling.NEAREST)


def _bytes(grey: GreyArray) -> NDArray[np.uint8]:
    return np.rint(np.clip(grey, 0.0, 1.0) * 255).astype(np.uint8)


def _captions(findings: Findings, roi: SpineRoi) -> tuple[str, str]:
    density = findings.density_class
    height, width = roi.image.shape
    certain = "" if roi.levels_certain else " Which bodies are L1 to L4 is not certain."
    by = f"a {origin(density.model)}" if density is not None and density.model is not None else "no model"
    return (
        f"The AP spine, bone bright, border and print blanked. Box: L1 to L4 as cropped; lines across it: discs.{certain}",
        f"The crop of {width} x {height} pixels, read by {by}. All beside the column is blanked with the grey of soft tissue.",
    )


def _below(findings: Findings, context: ResultContext, factor: float) -> list[Drawable]:
    small, bold, fine = (style.scaled(factor) for style in (SMALL, BOLD, FINE_PRINT))
    blocks: list[Drawable] = [paragraph(f"! {wording.notice_text(w)}", bold, INNER, hanging=24, after=2) for w in findings.warnings]
    if findings.dxa is None:
        return blocks
    blocks += [paragraph(line, small, INNER, after=2) for line in device_lines(findings.dxa)]
    blocks += [paragraph(line, bold, INNER, after=4) for line in density_class_lines(findings)]
    lines = [image_line(findings.dxa, quoting=False)]
    if findings.skipped:
        lines.append(f"Not used: {len(findings.skipped)} other instance(s) of the study; the text report says why.")
    blocks += [paragraph(line, small, INNER, after=4) for line in lines]
    return blocks + [paragraph(line, fine, INNER) for line in wording.provenance_lines(findings, context)]
