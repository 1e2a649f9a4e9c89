"""A check on a segmenter's levels by a network that says the position of each vertebra from what the vertebra looks like."""

from collections.abc import Sequence

LEAST_VERTEBRAE = 3
"""Fewer vertebrae settle nothing about the levels of a patient."""


def level_shift(stated: Sequence[int], predicted: Sequence[int]) -> int | None:
    """By how many levels the stated positions lie below the predicted ones: what more than half of the vertebrae agree on.

    Parameters
    ----------
    stated, predicted
        Indices of :data:`inference.ct.vertebra_experts.POSITIONS`, of the same vertebrae.

    Returns
    -------
    int or None
        0: the two agree. None: fewer than :data:`LEAST_VERTEBRAE`, or no difference that more than half of them show.

    Raises
    ------
    ValueError
        Unequal lengths.
    """
    differences = [int(one) - int(other) for one, other in zip(stated, predicted, strict=True)]
    if len(differences) < LEAST_VERTEBRAE:
        return None
    most = max(sorted(set(differences), key=abs), key=differences.count)
    return most if 2 * differences.count(most) > len(differences) else None
