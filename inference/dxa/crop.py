"""Crop before classify: L1 to L4 and a margin of soft tissue, as float32 for a network, with everything else blanked.

A network that sees a printed "T -3.1" reads it. Print, borders and tables therefore never reach it: only a strip about the column is kept, all
else is one grey value read from the strip itself, and an image with letters inside the strip is refused rather than mended.
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
_LEVELS = 4
_LINE_SHARE = 0.35
"""A drawn line runs straight for at least this share of the column's width; strokes of letters are shorter."""
_MAX_DRAWN_SHARE = 0.06


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
        ``SPINE_NOT_FOUND`` without a column of vertebrae; ``L1_NOT_IN_VIEW`` where fewer than four bodies stand above the crests;
        ``BURNED_IN_TEXT`` where letters stand on the column or close beside it.
    """
    area = find_area(pixels)
    column, turned = column_of(pixels, area)
    if column is None:
        raise Refusal(ReasonCode.SPINE_NOT_FOUND, "No column of vertebrae with dark discs between them runs through the image.")
    shown = pixels.inverted() if turned else pixels
    discs, certain = lumbar_discs(column)
    strip = _strip(column, discs, shown.grey.shape, KEPT)
    _refuse_print(column, discs, area, shown.grey.shape)
    grey = _without_lines(shown, area, strip, column)
    image, box, fill = _cropped(grey, strip, column, size, relative=shown.relative)
    how = "the iliac crests name the levels" if certain else "no iliac crest shows, so the levels are the lowest four that fit"
    because = f"{len(column.discs)} discs found along the column; {how}" + ("; the polarity in the header was wrong" if turned else "")
    return SpineRoi(image=image, box=box, discs=discs, fill=fill, levels_certain=certain, inverted=turned, because=because)


def column_of(pixels: DxaPixels, area: ScanArea) -> tuple[Column | None, bool]:
    """The column with discs, and whether the picture had to be inverted to show it as bone."""
    for turned in (False, True):
        shown = pixels.inverted() if turned else pixels
        column = find_column(_unprinted(shown.grey, area), area.inside, area.box)
        if column is not None and len(column.discs) > _LEVELS:
            return column, turned
    return None, False


def lumbar_discs(column: Column) -> tuple[tuple[float, ...], bool]:
    """Rows of the discs T12/L1, L1/L2 ... L4/L5, and whether the crests settle their names.

    The crests begin beside L4/L5 or L5, at most a little above the disc L4/L5: the last disc at or above them is L4/L5. Without crests the
    lowest disc is left out as L5/S1 where there are enough.

    Raises
    ------
    Refusal
        ``L1_NOT_IN_VIEW``.
    """
    discs = column.discs
    certain = column.crest is not None
    if column.crest is not None:
        above = [disc for disc in discs if disc <= column.crest + _CREST_SLACK * column.width]
    else:
        above = list(discs[:-1]) if len(discs) > _LEVELS + 1 else list(discs)
    if len(above) <= _LEVELS:
        text = f"{len(above)} discs lie above the iliac crests; five, from T12/L1 to L4/L5, are needed."
        raise Refusal(ReasonCode.L1_NOT_IN_VIEW, text)
    return tuple(above[-_LEVELS - 1 :]), certain


def _strip(column: Column, discs: tuple[float, ...], shape: tuple[int, ...], half_widths: float) -> Mask:
    """Pixels about the column from L1 to L4."""
    rows, columns = np.arange(shape[0]), np.arange(shape[1])
    margin = _ABOVE_BELOW * column.width
    within = (rows >= discs[0] - margin) & (rows <= discs[-1] + margin)
    near = np.abs(columns[None, :] - column.centre[:, None]) <= half_widths * column.width
    return np.asarray(within[:, None] & near, dtype=np.bool_)


def _refuse_print(column: Column, discs: tuple[float, ...], area: ScanArea, shape: tuple[int, ...]) -> None:
    """Letters may stand anywhere but where they would be kept, or where they would move what is kept."""
    zone = _strip(column, discs, shape, max(KEPT, READ_ZONE) + 0.02)
    if (area.printed & zone).any():
        raise Refusal(
            ReasonCode.BURNED_IN_TEXT, "Text is printed over the lumbar column; a model must not read it, so the image is not used."
        )


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
