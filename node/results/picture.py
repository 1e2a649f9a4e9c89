"""One page that a radiologist reads in ten seconds: the answer, where it was measured, every level with why, and what to mind.

Grey-scale alone: no meaning hangs on colour. No name, ID or date is printed, so the page identifies nobody.
"""

from collections.abc import Callable
from typing import Final

from PIL import Image, ImageDraw

from inference.findings import Band, Findings, VertebraFinding
from inference.rounding import round_hu
from node.results import wording
from node.results.experts import page_lines
from node.results.headline import advice, headline
from node.results.objects import ResultContext
from node.results.page_opinions import opinion_blocks
from node.results.page_table import table
from node.results.page_text import (
    BLACK,
    DARK,
    GREY,
    LIGHT,
    WHITE,
    Block,
    Drawable,
    Style,
    draw_all,
    fit,
    paragraph,
    total_height,
)
from node.results.page_views import axial_view, draw_view, sagittal_labels, sagittal_view
from node.results.second_reader import second_reader_lines

WIDTH: Final = 1600
HEIGHT: Final = 2000
MARGIN: Final = 44
INNER: Final = WIDTH - 2 * MARGIN
BACKGROUND: Final = 12
MIN_VIEWS_HEIGHT: Final = 420
MAX_VIEWS_HEIGHT: Final = 1000
SCALE_HU: Final = (0.0, 300.0)

SMALL: Final = Style(size=21, grey=LIGHT)
BOLD: Final = Style(size=21, bold=True, grey=WHITE)
FINE_PRINT: Final = Style(size=17, grey=GREY)


def draw_page(findings: Findings, context: ResultContext) -> Image.Image:
    """The page of a study with at least one body.

    Returns
    -------
    PIL.Image.Image
        Mode ``L``, 1600 x 2000 pixels. The same findings give the same pixels.

    Raises
    ------
    ValueError
        There are no images or no bodies to draw.
    """
    if findings.images is None or not findings.vertebrae:
        raise ValueError("a page needs images and at least one body")
    page = Image.new("L", (WIDTH, HEIGHT), BACKGROUND)
    y = draw_title(page, findings)
    below, views_height = fit_below(lambda factor: _below(findings, context, factor), HEIGHT - MARGIN - y)
    y = _draw_views(page, findings, y, views_height)
    draw_all(page, below, MARGIN, y)
    return page


def fit_below(build: Callable[[float], list[Drawable]], available: int, tallest: int = MAX_VIEWS_HEIGHT) -> tuple[list[Drawable], int]:
    """The blocks below the views, in the largest type that leaves the views their least height; cut as the last resort.

    Parameters
    ----------
    build
        Makes the blocks for a size of the type, 1.0 at most.
    available
        Pixels for views and blocks together.
    tallest
        The views' greatest height.

    Returns
    -------
    tuple
        Blocks, and the height of the views.
    """
    blocks: list[Drawable] = []
    for factor in (1.0, 0.92, 0.85, 0.78, 0.7, 0.62):
        blocks = build(factor)
        rest = available - total_height(blocks)
        if rest >= MIN_VIEWS_HEIGHT:
            return blocks, min(rest, tallest)
    note = paragraph("More is said in the text report of this study.", BOLD, INNER)
    while blocks and available - total_height(blocks) - note.height < MIN_VIEWS_HEIGHT:
        blocks.pop()
    return [*blocks, note], MIN_VIEWS_HEIGHT


def draw_title(page: Image.Image, findings: Findings) -> int:
    """The answer on white, the scale with its thresholds, the notice. Returns the y below."""
    head = headline(findings)
    style = fit(head.title, Style(size=62, bold=True, grey=BLACK), INNER - 40, smallest=34)
    title = paragraph(head.title, style, INNER - 40)
    detail = paragraph(head.detail, Style(size=29, grey=BLACK), INNER - 40)
    advised = advice(findings)
    todo = paragraph(advised, Style(size=27, bold=True, grey=BLACK), INNER - 40) if advised else Block(lines=())
    box_height = title.height + detail.height + todo.height + 34
    ImageDraw.Draw(page).rectangle([MARGIN, 30, WIDTH - MARGIN, 30 + box_height], fill=235)
    y = title.draw(page, MARGIN + 20, 42)
    y = detail.draw(page, MARGIN + 20, y + 4)
    todo.draw(page, MARGIN + 20, y)
    y = 30 + box_height + 16
    if findings.reason is None:
        y = _draw_scale(page, findings, y)
    notice = paragraph(wording.research_notice(), Style(size=27, bold=True, grey=WHITE), INNER, after=14)
    return notice.draw(page, MARGIN, y)


def _draw_scale(page: Image.Image, findings: Findings, y: int) -> int:
    """Bands side by side with their names, a marker at the value, and every threshold with its source below."""
    summary = findings.summary
    if summary is None or summary.attenuation_hu is None or summary.band is None:
        return y
    pen = ImageDraw.Draw(page)
    edges = sorted(float(t.hu) for t in summary.thresholds)
    low = min(SCALE_HU[0], summary.attenuation_hu - 20)
    high = max(SCALE_HU[1], summary.attenuation_hu + 20, *(edge + 40 for edge in edges))
    top, bottom = y + 34, y + 92

    def x_of(hu: float) -> float:
        return MARGIN + (hu - low) / (high - low) * INNER

    bounds = [low, *edges, high]
    bands = [Band.LOW, *([Band.INTERMEDIATE] * (len(edges) - 1)), Band.ABOVE] if edges else []
    for band, start, stop in zip(bands, bounds[:-1], bounds[1:], strict=False):
        active = band is summary.band
        pen.rectangle([x_of(start), top, x_of(stop), bottom], fill=WHITE if active else 45, outline=GREY, width=2)
        name = {Band.LOW: "LOW", Band.INTERMEDIATE: "BETWEEN", Band.ABOVE: "ABOVE BOTH"}[band]
        style = fit(name, Style(size=26, bold=True), int(x_of(stop) - x_of(start)) - 10, smallest=12)
        width = style.font.getlength(name)
        pen.text(((x_of(start) + x_of(stop) - width) / 2, top + 13), name, font=style.font, fill=BLACK if active else LIGHT)
    small = Style(size=22, bold=True)
    for edge in edges:
        text = f"{round_hu(edge)} HU"
        pen.text((x_of(edge) - small.font.getlength(text) / 2, bottom + 5), text, font=small.font, fill=WHITE)
    x = x_of(summary.attenuation_hu)
    value = f"{round_hu(summary.attenuation_hu)} HU"
    pen.polygon([(x, top + 12), (x - 15, top - 14), (x + 15, top - 14)], fill=WHITE, outline=BLACK)
    side = x + 22 if x + 22 + small.font.getlength(value) < WIDTH - MARGIN else x - 22 - small.font.getlength(value)
    pen.text((side, top - 32), value, font=small.font, fill=WHITE)
    y = bottom + 38
    for line in wording.threshold_lines(findings):
        y = paragraph(line, Style(size=20, grey=LIGHT), INNER).draw(page, MARGIN, y)
    return y + 8


def _draw_views(page: Image.Image, findings: Findings, y: int, height: int) -> int:
    images = findings.images
    if images is None:
        return y
    gap, caption = 20, 62
    size = ((INNER - gap) // 2, height - caption)
    voxel_mm = max(images.volume.spacing_mm)
    shown = _axial_vertebra(findings)
    kind, statistic = wording.shown_statistic(findings)
    sagittal = draw_view(sagittal_view(images, findings.vertebrae, size), findings, sagittal_labels(findings), voxel_mm)
    axial = draw_view(axial_view(images, shown, size), findings, {}, voxel_mm)
    style = Style(size=20, grey=LIGHT)
    pen = ImageDraw.Draw(page)
    second = " Fine dashes: second reader." if findings.second_reader is not None else ""
    captions = (
        f"Sagittal through the bodies; {statistic} HU of the {wording.ROI_NAME[kind]}. Dashed: excluded.{second}",
        f"{wording.level_name(shown)} at mid-height, seen from the feet. Thin line: core. Dotted: ellipse.{second}",
    )
    for image, x, text in ((sagittal, MARGIN, captions[0]), (axial, MARGIN + size[0] + gap, captions[1])):
        page.paste(image, (x + (size[0] - image.width) // 2, y + (size[1] - image.height) // 2))
        pen.rectangle([x - 1, y - 1, x + size[0], y + size[1]], outline=DARK)
        paragraph(text, style, size[0]).draw(page, x, y + size[1] + 4)
    return y + height


def _axial_vertebra(findings: Findings) -> VertebraFinding:
    """The body that carries the band; else the first used one; else the middle one."""
    reported = wording.reported_vertebra(findings)
    if reported is not None:
        return reported
    used = [v for v in findings.vertebrae if v.used]
    return used[0] if used else findings.vertebrae[len(findings.vertebrae) // 2]


def _below(findings: Findings, context: ResultContext, factor: float) -> list[Drawable]:
    small, bold, fine = (style.scaled(factor) for style in (SMALL, BOLD, FINE_PRINT))
    blocks: list[Drawable] = [
        *opinion_blocks(findings, INNER, factor),
        *table(findings, INNER, factor),
        Block(lines=(), after=round(10 * factor)),
    ]
    blocks += [paragraph(f"! {wording.notice_text(w)}", bold, INNER, hanging=24, after=2) for w in findings.warnings]
    lines = (
        *page_lines(findings),
        *second_reader_lines(findings),
        *wording.density_lines(findings),
        *wording.correction_lines(findings),
    )
    blocks += [paragraph(line, small, INNER) for line in lines]
    if findings.level_because:
        blocks.append(paragraph(wording.ascii_text(f"Levels named by: {findings.level_because}"), small, INNER))
    if findings.acquisition is not None:
        blocks.append(paragraph(wording.acquisition_text(findings.acquisition, with_description=False), small, INNER, after=6))
    blocks += [paragraph(line, fine, INNER) for line in wording.provenance_lines(findings, context)]
    return blocks
