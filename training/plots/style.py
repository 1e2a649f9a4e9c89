"""What all pictures share: colours that colour-blind readers tell apart, and files that do not change with the day."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.errors import TrainingError

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito 2008, the strongest contrasts first; yellow is left out: it cannot be seen on white."""

LINES = ("-", "--", "-.", ":")
"""Line styles go along with colours, so that a print in grey can be read, too."""

GREY = "#6E6E6E"

_SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "figure.dpi": 150.0,
    "savefig.dpi": 150.0,
    "svg.hashsalt": "osteon",
    "path.simplify": True,
}
_METADATA: dict[str, Any] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@contextmanager
def picture(path: Path, width_inches: float, height_inches: float) -> Iterator[Figure]:
    """A figure that is written to ``path`` (``.png``, ``.svg`` or ``.pdf``) when the block ends without an error.

    Raises
    ------
    TrainingError
        The suffix is another, or the folder cannot be written to.
    """
    if path.suffix.lower() not in _METADATA:
        raise TrainingError(f"{path}: a picture's name ends in .png, .svg or .pdf")
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever the reader's own settings are
        mpl.rcParams.update(_SETTINGS)
        figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
        yield figure
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, metadata=_METADATA[path.suffix.lower()])
        except OSError as error:
            raise TrainingError(f"{path}: the picture cannot be written: {error.strerror or error}") from None


def axes_of(figure: Figure) -> Axes:
    """The only axes of a picture."""
    return figure.subplots()


def line_of(index: int) -> dict[str, Any]:
    """Colour and style of the n-th line."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": LINES[index // len(COLOURS) % len(LINES)]}
