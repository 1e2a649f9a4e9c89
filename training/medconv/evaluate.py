"""How well a classifier of the three classes does: metrics with bootstrap intervals over patients, calibration, tables and plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.adjustment import Floats, adjusted_probabilities
from training.medconv.crops import Case
from training.medconv.task import CLASSES
from training.metrics.bootstrap import BootstrapOptions, Indices, Interval, bootstrap
from training.metrics.calibration import brier_score, expected_calibration_error, reliability
from training.metrics.classification import classification_metrics
from training.metrics.ranking import auc_one_vs_rest
from training.metrics.table import ResultTable, TableColumn, TableRow, confusion_lines, value_lines
from training.plots.confusion import plot_confusion
from training.plots.reliability import plot_reliability
from training.plots.roc import RocSeries, plot_roc

METRICS = ("accuracy", "sensitivity_macro", "specificity_macro", "f1_weighted", "auc")
"""The paper's five columns; averages over classes as ours say them."""
PER_CLASS = tuple(f"sensitivity_{name}" for name in CLASSES)
CALIBRATION = ("ece", "brier")
TAU2_GRID = tuple(round(0.1 * step, 1) for step in range(21))
CUTS = (-2.5, -1.0)
CLEAR_T = 0.5
"""A case is clear where its T-score lies further than this from both cuts."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a network said of N cases.

    Attributes
    ----------
    logits
        (N, classes), before any adjustment.
    priors, tau2
        The adjustment that belongs to the network.
    """

    patients: tuple[str, ...]
    truth: NDArray[np.int64]
    t_scores: Floats
    logits: Floats
    priors: tuple[float, ...]
    tau2: float

    @property
    def probabilities(self) -> Floats:
        """(N, classes) after the adjustment."""
        return adjusted_probabilities(self.logits, self.priors, self.tau2)

    @property
    def clear(self) -> NDArray[np.bool_]:
        """(N,) cases whose T-score is known and further than :data:`CLEAR_T` from both cuts."""
        return np.asarray(np.min([np.abs(self.t_scores - cut) for cut in CUTS], axis=0) > CLEAR_T)


def predictions_of(cases: Sequence[Case], logits: Floats, priors: Sequence[float], tau2: float) -> Predictions:
    """The cases with what was said of them."""
    return Predictions(
        patients=tuple(case.patient for case in cases),
        truth=np.array([case.label for case in cases], dtype=np.int64),
        t_scores=np.array([case.t_score for case in cases], dtype=np.float64),
        logits=logits,
        priors=tuple(priors),
        tau2=tau2,
    )


def scores(found: Predictions, options: BootstrapOptions | None = None) -> dict[str, Interval]:
    """:data:`METRICS`, :data:`PER_CLASS`, :data:`CALIBRATION` and ``clear_accuracy``, each with its interval over patients."""
    said, clear = found.probabilities, found.clear
    predicted = said.argmax(axis=1)

    def statistic(indices: Indices) -> dict[str, float]:
        truth = found.truth[indices]
        values = classification_metrics(truth, predicted[indices], CLASSES)
        chosen = {name: values[name] for name in (*METRICS[:-1], *PER_CLASS)}
        chosen["auc"] = auc_one_vs_rest(truth, said[indices])
        chosen["ece"] = expected_calibration_error(truth, said[indices])
        chosen["brier"] = brier_score(truth, said[indices])
        hits = (predicted == found.truth)[indices][clear[indices]]
        chosen["clear_accuracy"] = float(hits.mean()) if hits.size else float("nan")
        return chosen

    return bootstrap(statistic, found.patients, options)


def tuned_tau2(validation: Predictions, grid: Sequence[float] = TAU2_GRID) -> float:
    """The tau2 with the largest macro sensitivity on *validation* predictions; of several, the one nearest to the paper's 0.5.

    Never to be called with the cases that are reported.
    """

    def sensitivity(tau2: float) -> float:
        said = adjusted_probabilities(validation.logits, validation.priors, tau2).argmax(axis=1)
        return float(np.nan_to_num(classification_metrics(validation.truth, said, CLASSES)["sensitivity_macro"]))

    return max(grid, key=lambda tau2: (round(sensitivity(tau2), 12), -abs(tau2 - 0.5)))


COLUMNS = (
    TableColumn(key="accuracy", heading="accuracy", percent=True),
    TableColumn(key="sensitivity_macro", heading="sensitivity (macro)", percent=True),
    TableColumn(key="specificity_macro", heading="specificity (macro)", percent=True),
    TableColumn(key="f1_weighted", heading="F1 (weighted)", percent=True),
    TableColumn(key="auc", heading="AUC (one vs. rest)", percent=True),
)
_FURTHER = (
    *(TableColumn(key=f"sensitivity_{name}", heading=f"sensitivity, {name}", percent=True) for name in CLASSES),
    TableColumn(key="clear_accuracy", heading=f"accuracy, T-score > {CLEAR_T:g} from a cut", percent=True),
    TableColumn(key="ece", heading="calibration error", digits=3, better="lower"),
    TableColumn(key="brier", heading="Brier score", digits=3, better="lower"),
)
PAPER_BEST = {"accuracy": 0.6538, "auc": 0.7934}
"""MedConv in Table II."""
SOURCE = "MedConv, arXiv 2502.00631, Table II"


def report(found: Predictions, name: str, measured_on: str) -> str:
    """Markdown: the paper's metrics and further ones with intervals, and the confusion matrix."""
    values = scores(found)
    main = ResultTable(
        title=f"{name}: the paper's metrics",
        measured_on=measured_on,
        source=SOURCE,
        columns=COLUMNS,
        rows=(TableRow(name=name, ours={column.key: values[column.key] for column in COLUMNS}, paper=PAPER_BEST),),
    )
    lines = ["", *value_lines(_FURTHER, values), "", *confusion_lines(found.truth, found.probabilities.argmax(axis=1), CLASSES), ""]
    return main.markdown() + "\n".join(lines)


def draw(found: Predictions, folder: Path, name: str) -> tuple[Path, ...]:
    """``confusion.png``, ``calibration.png`` and ``roc.png`` (each class against the rest, where both occur) in a folder.

    Raises
    ------
    TrainingError
        The folder cannot be written to.
    """
    said = found.probabilities
    pictures = [folder / "confusion.png", folder / "calibration.png"]
    plot_confusion(found.truth, said.argmax(axis=1), CLASSES, pictures[0], title=name)
    plot_reliability(reliability(found.truth, said), pictures[1], title=name)
    series = [
        RocSeries(name=label, truth=(found.truth == index).astype(np.int64), scores=said[:, index], patients=found.patients)
        for index, label in enumerate(CLASSES)
        if 0 < np.count_nonzero(found.truth == index) < found.truth.size
    ]
    if series:
        pictures.append(folder / "roc.png")
        plot_roc(series, pictures[-1], title=name, options=BootstrapOptions(resamples=500))
    return tuple(pictures)
