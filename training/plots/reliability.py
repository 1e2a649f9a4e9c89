"""Reliability diagrams: what was stated against what was so."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from training.metrics.arrays import Floats, Ints
from training.metrics.calibration import Reliability, calibration_error
from training.plots.style import COLOURS, GREY, picture


def plot_reliability(found: Reliability, path: Path, *, stated: str = "confidence", observed: str = "accuracy", title: str = "") -> None:
    """Draw observed over stated probability with 95 % Wilson intervals, and below how many cases each bin holds.

    Parameters
    ----------
    found
        Of :func:`~training.metrics.calibration.reliability` or of one class.

    Raises
    ------
    TrainingError
        The picture cannot be written.
    """
    held: NDArray[np.bool_] = found.count > 0
    low, high = wilson(found.observed[held], found.count[held])
    middle, width = (found.edges[:-1] + found.edges[1:]) / 2.0, np.diff(found.edges)
    with picture(path, 4.2, 4.8) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":", label="calibrated")
        error = np.stack([found.observed[held] - low, high - found.observed[held]])
        style = {"fmt": "o-", "color": COLOURS[0], "markersize": 4, "linewidth": 1.4, "capsize": 2, "elinewidth": 1.0}
        upper.errorbar(found.stated[held], found.observed[held], yerr=np.maximum(error, 0.0), label="observed", **style)
        upper.text(0.97, 0.05, f"ECE = {calibration_error(found):.3f}", transform=upper.transAxes, ha="right", fontsize=8)
        upper.set(ylabel=observed, ylim=(-0.02, 1.02), title=title)
        upper.legend(loc="upper left")
        lower.bar(middle, found.count, width=0.9 * width, color=COLOURS[0])
        lower.set(xlabel=stated, ylabel="cases", xlim=(-0.02, 1.02))


def wilson(share: Floats, count: Ints, level: float = 0.95) -> tuple[Floats, Floats]:
    """Wilson's score interval of shares of ``count`` cases each (Wilson 1927)."""
    z = float(norm.ppf(0.5 + level / 2.0))
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return centre - half, centre + half
