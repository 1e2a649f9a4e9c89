"""Along the lumbar column of an AP spine scan: its discs, which are darker than the bodies, and where the iliac crests begin beside it."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]

_PITCH = (0.52, 1.10)
"""From disc to disc, in widths of the column."""
_DEPTH_CAP = 0.9
_DISC_DEPTH = 0.04
"""A disc is at least this much darker than the bodies beside it, as a share of the column's contrast; beyond the cap (above) more depth is
no better."""


def find_discs(strip: Array, width: float, contrast: float) -> tuple[tuple[float, ...], float]:
    """Rows of the discs along a profile of the column, and their median depth over ``contrast``.

    A disc is darker than what lies above and below it; the best chain of them keeps a plausible and steady distance.
    """
    smooth = ndimage.gaussian_filter1d(strip, max(0.02 * width, 0.6))
    near = max(2, round(0.16 * width))
    padded = np.pad(smooth, near, mode="edge")
    above = np.stack([padded[near - k : len(padded) - near - k] for k in range(near // 2, near + 1)]).max(axis=0)
    below = np.stack([padded[near + k : len(padded) - near + k] for k in range(near // 2, near + 1)]).max(axis=0)
    depth = np.minimum(above, below) - smooth
    low, high = max(3, round(_PITCH[0] * width)), round(_PITCH[1] * width)
    minima = [
        row
        for row in range(near // 2, len(depth) - near // 2)
        if depth[row] == depth[max(row - low // 3, 0) : row + low // 3 + 1].max() and depth[row] > _DISC_DEPTH * contrast
    ]
    chain = _best_chain(np.array(minima, dtype=np.int64), depth / contrast, low, high)
    if not chain:
        return (), 0.0
    return tuple(float(row) for row in chain), float(np.median(depth[chain]) / contrast)


def _best_chain(rows: NDArray[np.int64], depth: Array, low: int, high: int) -> list[int]:
    """The chain with the most depth whose distances lie between ``low`` and ``high``; unequal neighbours cost."""
    if len(rows) == 0:
        return []
    score: dict[tuple[int, int], float] = {}
    before: dict[tuple[int, int], tuple[int, int] | None] = {}
    for j in range(len(rows)):
        score[j, j], before[j, j] = min(float(depth[rows[j]]), _DEPTH_CAP), None
        for i in range(j):
            gap = int(rows[j] - rows[i])
            if not low <= gap <= high:
                continue
            options: list[tuple[float, tuple[int, int]]] = [(score[i, i], (i, i))]
            options += [(score[h, i] - 0.6 * abs(np.log(gap / (rows[i] - rows[h]))), (h, i)) for h in range(i) if (h, i) in score]
            value, origin = max(options)
            score[i, j], before[i, j] = value + min(float(depth[rows[j]]), _DEPTH_CAP), origin
    state: tuple[int, int] | None = max(score, key=lambda key: score[key])
    chain: list[int] = []
    while state is not None:
        chain.append(int(rows[state[1]]))
        state = before[state]
    return chain[::-1]


def find_crest(grid: Array, centres: Array, width: float, contrast: float) -> float | None:
    """Row of the grid at which both flanks begin to be bright down to the bottom: the iliac crests. None where they do not show."""
    flanks = []
    for side in (-1, 1):
        columns = centres[:, None] + side * np.linspace(0.9, 1.35, 13)[None, :] * width
        rows = np.broadcast_to(np.arange(len(grid), dtype=np.float64)[:, None], columns.shape)
        flanks.append(np.median(ndimage.map_coordinates(grid, [rows, columns], order=1, mode="nearest"), axis=1))
    both = ndimage.gaussian_filter1d(np.minimum(*flanks), 0.05 * width)
    middle = both[int(0.35 * len(both)) : int(0.6 * len(both))]
    level = float(np.median(middle)) + 0.25 * contrast
    bright = np.flatnonzero(both > level)
    lower = bright[bright > 0.5 * len(both)]
    if len(lower) < 0.2 * width:
        return None
    run = np.flatnonzero(np.diff(lower) > 0.1 * width)
    return float(lower[run[-1] + 1] if len(run) else lower[0])
