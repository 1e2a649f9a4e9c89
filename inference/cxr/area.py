"""What on a chest film is film: neither padding, nor the border that collimators and page makers leave, nor print."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from inference.cxr.small import area_means
from inference.dxa.area import find_print
from inference.radiograph_pixels import GreyArray, Mask, RadiographPixels

_BORDER_SIDE, _PRINT_SIDE = 320, 768
"""Borders and letters are looked for on films shrunk to this."""
_FLAT, _EXTREME = 0.006, 0.03
"""A border is black or white to within the second share of the film's own range, and its neighbouring pixels differ by less than the first:
a shutter or a page has no structure. Soft tissue has some, even where it looks white."""
_EMPTY_ROW = 0.03
"""A row or column at the edge is border where at most this share of its pixels shows something."""
_MIN_LEFT = 0.25
"""Where less than this share of the height or width would be left, nothing is cropped: what looks like border is the film."""
_PADDED = 0.5
_MAX_LETTERS = 0.08
"""Letters that a display or a printer burns in are lower than this share of the film."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class FilmArea:
    """Where the film lies in the stored image.

    Attributes
    ----------
    box
        First row, first column, and one past the last row and column.
    shown
        bool (rows, columns) over the whole image: what lies in the box, less padding and print.
    print_boxes
        Each line of burned-in letters or figures, a box as above.
    """

    box: Box
    shown: Mask
    print_boxes: tuple[Box, ...]

    @property
    def cropped(self) -> bool:
        """Whether a border was cut off."""
        return self.box != (0, 0, *self.shown.shape)


def find_area(pixels: RadiographPixels) -> FilmArea:
    """Tell the film from padding, border and print. The same for either polarity, and for every way of turning the film but for print."""
    shape = pixels.grey.shape
    print_boxes = _print_boxes(pixels)
    printed = np.zeros(shape, dtype=np.bool_)
    for top, left, bottom, right in print_boxes:
        printed[top:bottom, left:right] = True
    grey = area_means(np.where(printed, _beside(pixels.grey, printed), pixels.grey), _BORDER_SIDE)
    unknown = area_means(~pixels.known, _BORDER_SIDE) > 1 - _PADDED
    box = _box(_border(grey, unknown), area_means(printed, _BORDER_SIDE) > 0)
    down, across = shape[0] / grey.shape[0], shape[1] / grey.shape[1]
    whole = (int(box[0] * down), int(box[1] * across), int(np.ceil(box[2] * down - 1e-6)), int(np.ceil(box[3] * across - 1e-6)))
    shown = np.zeros(shape, dtype=np.bool_)
    shown[whole[0] : whole[2], whole[1] : whole[3]] = True
    return FilmArea(box=whole, shown=shown & pixels.known & ~printed, print_boxes=print_boxes)


def _print_boxes(pixels: RadiographPixels) -> tuple[Box, ...]:
    """Lines of letters, bright or dark, level or upright, as :func:`inference.dxa.area.find_print` tells them from bone."""
    shape = pixels.grey.shape
    small = area_means(pixels.grey, _PRINT_SIDE)
    low, high = (float(value) for value in np.percentile(small, (0.5, 99.5)))
    scaled = np.asarray(np.clip((small - low) / max(high - low, 1e-6), 0, 1), dtype=np.float32)
    found = find_print(scaled) | find_print(np.float32(1) - scaled)
    upright = np.rot90(scaled)
    found |= np.rot90(find_print(upright) | find_print(np.float32(1) - upright), -1)
    labels, _ = ndimage.label(found)
    down, across = shape[0] / small.shape[0], shape[1] / small.shape[1]
    boxes = [(s[0].start * down, s[1].start * across, s[0].stop * down, s[1].stop * across) for s in ndimage.find_objects(labels)]
    return tuple(
        (int(top), int(left), min(int(np.ceil(bottom)), shape[0]), min(int(np.ceil(right)), shape[1]))
        for top, left, bottom, right in boxes
        if min(bottom - top, right - left) <= _MAX_LETTERS * max(shape)
    )


def _beside(grey: GreyArray, printed: Mask) -> GreyArray:
    """The film with print filled by the nearest grey outside it."""
    filled = grey.copy()
    fill_print(filled, printed)
    return filled


def fill_print(grey: GreyArray, printed: Mask) -> None:
    """Replace, in place, each printed piece by the nearest greys around it."""
    labels, _ = ndimage.label(printed)
    for piece in ndimage.find_objects(labels):
        around = tuple(slice(max(s.start - 2, 0), s.stop + 2) for s in piece)
        marks = printed[around]
        if not marks.all():
            nearest = ndimage.distance_transform_edt(marks, return_distances=False, return_indices=True)
            grey[around] = grey[around][tuple(nearest)]


def _border(grey: GreyArray, unknown: Mask) -> Mask:
    """Padding, and black or white without any structure. A border at the edge may be broader than any filter, so each row is looked at."""
    low, high = (float(value) for value in np.percentile(grey[~unknown], (0.1, 99.9))) if not unknown.all() else (0.0, 1.0)
    scaled = (grey - low) / max(high - low, 1e-6)
    spread = ndimage.maximum_filter(scaled, size=3, mode="nearest") - ndimage.minimum_filter(scaled, size=3, mode="nearest")
    extreme = (scaled < _EXTREME) | (scaled > 1 - _EXTREME)
    return np.asarray(unknown | ((spread < _FLAT) & extreme), dtype=np.bool_)


def _box(border: Mask, printed: Mask) -> Box:
    """Rows and columns at the edges that are border, apart from print, cut off."""
    shown = ~(border | printed)
    counted = np.maximum(1, (~printed).sum(axis=1)), np.maximum(1, (~printed).sum(axis=0))
    rows = np.flatnonzero(shown.sum(axis=1) / counted[0] > _EMPTY_ROW)
    columns = np.flatnonzero(shown.sum(axis=0) / counted[1] > _EMPTY_ROW)
    height, width = border.shape
    if len(rows) < _MIN_LEFT * height or len(columns) < _MIN_LEFT * width:
        return (0, 0, height, width)
    return (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
