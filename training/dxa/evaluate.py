"""How well normal and osteoporosis are told apart: the paper's metrics with bootstrap intervals over patients, calibration, plots."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from inference.dxa.network import Output
from inference.dxa.network import probabilities as calibrated
from training.dxa.cases import CLASSES, OSTEOPOROSIS, Case
from training.dxa.task import Floats
from training.metrics.bootstrap import BootstrapOptions, Indices, Interval, bootstrap
from training.metrics.calibration import brier_score, expected_calibration_error, fit_temperature, reliability_of_class
from training.metrics.classification import binary_metrics
from training.metrics.ranking import auc
from training.metrics.table import ResultTable, TableColumn, TableRow, confusion_lines, value_lines
from training.plots.confusion import plot_confusion
from training.plots.reliability import plot_reliability
from training.plots.roc import RocSeries, plot_roc

COLUMNS = (
    TableColumn(key="accuracy", heading="accuracy", percent=True),
    TableColumn(key="precision", heading="precision", percent=True),
    TableColumn(key="recall", heading="recall", percent=True),
    TableColumn(key="f1", heading="F1", percent=True),
    TableColumn(key="auc", heading="AUC", digits=3),
)
"""The paper's; positive is osteoporosis."""
FURTHER = (
    TableColumn(key="specificity", heading="specificity", percent=True),
    TableColumn(key="clear_accuracy", heading="accuracy, T-score > 0.5 from -2.5", percent=True),
    TableColumn(key="ece", heading="calibration error", digits=3, better="lower"),
    TableColumn(key="brier", heading="Brier score", digits=3, better="lower"),
)
PAPER = {"accuracy": 0.9714, "precision": 0.9904, "recall": 0.9541, "f1": 0.9716, "auc": 0.9823}
SOURCE = "Naeem et al. 2025, Front. Comput. Neurosci. 19:1712896"
_CUT, _CLEAR_T = -2.5, 0.5


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What networks said of N images.

    Attributes
    ----------
    truth
        (N,) indices into :data:`~training.dxa.cases.CLASSES`.
    logits
        (N, 2).
    temperature
        (N,) of the network that said it; 1 where it is not calibrated.
    network
        (N,) which of several networks said it: scores of two cannot be ranked together.
    """

    patients: tuple[str, ...]
    devices: tuple[str, ...]
    truth: NDArray[np.int64]
    t_scores: Floats
    logits: Floats
    temperature: Floats
    network: NDArray[np.int64]
    output: Output = "softmax"

    @property
    def probabilities(self) -> Floats:
        """(N, 2), calibrated."""
        scaled = torch.from_numpy(self.logits / self.temperature[:, None])
        return np.asarray(calibrated(scaled, 1.0, self.output).numpy(), dtype=np.float64)

    def calibrated(self, temperature: float) -> "Predictions":
        """The same at another temperature."""
        return replace(self, temperature=np.full(len(self.patients), temperature))


def predictions_of(cases: Sequence[Case], logits: Floats, temperature: float = 1.0, output: Output = "softmax") -> Predictions:
    """The cases with what one network said of them."""
    return Predictions(
        patients=tuple(case.patient for case in cases),
        devices=tuple(case.device for case in cases),
        truth=np.array([case.target for case in cases], dtype=np.int64),
        t_scores=np.array([case.t_score for case in cases], dtype=np.float64),
        logits=logits,
        temperature=np.full(len(cases), temperature),
        network=np.zeros(len(cases), dtype=np.int64),
        output=output,
    )


def pooled(found: Sequence[Predictions]) -> Predictions:
    """What several networks said, together."""
    return Predictions(
        patients=tuple(patient for one in found for patient in one.patients),
        devices=tuple(device for one in found for device in one.devices),
        truth=np.concatenate([one.truth for one in found]),
        t_scores=np.concatenate([one.t_scores for one in found]),
        logits=np.concatenate([one.logits for one in found]),
        temperature=np.concatenate([one.temperature for one in found]),
        network=np.repeat(np.arange(len(found)), [one.truth.size for one in found]),
        output=found[0].output,
    )


def temperature_of(validation: Predictions) -> float | None:
    """The temperature that fits *validation* predictions best (Guo et al. 2017); None where none does, as for a network without an error.

    Never to be called with the cases that are reported.
    """
    try:
        return fit_temperature(validation.truth, validation.logits)
    except ValueError:
        return None


def scores(found: Predictions, options: BootstrapOptions | None = None) -> dict[str, Interval]:
    """Values of :data:`COLUMNS` and :data:`FURTHER` with intervals over patients; the AUC is the mean over networks.

    A patient of whom several images or networks speak is one draw.
    """
    said = found.probabilities
    predicted = said.argmax(axis=1)
    clear = np.abs(found.t_scores - _CUT) > _CLEAR_T
    networks = int(found.network.max(initial=0)) + 1

    def statistic(indices: Indices) -> dict[str, float]:
        truth = found.truth[indices]
        counted = binary_metrics(truth, predicted[indices])
        values = {name: counted[name] for name in ("accuracy", "precision", "f1", "specificity")}
        values["recall"] = counted["sensitivity"]
        values["auc"] = _mean_auc(truth, said[indices, OSTEOPOROSIS], found.network[indices], networks)
        hits = (predicted == found.truth)[indices][clear[indices]]
        values["clear_accuracy"] = float(hits.mean()) if hits.size else float("nan")
        values["ece"] = expected_calibration_error(truth, said[indices])
        values["brier"] = brier_score(truth, said[indices])
        return values

    return bootstrap(statistic, found.patients, options)


def _mean_auc(truth: NDArray[np.int64], positive: Floats, network: NDArray[np.int64], networks: int) -> float:
    """NaN where a network has cases of one class only."""
    areas = []
    for number in range(networks):
        here = network == number
        both = here.any() and 0 < truth[here].sum() < here.sum()
        areas.append(auc(truth[here], positive[here]) if both else float("nan"))
    return float(np.mean(areas))


def report(found: Predictions, name: str, measured_on: str) -> str:
    """Markdown: the paper's metrics and further ones with intervals, by device, and the confusion matrix."""
    values = scores(found)
    main = ResultTable(
        title=f"{name}: the paper's metrics",
        measured_on=measured_on,
        source=f"{SOURCE}, Table 5",
        columns=COLUMNS,
        rows=(TableRow(name=name, ours={column.key: values[column.key] for column in COLUMNS}, paper=PAPER),),
    )
    lines = ["", *value_lines(FURTHER, values), "", *confusion_lines(found.truth, found.probabilities.argmax(axis=1), CLASSES), ""]
    return main.markdown() + "\n".join(lines)


def roc_series(found: Predictions, name: str) -> RocSeries | None:
    """The first network's curve; None where a class is missing."""
    first = found.network == 0
    truth = found.truth[first]
    if not 0 < truth.sum() < truth.size:
        return None
    patients = [patient for patient, here in zip(found.patients, first, strict=True) if here]
    return RocSeries(name=name, truth=truth, scores=found.probabilities[first, OSTEOPOROSIS], patients=patients)


def draw(found: Predictions, folder: Path, name: str) -> tuple[Path, ...]:
    """``confusion.png``, ``calibration.png`` (of the probability of osteoporosis) and, where both classes occur, ``roc.png``.

    Raises
    ------
    TrainingError
        The folder cannot be written to.
    """
    said = found.probabilities
    pictures = [folder / "confusion.png", folder / "calibration.png"]
    plot_confusion(found.truth, said.argmax(axis=1), CLASSES, pictures[0], title=name)
    bins = reliability_of_class(found.truth, said, OSTEOPOROSIS, 5)
    plot_reliability(bins, pictures[1], stated="probability of osteoporosis", observed="share with osteoporosis", title=name)
    series = roc_series(found, "osteoporosis")
    if series is not None:
        pictures.append(folder / "roc.png")
        plot_roc([series], pictures[-1], title=name, options=BootstrapOptions(resamples=500))
    return tuple(pictures)
