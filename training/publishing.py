"""What the bundles of all trained models say alike: how they were learned, how well they do, where they were trained."""

import platform
from pathlib import Path

import numpy as np
from torch import nn

from inference.bundles import Metric
from training.loop.curves import plot_learning_curves
from training.loop.journal import FILE as LOG
from training.metrics.bootstrap import Interval

DIGITS = 4
CURVE = "curve.png"


def learning_pictures(out: Path, title: str) -> dict[str, Path]:
    """Learning curves, drawn from the log of the run in ``out``, and that log: files of a bundle's ``docs/`` and where they lie.

    Raises
    ------
    TrainingError
        There is no log of a run in ``out``.
    """
    plot_learning_curves(out / LOG, out / CURVE, title=title)
    return {CURVE: out / CURVE, LOG: out / LOG}


def stated(name: str, found: Interval, cases: int, data: str) -> Metric:
    """A metric as a bundle states it: rounded, with its interval, if any; one that misses the value, as percentiles may, is widened."""
    value = round(found.value, DIGITS)
    if not np.isfinite(found.low):
        return Metric(name=name, value=value, cases=cases, data=data)
    low, high = min(round(found.low, DIGITS), value), max(round(found.high, DIGITS), value)
    return Metric(name=name, value=value, low=low, high=high, cases=cases, data=data)


def hardware_of(model: nn.Module) -> str:
    """The machine's kind and where the network lies on it: ``x86_64, cpu``."""
    return f"{platform.machine()}, {next(model.parameters()).device}"
