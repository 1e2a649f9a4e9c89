"""What on a picture is scan, and what is page, border or print."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from inference.dxa.pixels import DxaPixels, GreyArray, Mask

_UNIFORM_SHARE = 0.004
"""Connected pixels of one extreme value, touching the edge, are border or page from this share of the picture."""
_WHITE, _BLACK = 0.985, 0.012
_STROKE_CONTRAST = 0.22
_MAX_LETTER_SHARE = 0.09
"""Letters are not taller than this share of the picture."""
_MIN_LETTERS = 3
_PAGE_SHARE = 0.35


@dataclass(frozen=True, kw_only=True)
class ScanArea:
    """Where the scan lies on the picture.

    Attributes
    ----------
    box
        First row, first column, and one past the last row and column.
    inside
        bool (rows, columns): pixels of the scan; border polygons and page are outside.
    printed
        Pixels that belong to a line of letters or figures, wherever they stand.
    drawn
        Coloured pixels.
    uniform_share
        Share of the picture that is border or page.
    """

    box: tuple[int, int, int, int]
    inside: Mask
    printed: Mask
    drawn: Mask
    uniform_share: float

    @property
    def is_page(self) -> bool:
        """Whether the picture is a page with a scan on it rather than a scan: much of it uniform above or below the scan."""
        first, _, last, _ = self.box
        return self.uniform_share > _PAGE_SHARE and (last - first) < 0.8 * self.inside.shape[0]


def find_area(pixels: DxaPixels) -> ScanArea:
    """Tell scan from page, border and print.

    Border polygons and paper are extreme, uniform and reach the edge of the picture; the scan is the largest piece of the rest.
    """
    grey = pixels.grey
    uniform = _uniform(grey) | _uniform_rows(grey)
    rest = ndimage.binary_opening(~uniform, structure=np.ones((5, 5), dtype=bool))
    inside = _largest(rest)
    if not inside.any():
        inside = np.ones(grey.shape, dtype=np.bool_)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return ScanArea(
        box=(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1),
        inside=inside,
        printed=find_print(grey) | find_print(np.float32(1) - grey),
        drawn=pixels.coloured,
        uniform_share=float(uniform.mean()),
    )


def find_print(grey: GreyArray) -> Mask:
    """Lines of letters brighter than what they stand on: thin strokes of like height, close beside each other.

    Bone has thin bright lines too (end plates), but not three or more pieces of one height in a row with gaps smaller than they are tall.
    """
    size = int(np.clip(round(0.016 * max(grey.shape)), 5, 15)) | 1
    strokes = grey - ndimage.grey_opening(grey, size=(size, size)) > _STROKE_CONTRAST
    labels, count = ndimage.label(strokes, structure=np.ones((3, 3), dtype=bool))
    if not count:
        return np.zeros(grey.shape, dtype=np.bool_)
    boxes = np.array([(s[0].start, s[0].stop, s[1].start, s[1].stop) for s in ndimage.find_objects(labels)], dtype=np.int64)
    heights, widths = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    tall = (heights >= 5) & (heights <= max(8, _MAX_LETTER_SHARE * grey.shape[0])) & (widths <= 2.2 * heights)
    chosen = _in_lines(boxes, np.flatnonzero(tall))
    lines = np.zeros(grey.shape, dtype=np.bool_)
    for line in chosen:
        top, bottom = int(boxes[line, 0].min()), int(boxes[line, 1].max())
        left, right, margin = int(boxes[line, 2].min()), int(boxes[line, 3].max()), int(heights[line].max())
        lines[max(top - 2, 0) : bottom + 2, max(left - margin, 0) : right + margin] = True
    return lines


def _in_lines(
    boxes: np.ndarray[tuple[int, ...], np.dtype[np.int64]], letters: np.ndarray[tuple[int, ...], np.dtype[np.intp]]
) -> list[list[int]]:
    """Runs of letters that share a line: like heights, tops and bottoms alike, gaps below the height."""
    lines: list[list[int]] = []
    for index in sorted(letters.tolist(), key=lambda i: int(boxes[i, 2])):
        top, bottom, left, _ = boxes[index]
        for line in lines:
            last_top, last_bottom, _, last_right = boxes[line[-1]]
            height = max(bottom - top, last_bottom - last_top)
            alike = abs(top - last_top) <= 0.25 * height + 1 and abs(bottom - last_bottom) <= 0.25 * height + 1
            if alike and -0.3 * height <= left - last_right <= 0.9 * height:
                line.append(index)
                break
        else:
            lines.append([index])
    return [line for line in lines if len(line) >= _MIN_LETTERS]


def _uniform(grey: GreyArray) -> Mask:
    """Extreme pixels in pieces that reach the edge of the picture and are of some size."""
    found = np.zeros(grey.shape, dtype=np.bool_)
    for extreme in (grey >= _WHITE, grey <= _BLACK):
        labels, count = ndimage.label(extreme)
        if not count:
            continue
        at_edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        kept = [label for label in at_edge if label and sizes[label] >= _UNIFORM_SHARE * grey.size]
        found |= np.isin(labels, kept)
    return found


def _uniform_rows(grey: GreyArray) -> Mask:
    """Rows and columns at the edges that hold one grey value: a page need not be white or black."""
    found = np.zeros(grey.shape, dtype=np.bool_)
    for axis in (0, 1):
        flat = np.ptp(grey, axis=1 - axis) < 0.01
        count = len(flat)
        first = int(np.argmin(flat)) if not flat.all() else 0
        last = count - int(np.argmin(flat[::-1])) if not flat.all() else count
        index = np.arange(count)
        edge = (index < first) | (index >= last)
        found |= edge[:, None] if axis == 0 else edge[None, :]
    return found


def _largest(mask: Mask) -> Mask:
    labels, count = ndimage.label(mask)
    if not count:
        return np.zeros(mask.shape, dtype=np.bool_)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(ndimage.binary_fill_holes(labels == int(sizes.argmax())), dtype=np.bool_)
