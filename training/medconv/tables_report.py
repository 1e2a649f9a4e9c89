"""From results to a table: metrics with intervals over several repeats, the paper's figures beside them, and pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.adjustment import Floats
from training.medconv.evaluate import COLUMNS, METRICS, PER_CLASS, tuned_tau2
from training.medconv.rows import Method
from training.medconv.tables_paper import Row, Table
from training.medconv.tables_run import Result
from training.medconv.task import CLASSES
from training.metrics.bootstrap import BootstrapOptions, Indices, Interval, bootstrap
from training.metrics.classification import classification_metrics
from training.metrics.ranking import auc_one_vs_rest
from training.metrics.table import ResultTable, TableColumn, TableRow
from training.plots.confusion import plot_confusion
from training.plots.roc import RocSeries, plot_roc
from training.plots.style import axes_of, line_of, picture

CLASS_COLUMNS = tuple(TableColumn(key=f"sensitivity_{name}", heading=name, percent=True) for name in CLASSES)
AVERAGES = (
    "Sensitivity and specificity of ours are macro averages: each class counts alike. The paper's equal its accuracy a and (1 + a) / 2 in "
    "every row but JointViT + pretrain, as micro averages do, so that they say nothing beyond the accuracy and are not to be compared."
)


def pooled(results: Sequence[Result], options: BootstrapOptions | None = None) -> dict[str, Interval]:
    """:data:`METRICS` and :data:`PER_CLASS` of the test parts of all repeats together, with intervals over patients.

    Counts are pooled; the AUC is the mean over the repeats, since scores of two networks cannot be ranked together. A patient who was in
    several test parts is one draw.
    """
    truth, said, repeats, patients = gathered(results)
    predicted = said.argmax(axis=1)

    def statistic(indices: Indices) -> dict[str, float]:
        values = classification_metrics(truth[indices], predicted[indices], CLASSES)
        chosen = {name: values[name] for name in (*METRICS[:-1], *PER_CLASS)}
        chosen["auc"] = _mean_auc(truth[indices], said[indices], repeats[indices], len(results))
        return chosen

    return bootstrap(statistic, patients, options)


def gathered(results: Sequence[Result]) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64], tuple[str, ...]]:
    """Truth (N,), probabilities (N, classes), repeat (N,) and patient of every test case of every repeat."""
    tests = [result.test for result in results]
    repeats = np.repeat(np.arange(len(tests)), [test.truth.size for test in tests])
    patients = tuple(patient for test in tests for patient in test.patients)
    return np.concatenate([test.truth for test in tests]), np.concatenate([test.probabilities for test in tests]), repeats, patients


def _mean_auc(truth: NDArray[np.int64], said: Floats, repeats: NDArray[np.int64], count: int) -> float:
    """NaN where a repeat lacks a class."""
    areas = []
    for repeat in range(count):
        here = repeats == repeat
        areas.append(auc_one_vs_rest(truth[here], said[here]) if here.any() else float("nan"))
    return float(np.mean(areas))


def row_of(row: Row, results: Sequence[Result], note: str, options: BootstrapOptions) -> TableRow:
    """A row with our figures beside the paper's. Without results it holds the note alone: why there are none."""
    ours = pooled(results, options) if results else {}
    return TableRow(name=row.name, ours=ours, paper=row.paper, note=note)


def printed(table: Table, rows: Sequence[TableRow], measured_on: str) -> tuple[ResultTable, ResultTable]:
    """The paper's table, and ours of each class's sensitivity, which the paper does not print."""
    overall = {column.key for column in COLUMNS}
    main = ResultTable(
        title=table.title,
        measured_on=measured_on,
        source=table.source,
        columns=COLUMNS,
        rows=tuple(_kept(row, overall) for row in rows),
    )
    classes = ResultTable(
        title=f"{table.title}: sensitivity of each class",
        measured_on=measured_on,
        source=f"{table.source}, which prints none of these",
        columns=CLASS_COLUMNS,
        rows=tuple(_kept(row, set(PER_CLASS)) for row in rows if row.ours),
    )
    return main, classes


def _kept(row: TableRow, keys: set[str]) -> TableRow:
    ours = {key: value for key, value in row.ours.items() if key in keys}
    return TableRow(name=row.name, ours=ours, paper={key: value for key, value in row.paper.items() if key in keys}, note=row.note)


def chosen_tau2(results: Sequence[Result]) -> tuple[tuple[Result, ...], tuple[float, ...]]:
    """Each repeat with the tau2 that is best on its validation part, and these values."""
    values = tuple(tuned_tau2(result.validation) for result in results)
    return tuple(result.adjusted(tau2) for result, tau2 in zip(results, values, strict=True)), values


def draw_row(name: str, results: Sequence[Result], stem: Path) -> None:
    """``STEM-confusion.png`` and ``STEM-roc.png`` of the test parts of all repeats together; ROC curves of the first repeat's."""
    truth, said, _, _ = gathered(results)
    plot_confusion(truth, said.argmax(axis=1), CLASSES, stem.with_name(f"{stem.name}-confusion.png"), title=name)
    first = results[0].test
    series = [
        RocSeries(name=label, truth=(first.truth == index).astype(np.int64), scores=first.probabilities[:, index], patients=first.patients)
        for index, label in enumerate(CLASSES)
        if 0 < np.count_nonzero(first.truth == index) < first.truth.size
    ]
    if series:
        plot_roc(series, stem.with_name(f"{stem.name}-roc.png"), title=name, options=BootstrapOptions(resamples=200))


def draw_sweep(rows: Sequence[tuple[Method, TableRow]], path: Path) -> None:
    """Figure 6: the metrics over tau2, ours with intervals, the paper's accuracy dotted."""
    rows = [pair for pair in rows if pair[1].ours]
    with picture(path, 5.6, 4.0) as figure:
        axes = axes_of(figure)
        taus = [method.tau2 for method, _ in rows]
        for index, column in enumerate(COLUMNS):
            found = [row.ours[column.key] for _, row in rows]
            values = np.array([one.value if isinstance(one, Interval) else one for one in found])
            edges = np.array([(one.low, one.high) if isinstance(one, Interval) else (np.nan, np.nan) for one in found])
            style = line_of(index)
            axes.fill_between(taus, edges[:, 0], edges[:, 1], color=style["color"], alpha=0.08, linewidth=0)
            axes.plot(taus, values, marker="o", markersize=3, linewidth=1.4, label=column.heading, **style)
        paper = [row.paper.get("accuracy", np.nan) for _, row in rows]
        axes.plot(taus, paper, color="black", linestyle=":", linewidth=1.0, label="accuracy, paper")
        axes.set(xlabel="tau2", ylabel="value", ylim=(0.0, 1.02), title="tau2 after training (test part)")
        axes.legend(loc="lower left", ncols=2)
