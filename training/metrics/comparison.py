"""Paired tests: two methods on the same cases or folds. Each returns a two-sided p-value with what it rests on."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from training.metrics.arrays import pair
from training.metrics.ranking import delong

EXACT_UP_TO = 25
"""McNemar's test counts exactly up to this many discordant cases; above, chi-square with Edwards' correction agrees."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A paired test. ``difference`` is second minus first. ``p`` is NaN where the samples allow no test; ``n``: pairs that counted."""

    test: str
    difference: float
    statistic: float
    p: float
    n: int

    @property
    def stars(self) -> str:
        """``***`` p < 0.001, ``**`` p < 0.01, ``*`` p < 0.05 (TP-SwAV, Table 2), else nothing."""
        return "".join("*" for edge in (0.05, 0.01, 0.001) if self.p < edge)


def paired_t_test(first: ArrayLike, second: ArrayLike, *, test_to_train: float | None = None) -> Comparison:
    """Student's paired t-test over folds or cases.

    Parameters
    ----------
    test_to_train
        For folds of a cross-validation: cases that validate divided by cases that train (0.25 for five folds). Folds share training
        data, so the plain test finds differences that are not there; the variance is then enlarged by Nadeau and Bengio (2003).

    Raises
    ------
    ValueError
        Fewer than two pairs.
    """
    one, other = pair(first, second)
    if one.size < 2:
        raise ValueError("a paired t-test needs at least two pairs")
    differences = other - one
    mean, variance = float(differences.mean()), float(differences.var(ddof=1))
    scale = math.sqrt(variance * (1.0 / one.size + (test_to_train or 0.0)))
    name = "paired t-test" if test_to_train is None else "corrected resampled t-test"
    if scale == 0.0:
        return Comparison(test=name, difference=mean, statistic=math.nan, p=math.nan, n=one.size)
    t = mean / scale
    return Comparison(test=name, difference=mean, statistic=t, p=float(2.0 * stats.t.sf(abs(t), one.size - 1)), n=one.size)


def wilcoxon(first: ArrayLike, second: ArrayLike) -> Comparison:
    """Wilcoxon's signed-rank test; pairs without a difference are left out. NaN where no pair differs."""
    one, other = pair(first, second)
    differences = (other - one)[other != one]
    median = float(np.median(other - one))
    if differences.size == 0:
        return Comparison(test="Wilcoxon signed-rank", difference=median, statistic=math.nan, p=math.nan, n=0)
    found = stats.wilcoxon(differences)
    return Comparison(
        test="Wilcoxon signed-rank", difference=median, statistic=float(found.statistic), p=float(found.pvalue), n=differences.size
    )


def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> Comparison:
    """McNemar's test of two classifiers: which cases only one of them gets right.

    Parameters
    ----------
    first_right, second_right
        Whether each was right, shape (N,), bool.
    """
    one, other = (values.astype(bool) for values in pair(np.asarray(first_right, dtype=float), np.asarray(second_right, dtype=float)))
    only_first, only_second = int(np.count_nonzero(one & ~other)), int(np.count_nonzero(other & ~one))
    discordant = only_first + only_second
    difference = (only_second - only_first) / one.size
    if discordant <= EXACT_UP_TO:
        p = float(stats.binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0
        return Comparison(test="McNemar, exact", difference=difference, statistic=float(only_second), p=p, n=discordant)
    chi2 = max(abs(only_first - only_second) - 1.0, 0.0) ** 2 / discordant
    return Comparison(test="McNemar, chi-square", difference=difference, statistic=chi2, p=float(stats.chi2.sf(chi2, 1)), n=discordant)


def delong_test(truth: ArrayLike, first: ArrayLike, second: ArrayLike) -> Comparison:
    """DeLong's test of two AUCs on the same cases (scores higher for positives).

    Raises
    ------
    ValueError
        Fewer than two positives or negatives.
    """
    one, other = pair(first, second)
    found = delong(truth, np.stack([one, other]))
    difference = float(found.areas[1] - found.areas[0])
    contrast = np.array([-1.0, 1.0])
    variance = float(contrast @ found.covariance @ contrast)
    if variance <= 1e-15:  # the same order of all cases
        return Comparison(test="DeLong", difference=difference, statistic=math.nan, p=1.0 if difference == 0.0 else math.nan, n=one.size)
    z = difference / math.sqrt(variance)
    return Comparison(test="DeLong", difference=difference, statistic=z, p=float(2.0 * stats.norm.sf(abs(z))), n=one.size)
