"""Which cases an epoch shows, and how often: classes as they come, evened out by the square root, or all alike.

Draws are settled by (seed, epoch). Within a class, cases come in shuffled rounds, so that no case comes twice before each came once.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.errors import TrainingError

Weighting = Literal["natural", "square-root", "balanced"]
_POWERS = {"natural": 1.0, "square-root": 0.5, "balanced": 0.0}


def class_shares(counts: NDArray[np.integer], weighting: Weighting) -> NDArray[np.float64]:
    """The share of an epoch that each class gets.

    Parameters
    ----------
    counts
        (classes,) cases of each class; a class without cases gets nothing.
    weighting
        ``natural``: as many as there are. ``square-root``: in proportion to the square root of the count (Mahajan et al. 2018).
        ``balanced``: each class alike.

    Returns
    -------
    ndarray
        (classes,) float64, their sum is 1.

    Raises
    ------
    TrainingError
        There is no case, or no such weighting.
    """
    if weighting not in _POWERS:
        raise TrainingError(f"there is no class weighting {weighting!r}; there are {', '.join(_POWERS)}")
    if counts.sum() == 0:
        raise TrainingError("there is no case to draw from")
    weights = np.where(counts > 0, np.power(counts, _POWERS[weighting], dtype=np.float64), 0.0)
    return np.asarray(weights / weights.sum())


class ClassSampler:
    """Draws the cases of each epoch.

    Parameters
    ----------
    labels
        The class of each case, from 0.
    weighting
        See :func:`class_shares`.
    size
        Cases of an epoch; as many as there are labels where None.
    """

    def __init__(self, labels: Sequence[int], weighting: Weighting, *, seed: int, size: int | None = None) -> None:
        self._labels = np.asarray(labels, dtype=np.intp)
        if self._labels.size == 0 or self._labels.min() < 0:
            raise TrainingError("a sampler needs at least one case, and classes counted from 0")
        if size is not None and size < 1:
            raise TrainingError(f"an epoch needs at least one case, not {size}")
        self._seed = seed
        self.size = self._labels.size if size is None else size
        self.shares = class_shares(np.bincount(self._labels), weighting)

    def indices(self, epoch: int) -> NDArray[np.intp]:
        """(size,) positions in ``labels``, shuffled; the same for the same epoch."""
        rng = np.random.default_rng((self._seed, epoch))
        drawn = [self._of_class(rng, label, quota) for label, quota in enumerate(self._quotas(rng))]
        return rng.permutation(np.concatenate(drawn))

    def _quotas(self, rng: np.random.Generator) -> NDArray[np.intp]:
        """Cases of each class: its share in whole numbers, what is left over by chance in proportion to what was cut off."""
        exact = self.shares * self.size
        whole = np.floor(exact + 1e-9).astype(np.intp)
        left = self.size - int(whole.sum())
        if left > 0:
            cut = np.maximum(exact - whole, 0)
            whole[rng.choice(whole.size, left, replace=False, p=cut / cut.sum())] += 1
        return whole

    def _of_class(self, rng: np.random.Generator, label: int, quota: int) -> NDArray[np.intp]:
        members = np.flatnonzero(self._labels == label)
        if quota == 0:
            return members[:0]
        rounds = [rng.permutation(members) for _ in range(-(-quota // members.size))]
        return np.concatenate(rounds)[:quota]
