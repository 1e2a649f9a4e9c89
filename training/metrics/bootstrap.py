"""Bootstrap confidence intervals over patients: several vertebrae of one patient are one draw, not several."""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from training.metrics.arrays import Floats

Indices = NDArray[np.intp]
Method = Literal["percentile", "bca"]

LEAST_DEFINED = 0.5
"""Share of resamples in which a statistic must be defined, or it gets no interval."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value with its confidence interval.

    ``low`` and ``high`` are NaN where no interval can be given: fewer than two patients, or undefined in half of the resamples.
    ``undefined`` counts resamples in which the statistic was not defined (a class was missing, for instance); they are left out, which
    makes the interval too narrow where they are many.
    """

    value: float
    low: float
    high: float
    level: float = 0.95
    resamples: int = 0
    undefined: int = 0


@dataclass(frozen=True, kw_only=True)
class BootstrapOptions:
    """How intervals are made.

    ``bca`` corrects for bias and skew (Efron 1987) by leaving out one patient at a time; ``percentile`` cuts the resamples' values.
    """

    resamples: int = 2000
    level: float = 0.95
    method: Method = "percentile"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 1 or not 0.0 < self.level < 1.0:
            raise ValueError("a bootstrap needs at least one resample and a level between 0 and 1")


def bootstrap(
    statistic: Callable[[Indices], Mapping[str, float]], patients: Sequence[Hashable], options: BootstrapOptions | None = None
) -> dict[str, Interval]:
    """Confidence intervals of several statistics on the same resamples of patients.

    Parameters
    ----------
    statistic
        Given indices of cases (with repetitions), the values by name: NaN, or a ``ValueError``, where they are not defined.
    patients
        The patient of each case; all cases of a drawn patient come along.

    Returns
    -------
    dict
        Interval by name. The same arguments give the same intervals. Patients are numbered as they
        appear.

    Raises
    ------
    ValueError
        There are no cases, or the statistic is not defined on the cases themselves.
    """
    chosen = options if options is not None else BootstrapOptions()
    cases = _Cases.of(patients)
    values = dict(statistic(np.arange(len(patients), dtype=np.intp)))
    count = len(cases.sizes)
    if count < 2:
        return {name: Interval(value=value, low=math.nan, high=math.nan, level=chosen.level) for name, value in values.items()}
    rng = np.random.default_rng(chosen.seed)
    draws = (cases.of_patients(rng.integers(0, count, count)) for _ in range(chosen.resamples))
    drawn = _table(statistic, draws, tuple(values))
    left_out = np.empty((0, len(values)))
    if chosen.method == "bca":
        everyone = np.arange(count)
        left_out = _table(statistic, (cases.of_patients(np.delete(everyone, one)) for one in everyone), tuple(values))
    return {name: _interval(value, drawn[:, column], left_out[:, column], chosen) for column, (name, value) in enumerate(values.items())}


def bootstrap_one(statistic: Callable[[Indices], float], patients: Sequence[Hashable], options: BootstrapOptions | None = None) -> Interval:
    """The interval of one statistic; see :func:`bootstrap`."""
    return bootstrap(lambda indices: {"value": statistic(indices)}, patients, options)["value"]


@dataclass(frozen=True, kw_only=True)
class _Cases:
    """Case indices sorted by patient, with where each patient's begin and how many they are."""

    order: Indices
    starts: Indices
    sizes: Indices

    @classmethod
    def of(cls, patients: Sequence[Hashable]) -> "_Cases":
        """Number the patients as they appear."""
        if not len(patients):
            raise ValueError("there are no cases")
        numbers: dict[Hashable, int] = {}
        owner = np.array([numbers.setdefault(patient, len(numbers)) for patient in patients], dtype=np.intp)
        sizes = np.bincount(owner).astype(np.intp)
        return cls(order=np.argsort(owner, kind="stable"), starts=np.cumsum(sizes) - sizes, sizes=sizes)

    def of_patients(self, drawn: NDArray[np.integer]) -> Indices:
        """The cases of the drawn patients, one patient after the other."""
        sizes = self.sizes[drawn]
        ends = np.cumsum(sizes)
        within = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
        cases: Indices = self.order[np.repeat(self.starts[drawn], sizes) + within]
        return cases


def _table(statistic: Callable[[Indices], Mapping[str, float]], draws: Iterable[Indices], names: tuple[str, ...]) -> Floats:
    rows = []
    for indices in draws:
        try:
            found = statistic(indices)
        except ValueError:  # a class is missing from this resample
            found = {}
        rows.append([found.get(name, math.nan) for name in names])
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(names))


def _interval(value: float, drawn: Floats, left_out: Floats, options: BootstrapOptions) -> Interval:
    defined = drawn[np.isfinite(drawn)]
    low = high = math.nan
    if math.isfinite(value) and defined.size >= max(1.0, LEAST_DEFINED * drawn.size):
        low, high = (float(found) for found in np.quantile(defined, _cuts(value, defined, left_out, options)))
    return Interval(value=value, low=low, high=high, level=options.level, resamples=drawn.size, undefined=int(drawn.size - defined.size))


def _cuts(value: float, defined: Floats, left_out: Floats, options: BootstrapOptions) -> tuple[float, float]:
    """The quantiles at which the resamples are cut (Efron and Tibshirani 1993, equations 14.10, 14.14 and 14.15)."""
    tail = (1.0 - options.level) / 2.0
    sound = left_out[np.isfinite(left_out)]
    if options.method == "percentile" or sound.size < 2 or np.ptp(sound) == 0.0:
        return tail, 1.0 - tail
    # Ties count half: statistics of small samples take few values.
    below = (np.count_nonzero(defined < value) + np.count_nonzero(defined <= value)) / (2.0 * defined.size)
    edge = 0.5 / defined.size
    bias = float(norm.ppf(np.clip(below, edge, 1.0 - edge)))
    skew = sound.mean() - sound
    acceleration = float(np.sum(skew**3) / (6.0 * np.sum(skew**2) ** 1.5))
    shifted = (bias + float(norm.ppf(p)) for p in (tail, 1.0 - tail))
    low, high = (float(norm.cdf(bias + z / (1.0 - acceleration * z))) for z in shifted)
    return low, high
