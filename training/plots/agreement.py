"""Predicted against measured: the fitted line and the limits of agreement, as in the CXR paper's Figure 5."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from training.metrics.agreement import NORMAL_95, bland_altman, linear_fit, pearson_r, rmse
from training.metrics.arrays import pair
from training.plots.style import COLOURS, GREY, axes_of, picture


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """What is compared, for the axes: ``Quantity(name="BMD of L1", unit="g/cm²", digits=3)``."""

    name: str
    unit: str
    digits: int = 2
    measured: str = "DXA"
    predicted: str = "predicted"


def plot_agreement(truth: ArrayLike, predicted: ArrayLike, path: Path, quantity: Quantity) -> None:
    """Both pictures side by side. Raises as :func:`plot_linear_fit` and :func:`plot_bland_altman`."""
    with picture(path, 8.6, 3.9) as figure:
        left, right = figure.subplots(1, 2)
        _draw_fit(left, truth, predicted, quantity)
        _draw_limits(right, truth, predicted, quantity)


def plot_linear_fit(truth: ArrayLike, predicted: ArrayLike, path: Path, quantity: Quantity) -> None:
    """Predicted over measured with the least-squares line, the line of identity, R and RMSE.

    Raises
    ------
    ValueError
        Unpaired or missing values, or a constant truth.
    TrainingError
        The picture cannot be written.
    """
    with picture(path, 4.4, 4.0) as figure:
        _draw_fit(axes_of(figure), truth, predicted, quantity)


def plot_bland_altman(truth: ArrayLike, predicted: ArrayLike, path: Path, quantity: Quantity) -> None:
    """Differences over means with bias and limits of agreement, each with its 95 % confidence band.

    Raises
    ------
    ValueError
        Unpaired or missing values, or fewer than two cases.
    TrainingError
        The picture cannot be written.
    """
    with picture(path, 4.8, 4.0) as figure:
        _draw_limits(axes_of(figure), truth, predicted, quantity)


def _draw_fit(axes: Axes, truth: ArrayLike, predicted: ArrayLike, quantity: Quantity) -> None:
    true, said = pair(truth, predicted)
    fit = linear_fit(true, said)
    both = np.concatenate([true, said])
    margin = 0.05 * float(np.ptp(both)) or 1.0
    ends = np.array([both.min() - margin, both.max() + margin])
    axes.plot(ends, ends, color=GREY, linewidth=0.8, linestyle=":", label="identity")
    axes.plot(true, said, "o", color=COLOURS[0], markersize=3, alpha=_alpha(true.size), markeredgewidth=0)
    spread = np.array([true.min(), true.max()])
    sign = "+" if fit.intercept >= 0 else "-"
    digits = quantity.digits
    line = f"y = {fit.slope:.2f} x {sign} {abs(fit.intercept):.{digits}f}"
    axes.plot(spread, fit.slope * spread + fit.intercept, color=COLOURS[1], linewidth=1.6, label=line)
    said_of = f"N = {true.size}\nR = {pearson_r(true, said):.2f}\nRMSE = {rmse(true, said):.{digits}f} {quantity.unit}"
    axes.text(0.97, 0.03, said_of, transform=axes.transAxes, ha="right", va="bottom", fontsize=8)
    axes.set(
        xlabel=f"{quantity.name}, {quantity.measured} ({quantity.unit})",
        ylabel=f"{quantity.name}, {quantity.predicted} ({quantity.unit})",
        xlim=ends,
        ylim=ends,
        aspect="equal",
    )
    axes.legend(loc="upper left")


def _draw_limits(axes: Axes, truth: ArrayLike, predicted: ArrayLike, quantity: Quantity) -> None:
    found = bland_altman(truth, predicted)
    for height, error, name, colour in (
        (found.bias, found.bias_se, "bias", COLOURS[1]),
        (found.low, found.limit_se, "-1.96 SD", COLOURS[2]),
        (found.high, found.limit_se, "+1.96 SD", COLOURS[2]),
    ):
        axes.axhspan(height - NORMAL_95 * error, height + NORMAL_95 * error, color=colour, alpha=0.15, linewidth=0)
        axes.axhline(height, color=colour, linewidth=1.2, linestyle="-" if name == "bias" else "--")
        text = f"{name}: {height:+.{quantity.digits}f}"
        axes.annotate(
            text, (1.0, height), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.axhline(0.0, color=GREY, linewidth=0.8, linestyle=":")
    axes.plot(found.means, found.differences, "o", color=COLOURS[0], markersize=3, alpha=_alpha(found.means.size), markeredgewidth=0)
    axes.set(
        xlabel=f"mean of {quantity.measured} and {quantity.predicted} ({quantity.unit})",
        ylabel=f"{quantity.predicted} - {quantity.measured} ({quantity.unit})",
    )


def _alpha(count: int) -> float:
    """Many points are drawn fainter, so that a cloud still shows where it is dense."""
    return float(np.clip(100.0 / count, 0.15, 0.8))
