"""Crop before classify: L1 to L4 and a margin of soft tissue, as float32 for a network, with everything else blanked.

A network that sees a printed "T -3.1" reads it. Print, borders and tables therefore never reach it: only a strip about the column is kept,
all else is one grey value read from the strip itself, and an image with letters inside the strip is refused rather than mended.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.dxa.area import ScanArea, find_area
from inference.dxa.column import READ_ZONE, Column, find_column
from inference.dxa.pixels import DxaPixels, GreyArray, Mask
from inference.errors import ReasonCode, Refusal

KEPT = 0.80
"""Half the width of the strip that is kept, in widths of the column: the bodies whole, and soft tissue beside them to compare with."""
_ABOVE_BELOW = 0.10
"""Kept above L1 and below L4, in widths of the column."""
_CREST_SLACK = 0.08
"""The crests beside the column begin at most this much above the disc L4/L5, in widths."""
_CREST_BELOW_L4, _PITCH = 0.6, 0.92
"""On simulated scans, in widths of the column: from the disc L4/L5 down to the crests, and from disc to disc."""
_LEVELS = 4
_MIN_WIDTH_PIXELS = 16
_MIN_SHARE_OF_ROWS = 0.7
_LINE_SHARE = 0.35
"""A drawn line runs straight for at least this share of the column's width; strokes of letters are shorter."""
_MAX_DRAWN_SHARE = 0.20


@dataclass(frozen=True, kw_only=True)
class SpineRoi:
    """L1 to L4 on the picture, and the crop.

    Attributes
    ----------
    image
        float32 (height, width), 0 to 1, bone bright, aspect kept; blanked pixels hold ``fill``.
    box
        First row, first column, one past the last row and column, on the picture as stored.
    discs
        Rows of the five discs from T12/L1 to L4/L5 on the picture.
    fill
        Grey of the blanked pixels: the soft tissue beside the column.
    levels_certain
        Whether the iliac crests tell which bodies are L1 to L4; otherwise they are the lowest four that fit.
    inverted
        The header's polarity was wrong and was turned.
    because
        How the region was found, in words.
    """

    image: GreyArray
    box: tuple[int, int, int, int]
    discs: tuple[float, ...]
    fill: float
    levels_certain: bool
    inverted: bool
    because: str


def crop_spine(pixels: DxaPixels, size: tuple[int, int]) -> SpineRoi:
    """Find L1 to L4 and crop them.

    Parameters
    ----------
    pixels
        The picture.
    size
        Height and width of the crop, for instance (150, 150); the aspect is kept, what remains is filled.

    Raises
    ------
    Refusal
        ``SPINE_NOT_FOUND`` without a column; ``ROI_TOO_SMALL`` where a vertebra has too few pixels; ``L1_NOT_IN_VIEW`` where fewer than
        four bodies stand above the crests; ``BURNED_IN_TEXT`` where letters stand on the column or close beside it.
    """
    area = find_area(pixels)
    column, turned = column_of(pixels, area)
    if column is None:
        raise Refusal(ReasonCode.SPINE_NOT_FOUND, "No column of vertebrae with soft tissue on both sides runs through the image.")
    return crop_found(pixels, area, column, size, turned=turned)


def crop_found(pixels: DxaPixels, area: ScanArea, column: Column, size: tuple[int, int], *, turned: bool) -> SpineRoi:
    """As :func:`crop_spine`, once area and column are known; ``turned`` where the column shows on the inverted picture.

    Raises
    ------
    Refusal
        As :func:`crop_spine`.
    """
    if column.width < _MIN_WIDTH_PIXELS:
        text = f"A vertebra is {column.width:.0f} pixels wide; at least {_MIN_WIDTH_PIXELS} are needed."
        raise Refusal(ReasonCode.ROI_TOO_SMALL, text)
    shown = pixels.inverted() if turned else pixels
    levels = lumbar_levels(column)
    if levels.discs[0] < 0 or levels.discs[-1] > len(column.centre) - 1:
        raise Refusal(ReasonCode.L1_NOT_IN_VIEW, "By the iliac crests, L1 to L4 are not whole in the image.")
    strip = _strip(column, levels.discs, shown.grey.shape, KEPT)
    _refuse_print(column, area)
    grey = _without_lines(shown, area, strip, column)
    image, box, fill = _cropped(grey, strip, column, size, relative=shown.relative)
    because = levels.because + ("; the polarity in the header was wrong" if turned else "")
    return SpineRoi(image=image, box=box, discs=levels.discs, fill=fill, levels_certain=levels.certain, inverted=turned, because=because)


def column_of(pixels: DxaPixels, area: ScanArea) -> tuple[Column | None, bool]:
    """The column, and whether the picture had to be inverted to show it as bone: only where discs prove it."""
    found = [find_column(_unprinted(shown.grey, area), area.inside, area.box) for shown in (pixels, pixels.inverted())]
    for column, turned in zip(found, (False, True), strict=True):
        if column is not None and len(column.discs) > _LEVELS:
            return column, turned
    upright = found[0]
    return (upright, False) if upright is not None and upright.share_of_rows >= _MIN_SHARE_OF_ROWS else (None, False)


@dataclass(frozen=True, kw_only=True)
class LumbarLevels:
    """Rows of the discs T12/L1, L1/L2 ... L4/L5, whether their names are certain, and why."""

    discs: tuple[float, ...]
    certain: bool
    because: str


def lumbar_levels(column: Column) -> LumbarLevels:
    """Name the discs of a column.

    Beside the column the crests begin at L4/L5 or L5: the last disc at or above them is L4/L5. Without crests the lowest disc is left
    out as L5/S1 where there are enough. Where the discs are not seen, the crests alone place the levels, by the proportions of a vertebra.

    Raises
    ------
    Refusal
        ``L1_NOT_IN_VIEW``.
    """
    discs, crest = column.discs, column.crest
    if crest is not None:
        above = [disc for disc in discs if disc <= crest + _CREST_SLACK * column.width]
        if len(above) > _LEVELS:
            because = f"{len(discs)} discs lie along the column, and the iliac crests name them"
            return LumbarLevels(discs=tuple(above[-_LEVELS - 1 :]), certain=True, because=because)
        if len(discs) > _LEVELS:
            text = f"{len(above)} discs lie above the iliac crests; five, from T12/L1 to L4/L5, are needed."
            raise Refusal(ReasonCode.L1_NOT_IN_VIEW, text)
        last = crest - _CREST_BELOW_L4 * column.width
        placed = tuple(last - (_LEVELS - level) * _PITCH * column.width for level in range(_LEVELS + 1))
        return LumbarLevels(discs=placed, certain=False, because="the discs are not seen; the crests place the levels by proportion")
    if len(discs) <= _LEVELS:
        raise Refusal(ReasonCode.L1_NOT_IN_VIEW, f"{len(discs)} discs are seen and no iliac crest: L1 to L4 cannot be told.")
    chosen = discs[-_LEVELS - 2 : -1] if len(discs) > _LEVELS + 1 else discs
    because = f"{len(discs)} discs lie along the column; no iliac crest names them, so the lowest four bodies that fit are taken"
    return LumbarLevels(discs=tuple(chosen), certain=False, because=because)


def _strip(column: Column, discs: tuple[float, ...], shape: tuple[int, ...], half_widths: float) -> Mask:
    """Pixels about the column from L1 to L4."""
    rows, columns = np.arange(shape[0]), np.arange(shape[1])
    margin = _ABOVE_BELOW * column.width
    within = (rows >= discs[0] - margin) & (rows <= discs[-1] + margin)
    near = np.abs(columns[None, :] - column.centre[:, None]) <= half_widths * column.width
    return np.asarray(within[:, None] & near, dtype=np.bool_)


def _refuse_print(column: Column, area: ScanArea) -> None:
    """Letters may stand anywhere but where they would be kept, or where they would move what is kept: along the whole column."""
    near = np.abs(np.arange(area.printed.shape[1])[None, :] - column.centre[:, None]) <= (max(KEPT, READ_ZONE) + 0.02) * column.width
    if (area.printed & near & area.inside).any():
        text = "Text or another sharp-edged mark stands on the spine; a model must not read it, so the image is not used."
        raise Refusal(ReasonCode.BURNED_IN_TEXT, text)


def _unprinted(grey: GreyArray, area: ScanArea) -> GreyArray:
    """The picture with print and drawing replaced by what stands beside them in the row, for finding the column."""
    marks = (area.printed | area.drawn) & area.inside
    if not marks.any():
        return grey
    known = ~marks
    nearest = ndimage.distance_transform_edt(marks, return_distances=False, return_indices=True, sampling=(4.0, 1.0))
    return np.where(known, grey, grey[tuple(nearest)])


def _without_lines(pixels: DxaPixels, area: ScanArea, strip: Mask, column: Column) -> GreyArray:
    """Coloured lines that a report draws around the levels are bridged from the pixels beside them.

    Raises
    ------
    Refusal
        ``BURNED_IN_TEXT`` where the colour is no straight line, or too much of the strip.
    """
    drawn = ndimage.binary_dilation(area.drawn, iterations=1) & area.inside
    inside = drawn & strip
    if not inside.any():
        return pixels.grey
    length = max(9, round(_LINE_SHARE * column.width))
    straight = ndimage.binary_opening(area.drawn, np.ones((1, length))) | ndimage.binary_opening(area.drawn, np.ones((length, 1)))
    rest = area.drawn & strip & ~ndimage.binary_dilation(straight, iterations=2)
    if rest.sum() > 4 or inside.sum() > _MAX_DRAWN_SHARE * max(int(strip.sum()), 1):
        raise Refusal(ReasonCode.BURNED_IN_TEXT, "Coloured letters or drawings cover the lumbar column, so the image is not used.")
    nearest = ndimage.distance_transform_edt(drawn, return_distances=False, return_indices=True)
    return np.where(drawn, pixels.grey[tuple(nearest)], pixels.grey)


def _cropped(
    grey: GreyArray, strip: Mask, column: Column, size: tuple[int, int], *, relative: bool
) -> tuple[GreyArray, tuple[int, int, int, int], float]:
    """The strip resampled into ``size``, its box and the grey of what is blanked."""
    rows, columns = np.flatnonzero(strip.any(axis=1)), np.flatnonzero(strip.any(axis=0))
    box = (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    values, kept = grey[box[0] : box[2], box[1] : box[3]], strip[box[0] : box[2], box[1] : box[3]]
    if relative:
        low, high = np.percentile(values[kept], (1, 99))
        values = np.clip((values - np.float32(low)) / np.float32(max(high - low, 1e-6)), 0, 1)
    centre = column.centre[box[0] : box[2], None]
    off = np.abs(np.arange(box[1], box[3])[None, :] - centre)
    fill = float(np.median(values[kept & (off > (KEPT - 0.1) * column.width)]))
    return _resized(np.where(kept, values, np.float32(fill)), size, fill), box, fill


def _resized(values: NDArray[np.float32], size: tuple[int, int], fill: float) -> GreyArray:
    """Linear resampling after a Gaussian as wide as the step, centred in ``size`` with the aspect kept."""
    scale = max(values.shape[0] / size[0], values.shape[1] / size[1])
    blurred = ndimage.gaussian_filter(values, 0.4 * max(scale - 1, 0.0)) if scale > 1 else values
    axes = [(np.arange(wanted) - (wanted - 1) / 2) * scale + (had - 1) / 2 for wanted, had in zip(size, values.shape, strict=True)]
    rows, columns = np.meshgrid(*axes, indexing="ij")
    out = ndimage.map_coordinates(blurred, [rows, columns], order=1, mode="constant", cval=fill)
    return np.asarray(out, dtype=np.float32)
