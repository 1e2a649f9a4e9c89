"""Overlap of label images."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def dice(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
    """Dice coefficient 2|A∩B| / (|A| + |B|) of two masks of one shape; NaN where both are empty: nothing was there to be found.

    Raises
    ------
    ValueError
        Unequal shapes.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"masks of shapes {truth.shape} and {predicted.shape} do not lie on one grid")
    sizes = np.count_nonzero(truth) + np.count_nonzero(predicted)
    return 2.0 * np.count_nonzero(truth & predicted) / sizes if sizes else float("nan")


def dice_by_label(truth: NDArray[np.integer], predicted: NDArray[np.integer], labels: Iterable[int]) -> dict[int, float]:
    """Dice of each label of two label images of one shape (see :func:`dice`).

    Raises
    ------
    ValueError
        Unequal shapes.
    """
    return {label: dice(truth == label, predicted == label) for label in labels}
