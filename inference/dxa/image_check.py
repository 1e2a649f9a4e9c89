"""Which region an image shows, as far as the image itself says: a column of vertebrae between two like flanks, a page, or neither.

The limits were set on simulated scans of three devices and lie far from both sides there; chest films, a leg, a scout and a dog's thorax
(real images) are refused by them. ``docs/dxa.md`` has the figures.
"""

from dataclasses import dataclass

import numpy as np

from inference.dxa.area import ScanArea
from inference.dxa.column import Column
from inference.dxa.pixels import DxaPixels

_ASPECT = (0.85, 2.15)
"""Rows over columns of a spine scan. A lateral assessment reaches from T4 to L5 and is longer."""
_WIDTH_SHARE = (0.12, 0.46)
"""Width of the column over that of the scan. In a total body it is below 0.1."""
_MIN_DISCS = 5
_MIN_DISC_DEPTH = 0.08
_MIN_COVERED = 0.45
"""The discs reach over at least this share of the scan's rows."""
_MAX_ASYMMETRY = 0.8
"""Mean difference between the two flanks, over the contrast of the column. Lateral views lie above 2."""
_MIN_ROWS = 0.6
_MAX_BEND = 0.3
_FLANK = (0.55, 1.6)


@dataclass(frozen=True, kw_only=True)
class Looks:
    """What is measured of an image; everything but ``aspect`` needs a column.

    Attributes
    ----------
    aspect
        Rows over columns of the scan.
    width_share
        Width of the column over that of the scan.
    discs, disc_depth, covered
        How many, how much darker than the bodies (over the column's contrast), and over which share of the scan's rows.
    asymmetry
        Of the flanks: :func:`flank_asymmetry`.
    rows
        Share of the rows in which the column stands out.
    bend
        How far the column strays sideways in the middle two thirds of the rows, over the scan's width.
    """

    aspect: float
    width_share: float
    discs: int
    disc_depth: float
    covered: float
    asymmetry: float
    rows: float
    bend: float


@dataclass(frozen=True, kw_only=True)
class ImageCheck:
    """What the image tells.

    Attributes
    ----------
    doubts
        Why it is no AP spine, each in words; empty where it looks like one.
    seen
        What was measured, in words.
    """

    doubts: tuple[str, ...]
    seen: str


def check_image(pixels: DxaPixels, area: ScanArea, column: Column | None) -> ImageCheck:
    """Compare an image with what an AP spine looks like. Pages are told apart by :attr:`ScanArea.is_page`."""
    aspect = _aspect(area)
    doubts = [] if _ASPECT[0] <= aspect <= _ASPECT[1] else [f"the scan is {aspect:.1f} times as tall as wide"]
    if column is None:
        first, left, last, right = area.box
        seen = f"{last - first} x {right - left} pixels of scan"
        return ImageCheck(doubts=(*doubts, "no column of vertebrae runs through it"), seen=seen)
    looks = looks_of(pixels, area, column)
    limits = (
        (_WIDTH_SHARE[0] <= looks.width_share <= _WIDTH_SHARE[1], f"its column takes {100 * looks.width_share:.0f} % of the width"),
        (looks.discs >= _MIN_DISCS, f"{looks.discs} discs are seen"),
        (looks.disc_depth >= _MIN_DISC_DEPTH, "what could be discs is hardly darker than the bodies"),
        (looks.covered >= _MIN_COVERED, f"discs cover {100 * looks.covered:.0f} % of the height"),
        (looks.asymmetry <= _MAX_ASYMMETRY, "its two sides are unlike"),
        (looks.rows >= _MIN_ROWS, f"the column stands out in {100 * looks.rows:.0f} % of the rows"),
        (looks.bend <= _MAX_BEND, "the column bends across the image"),
    )
    doubts += [text for holds, text in limits if not holds]
    share = 100 * looks.width_share
    seen = f"a column {share:.0f} % of the scan's width with {looks.discs} discs, and flanks that are alike"
    return ImageCheck(doubts=tuple(doubts), seen=seen)


def looks_of(pixels: DxaPixels, area: ScanArea, column: Column) -> Looks:
    """Measure an image on which a column was found."""
    first, left, last, right = area.box
    inner = column.centre[first + (last - first) // 6 : last - (last - first) // 6]
    return Looks(
        aspect=_aspect(area),
        width_share=column.width / (right - left),
        discs=len(column.discs),
        disc_depth=column.disc_depth,
        covered=(column.discs[-1] - column.discs[0]) / (last - first) if column.discs else 0.0,
        asymmetry=flank_asymmetry(pixels, area, column),
        rows=column.share_of_rows,
        bend=float(np.ptp(inner)) / (right - left),
    )


def _aspect(area: ScanArea) -> float:
    first, left, last, right = area.box
    return (last - first) / max(right - left, 1)


def flank_asymmetry(pixels: DxaPixels, area: ScanArea, column: Column) -> float:
    """Mean difference of the grey left and right of the column (medians along it), over the column's contrast."""
    first, left, last, right = area.box
    rows = np.arange(first + (last - first) // 6, last - (last - first) // 6)
    sides = []
    for side in (-1, 1):
        columns = column.centre[rows, None] + side * np.linspace(*_FLANK, 40)[None, :] * column.width
        within = (columns >= left) & (columns <= right - 1)
        grey = pixels.grey[rows[:, None], np.clip(np.rint(columns), 0, pixels.grey.shape[1] - 1).astype(np.int64)]
        known = np.where(
            within & area.inside[rows[:, None], np.clip(np.rint(columns), 0, pixels.grey.shape[1] - 1).astype(np.int64)], grey, np.nan
        )
        enough = np.isfinite(known).mean(axis=0) > 0.3
        sides.append(np.array([np.nanmedian(known[:, k]) if enough[k] else np.nan for k in range(known.shape[1])]))
    difference = np.abs(sides[0] - sides[1])
    return float(np.nanmean(difference)) / column.contrast if np.isfinite(difference).any() else 0.0
