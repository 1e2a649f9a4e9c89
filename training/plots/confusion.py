"""Confusion matrices: counts, and what share of each true class they are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from training.metrics.classification import confusion_matrix
from training.plots.style import axes_of, picture

_DARK = 0.55
"""Share above which the cell is so dark that its text is white."""


def plot_confusion(truth: ArrayLike, predicted: ArrayLike, names: Sequence[str], path: Path, *, title: str = "") -> None:
    """Draw a confusion matrix, shaded by the share of each true class.

    Raises
    ------
    ValueError
        Class indices outside ``names``.
    TrainingError
        The picture cannot be written.
    """
    counts = confusion_matrix(truth, predicted, len(names))
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    side = 1.4 + 0.95 * len(names)
    with picture(path, side + 0.8, side) as figure:
        axes = axes_of(figure)
        image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
        for (row, column), count in np.ndenumerate(counts):
            text = f"{count}\n{100 * shares[row, column]:.0f} %" if totals[row, 0] else f"{count}"
            colour = "white" if shares[row, column] > _DARK else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour)
        axes.set(xlabel="predicted", ylabel="true", title=title)
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), [f"{name}\n(n = {total})" for name, total in zip(names, totals[:, 0], strict=True)])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=axes, shrink=0.8)
        bar.set_label("share of the true class")
