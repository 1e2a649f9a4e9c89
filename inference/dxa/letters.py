"""Letters on bone, where no stroke stands out whole against its ground: told from bone by what a scan cannot do.

A scan is as sharp as its beam, and every pixel of it has its own noise. Print is neither: it changes within one pixel, across and down,
by far more than the noise; and its strokes hold one grey value, where a scan's neighbours differ. Each rule is measured in windows of the
size of a few letters. Both are relative to the noise of the place, so that a noisy scan is no print.

``python -m benchmarks.dxa_text`` measures what is found and what is taken for print falsely.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.dxa.pixels import GreyArray, Mask

Floats = NDArray[np.float32]
Counts = NDArray[np.int32]

_BLOCK = 12
"""Pixels of the squares in which noise is measured."""
_NOISE_OF_MEDIAN = 1 / (0.6745 * np.sqrt(6.0))
"""From the median of a normal variable's second differences (without sign) to its standard deviation."""
_LEAST_NOISE = 1 / 255
_CLIPPED = 1.5 / 255
"""Within this of the least or greatest grey of the scan, nothing is told of noise."""
_SHARP = 5.0
"""A second difference beyond this many times its own standard deviation is no noise ..."""
_LEAST_SHARP = 0.1
"""... and, in a scan without noise, below this share of full scale no print."""
_STROKE, _LEAST_STROKE = 3, 60 / 255
"""Over so many pixels in a row, along a stroke, noise averages out and the edge remains: the same limit in units of what noise is left
finds pale letters in noisy scans, but no less than this share of full scale, since end plates and pedicles are drawn out as well."""
_SHARP_WINDOW, _SHARP_PIXELS = (11, 25), 7
"""Rows and columns; a window with at least so many pixels that are sharp across, and so many that are sharp down, is print: an end plate
is sharp down alone."""
_LETTER_SHARE = 0.09
"""Letters are not taller than this share of the scan; a plateau of the greatest grey that is taller is metal."""
_METAL_RING = 11
"""Pixels across of the square by which metal is grown: edges in it are the metal's."""
_HOLE = 0.4
"""A hole in a plateau is darker than it by more than this."""
_TILE = 6
_WINDOWS = ((2, 4), (3, 6))
"""Rows and columns of tiles in which grey values are counted."""
_LEVELS = 256
_ALIKE_RADIUS, _ALIKE_SHARE = 4, 0.55
"""Where more of the pixels around are of one grey than a stroke takes, it is a plateau."""
_ONE_VALUE, _FEW = 7.0, 2.0
"""A grey that so many times as many pixels hold as the greys beside it let expect, and some pixels more, is ink."""
_EXTREMES, _NEAR_EXTREME = (0.5, 99.5), 5
"""Percentiles of the scan's greys: beyond them, and within so many greys of them, a scan may be clipped."""
_AWAY = 5
"""Greys up to so far from one tell how many pixels are expected to hold it."""
_GROWN = 3
"""Pixels by which what is found is grown: the pale edges of letters."""


def find_letters(grey: GreyArray, inside: Mask) -> Mask:
    """Windows of a scan that hold print.

    Parameters
    ----------
    grey
        float32 (rows, columns), 0 to 1.
    inside
        Which pixels are scan.

    Returns
    -------
    bool (rows, columns)
        Sharp pixels and pixels of one value in windows that hold too many of them, grown a little.
    """
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    found = np.zeros(grey.shape, dtype=np.bool_)
    if not len(rows):
        return found
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scan, known = grey[box], inside[box]
    read = ndimage.binary_erosion(known, iterations=4, border_value=1) & ~metal(scan, known)
    found[box] = ndimage.binary_dilation(sharp_both_ways(scan, noise_of(scan, known), read) | of_one_value(scan, read), iterations=_GROWN)
    return found


def sharp_both_ways(grey: GreyArray, noise: Floats, read: Mask) -> Mask:
    """Pixels sharper than noise and beam allow, in windows with many of them across and many down.

    Parameters
    ----------
    noise
        Of :func:`noise_of`, (rows, columns).
    read
        Where edges count, bool (rows, columns).
    """
    single = np.maximum(np.float32(_SHARP * np.sqrt(6.0)) * noise, np.float32(_LEAST_SHARP))
    strokes = np.maximum(np.float32(_SHARP * np.sqrt(2.0)) * noise, np.float32(_LEAST_STROKE))
    sharp = []
    for second, along in zip(_second_differences(grey), (1, 0), strict=True):
        stroke = np.abs(ndimage.uniform_filter1d(second, _STROKE, axis=along))
        sharp.append(((np.abs(second) > single) | (stroke > strokes)) & read)
    window = float(np.prod(_SHARP_WINDOW))
    counts = [ndimage.uniform_filter(one.astype(np.float32), _SHARP_WINDOW, mode="constant") * window for one in sharp]
    crowded = np.minimum(*counts) > _SHARP_PIXELS - 0.5
    return np.asarray((sharp[0] | sharp[1]) & _about(crowded, _SHARP_WINDOW), dtype=np.bool_)


def noise_of(grey: GreyArray, inside: Mask) -> Floats:
    """Standard deviation of a scan's noise, of the same shape: from the median second difference in squares of 12 pixels.

    Clipped greys have none and are left out; squares without an own value take the nearest one's.
    """
    low, high = float(grey[inside].min()), float(grey[inside].max())
    clipped = (grey <= low + _CLIPPED) | (grey >= high - _CLIPPED)
    across = np.abs(_second_differences(grey)[1]).astype(np.float64)
    across[~inside | ndimage.binary_dilation(clipped, np.ones((1, 3)))] = np.nan
    across[:, [0, -1]] = np.nan
    shape = tuple(-(-size // _BLOCK) for size in grey.shape)
    padded = np.full((shape[0] * _BLOCK, shape[1] * _BLOCK), np.nan)
    padded[: grey.shape[0], : grey.shape[1]] = across
    squares = padded.reshape(shape[0], _BLOCK, shape[1], _BLOCK).transpose(0, 2, 1, 3).reshape(*shape, -1)
    known = np.isfinite(squares).sum(axis=-1) > _BLOCK**2 // 4
    if not known.any():
        return np.full(grey.shape, _LEAST_NOISE, dtype=np.float32)
    median = np.zeros(shape)
    median[known] = np.nanmedian(squares[known], axis=-1)
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    smooth = np.maximum(ndimage.median_filter(median[tuple(nearest)], size=3), np.median(median[known])) * _NOISE_OF_MEDIAN
    whole = np.repeat(np.repeat(smooth, _BLOCK, axis=0), _BLOCK, axis=1)[: grey.shape[0], : grey.shape[1]]
    return np.asarray(np.maximum(whole, _LEAST_NOISE), dtype=np.float32)


def metal(grey: GreyArray, inside: Mask) -> Mask:
    """Screws, rods, clips and what lies close to them: plateaus of the greatest grey, taller than letters; thin gaps do not part them.

    Dense bone that is clipped looks the same. Dark holes in a plateau are therefore left to be read: black letters on it.
    """
    high = float(grey[inside].max())
    plateau = (grey >= high - _CLIPPED) & inside
    labels, count = ndimage.label(ndimage.binary_dilation(plateau, iterations=2))
    tall = [
        index + 1
        for index, place in enumerate(ndimage.find_objects(labels))
        if place[0].stop - place[0].start > max(_LETTER_SHARE * grey.shape[0], _BLOCK)
    ]
    if not count or not tall:
        return np.zeros(grey.shape, dtype=np.bool_)
    grown = ndimage.binary_dilation(np.isin(labels, tall), np.ones((_METAL_RING, _METAL_RING)))
    holes = ndimage.binary_fill_holes(plateau) & (grey < high - _HOLE)
    return np.asarray(grown & ~ndimage.binary_dilation(holes, iterations=2), dtype=np.bool_)


def of_one_value(grey: GreyArray, read: Mask) -> Mask:
    """Pixels of a grey value that stands out among the values of its window like a spike: ink.

    Left out is what may be of one grey without print: plateaus such as metal, clipped bone or a blanked field, and the least and the
    greatest greys, at which a scan is clipped.
    """
    values = np.rint(np.clip(grey, 0, 1) * 255).astype(np.int16)
    counted = read & ~_plateau(values)
    low, high = np.percentile(values[read], _EXTREMES) if read.any() else (0.0, 255.0)
    tiles, ground = _tiles(values, counted), _tiles(values, read)
    tiles[..., max(int(high) - _NEAR_EXTREME, 0) :] = 0
    tiles[..., : int(low) + _NEAR_EXTREME + 1] = 0
    ink = np.zeros(tiles.shape, dtype=np.bool_)
    for window in _WINDOWS:
        if window[0] <= tiles.shape[0] and window[1] <= tiles.shape[1]:
            ink |= _spikes(_windowed(tiles, window), _windowed(ground, window), window)
    row, column = np.nonzero(counted)
    marked = np.zeros(grey.shape, dtype=np.bool_)
    marked[counted] = ink[row // _TILE, column // _TILE, values[counted]]
    return marked


def _tiles(values: NDArray[np.int16], counted: Mask) -> Counts:
    """How many pixels of each tile hold each grey: int32 (tile rows, tile columns, greys)."""
    down, right = (-(-size // _TILE) for size in values.shape)
    row, column = np.nonzero(counted)
    place = ((row // _TILE) * right + column // _TILE) * _LEVELS + values[counted]
    return np.bincount(place, minlength=down * right * _LEVELS).reshape(down, right, _LEVELS).astype(np.int32)


def _windowed(tiles: Counts, window: tuple[int, int]) -> Counts:
    """Sums over windows of tiles, by the window's first tile."""
    down, right = window
    total = np.pad(tiles, ((1, 0), (1, 0), (0, 0))).cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    return np.asarray(total[down:, right:] - total[:-down, right:] - total[down:, :-right] + total[:-down, :-right], dtype=np.int32)


def _spikes(count: Counts, ground: Counts, window: tuple[int, int]) -> Mask:
    """Of each tile, the greys that stand out in a window with it: (tile rows, tile columns, greys).

    What is expected is the greater of the two greys beside it and of the mean of those two to five away.
    """
    down, right = window
    found = np.zeros((count.shape[0] + down - 1, count.shape[1] + right - 1, _LEVELS), dtype=np.bool_)
    row, column, grey = np.nonzero(count > _ONE_VALUE * _FEW)
    around = np.pad(ground, ((0, 0), (0, 0), (_AWAY, _AWAY)))[row[:, None], column[:, None], grey[:, None] + np.arange(2 * _AWAY + 1)]
    beside = np.delete(around, (_AWAY - 1, _AWAY, _AWAY + 1), axis=1).mean(axis=1)
    expected = np.maximum(beside, np.maximum(around[:, _AWAY - 1], around[:, _AWAY + 1]))
    for i in np.flatnonzero(count[row, column, grey] > _ONE_VALUE * (expected + _FEW)):
        found[row[i] : row[i] + down, column[i] : column[i] + right, grey[i]] = True
    return found


def _plateau(values: NDArray[np.int16]) -> Mask:
    """Where most pixels around are within one of the same grey."""
    reach, (rows, columns) = _ALIKE_RADIUS, values.shape
    padded = np.pad(values, reach, mode="edge")
    alike = np.zeros(values.shape, dtype=np.int16)
    steps = range(2 * reach + 1)
    for down in steps:
        for right in steps:
            alike += np.abs(padded[down : down + rows, right : right + columns] - values) <= 1
    return np.asarray(ndimage.binary_dilation(alike > _ALIKE_SHARE * len(steps) ** 2, np.ones((5, 5))), dtype=np.bool_)


def _second_differences(grey: GreyArray) -> tuple[Floats, Floats]:
    """Down and across; 0 at the edges."""
    down, across = np.zeros(grey.shape, dtype=np.float32), np.zeros(grey.shape, dtype=np.float32)
    down[1:-1] = 2 * grey[1:-1] - grey[:-2] - grey[2:]
    across[:, 1:-1] = 2 * grey[:, 1:-1] - grey[:, :-2] - grey[:, 2:]
    return down, across


def _about(centres: Mask, window: tuple[int, int]) -> Mask:
    """Every pixel of a window whose centre is marked."""
    return np.asarray(ndimage.binary_dilation(centres, np.ones(window, dtype=bool)), dtype=np.bool_)
