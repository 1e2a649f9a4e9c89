"""Two continuous measurements of the same cases: error, correlation, linear fit, Bland-Altman, intraclass correlation."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from training.metrics.arrays import Floats, pair

NORMAL_95 = 1.959963984540054
"""Half-width of a normal distribution's central 95 %, in standard deviations."""

IccForm = Literal["ICC(1,1)", "ICC(2,1)", "ICC(3,1)"]


def rmse(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Root of the mean squared error, in the unit of the values."""
    true, said = pair(truth, predicted)
    return float(np.sqrt(np.mean((said - true) ** 2)))


def mae(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Mean absolute error, in the unit of the values."""
    true, said = pair(truth, predicted)
    return float(np.mean(np.abs(said - true)))


def pearson_r(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Pearson's correlation coefficient; NaN where either sample is constant."""
    true, said = pair(truth, predicted)
    one, other = true - true.mean(), said - said.mean()
    spread = float(np.sqrt((one @ one) * (other @ other)))
    return float(np.clip((one @ other) / spread, -1.0, 1.0)) if spread > 0.0 else float("nan")


def r_squared(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Coefficient of determination of the *predictions*, 1 - SSE/SST: below 0 where the mean would predict better.

    The R² of a fitted line (the CXR paper's Figure 5) is the square of Pearson's R instead: see :func:`linear_fit`.
    """
    true, said = pair(truth, predicted)
    total = float(np.sum((true - true.mean()) ** 2))
    return float(1.0 - np.sum((said - true) ** 2) / total) if total > 0.0 else float("nan")


@dataclass(frozen=True, kw_only=True)
class LinearFit:
    """Least squares of y on x: ``y = slope * x + intercept``. ``r_squared`` is that of the line."""

    slope: float
    intercept: float
    r_squared: float


def linear_fit(x: ArrayLike, y: ArrayLike) -> LinearFit:
    """The line through pairs.

    Raises
    ------
    ValueError
        All x are equal: no line.
    """
    first, second = pair(x, y)
    spread = float(np.sum((first - first.mean()) ** 2))
    if spread == 0.0:
        raise ValueError("a line needs at least two different x")
    slope = float(np.sum((first - first.mean()) * (second - second.mean())) / spread)
    return LinearFit(slope=slope, intercept=float(second.mean() - slope * first.mean()), r_squared=pearson_r(first, second) ** 2)


@dataclass(frozen=True, kw_only=True)
class BlandAltman:
    """Limits of agreement (Bland and Altman 1986), in the unit of the values.

    ``bias`` is the mean of (second - first); ``low`` and ``high`` are bias -/+ 1.96 SD of the differences (N - 1). The standard errors
    are theirs (1999): SD/sqrt(N) of the bias, sqrt(1/N + 1.96²/(2(N-1))) SD of a limit.
    """

    bias: float
    sd: float
    low: float
    high: float
    bias_se: float
    limit_se: float
    means: Floats
    differences: Floats


def bland_altman(first: ArrayLike, second: ArrayLike) -> BlandAltman:
    """Agreement of two measurements of the same cases.

    Raises
    ------
    ValueError
        Fewer than two cases.
    """
    one, other = pair(first, second)
    count = one.size
    if count < 2:
        raise ValueError("limits of agreement need at least two cases")
    differences = other - one
    bias, sd = float(differences.mean()), float(differences.std(ddof=1))
    return BlandAltman(
        bias=bias,
        sd=sd,
        low=bias - NORMAL_95 * sd,
        high=bias + NORMAL_95 * sd,
        bias_se=sd / float(np.sqrt(count)),
        limit_se=sd * float(np.sqrt(1.0 / count + NORMAL_95**2 / (2.0 * (count - 1)))),
        means=(one + other) / 2.0,
        differences=differences,
    )


def icc(ratings: ArrayLike, form: IccForm = "ICC(2,1)") -> float:
    """Intraclass correlation of single ratings (Shrout and Fleiss 1979).

    Parameters
    ----------
    ratings
        Shape (cases, raters), complete.
    form
        ``ICC(1,1)`` one-way; ``ICC(2,1)`` two-way random, absolute agreement (a constant offset counts against it); ``ICC(3,1)``
        two-way mixed, consistency (it does not).

    Raises
    ------
    ValueError
        Fewer than two cases or raters, or missing values.
    """
    values = np.asarray(ratings, dtype=np.float64)
    if values.ndim != 2 or min(values.shape) < 2 or not np.isfinite(values).all():
        raise ValueError(f"ratings must be complete, of at least two cases and two raters; their shape is {values.shape}")
    n, k = values.shape
    grand = values.mean()
    cases = k * np.sum((values.mean(axis=1) - grand) ** 2)
    raters = n * np.sum((values.mean(axis=0) - grand) ** 2)
    total = np.sum((values - grand) ** 2)
    between = cases / (n - 1)
    within = (total - cases) / (n * (k - 1))
    error = (total - cases - raters) / ((n - 1) * (k - 1))
    if form == "ICC(1,1)":
        return _ratio(between - within, between + (k - 1) * within)
    if form == "ICC(3,1)":
        return _ratio(between - error, between + (k - 1) * error)
    return _ratio(between - error, between + (k - 1) * error + k * (raters / (k - 1) - error) / n)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole != 0.0 else float("nan")
