"""From folds to tables and figures: pooled metrics with intervals, t-tests over folds, learning curves, confusion matrices, ROC curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from training.dxa.cases import CLASSES
from training.dxa.crossval import FoldResult
from training.dxa.evaluate import COLUMNS, FURTHER, PAPER, SOURCE, pooled, roc_series, scores
from training.dxa.options import CNN21
from training.loop.curves import plot_learning_curves
from training.metrics.bootstrap import BootstrapOptions, Interval
from training.metrics.comparison import Comparison, paired_t_test
from training.metrics.table import TableColumn, TableRow
from training.plots.confusion import plot_confusion
from training.plots.roc import plot_roc

TABLE_5 = f"{SOURCE}, Table 5; AUC: Figure 7"
NAMES: Mapping[str, str] = MappingProxyType(
    {CNN21: "21-layer CNN", "vgg16": "VGG-16", "vgg19": "VGG-19", "resnet50": "ResNet-50", "inception3": "InceptionV3"}
)
_PAPER_5 = {
    CNN21: tuple(PAPER[column.key] for column in COLUMNS),
    "vgg16": (0.8809, 0.8571, 0.90, 0.878, 0.9580),
    "vgg19": (0.8952, 0.8761, 0.9108, 0.8935, 0.9599),
    "resnet50": (0.919, 0.9047, 0.9313, 0.9177, 0.9626),
    "inception3": (0.8476, 0.838, 0.8543, 0.8462, 0.9583),
}
PAPER_5: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {name: dict(zip((column.key for column in COLUMNS), values, strict=True)) for name, values in _PAPER_5.items()}
)
"""What the paper prints, as fractions."""
TABLE_6: Mapping[str, float] = MappingProxyType(
    {
        "21-layer CNN": 0.9823,
        "Liu et al. 2025, radiomics, spine CT": 0.96,
        "Du et al. 2025, radiomics, femur CT": 0.965,
        "Liu et al. 2024, hybrid transformer, routine CT": 0.97,
        "Smith et al. 2024, segmentation and regression, chest CT": 1.00,
    }
)
"""AUCs of the paper's Table 6, which gives the last as about 1."""
AUC_COLUMN = TableColumn(key="auc", heading="AUC", digits=4)
_FIFTHS = 0.25
"""Cases that validate over cases that train, with five folds."""


def row_of(
    name: str, results: Sequence[FoldResult], reference: Sequence[FoldResult] | None, note: str, options: BootstrapOptions
) -> TableRow:
    """Our figures of the test part beside the paper's; ``versus`` is the t-test of the folds' accuracies against the 21-layer CNN."""
    found = scores(pooled([one.test for one in results]), options)
    ours: dict[str, Interval | float] = {column.key: found[column.key] for column in COLUMNS}
    versus = compare(results, reference) if reference is not None and name != CNN21 else None
    return TableRow(name=NAMES[name], ours=ours, paper=PAPER_5[name], versus=versus, note=note)


def compare(results: Sequence[FoldResult], reference: Sequence[FoldResult], *, corrected: bool = False) -> Comparison | None:
    """The paper's paired t-test over folds, or the one corrected for folds that share training data; None with fewer than two folds."""
    if len(results) < 2 or len(results) != len(reference):
        return None
    accuracies = [[one.accuracy for one in side] for side in (reference, results)]
    return paired_t_test(*accuracies, test_to_train=_FIFTHS if corrected else None)


def folds_table(found: Mapping[str, Sequence[FoldResult]]) -> str:
    """Accuracy on the fold that validates: mean, standard deviation, and both t-tests against the 21-layer CNN."""
    lines = [
        "**Accuracy on the fold that validates** (its best epoch was chosen on it: it flatters all rows alike)",
        "",
        "| method | mean % | SD | folds % | p, paired t | p, corrected (Nadeau and Bengio 2003) |",
        "| --- | ---: | ---: | --- | ---: | ---: |",
    ]
    reference = found.get(CNN21)
    for name, results in found.items():
        each = np.array([100 * one.accuracy for one in results])
        tests = [
            compare(results, reference, corrected=corrected) if reference is not None and name != CNN21 else None
            for corrected in (False, True)
        ]
        spread = f"{each.std(ddof=1):.2f}" if each.size > 1 else "–"
        cells = [NAMES[name], f"{each.mean():.2f}", spread, " ".join(f"{one:.1f}" for one in each)]
        lines.append(f"| {' | '.join([*cells, *(_p(test) for test in tests)])} |")
    return "\n".join(lines)


def further_table(found: Mapping[str, Sequence[FoldResult]], options: BootstrapOptions) -> str:
    """Specificity, clear cases, calibration of the test part; best epochs and seconds of training."""
    head = [column.heading + (" %" if column.percent else "") for column in FURTHER]
    lines = [
        f"| method | {' | '.join(head)} | best epochs | training, s |",
        f"| --- | {' | '.join('---:' for _ in head)} | --- | ---: |",
    ]
    for name, results in found.items():
        values = scores(pooled([one.test for one in results]), options)
        cells = [f"{column.shown(values[column.key].value)} ({_range(column, values[column.key])})" for column in FURTHER]
        epochs, seconds = ", ".join(str(one.best_epoch) for one in results), sum(one.seconds for one in results)
        lines.append(f"| {' | '.join([NAMES[name], *cells, epochs, f'{seconds:.0f}'])} |")
    return "\n".join(lines) + "\n"


def _range(column: TableColumn, value: Interval) -> str:
    return f"{column.shown(value.low)} to {column.shown(value.high)}"


def _p(test: Comparison | None) -> str:
    if test is None or not np.isfinite(test.p):
        return "–"
    return "< 0.001" if test.p < 0.001 else f"{test.p:.3f}"


def draw_row(name: str, results: Sequence[FoldResult], folder: Path) -> None:
    """``NAME-confusion.png`` (Figure 6: the test part, every fold's network) and ``NAME-curve.png`` (Figure 5: the first fold)."""
    together = pooled([one.test for one in results])
    predicted = together.probabilities.argmax(axis=1)
    plot_confusion(together.truth, predicted, CLASSES, folder / f"{name}-confusion.png", title=NAMES[name])
    plot_learning_curves(results[0].log, folder / f"{name}-curve.png", title=f"{NAMES[name]}, fold {results[0].number}")


def draw_together(found: Mapping[str, Sequence[FoldResult]], folder: Path) -> None:
    """``roc.png`` (Figure 7): the first fold's network of every row on the test part."""
    series = [one for name, results in found.items() if (one := roc_series(results[0].test, NAMES[name])) is not None]
    if series:
        plot_roc(series, folder / "roc.png", title="test part", options=BootstrapOptions(resamples=200))
