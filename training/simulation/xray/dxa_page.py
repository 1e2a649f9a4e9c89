"""What a densitometer prints: white borders around a scan, and a report page with a table of T-scores."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from training.simulation.xray.dxa import SimulatedDxa

NOTICE = "SIMULATED PATIENT - research use"
_PAGE = (800, 1040)
_SCAN_BOX = (40, 130, 380, 640)
_CURVE_BOX = (430, 130, 760, 400)
_BANDS = ((-1.0, (178, 223, 170)), (-2.5, (250, 236, 160)), (-np.inf, (244, 178, 166)))


def with_border_polygons(image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """White polygons along both sides of a scan, of random width; the spine stays free."""
    rng = np.random.default_rng((seed, 47))
    rows, columns = image.shape
    knots = np.linspace(0, rows - 1, 5)
    out = image.copy()
    for side in (0, 1):
        width = np.interp(np.arange(rows), knots, rng.uniform(0.01, 0.10, 5) * columns)
        distance = np.arange(columns)[None, :] if side == 0 else columns - 1 - np.arange(columns)[None, :]
        out[distance < width[:, None]] = 255
    return out


def report_page(scan: SimulatedDxa) -> NDArray[np.uint8]:
    """RGB page (rows, columns, 3): the scan with its regions, the reference curve with the patient in it, the table."""
    page = Image.new("RGB", _PAGE, "white")
    draw = ImageDraw.Draw(page)
    device = scan.acquisition.densitometer
    draw.text((40, 30), f"{NOTICE}", font=_font(22), fill="black")
    draw.text(
        (40, 64), f"DXA  AP Spine   {device.name} style   {scan.patient.sex}, {scan.patient.age_years} years", font=_font(18), fill="black"
    )
    _draw_scan(page, draw, scan)
    _draw_curve(draw, scan)
    _draw_table(draw, scan)
    return np.asarray(page, dtype=np.uint8)


def _draw_scan(page: Image.Image, draw: ImageDraw.ImageDraw, scan: SimulatedDxa) -> None:
    """The image in its box, with a line above and below each level and its name."""
    left, top, right, bottom = _SCAN_BOX
    rows, columns = scan.image.shape
    scale = min((right - left) / columns, (bottom - top) / rows)
    small = Image.fromarray(scan.image).resize((round(columns * scale), round(rows * scale)), Image.Resampling.BICUBIC)
    page.paste(small.convert("RGB"), (left, top))
    for level in scan.levels:
        first, start, last, stop = (value * scale for value in level.box)
        draw.rectangle((left + start, top + first, left + stop, top + last), outline=(250, 220, 80))
        draw.text((left + 8, top + (first + last) / 2 - 9), level.level, font=_font(16), fill=(250, 220, 80))


def _draw_curve(draw: ImageDraw.ImageDraw, scan: SimulatedDxa) -> None:
    """Bands of the T-score over age, falling as the reference does, and the patient."""
    left, top, right, bottom = _CURVE_BOX
    device = scan.acquisition.densitometer

    def height(bmd: float) -> float:
        return float(np.clip(bottom - (bmd - 0.4) / 1.2 * (bottom - top), top, bottom))

    upper: float = top
    for limit, colour in _BANDS:
        lower = height(device.reference_g_cm2 + limit * device.reference_sd_g_cm2) if np.isfinite(limit) else float(bottom)
        draw.rectangle((left, upper, right, lower), fill=colour)
        upper = lower
    draw.rectangle(_CURVE_BOX, outline="black")
    x = left + (np.clip(scan.patient.age_years, 20, 95) - 20) / 75 * (right - left)
    y = height(scan.total.bmd_g_cm2)
    draw.ellipse((x - 6, y - 6, x + 6, y + 6), outline="black", width=2)
    draw.text((left, bottom + 8), "age 20 to 95 years; BMD 0.4 to 1.6 g/cm2", font=_font(14), fill="black")


def _draw_table(draw: ImageDraw.ImageDraw, scan: SimulatedDxa) -> None:
    columns = (("Region", 40), ("Area (cm2)", 200), ("BMC (g)", 350), ("BMD (g/cm2)", 480), ("T-score", 660))
    for title, x in columns:
        draw.text((x, 690), title, font=_font(17), fill="black")
    draw.line((40, 716, 760, 716), fill="black")
    for row, level in enumerate((*scan.levels, scan.total)):
        cells = (level.level, f"{level.area_cm2:.2f}", f"{level.bmc_g:.2f}", f"{level.bmd_g_cm2:.3f}", f"{level.t_score:.1f}")
        for cell, (_, x) in zip(cells, columns, strict=True):
            draw.text((x, 726 + 30 * row), cell, font=_font(17), fill="black")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
