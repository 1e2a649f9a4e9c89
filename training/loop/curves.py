"""Learning curves, drawn from the log of a run."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training.errors import TrainingError
from training.loop.journal import Row, read_log

_PANEL_INCHES = (4.2, 3.0)
_MOST_INSIDE = 3
"""Legends of more lines stand beside their panel: inside they would cover some."""
_COLUMNS = 3


def panels(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Which columns of a log share axes: training and validation of one name, and names that begin alike (``dice``, ``dice_body``).

    Returns
    -------
    dict
        Title of each panel and its columns, in the order of the log.
    """
    names = list(dict.fromkeys(name for row in rows for name in row if name not in ("epoch", "steps", "seconds")))
    found: dict[str, list[str]] = {}
    for name in names:
        kind, _, rest = name.partition("_")
        title = rest.split("_")[0] if kind in ("train", "val") else name.replace("_", " ")
        found.setdefault(title, []).append(name)
    return found


def plot_learning_curves(log: Path, picture: Path, *, title: str = "") -> None:
    """Draw each quantity of ``log.csv`` over the epochs.

    Parameters
    ----------
    picture
        Where to write; its suffix says how (``.png``, ``.pdf``, ``.svg``).

    Raises
    ------
    TrainingError
        The log is absent, empty or holds something else.
    """
    rows = read_log(log)
    if not rows:
        raise TrainingError(f"{log} holds no epoch yet")
    found = panels(rows)
    across = min(_COLUMNS, len(found))
    down = -(-len(found) // across)
    figure = Figure(figsize=(_PANEL_INCHES[0] * across, _PANEL_INCHES[1] * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[len(found) :]:
        axes.remove()
    for axes, (name, columns) in zip(grid.flat, found.items(), strict=False):
        _draw(axes, name, columns, rows)
    if title:
        figure.suptitle(title)
    figure.savefig(picture, dpi=150)


def _draw(axes: Axes, title: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    for column in columns:
        points = [(row["epoch"], row[column]) for row in rows if column in row]
        style = {"train": "--", "val": "-"}.get(column.split("_")[0], "-")
        axes.plot(*zip(*points, strict=True), style, marker="." if len(points) < 20 else None, linewidth=1.3, label=column)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("epoch", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    if len(columns) > 1:
        if len(columns) > _MOST_INSIDE:
            axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
        else:
            axes.legend(fontsize=7)
