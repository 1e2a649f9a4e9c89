"""Pictures that the tests of DXA share: simulated scans, and print on them."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from inference.dxa.pixels import COLOUR_DIFFERENCE, DxaPixels
from tests.training.xray_patients import COARSE_MM, dxa, spine_patient
from training.simulation.xray.dxa import DxaParameters, SimulatedDxa
from training.simulation.xray.dxa_page import with_border_polygons
from training.simulation.xray.regions import RegionScan, simulate_regions

DEVICES = ("Hologic", "GE Lunar", "MEDIX")
Picture = NDArray[np.uint8]


@cache
def bordered(device: str) -> Picture:
    """The scan as the device exports it."""
    scan = dxa(device)
    return with_border_polygons(scan.image, 5) if device == "GE Lunar" else scan.image


@cache
def regions() -> dict[str, RegionScan]:
    """Every other region of the same patient, by its name."""
    found = simulate_regions(spine_patient(), DxaParameters(device="GE Lunar", paint_spacing_mm=COARSE_MM), spacing_mm=4.0)
    return {scan.region.value: scan for scan in found}


def pixels(picture: Picture) -> DxaPixels:
    """A grey or RGB picture as the crop gets it."""
    scaled = picture.astype(np.float32) / np.float32(255)
    if picture.ndim == 2:
        return DxaPixels(grey=scaled, coloured=np.zeros(picture.shape, dtype=np.bool_), said="grey, 8 bit")
    coloured = (scaled.max(axis=-1) - scaled.min(axis=-1)) > COLOUR_DIFFERENCE
    return DxaPixels(grey=scaled.mean(axis=-1, dtype=np.float32), coloured=coloured, said="RGB, 8 bit")


def printed(picture: Picture, text: str, at: tuple[int, int], size: int = 14, fill: object = 255) -> Picture:
    """The picture with a text whose first letter begins at (column, row)."""
    page = Image.fromarray(picture)
    ImageDraw.Draw(page).text(at, text, fill=fill, font=ImageFont.load_default(size=size))
    return np.asarray(page, dtype=np.uint8)


def true_discs(scan: SimulatedDxa) -> list[float]:
    """Rows from T12/L1 to L4/L5: where the device's own boxes of the levels meet."""
    tops, bottoms = [level.box[0] for level in scan.levels], [level.box[2] for level in scan.levels]
    between = [(above + below) / 2 for above, below in zip(bottoms[:-1], tops[1:], strict=True)]
    return [float(tops[0]), *between, float(bottoms[-1])]
