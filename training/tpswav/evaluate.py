"""How well vertebrae are read: by vertebra and by patient, with intervals over patients; density on a named scale, positions, tests."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.ct.level_check import level_shift
from training.errors import TrainingError
from training.metrics.agreement import mae
from training.metrics.arrays import Floats, Ints
from training.metrics.bootstrap import BootstrapOptions, Indices, Interval, bootstrap
from training.metrics.classification import binary_metrics
from training.metrics.comparison import Comparison, paired_t_test
from training.metrics.ranking import auc
from training.metrics.screening import any_by_patient
from training.metrics.table import ResultTable, TableColumn, TableRow
from training.plots.agreement import Quantity, plot_bland_altman
from training.plots.roc import RocSeries, plot_roc
from training.simulation.xray.devices import DEVICES
from training.tpswav.losses import UNKNOWN
from training.tpswav.task import Predictions

CUT = 0.5
"""A vertebra is called osteoporotic above this probability: the larger of the two logits, as in the paper."""
_REPEAT = " #"
"""Between a level and the seed of its repeat."""
PAPER_METRICS = ("accuracy", "sensitivity", "specificity", "f1")
COLUMNS = (
    TableColumn(key="accuracy", heading="ACC", percent=True),
    TableColumn(key="sensitivity", heading="SEN", percent=True),
    TableColumn(key="specificity", heading="SPE", percent=True),
    TableColumn(key="f1", heading="F1", percent=True),
)
REPORT_COLUMNS = (
    *COLUMNS,
    TableColumn(key="auc", heading="AUC", digits=3),
    TableColumn(key="bmd_mae", heading="BMD error, g/cm2", digits=3, better="lower"),
    TableColumn(key="bmd_bias", heading="BMD bias, g/cm2", digits=3, better=None),
    TableColumn(key="position", heading="position", percent=True),
    TableColumn(key="position_off_by_one", heading="within one", percent=True),
)


def labelled(found: Predictions) -> Predictions:
    """The vertebrae whose diagnosis is known.

    Raises
    ------
    TrainingError
        There is none.
    """
    known = np.asarray(found.label != UNKNOWN)
    if not known.any():
        raise TrainingError("no vertebra that is to be judged has a diagnosis")
    return found.only(known)


def at_site(found: Predictions, site: str) -> Predictions:
    """The vertebrae of one site."""
    return found.only(np.array([one == site for one in found.sites], dtype=bool))


def vertebra_scores(found: Predictions, options: BootstrapOptions | None = None) -> dict[str, Interval]:
    """``accuracy``, ``sensitivity``, ``specificity``, ``f1``, ``auc`` by vertebra, ``bmd_mae`` and ``bmd_bias`` in g/cm2, with intervals.

    The density of a vertebra is held against that of its own densitometer, on whatever scale it was read: for a densitometer that the
    network does not know, the difference of the scales is part of the error. Positions are judged over all vertebrae: ``position`` is the
    share that is right, ``position_off_by_one`` that within one level.
    """
    known = np.asarray(found.label != UNKNOWN)
    measured = np.isfinite(found.bmd)
    positive = found.probability > CUT
    apart = np.abs(found.position - found.predicted_position)

    def statistic(indices: Indices) -> dict[str, float]:
        told, density = indices[known[indices]], indices[measured[indices]]
        values = dict.fromkeys((*PAPER_METRICS, "auc", "bmd_mae", "bmd_bias"), np.nan)
        if told.size:
            scores = binary_metrics(found.label[told], positive[told].astype(int))
            values |= {name: scores[name] for name in PAPER_METRICS} | {"auc": area(found.label[told], found.probability[told])}
        if density.size:
            difference = found.predicted_bmd[density] - found.bmd[density]
            values |= {"bmd_mae": mae(found.bmd[density], found.predicted_bmd[density]), "bmd_bias": float(difference.mean())}
        return {**values, "position": float((apart[indices] == 0).mean()), "position_off_by_one": float((apart[indices] <= 1).mean())}

    return bootstrap(statistic, found.patients, options)


def area(label: Ints, probability: Floats) -> float:
    """AUC, or NaN where a class is missing."""
    return auc(label, probability) if len(set(label.tolist())) == 2 else float("nan")


def of_repeat(found: Predictions, seed: int) -> Predictions:
    """The same vertebrae as of one repeat among several, which :func:`joined` may then put together: the level says which repeat."""
    return replace(found, levels=tuple(f"{level}{_REPEAT}{seed}" for level in found.levels))


def patient_scores(found: Predictions, options: BootstrapOptions | None = None) -> dict[str, Interval]:
    """:data:`PAPER_METRICS` by patient, who is positive, truly and as predicted, where any vertebra with a diagnosis is (Table 3).

    A patient of several repeats counts once in each, and is still one patient to the intervals.
    """
    chosen = labelled(found)
    repeats = [(patient, level.partition(_REPEAT)[2]) for patient, level in zip(chosen.patients, chosen.levels, strict=True)]
    _, true = any_by_patient(repeats, chosen.label == 1)
    _, said = any_by_patient(repeats, chosen.probability > CUT)
    patients = [patient for patient, _ in dict.fromkeys(repeats)]

    def statistic(indices: Indices) -> dict[str, float]:
        scores = binary_metrics(true[indices].astype(int), said[indices].astype(int))
        return {name: scores[name] for name in PAPER_METRICS}

    return bootstrap(statistic, patients, options)


def on_own_scale(found: Predictions) -> Predictions:
    """Densities brought from the scale they were read on to that of the vertebra's own densitometer, where both scales are known lines.

    Of simulated densitometers they are (:data:`training.simulation.xray.devices.DEVICES`): what is left of the error is the network's.
    """
    moved = found.predicted_bmd.copy()
    for place, (own, scale) in enumerate(zip(found.devices, found.scale, strict=True)):
        if own != scale and own in DEVICES and scale in DEVICES:
            moved[place] = DEVICES[own].reading(DEVICES[scale].true(float(moved[place])))
    return found.with_bmd(moved)


def compared(first: Predictions, second: Predictions) -> Comparison:
    """Paired t-test of the probability that each network gives the true diagnosis of the same vertebrae; positive: the second is better.

    The paper does not say which values it pairs. A vertebra of several repeats is one pair, of its means: repeats are no further vertebrae.

    Raises
    ------
    TrainingError
        They are not the same vertebrae.
    """
    one, other = labelled(first), labelled(second)
    if (one.patients, one.levels) != (other.patients, other.levels):
        raise TrainingError("two networks are compared on the same vertebrae")
    return paired_t_test(_right(one), _right(other))


def _right(found: Predictions) -> Floats:
    """Probability of the true diagnosis by vertebra, a mean over repeats."""
    right = np.where(found.label == 1, found.probability, 1 - found.probability)
    own: dict[tuple[str, str], list[float]] = {}
    for patient, level, value in zip(found.patients, found.levels, right.tolist(), strict=True):
        own.setdefault((patient, level.partition(_REPEAT)[0]), []).append(value)
    return np.array([np.mean(values) for values in own.values()], dtype=np.float64)


def gates_by_device(found: Predictions) -> Mapping[str, NDArray[np.float64]]:
    """Mean weights of the experts by densitometer."""
    names = np.array(found.devices)
    return {name: found.gates[names == name].mean(axis=0) for name in sorted(set(found.devices))}


def flipped_levels_caught(found: Predictions, shift: int = 1) -> float:
    """Share of patients in whom labels that are all wrong by ``shift`` levels would be noticed by the position head.

    The rule is :func:`inference.ct.level_check.level_shift`'s; the true labels take the place of a segmenter's.
    """
    caught = []
    for patient in dict.fromkeys(found.patients):
        here = found.only(np.array([one == patient for one in found.patients], dtype=bool))
        caught.append(level_shift((here.position + shift).tolist(), here.predicted_position.tolist()) not in (0, None))
    return float(np.mean(caught))


def report(found: Predictions, name: str, measured_on: str, options: BootstrapOptions | None = None) -> str:
    """Markdown: vertebrae and patients, all and by site, the gate by densitometer, and how many wrong levels would be noticed."""
    sites = sorted(set(found.sites))
    groups = [("all", found), *((f"site {site}", at_site(found, site)) for site in sites)]
    rows = [TableRow(name=f"vertebrae, {label}", ours=vertebra_scores(part, options)) for label, part in groups]
    rows += [TableRow(name=f"patients, {label}", ours=patient_scores(part, options)) for label, part in groups if (part.label >= 0).any()]
    foreign = found.only(np.array([own != scale for own, scale in zip(found.devices, found.scale, strict=True)], dtype=bool))
    if foreign.patients:
        moved = vertebra_scores(on_own_scale(foreign), options)
        kept = {key: moved[key] for key in ("bmd_mae", "bmd_bias")}
        rows.append(TableRow(name="densitometer unknown to the network, scale converted", ours=kept))
    table = ResultTable(title=name, measured_on=measured_on, source="no paper", columns=REPORT_COLUMNS, rows=tuple(rows))
    gates = [
        f"| {device or 'none'} | " + " | ".join(f"{weight:.2f}" for weight in weights) + " |"
        for device, weights in gates_by_device(found).items()
    ]
    experts = found.gates.shape[1]
    head = ["| densitometer |" + "".join(f" expert {number + 1} |" for number in range(experts)), "| --- |" + " ---: |" * experts]
    caught = f"Levels wrong by one: noticed in {flipped_levels_caught(found):.0%} of patients; right levels called wrong in "
    caught += f"{flipped_levels_caught(found, 0):.0%}."
    return "\n".join([table.markdown(), "Mean weight of each expert:", "", *head, *gates, "", caught, ""])


def draw(found: Predictions, folder: Path, title: str) -> tuple[Path, ...]:
    """``roc.png`` by site and ``bmd.png`` (Bland-Altman) in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = labelled(found)
    series = []
    for site in sorted(set(chosen.sites)):
        part = at_site(chosen, site)
        if len(set(part.label.tolist())) == 2:
            series.append(RocSeries(name=f"site {site}", truth=part.label, scores=part.probability, patients=part.patients))
    drawn = []
    if series:
        plot_roc(series, folder / "roc.png", title=title, options=BootstrapOptions(resamples=200))
        drawn.append(folder / "roc.png")
    measured = np.isfinite(found.bmd)
    if measured.sum() > 2:
        quantity = Quantity(name="areal density of a vertebra", unit="g/cm2")
        plot_bland_altman(found.bmd[measured], found.predicted_bmd[measured], folder / "bmd.png", quantity)
        drawn.append(folder / "bmd.png")
    return tuple(drawn)


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Several sets of vertebrae as one, as of repeats."""
    first, *rest = parts
    for part in rest:
        first = first.and_more(part)
    return first
