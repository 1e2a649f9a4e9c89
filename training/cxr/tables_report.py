"""From results to the paper's tables: intervals over several repeats, the paper's figures beside ours, and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.cxr.cases import LEVELS
from training.cxr.estimates import Estimates, joined
from training.cxr.evaluate import AGREEMENT, AVERAGE, THRESHOLDS, agreement, draw, levels_of, thresholds_by_patient, thresholds_by_vertebra
from training.cxr.tables_paper import BY_PATIENT, OPERATING, PAPER, TABLE_2, TABLE_3, Comparison, Row
from training.cxr.tables_run import Result
from training.metrics.bootstrap import BootstrapOptions, Interval
from training.metrics.table import ResultTable, TableColumn, TableRow

_HEADINGS = {"r": "R", "rmse": "RMSE, g/cm²", "auc": "AUC"}
_BETTER = {"r": "higher", "rmse": "lower", "auc": "higher"}
POOLED = "Repeats are pooled: their test parts are put together, and a patient who was in several is one draw."
UNIFORM = (
    "The vertebrae of a simulated patient differ far less from each other than a real patient's (R of the densities of L1 and L4: 0.99 in "
    "the simulation, 0.81 in the paper): the columns L1 to L4 say nearly the same thing four times."
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a row's networks said, all repeats together, and what it cost."""

    row: Row
    test: Estimates
    seconds: float
    networks: int


def pooled(row: Row, results: Sequence[Result]) -> Found:
    """The test parts of all repeats of a row."""
    return Found(
        row=row,
        test=joined([result.test for result in results]),
        seconds=sum(result.seconds for result in results),
        networks=sum(result.networks for result in results),
    )


def comparison_tables(table: Comparison, found: Sequence[Found], measured_on: str, options: BootstrapOptions) -> list[ResultTable]:
    """R, RMSE and AUC of each row, one table each: L1 to L4 and the average."""
    values = [agreement(one.test, options) for one in found]
    return [
        ResultTable(
            title=f"{table.title}: {_HEADINGS[metric]}",
            measured_on=measured_on,
            source=f"{PAPER}, {table.title.partition(':')[0]}",
            columns=tuple(_column(metric, level) for level in (*LEVELS, AVERAGE)),
            rows=tuple(_row(one, its, metric) for one, its in zip(found, values, strict=True)),
        )
        for metric in AGREEMENT
    ]


def _column(metric: str, level: str) -> TableColumn:
    return TableColumn(key=f"{metric}_{level}", heading=level, digits=3, better=_BETTER[metric])  # type: ignore[arg-type]


def _row(found: Found, values: Mapping[str, Interval], metric: str) -> TableRow:
    keys = [f"{metric}_{level}" for level in (*LEVELS, AVERAGE)]
    note = f"{found.seconds / 60:.1f} min for {found.networks} networks" if metric == "r" else ""
    return TableRow(
        name=found.row.name,
        ours={key: values[key] for key in keys if key in values},
        paper={key: found.row.paper[key] for key in keys if key in found.row.paper},
        note=note,
    )


def vertebra_table(found: Estimates, measured_on: str, options: BootstrapOptions) -> ResultTable:
    """Table II: sensitivity and specificity of each vertebra at each threshold of the estimate's T-score."""
    columns = tuple(
        TableColumn(key=f"{metric}_{level}", heading=f"{level} {metric[:4]}.", percent=True, digits=1, better=None)
        for level in (*LEVELS, AVERAGE)
        for metric in OPERATING
    )
    rows = tuple(
        TableRow(name=name, ours=thresholds_by_vertebra(found, threshold, options), paper=TABLE_2[name])
        for name, threshold in THRESHOLDS.items()
    )
    return ResultTable(
        title="Table II: thresholds by vertebra",
        measured_on=measured_on,
        source=f"{PAPER}, Table II",
        columns=columns,
        rows=tuple(_with_known(row, columns) for row in rows),
    )


def patient_table(found: Estimates, measured_on: str, options: BootstrapOptions) -> ResultTable:
    """Table III: the patient is flagged if any vertebra is."""
    columns = tuple(TableColumn(key=key, heading=key.replace("_", ", "), digits=3, better=None) for key in BY_PATIENT)
    return ResultTable(
        title="Table III: thresholds by patient",
        measured_on=measured_on,
        source=f"{PAPER}, Table III",
        columns=columns,
        rows=tuple(
            TableRow(name=name, ours=thresholds_by_patient(found, THRESHOLDS[name], options), paper=paper)
            for name, paper in TABLE_3.items()
        ),
    )


def _with_known(row: TableRow, columns: Sequence[TableColumn]) -> TableRow:
    """The row without what has no column, for a run of some levels only."""
    keys = {column.key for column in columns}
    return replace(row, ours={key: value for key, value in row.ours.items() if key in keys})


def draw_found(found: Sequence[Found], folder: Path, resamples: int) -> None:
    """The pictures of each row, in a folder of its own."""
    for one in found:
        if levels_of(one.test):
            draw(one.test, folder / one.row.name.replace(" ", "-"), one.row.name, resamples=resamples)
