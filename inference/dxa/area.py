"""What on a picture is scan, and what is page, border or print."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.dxa.letters import find_letters, metal, noise_of
from inference.dxa.pixels import DxaPixels, GreyArray, Mask

_UNIFORM_SHARE = 0.004
"""Connected pixels of one extreme value, touching the edge, are border or page from this share of the picture."""
_WHITE, _BLACK = 0.985, 0.012
_STROKE_CONTRAST, _STROKE_NOISE = 0.15, 7.0
"""Of a stroke over its ground, which is the least grey around: as a share of full scale, and in standard deviations of the noise."""
_MAX_LETTER_SHARE = 0.09
"""Letters are not taller than this share of the picture."""
_MIN_LETTERS = 3
"""Of one height in a line; two are enough beside a point or a minus sign."""
_SHARP = 0.17
"""Letters change by this much of full scale from one pixel to the next."""
_PAGE_SHARE = 0.35
_COLOURED_SHARE = 0.05
"""A chart or a body composition is coloured to more than this; lines around the levels of a scan are not."""


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
        Pixels that belong to a line of letters or figures, wherever they stand; letters on bone (:mod:`inference.dxa.letters`).
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
        """Whether the picture is a page with a scan on it rather than a scan: much of it uniform above or below the scan, or coloured."""
        first, _, last, _ = self.box
        paper = self.uniform_share > _PAGE_SHARE and (last - first) < 0.8 * self.inside.shape[0]
        return paper or float(self.drawn.mean()) > _COLOURED_SHARE


def find_area(pixels: DxaPixels) -> ScanArea:
    """Tell scan from page, border and print.

    Border polygons and paper are extreme, uniform and reach the edge of the picture; the scan is the largest piece of the rest.
    """
    grey, plain = pixels.grey, undrawn(pixels)
    uniform = _uniform(grey) | _uniform_rows(grey)
    rest = ndimage.binary_opening(~uniform, structure=np.ones((5, 5), dtype=bool))
    inside = _largest(rest)
    if not inside.any():
        inside = np.ones(grey.shape, dtype=np.bool_)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    noise, hidden = np.where(inside, noise_of(plain, inside), np.float32(0)), metal(plain, inside)
    lines = find_print(plain, noise, hidden) | find_print(np.float32(1) - plain, noise, hidden)
    return ScanArea(
        box=(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1),
        inside=inside,
        printed=lines | find_letters(plain, inside),
        drawn=pixels.coloured,
        uniform_share=float(uniform.mean()),
    )


def undrawn(pixels: DxaPixels) -> GreyArray:
    """The picture with its coloured pixels, and those smeared beside them, replaced by the nearest grey ones."""
    drawn = ndimage.binary_dilation(pixels.coloured, iterations=1)
    if not drawn.any() or drawn.all():
        return pixels.grey
    nearest = ndimage.distance_transform_edt(drawn, return_distances=False, return_indices=True)
    return np.asarray(pixels.grey[tuple(nearest)], dtype=np.float32)


def find_print(grey: GreyArray, noise: GreyArray | float = 0.0, hidden: Mask | None = None) -> Mask:
    """Lines of letters brighter than what they stand on: thin, sharp strokes, two or more of one height close beside each other.

    Bone has thin bright lines too (end plates), but a scan is as sharp as its beam: on simulated scans of three devices the edges of its
    brightest lines rise by 0.05 to 0.13 of full scale a pixel, those of letters by 0.5 and more.

    Parameters
    ----------
    noise
        Its standard deviation, of the picture or of each pixel: strokes must stand out from it.
    hidden
        Pixels that are no strokes whatever they look like: metal and what lies close to it.
    """
    size = int(np.clip(round(0.016 * max(grey.shape)), 5, 15)) | 1
    strokes = grey - ndimage.grey_opening(grey, size=(size, size)) > np.maximum(np.float32(_STROKE_CONTRAST), _STROKE_NOISE * noise)
    if hidden is not None:
        strokes &= ~hidden
    labels, count = ndimage.label(strokes, structure=np.ones((3, 3), dtype=bool))
    lines = np.zeros(grey.shape, dtype=np.bool_)
    if not count:
        return lines
    sharpness = _quartiles(_steps(grey), labels, count)
    pieces = [
        _Piece(box=(s[0].start, s[0].stop, s[1].start, s[1].stop))
        for index, s in enumerate(ndimage.find_objects(labels))
        if sharpness[index] > _SHARP
    ]
    tall = [
        piece for piece in pieces if 5 <= piece.height <= max(8, _MAX_LETTER_SHARE * grey.shape[0]) and piece.width <= 2.2 * piece.height
    ]
    for line in _lines(tall):
        top, bottom = min(piece.box[0] for piece in line), max(piece.box[1] for piece in line)
        left, right = min(piece.box[2] for piece in line), max(piece.box[3] for piece in line)
        height = bottom - top
        if len(line) >= _MIN_LETTERS or _has_point(pieces, (top, bottom, left - height, right + height)):
            lines[max(top - 2, 0) : bottom + 2, max(left - height, 0) : right + height] = True
    return lines


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """One connected stroke: first row, one past the last, first column, one past the last."""

    box: tuple[int, int, int, int]

    @property
    def height(self) -> int:
        return self.box[1] - self.box[0]

    @property
    def width(self) -> int:
        return self.box[3] - self.box[2]


def _quartiles(values: GreyArray, labels: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    """The upper quartile of the values of each label from 1 to ``count``, as ``numpy.percentile`` finds it."""
    inside = labels > 0
    label, value = labels[inside], values[inside]
    ordered = value[np.lexsort((value, label))].astype(np.float64)
    sizes = np.bincount(label, minlength=count + 1)[1:]
    place = np.cumsum(sizes) - sizes + 0.75 * (sizes - 1)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, len(ordered) - 1)
    return np.asarray(ordered[low] + (place - low) * (ordered[high] - ordered[low]))


def _steps(grey: GreyArray) -> GreyArray:
    """The greatest change from a pixel to one of its four neighbours."""
    step = np.zeros(grey.shape, dtype=np.float32)
    for axis in (0, 1):
        change = np.abs(np.diff(grey, axis=axis))
        before, after = (change, np.zeros_like(grey.take([0], axis=axis)))
        step = np.maximum(step, np.concatenate([before, after], axis=axis))
        step = np.maximum(step, np.concatenate([after, before], axis=axis))
    return step


def _lines(letters: list[_Piece]) -> list[list[_Piece]]:
    """Runs of letters that share a line: like heights, tops and bottoms, gaps not much wider than they are tall."""
    lines: list[list[_Piece]] = []
    for piece in sorted(letters, key=lambda letter: letter.box[2]):
        for line in lines:
            last = line[-1]
            height = max(piece.height, last.height)
            alike = max(abs(piece.box[0] - last.box[0]), abs(piece.box[1] - last.box[1])) <= 0.25 * height + 1
            if alike and -0.3 * height <= piece.box[2] - last.box[3] <= 1.4 * height:
                line.append(piece)
                break
        else:
            lines.append([piece])
    return [line for line in lines if len(line) > 1]


def _has_point(pieces: list[_Piece], around: tuple[int, int, int, int]) -> bool:
    """Whether a sharp piece too small for a letter lies within: a decimal point, a minus sign."""
    top, bottom, left, right = around
    return any(
        piece.height < 0.5 * (bottom - top) and piece.box[0] >= top - 1 and piece.box[1] <= bottom + 1 and left <= piece.box[2] < right
        for piece in pieces
    )


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
