"""ROC curves with bands over patients."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from training.metrics.arrays import Floats
from training.metrics.bootstrap import BootstrapOptions, Indices, bootstrap
from training.metrics.ranking import auc, roc_curve
from training.plots.style import GREY, axes_of, line_of, picture

_GRID = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, kw_only=True)
class RocSeries:
    """One curve: truth (1 positive) and scores of N cases, and the patient of each (None: each case is a patient).

    ``points`` marks operating points on the curve by their threshold: positive is a score >= threshold.
    """

    name: str
    truth: ArrayLike
    scores: ArrayLike
    patients: Sequence[Hashable] | None = None
    points: tuple[float, ...] = ()


def plot_roc(series: Sequence[RocSeries], path: Path, *, title: str = "", options: BootstrapOptions | None = None) -> None:
    """Draw curves with pointwise bootstrap bands of the sensitivity and AUCs with intervals.

    Raises
    ------
    ValueError
        A series has cases of one class only.
    TrainingError
        The picture cannot be written.
    """
    with picture(path, 4.6, 4.4) as figure:
        axes = axes_of(figure)
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
        for index, one in enumerate(series):
            style = line_of(index)
            curve = roc_curve(one.truth, one.scores)
            low, high, label = _band(one, options)
            axes.fill_between(_GRID, low, high, color=style["color"], alpha=0.15, linewidth=0)
            axes.plot(curve.false_positive_rate, curve.true_positive_rate, label=label, linewidth=1.6, **style)
            for threshold in one.points:
                at = np.count_nonzero(curve.thresholds >= threshold) - 1
                axes.plot(curve.false_positive_rate[at], curve.true_positive_rate[at], "o", color=style["color"], markersize=5)
        axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", title=title)
        axes.legend(loc="lower right")


def _band(series: RocSeries, options: BootstrapOptions | None) -> tuple[Floats, Floats, str]:
    """Lower and upper edge of the sensitivity on the grid, and the legend's text."""
    true, scores = np.asarray(series.truth), np.asarray(series.scores, dtype=np.float64)

    def statistic(indices: Indices) -> dict[str, float]:
        curve = roc_curve(true[indices], scores[indices])
        heights = np.interp(_GRID, curve.false_positive_rate, curve.true_positive_rate)
        return {"auc": auc(true[indices], scores[indices])} | {str(place): float(height) for place, height in enumerate(heights)}

    found = bootstrap(statistic, series.patients if series.patients is not None else range(true.size), options)
    area = found["auc"]
    label = f"{series.name}: AUC {area.value:.2f}"
    if np.isfinite(area.low):
        label += f" ({area.low:.2f} to {area.high:.2f})"
    edges = np.array([(found[str(place)].low, found[str(place)].high) for place in range(_GRID.size)])
    return edges[:, 0], edges[:, 1], label
