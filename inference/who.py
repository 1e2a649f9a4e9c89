"""Diagnostic classes from T-scores: the WHO's edges, never a default for what was not measured. One rule for training and node."""

import math
from collections.abc import Iterable
from enum import StrEnum

NORMAL_FROM = -1.0
"""A T-score of -1.0 is normal (WHO 1994)."""

OSTEOPOROSIS_TO = -2.5
"""A T-score of -2.5 is osteoporosis (WHO 1994)."""


class BoneLabel(StrEnum):
    """The WHO's three classes. The order is that of the class indices everywhere in training."""

    NORMAL = "normal"
    OSTEOPENIA = "osteopenia"
    OSTEOPOROSIS = "osteoporosis"

    @property
    def class_index(self) -> int:
        """Class index: 0 normal, 1 osteopenia, 2 osteoporosis."""
        return LABELS.index(self)


LABELS = tuple(BoneLabel)
"""Class order of every model and table."""


def who_label(t_score: float) -> BoneLabel:
    """The WHO class of a T-score: >= -1.0 normal, between -2.5 and -1.0 osteopenia, <= -2.5 osteoporosis.

    Raises
    ------
    ValueError
        The T-score is not a finite number: a missing value has no class.
    """
    if not math.isfinite(t_score):
        raise ValueError(f"a T-score of {t_score} has no class")
    if t_score >= NORMAL_FROM:
        return BoneLabel.NORMAL
    return BoneLabel.OSTEOPOROSIS if t_score <= OSTEOPOROSIS_TO else BoneLabel.OSTEOPENIA


def worst_label(labels: Iterable[BoneLabel | None]) -> BoneLabel | None:
    """The most severe class among those known: one osteoporotic vertebra makes the patient osteoporotic. None where none is known."""
    return max((label for label in labels if label is not None), key=lambda label: label.class_index, default=None)
