"""What every metric asks of its arrays."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def pair(first: ArrayLike, second: ArrayLike) -> tuple[Floats, Floats]:
    """Two paired samples as float64, shape (N,).

    Raises
    ------
    ValueError
        Unequal shapes, no values, or values that are not finite: a missing value is no value.
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.ndim != 1 or one.shape != other.shape or one.size == 0:
        raise ValueError(f"two samples of equal length are needed, not of shapes {one.shape} and {other.shape}")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise ValueError("a value is not finite; leave out what was not measured, in both samples")
    return one, other


def classes(labels: ArrayLike, count: int | None = None) -> Ints:
    """Class indices 0 .. count-1 as int64, shape (N,).

    Raises
    ------
    ValueError
        No values, no whole numbers, or an index outside the classes.
    """
    array: NDArray[Any] = np.asarray(labels)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iub":
        raise ValueError(f"class indices must be whole numbers in one dimension, not {array.dtype} of shape {array.shape}")
    found = array.astype(np.int64)
    if found.min() < 0 or (count is not None and found.max() >= count):
        raise ValueError(
            f"class indices must lie in 0 .. {count - 1 if count is not None else '...'}: there is {found.min()} to {found.max()}"
        )
    return found


def probabilities(values: ArrayLike, rows: int | None = None) -> Floats:
    """Class probabilities as float64, shape (N, K), each row summing to one.

    Raises
    ------
    ValueError
        Another shape, negative values, or rows that do not sum to one (logits?).
    """
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] < 2 or (rows is not None and found.shape[0] != rows):
        raise ValueError(f"probabilities must have the shape (cases, classes), not {found.shape}")
    if not np.isfinite(found).all() or found.min() < -1e-9 or not np.allclose(found.sum(axis=1), 1.0, atol=1e-4):
        raise ValueError("probabilities must be 0 or more and sum to 1 for each case; are these logits?")
    return found
