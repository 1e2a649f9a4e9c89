"""How well density is estimated: the paper's figures with bootstrap intervals over patients, and its pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.cxr.cases import LEVELS
from training.cxr.estimates import Estimates
from training.data.labels import NORMAL_FROM, OSTEOPOROSIS_TO
from training.errors import TrainingError
from training.metrics.agreement import pearson_r, rmse
from training.metrics.bootstrap import BootstrapOptions, Indices, Interval, bootstrap
from training.metrics.classification import binary_metrics
from training.metrics.ranking import auc
from training.metrics.screening import FLEX, Threshold
from training.plots.agreement import Quantity, plot_agreement
from training.plots.roc import RocSeries, plot_roc
from training.plots.style import line_of, picture

AVERAGE = "average"
THRESHOLDS: Mapping[str, Threshold] = {"-1.75": -1.75, "-2": -2.0, "-2.25": -2.25, "-2.5": -2.5, "Flex": FLEX}
"""Table II's rows; Table III leaves -2.5 out."""
AGREEMENT = ("r", "rmse", "auc")


def levels_of(found: Estimates) -> tuple[str, ...]:
    """The levels of which there are estimates."""
    return tuple(level for column, level in enumerate(LEVELS) if np.isfinite(found.folds[:, :, column]).all())


def agreement(found: Estimates, options: BootstrapOptions | None = None) -> dict[str, Interval]:
    """``r_L1``, ``rmse_L1`` (g/cm²), ``auc_L1`` (T-score <= -2.5, ranked by density) ..., and the mean over the levels, ``r_average`` ...

    A level's films are those in which it was measured. What is not defined (no osteoporosis among the films) is NaN, and so is its average.
    """
    levels = levels_of(found)

    def statistic(indices: Indices) -> dict[str, float]:
        values: dict[str, float] = {}
        for level in levels:
            truth, said, t_score = measured(found, level, indices)
            values[f"r_{level}"], values[f"rmse_{level}"] = pearson_r(truth, said), rmse(truth, said)
            values[f"auc_{level}"] = _auc(t_score, said)
        for name in AGREEMENT:
            values[f"{name}_{AVERAGE}"] = float(np.mean([values[f"{name}_{level}"] for level in levels]))
        return values

    return bootstrap(statistic, found.patients, options)


def measured(
    found: Estimates, level: str, indices: Indices | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """True density, estimate and true T-score of the films in which a level was measured."""
    column = LEVELS.index(level)
    rows = np.arange(len(found.patients)) if indices is None else indices
    truth = found.bmd_g_cm2[rows, column]
    known = np.isfinite(truth)
    return truth[known], found.estimated[rows, column][known], found.t_scores[rows, column][known]


def _auc(t_score: NDArray[np.float64], said: NDArray[np.float64]) -> float:
    known = np.isfinite(t_score)
    positive = (t_score[known] <= OSTEOPOROSIS_TO).astype(np.int64)
    if not 0 < positive.sum() < positive.size:
        return float("nan")
    return auc(positive, -said[known])


def thresholds_by_vertebra(found: Estimates, threshold: Threshold, options: BootstrapOptions | None = None) -> dict[str, Interval]:
    """``sensitivity_L1``, ``specificity_L1`` ... and their averages: osteoporosis (true T-score <= -2.5) against the estimate's T-score."""
    levels = levels_of(found)
    said = found.estimated_t_scores

    def statistic(indices: Indices) -> dict[str, float]:
        values: dict[str, float] = {}
        for level in levels:
            column = LEVELS.index(level)
            truth, predicted = found.t_scores[indices, column], said[indices, column]
            known = np.isfinite(truth) & np.isfinite(predicted)
            result = _binary(truth[known] <= OSTEOPOROSIS_TO, predicted[known] <= of_level(threshold, level))
            values |= {f"{name}_{level}": result[name] for name in ("sensitivity", "specificity")}
        for name in ("sensitivity", "specificity"):
            values[f"{name}_{AVERAGE}"] = float(np.mean([values[f"{name}_{level}"] for level in levels]))
        return values

    return bootstrap(statistic, found.patients, options)


def thresholds_by_patient(found: Estimates, threshold: Threshold, options: BootstrapOptions | None = None) -> dict[str, Interval]:
    """``osteoporosis_sensitivity``, ``osteoporosis_specificity`` and the same of ``osteopenia``, over patients with all four levels.

    A patient is flagged if the estimate of any vertebra is at or below the threshold. Truly osteoporotic is who has a vertebra at or below
    -2.5. The paper's osteopenia columns take the same flag against who has a vertebra below -1 (its specificity of 99.7 % means that
    "nearly no patients with healthy BMD" are picked out).

    Raises
    ------
    TrainingError
        Not all four levels were estimated, or no patient has all four.
    """
    if levels_of(found) != LEVELS:
        raise TrainingError(f"patients are judged by {', '.join(LEVELS)}; only {', '.join(levels_of(found)) or 'none'} was estimated")
    said = found.estimated_t_scores
    whole = np.isfinite(found.t_scores).all(axis=1) & np.isfinite(said).all(axis=1)
    if not whole.any():
        raise TrainingError("no patient has T-scores of all four levels")
    limits = np.array([of_level(threshold, level) for level in LEVELS])
    flagged = np.asarray((said - limits).min(axis=1) <= 0)
    lowest = found.t_scores.min(axis=1)
    truth = {"osteoporosis": lowest <= OSTEOPOROSIS_TO, "osteopenia": lowest < NORMAL_FROM}
    rows = np.flatnonzero(whole)

    def statistic(indices: Indices) -> dict[str, float]:
        chosen = rows[indices]
        values: dict[str, float] = {}
        for name, true in truth.items():
            result = _binary(true[chosen], flagged[chosen])
            values |= {f"{name}_{metric}": result[metric] for metric in ("sensitivity", "specificity")}
        return values

    return bootstrap(statistic, [found.patients[row] for row in rows], options)


def of_level(threshold: Threshold, level: str) -> float:
    """The threshold of one level."""
    return float(threshold[level] if isinstance(threshold, Mapping) else threshold)


def _binary(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> dict[str, float]:
    if truth.size == 0:
        return {"sensitivity": float("nan"), "specificity": float("nan")}
    return binary_metrics(truth.astype(np.int64), said.astype(np.int64))


def draw(found: Estimates, folder: Path, name: str, *, resamples: int = 200) -> tuple[Path, ...]:
    """The paper's pictures: linear fit and Bland-Altman of each level (Figure 5), ROC curves with the Flex points (Figure 6), and the
    differences between vertebrae beside the errors of the estimates (Figure 8).

    Parameters
    ----------
    resamples
        Of the bands of the ROC curves.

    Raises
    ------
    TrainingError
        The folder cannot be written to.
    """
    pictures = []
    for level in levels_of(found):
        truth, said, _ = measured(found, level)
        if truth.size > 1 and np.ptp(truth) > 0:
            pictures.append(folder / f"agreement-{level}.png")
            plot_agreement(truth, said, pictures[-1], Quantity(name=f"BMD of {level}", unit="g/cm²", digits=3))
    if series := _roc_series(found):
        pictures.append(folder / "roc.png")
        plot_roc(series, pictures[-1], title=name, options=BootstrapOptions(resamples=resamples))
    pictures.append(folder / "cross-vertebra.png")
    plot_cross_vertebra(found, pictures[-1])
    return tuple(pictures)


def _roc_series(found: Estimates) -> list[RocSeries]:
    series = []
    said = found.estimated_t_scores
    for level in levels_of(found):
        column = LEVELS.index(level)
        known = np.isfinite(found.t_scores[:, column]) & np.isfinite(said[:, column])
        positive = (found.t_scores[known, column] <= OSTEOPOROSIS_TO).astype(np.int64)
        if 0 < positive.sum() < positive.size:
            patients = [patient for patient, there in zip(found.patients, known, strict=True) if there]
            series.append(RocSeries(name=level, truth=positive, scores=-said[known, column], patients=patients, points=(-FLEX[level],)))
    return series


PAIRS = (("L1", "L2"), ("L2", "L3"), ("L3", "L4"), ("L1", "L3"), ("L1", "L4"))


def cross_vertebra(found: Estimates, rows: NDArray[np.intp]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean absolute differences (g/cm²) between the true densities of two vertebrae, and of the estimates from the truth, of some films.

    What one vertebra says of another is the bound that the paper sets its estimates beside (section V-E).
    """
    bmd = found.bmd_g_cm2[rows]
    between = {f"{first}-{second}": _mean(np.abs(bmd[:, LEVELS.index(first)] - bmd[:, LEVELS.index(second)])) for first, second in PAIRS}
    errors = np.abs(found.estimated[rows] - bmd)
    return between, {level: _mean(errors[:, LEVELS.index(level)]) for level in levels_of(found)}


def _mean(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


_LEAST = 3
"""Films of an age and sex below which no point is drawn."""


def plot_cross_vertebra(found: Estimates, path: Path) -> None:
    """Figure 8: both quantities over the decades of age, women above, men below; over all films where age or sex is not known.

    Raises
    ------
    TrainingError
        The picture cannot be written.
    """
    groups = _groups(found)
    with picture(path, 8.4, 3.2 * len(groups)) as figure:
        grid = figure.subplots(len(groups), 2, squeeze=False, sharex=True, sharey=True)
        for (name, ages), (left, right) in zip(groups.items(), grid, strict=True):
            points = [(age, cross_vertebra(found, rows)) for age, rows in ages.items() if rows.size >= _LEAST]
            for axes, place, title in ((left, 0, "between vertebrae"), (right, 1, "estimate - truth")):
                for index, key in enumerate(points[0][1][place] if points else ()):
                    style = line_of(index) | {"marker": "o", "markersize": 3}
                    axes.plot([age for age, _ in points], [values[place][key] for _, values in points], label=key, **style)
                axes.set(title=f"{name}: {title}", ylabel="mean absolute difference (g/cm²)", xlabel="age (decade)", ylim=(0, None))
                if points:
                    axes.legend(loc="upper left", ncols=2)


def _groups(found: Estimates) -> dict[str, dict[float, NDArray[np.intp]]]:
    """Indices of films by sex and decade."""
    groups: dict[str, dict[float, NDArray[np.intp]]] = {}
    sexes = np.array(found.sexes)
    for sex, name in (("F", "women"), ("M", "men")):
        decades = np.floor(found.ages / 10) * 10 + 5
        known = np.flatnonzero((sexes == sex) & np.isfinite(found.ages))
        if known.size:
            groups[name] = {float(age): known[decades[known] == age] for age in np.unique(decades[known])}
    return groups or {"all": {float("nan") if not len(found.patients) else 0.0: np.arange(len(found.patients))}}


def summary(values: Mapping[str, Interval], levels: Sequence[str], name: str, digits: int) -> str:
    """One line for a person: the average of a metric with its interval, then each level."""
    average = values[f"{name}_{AVERAGE}"]
    parts = ", ".join(f"{level} {values[f'{name}_{level}'].value:.{digits}f}" for level in levels)
    return f"{average.value:.{digits}f} ({average.low:.{digits}f} to {average.high:.{digits}f}; {parts})"
