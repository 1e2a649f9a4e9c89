"""Films made small, alike for every way of turning them: means over equal areas, and ranks instead of greys."""

import numpy as np
from numpy.typing import NDArray

from inference.radiograph_pixels import GreyArray, Mask


def area_means(values: NDArray[np.generic], long_side: int) -> GreyArray:
    """Shrink to ``long_side`` pixels along the longer side; each new pixel is the mean of the area that it covers.

    Turning or mirroring the input turns or mirrors the output. A film that is already smaller keeps its size.

    Parameters
    ----------
    values
        (rows, columns).
    """
    scale = min(1.0, long_side / max(values.shape))
    rows, columns = (max(1, round(count * scale)) for count in values.shape)
    down, across = _weights(values.shape[0], rows), _weights(values.shape[1], columns)
    return np.asarray(down @ np.asarray(values, dtype=np.float32) @ across.T, dtype=np.float32)


def ranked(values: GreyArray, known: Mask) -> GreyArray:
    """Ranks from 0 to 1 of the known pixels, 0 elsewhere; equal greys share one rank.

    Whatever monotone curve a vendor or a window lays over the film, the ranks stay; the negative has one minus the rank.
    """
    out = np.zeros(values.shape, dtype=np.float32)
    inside = values[known]
    if not len(inside):
        return out
    _, place, counts = np.unique(inside, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2
    out[known] = (middle / max(len(inside) - 1, 1))[place]
    return out


def _weights(had: int, wanted: int) -> NDArray[np.float32]:
    """(wanted, had) shares of the old pixels in the new ones."""
    if had == wanted:
        return np.eye(had, dtype=np.float32)
    edges = np.linspace(0, had, wanted + 1)
    pixel = np.arange(had)[None, :]
    shares = np.clip(np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel), 0, 1)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float32)
