"""The lumbar column on an AP spine scan: its centre line, its width, its discs, and which of them bound L1 to L4.

Everything is read in a zone about the column alone, on a grid of small blocks, with medians and whole steps: what stands on the border, in
a corner or over the soft tissue beside it cannot move the result.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.dxa.discs import find_crest, find_discs
from inference.dxa.pixels import GreyArray

Array = NDArray[np.float64]

READ_ZONE = 0.75
"""Half the width of the zone that is read, in widths of the column."""
WIDTH_SHARES = (0.08, 0.10, 0.12, 0.145, 0.17, 0.20, 0.235, 0.27, 0.31, 0.36, 0.41)
"""Widths of the column that are tried, as shares of the scan's width."""
_GRID_COLUMNS = 240
_BAND_ROWS = 6
_STEP = 2
"""The centre line moves at most this many blocks from band to band."""
_ITERATIONS = 12


@dataclass(frozen=True, kw_only=True)
class Column:
    """The column on the picture.

    Attributes
    ----------
    centre
        float64 (rows,): column of the centre line in every row of the picture, pixels.
    width
        Of the column, pixels.
    contrast
        Median grey of the column less that of the soft tissue beside it.
    share_of_rows
        Share of the scan's rows in which the column stands out from both sides.
    discs
        Rows of the discs, head to foot.
    disc_depth
        Median darkness of the discs against the bodies beside them, over ``contrast``.
    crest
        Row at which the iliac crests begin on both sides; None where they do not show.
    """

    centre: Array
    width: float
    contrast: float
    share_of_rows: float
    discs: tuple[float, ...]
    disc_depth: float
    crest: float | None


def find_column(grey: GreyArray, inside: NDArray[np.bool_], box: tuple[int, int, int, int]) -> Column | None:
    """Find the column on a picture with bone bright.

    Parameters
    ----------
    grey, inside
        The picture and what of it is scan, (rows, columns).
    box
        Of the scan on it.

    Returns
    -------
    Column or None
        None where nothing bright runs through the scan from top to bottom.
    """
    first, left, last, right = box
    block = max(1, round((right - left) / _GRID_COLUMNS))
    grid = _blocks(np.where(inside, grey, np.nan)[first:last, left:right], block)
    if grid.shape[0] < 5 * _BAND_ROWS or grid.shape[1] < 24:
        return None
    bands = _bands(_filled(grid))
    width, path = _coarse(bands)
    for _ in range(_ITERATIONS):
        again = _aligned_width(bands, path, width)
        moved = _trace(bands, again, path)
        if again == width and np.array_equal(moved, path):
            break
        width, path = again, moved
    return _measure(grid, bands, path, width, block, (first, left), grey.shape[0])


def _blocks(scan: Array, block: int) -> Array:
    """Means of square blocks; NaN where a block is wholly outside."""
    rows, columns = (size // block for size in scan.shape)
    cut = scan[: rows * block, : columns * block].reshape(rows, block, columns, block)
    known = np.isfinite(cut).sum(axis=(1, 3))
    total = np.nansum(cut, axis=(1, 3))
    return np.where(known > 0, total / np.maximum(known, 1), np.nan)


def _filled(grid: Array) -> Array:
    """Outside becomes the dark of the scan: no bone."""
    return np.where(np.isfinite(grid), grid, np.nanpercentile(grid, 15))


def _bands(grid: Array) -> Array:
    """Medians over bands of rows: (bands, columns)."""
    count = grid.shape[0] // _BAND_ROWS
    return np.asarray(np.median(grid[: count * _BAND_ROWS].reshape(count, _BAND_ROWS, -1), axis=1), dtype=np.float64)


def _response(bands: Array, width: int) -> Array:
    """Grey inside less grey beside, for a column of this width about every position; the brighter side counts three times the darker."""
    half, beside = max(width // 2, 1), max(width // 4, 1)
    sums = np.concatenate([np.zeros((len(bands), 1)), np.cumsum(bands, axis=1)], axis=1)
    columns = bands.shape[1]
    reach = half + beside + 1
    response = np.full(bands.shape, -1.0)
    centre = np.arange(reach, columns - reach)
    if len(centre) == 0:
        return response
    inner = (sums[:, centre + half + 1] - sums[:, centre - half]) / (2 * half + 1)
    before = (sums[:, centre - half - 1] - sums[:, centre - half - 1 - beside]) / beside
    after = (sums[:, centre + half + 2 + beside] - sums[:, centre + half + 2]) / beside
    response[:, centre] = inner - np.maximum(before, after) * 0.5 - (before + after) * 0.25
    return response


def _trace(bands: Array, width: int, about: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """The best continuous path, by dynamic programming; near ``about`` only where that is given."""
    score = _response(bands, width)
    if about is not None:
        far = np.abs(np.arange(bands.shape[1])[None, :] - about[:, None]) > READ_ZONE * width / 3
        score = np.where(far, -10.0, score)
    best, origin = score[0].copy(), np.zeros(score.shape, dtype=np.int64)
    columns = np.arange(score.shape[1])
    for band in range(1, len(score)):
        moves = np.stack([_shifted(best, step) - 0.004 * abs(step) for step in range(-_STEP, _STEP + 1)])
        chosen = moves.argmax(axis=0)
        origin[band] = np.clip(columns + chosen - _STEP, 0, score.shape[1] - 1)
        best = moves.max(axis=0) + score[band]
    path = np.zeros(len(score), dtype=np.int64)
    path[-1] = int(best.argmax())
    for band in range(len(score) - 1, 0, -1):
        path[band - 1] = origin[band, path[band]]
    return path


def _shifted(values: Array, step: int) -> Array:
    """values[x + step] at x."""
    out = np.full(values.shape, -1e9)
    if step >= 0:
        out[: len(values) - step] = values[step:]
    else:
        out[-step:] = values[:step]
    return out


def _coarse(bands: Array) -> tuple[int, NDArray[np.int64]]:
    """The width whose best path stands out most, and that path."""
    tried = []
    for share in WIDTH_SHARES:
        width = max(4, round(share * bands.shape[1]))
        path = _trace(bands, width, None)
        tried.append((float(np.median(_response(bands, width)[np.arange(len(path)), path])), width, path))
    _, width, path = max(tried, key=lambda found: found[0])
    return width, path


def _about(bands: Array, path: NDArray[np.int64], reach: int) -> Array:
    """The bands, shifted so that the centre line is straight: (bands, 2 * reach + 1)."""
    columns = np.clip(path[:, None] + np.arange(-reach, reach + 1)[None, :], 0, bands.shape[1] - 1)
    return np.asarray(np.take_along_axis(bands, columns, axis=1), dtype=np.float64)


def _aligned_width(bands: Array, path: NDArray[np.int64], width: int) -> int:
    """Width at half height of the median profile over the middle of the scan, within the zone that is read; whole blocks."""
    reach = max(2, int(READ_ZONE * width))
    middle = slice(len(bands) // 6, max(len(bands) * 2 // 3, len(bands) // 6 + 1))
    return _half_width(np.median(_about(bands, path, reach)[middle], axis=0), width)


def _half_width(profile: Array, width: int) -> int:
    reach = len(profile) // 2
    inner = float(np.median(profile[reach - max(width // 4, 1) : reach + max(width // 4, 1) + 1]))
    outer = float(min(profile[: max(reach // 6, 1)].mean(), profile[-max(reach // 6, 1) :].mean()))
    above = profile > outer + 0.5 * (inner - outer)
    right = int(np.argmin(np.append(above[reach:], False)))
    left = int(np.argmin(np.append(above[reach::-1], False)))
    return int(np.clip(left + right - 1, 4, 2 * reach + 1))


def _measure(
    grid: Array, bands: Array, path: NDArray[np.int64], width: int, block: int, corner: tuple[int, int], picture_rows: int
) -> Column | None:
    reach = max(3, int(READ_ZONE * width))
    about = _about(bands, path, reach)
    inner = np.median(about[:, reach - width // 3 : reach + width // 3 + 1], axis=1)
    edge = max(reach - width // 2 - 1, 1)
    sides = np.maximum(about[:, :edge].mean(axis=1), about[:, -edge:].mean(axis=1))
    contrast = float(np.median(inner - sides))
    if contrast <= 0.02:
        return None
    standing = inner - sides > 0.3 * contrast
    rows = np.arange(grid.shape[0], dtype=np.float64)
    centres = np.interp(rows, np.arange(len(path)) * _BAND_ROWS + (_BAND_ROWS - 1) / 2, _smooth(path))
    strip = _strip(_filled(grid), centres, width)
    discs, depth = find_discs(strip, width, contrast)
    crest = find_crest(_filled(grid), centres, width, contrast)
    first, left = corner
    picture = (np.arange(picture_rows) - first + 0.5) / block - 0.5
    return Column(
        centre=(np.interp(picture, rows, centres) + 0.5) * block - 0.5 + left,
        width=float(width * block),
        contrast=contrast,
        share_of_rows=float(standing.mean()),
        discs=tuple((disc + 0.5) * block - 0.5 + first for disc in discs),
        disc_depth=depth,
        crest=None if crest is None else (crest + 0.5) * block - 0.5 + first,
    )


def _smooth(path: NDArray[np.int64]) -> Array:
    return np.asarray(ndimage.gaussian_filter1d(path.astype(np.float64), 2.0, mode="nearest"), dtype=np.float64)


def _strip(grid: Array, centres: Array, width: int) -> Array:
    """Grey over the bodies beside the spinous processes, where discs are seen best: mean over both sides, (rows,)."""
    offsets = np.concatenate([np.linspace(0.18, 0.42, 9), -np.linspace(0.18, 0.42, 9)]) * width
    columns = centres[:, None] + offsets[None, :]
    rows = np.broadcast_to(np.arange(len(grid), dtype=np.float64)[:, None], columns.shape)
    return np.asarray(ndimage.map_coordinates(grid, [rows, columns], order=1, mode="nearest").mean(axis=1), dtype=np.float64)
