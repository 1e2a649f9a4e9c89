"""Texture maps: four features of the grey level co-occurrence matrix (GLCM) in a sliding window, by box sums, without a matrix.

Each of the four is the mean of a function of the two grey levels of a pair (PyRadiomics' definitions, Haralick et al. 1973):

    autocorrelation      sum p(i, j) i j          joint average       sum p(i, j) i
    contrast             sum p(i, j) (i - j)^2    difference average  sum p(i, j) |i - j|

p is the symmetric matrix at distance 1, divided by its sum, so that such a mean is one over the pairs of the window. Pairs of one direction
are a shifted product of the image with itself, and their sums over all windows are differences of cumulative sums: the values are those of
the matrix, to the last digit that a division leaves. As in PyRadiomics the 13 directions are averaged after each was normalised, and a
direction without a pair is left out.

Unlike PyRadiomics, grey levels are counted from a fixed attenuation and not from the darkest voxel of the region: the joint average of two
vertebrae can then be compared, which is what density is read from.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import TrainingError

FEATURES = ("autocorrelation", "joint_average", "contrast", "difference_average")
MAX_LEVELS = 64
"""More would overflow the sums of int32; 64 levels of 25 HU reach over 1600 HU."""

Triple = tuple[int, int, int]
DIRECTIONS: tuple[Triple, ...] = tuple((z, y, x) for z, y, x in itertools.product((-1, 0, 1), repeat=3) if (z, y, x) > (0, 0, 0))
"""Half of the 26 neighbours: each pair once, since the matrix is symmetric."""


@dataclass(frozen=True, kw_only=True)
class GlcmOptions:
    """How maps are made.

    Attributes
    ----------
    window
        Voxels of the cubic window's side.
    step
        Voxels between windows; the map between their centres is interpolated.
    low_hu, bin_hu, levels
        Grey level 1 begins at ``low_hu`` and each is ``bin_hu`` wide (PyRadiomics' default width); what lies beyond gets the first or last.
    """

    window: int = 5
    step: int = 2
    low_hu: float = -200.0
    bin_hu: float = 25.0
    levels: int = 40

    def __post_init__(self) -> None:
        if self.window < 2 or self.step < 1:
            raise TrainingError("a window of the texture maps has at least 2 voxels a side, and a step of at least 1")
        if not 2 <= self.levels <= MAX_LEVELS or self.bin_hu <= 0:
            raise TrainingError(f"texture maps take 2 to {MAX_LEVELS} grey levels of a positive width")

    def plain(self) -> dict[str, Any]:
        """For the key of a cached map."""
        grey = {"low_hu": self.low_hu, "bin_hu": self.bin_hu, "levels": self.levels}
        return {"window": self.window, "step": self.step, **grey}


def grey_levels(hu: NDArray[Any], options: GlcmOptions) -> NDArray[np.int32]:
    """Grey levels 1 to ``levels`` of attenuation, of the same shape."""
    level = np.floor((np.asarray(hu, dtype=np.float32) - options.low_hu) / options.bin_hu) + 1
    return np.asarray(np.clip(level, 1, options.levels), dtype=np.int32)


def window_starts(size: int, window: int, step: int) -> NDArray[np.intp]:
    """First voxels of the windows along an axis; the last window ends with the image, also where the step would leave a rest.

    Raises
    ------
    TrainingError
        The image is smaller than a window.
    """
    if size < window:
        raise TrainingError(f"an axis of {size} voxels holds no texture window of {window}")
    starts = list(range(0, size - window + 1, step))
    if starts[-1] != size - window:
        starts.append(size - window)
    return np.array(starts, dtype=np.intp)


def coarse_maps(levels: NDArray[np.int32], options: GlcmOptions, mask: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Features in every window.

    Parameters
    ----------
    levels
        (Z, Y, X) of :func:`grey_levels`.
    mask
        Voxels that count, of the same shape; None: all.

    Returns
    -------
    ndarray
        (4, windows along z, y, x) float32, in the order of :data:`FEATURES`; NaN where no window's pair counts.
    """
    starts = [window_starts(size, options.window, options.step) for size in levels.shape]
    shape = tuple(axis.size for axis in starts)
    total = np.zeros((len(FEATURES), *shape), dtype=np.float64)
    directions = np.zeros(shape, dtype=np.int64)
    for direction in DIRECTIONS:
        pairs, sums = _sums(levels, mask, direction, starts, options.window)
        found = pairs > 0
        directions += found
        total += np.where(found, sums / np.maximum(pairs, 1), 0.0)
    mean = total / np.maximum(directions, 1)
    return np.where(directions > 0, mean, np.nan).astype(np.float32)


def _sums(
    levels: NDArray[np.int32], mask: NDArray[np.bool_] | None, direction: Triple, starts: list[NDArray[np.intp]], window: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pairs of one direction in each window, and the sums over them of the four functions."""
    one, other = _shifted(levels.shape, direction)
    first, second = levels[one], levels[other]
    difference = first - second
    # i of the symmetric matrix is each end of a pair in turn: twice the joint average is the mean of the sum
    values = np.stack([first * second, first + second, difference * difference, np.abs(difference)])
    lengths = [window - abs(step) for step in direction]
    if mask is None:
        counts = np.full([axis.size for axis in starts], np.prod(lengths), dtype=np.int64)
    else:
        both = mask[one] & mask[other]
        values *= both
        counts = box_sums(both.astype(np.int32)[None], starts, lengths)[0]
    sums = box_sums(values, starts, lengths).astype(np.float64)
    sums[1] /= 2
    return counts, sums


def _shifted(shape: tuple[int, ...], direction: Triple) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where the two ends of the pairs of a direction lie. Pairs are numbered by the corner of their box, whichever way they lean."""
    one = tuple(slice(max(0, -step), size - max(0, step)) for step, size in zip(direction, shape, strict=True))
    other = tuple(slice(max(0, step), size - max(0, -step)) for step, size in zip(direction, shape, strict=True))
    return one, other


def box_sums(values: NDArray[np.int32], starts: list[NDArray[np.intp]], lengths: list[int]) -> NDArray[np.int64]:
    """Sums over boxes that begin at every combination of ``starts``.

    Parameters
    ----------
    values
        (C, Z, Y, X).

    Returns
    -------
    ndarray
        (C, starts along z, y, x).
    """
    out = values
    for axis, (first, length) in enumerate(zip(starts, lengths, strict=True), start=1):
        running = np.cumsum(out, axis=axis, dtype=np.int32)
        upper = np.take(running, first + length - 1, axis=axis)
        lower = np.take(running, np.maximum(first - 1, 0), axis=axis)
        lower[(slice(None),) * axis + (first == 0,)] = 0
        out = upper - lower
    return out.astype(np.int64)


def interpolated(coarse: NDArray[np.float32], shape: Triple, options: GlcmOptions) -> NDArray[np.float32]:
    """Maps on the grid of the image: linear between the windows' centres, constant beyond the outermost ones.

    Parameters
    ----------
    coarse
        (C, windows along z, y, x), as :func:`coarse_maps` gives it.
    shape
        (Z, Y, X) of the image.
    """
    out = np.asarray(coarse, dtype=np.float32)
    for axis, size in enumerate(shape, start=1):
        weights = _weights(size, options)  # (size, windows)
        out = np.moveaxis(np.tensordot(weights, out, axes=([1], [axis])), 0, axis)
    return np.ascontiguousarray(out, dtype=np.float32)


def _weights(size: int, options: GlcmOptions) -> NDArray[np.float32]:
    """(voxels, windows) of one axis; each row sums to 1. The last two centres may lie closer than a step."""
    centres = window_starts(size, options.window, options.step) + (options.window - 1) / 2
    return np.stack([np.interp(np.arange(size), centres, unit) for unit in np.eye(centres.size)], axis=1).astype(np.float32)


def texture_maps(hu: NDArray[Any], options: GlcmOptions | None = None) -> NDArray[np.float32]:
    """The four maps of an image, (4, Z, Y, X) on its own grid, in the order of :data:`FEATURES`.

    Raises
    ------
    TrainingError
        The image is smaller than a window.
    """
    chosen = options or GlcmOptions()
    z, y, x = hu.shape
    return interpolated(coarse_maps(grey_levels(hu, chosen), chosen), (z, y, x), chosen)
