"""ROC curves and the area under them, with DeLong's variance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from training.metrics.arrays import Floats, Ints, classes, pair, probabilities


@dataclass(frozen=True, kw_only=True)
class RocCurve:
    """Points of an ROC curve from (0, 0) to (1, 1), one for each distinct score. ``thresholds``: positive is a score >= threshold."""

    false_positive_rate: Floats
    true_positive_rate: Floats
    thresholds: Floats


def roc_curve(truth: ArrayLike, scores: ArrayLike) -> RocCurve:
    """The ROC curve of scores that are higher for positives (1) than for negatives (0).

    Raises
    ------
    ValueError
        One of the two classes has no case.
    """
    positive, score = _binary(truth, scores)
    order = np.argsort(-score, kind="stable")
    hits, values = np.cumsum(positive[order]), score[order]
    last = np.r_[np.nonzero(np.diff(values))[0], values.size - 1]
    return RocCurve(
        false_positive_rate=np.r_[0.0, (last + 1 - hits[last]) / (~positive).sum()],
        true_positive_rate=np.r_[0.0, hits[last] / positive.sum()],
        thresholds=np.r_[np.inf, values[last]],
    )


def auc(truth: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half (Mann-Whitney).

    Raises
    ------
    ValueError
        One of the two classes has no case.
    """
    positive, score = _binary(truth, scores)
    count = int(positive.sum())
    return float((rankdata(score)[positive].sum() - count * (count + 1) / 2) / (count * (positive.size - count)))


def auc_one_vs_rest(truth: ArrayLike, probability: ArrayLike) -> float:
    """Macro average over classes of the AUC of each class against the others. ``probability`` has the shape (N, K).

    NaN where a class has no case (or no other has): the average over the classes that happen to occur would be another quantity.
    """
    said = probabilities(probability)
    true = classes(truth, said.shape[1])
    if true.size != said.shape[0]:
        raise ValueError(f"{true.size} true classes and {said.shape[0]} predictions")
    if np.bincount(true, minlength=said.shape[1]).min() == 0:
        return float("nan")
    return float(np.mean([auc(true == index, said[:, index]) for index in range(said.shape[1])]))


@dataclass(frozen=True, kw_only=True)
class DeLong:
    """Areas of K scores on the same cases, shape (K,), and their covariance, shape (K, K)."""

    areas: Floats
    covariance: Floats


def delong(truth: ArrayLike, scores: ArrayLike) -> DeLong:
    """Covariance of correlated AUCs (DeLong 1988), by midranks (Sun and Xu 2014, algorithm 2).

    Parameters
    ----------
    scores
        Shape (N,) or (K, N): K readers of the same N cases.

    Raises
    ------
    ValueError
        Fewer than two positives or negatives: there is no variance.
    """
    readers = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    positive = _binary(truth, readers[0])[0]
    m, n = int(positive.sum()), int((~positive).sum())
    if m < 2 or n < 2:
        raise ValueError("DeLong's variance needs at least two positive and two negative cases")
    areas, among_positives, among_negatives = [], [], []
    for reader in readers:
        ranks = rankdata(reader)
        above = (ranks[positive] - rankdata(reader[positive])) / n  # V10: share of negatives below each positive
        below = 1.0 - (ranks[~positive] - rankdata(reader[~positive])) / m  # V01: share of positives above each negative
        areas.append(above.mean())
        among_positives.append(above)
        among_negatives.append(below)
    covariance = np.atleast_2d(np.cov(among_positives)) / m + np.atleast_2d(np.cov(among_negatives)) / n
    return DeLong(areas=np.array(areas), covariance=covariance)


def youden_threshold(truth: ArrayLike, scores: ArrayLike) -> float:
    """The threshold with the largest sensitivity + specificity - 1; of several, the highest. To be chosen on validation data alone."""
    curve = roc_curve(truth, scores)
    return float(curve.thresholds[1:][np.argmax((curve.true_positive_rate - curve.false_positive_rate)[1:])])


def _binary(truth: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.bool_]], Floats]:
    true: Ints = classes(np.asarray(truth), 2)
    _, score = pair(true, scores)
    if true.min() == true.max():
        raise ValueError("an ROC curve needs both classes: every case is " + ("positive" if true[0] else "negative"))
    return true == 1, score
