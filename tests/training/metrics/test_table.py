"""Tables of the papers: what is shown to a person, what is kept for a program."""

import csv
import json
from pathlib import Path

import pytest

from training.errors import TrainingError
from training.metrics.bootstrap import Interval
from training.metrics.comparison import Comparison
from training.metrics.table import (
    METRICS_FILE,
    NOTHING,
    ResultTable,
    TableColumn,
    TableRow,
    confusion_lines,
    interval_json,
    value_lines,
    write_metrics,
)

pytestmark = pytest.mark.unit

TABLE = ResultTable(
    title="Table II",
    measured_on="78 simulated patients",
    source="MedConv, Table II",
    columns=(
        TableColumn(key="accuracy", heading="accuracy", percent=True, digits=1),
        TableColumn(key="rmse", heading="RMSE", digits=3, better="lower"),
        TableColumn(key="bias", heading="bias", better=None),
    ),
    rows=(
        TableRow(
            name="ResNet-50",
            ours={"accuracy": Interval(value=0.641, low=0.53, high=0.744, resamples=2000, undefined=3), "rmse": 0.0771},
            paper={"accuracy": 0.6538},
            versus=Comparison(test="McNemar, exact", difference=0.1, statistic=5.0, p=0.0004, n=9),
        ),
        TableRow(name="ViT | base", ours={"accuracy": float("nan"), "rmse": 0.09, "bias": -0.0001}, paper={"accuracy": 0.3354}),
        TableRow(name="VOCO", note="not run: another group's system"),
    ),
)


def test_markdown() -> None:
    assert TABLE.markdown().splitlines() == [
        "**Table II**",
        "",
        "| method | accuracy % | paper | RMSE | bias | p | note |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
        "| ResNet-50 | 64.1 (53.0 to 74.4) | 65.4 | **0.077** | – | < 0.001 |  |",
        "| ViT \\| base | – | 33.5 | 0.090 | 0.00 | – |  |",
        "| VOCO | – | – | – | – | – | not run: another group's system |",
        "",
        "Ours: 78 simulated patients. In brackets: 95 % bootstrap intervals over patients (2000 resamples). p: McNemar, exact. "
        "Paper: MedConv, Table II, on its own patients.",
    ]


def test_files(tmp_path: Path) -> None:
    markdown, table = TABLE.write(tmp_path / "new" / "table2")
    assert markdown.read_text(encoding="utf-8") == TABLE.markdown()
    first, second, third = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    assert (first["accuracy"], first["accuracy_low"], first["accuracy_undefined"], first["accuracy_paper"]) == (
        "0.641",
        "0.53",
        "3.0",
        "0.6538",
    )
    assert (first["test"], first["p"], second["accuracy"], second["rmse_low"]) == ("McNemar, exact", "0.0004", "", "")
    assert third["note"] == "not run: another group's system"
    with pytest.raises(TrainingError, match="cannot be written"):
        TABLE.write(markdown / "below" / "a file")


def test_a_table_says_what_it_was_measured_on() -> None:
    with pytest.raises(ValueError, match="measured on"):
        ResultTable(title="t", measured_on=" ", source="s", columns=(), rows=())
    with pytest.raises(ValueError, match="no column for auc"):
        ResultTable(title="t", measured_on="m", source="s", columns=(), rows=(TableRow(name="a", ours={"auc": 1.0}),))


def test_values_confusion_and_json() -> None:
    value = Interval(value=0.641, low=0.53, high=float("nan"), resamples=10, undefined=0)
    assert value_lines([TABLE.columns[0]], {"accuracy": value})[-1] == f"| accuracy | 64.1 % | 53.0 to {NOTHING} |"
    assert confusion_lines([0, 0, 1, 1], [0, 1, 1, 1], ("low", "high"))[-2:] == ["| low | 1 | 1 |", "| high | 0 | 2 |"]
    assert interval_json({"accuracy": value}) == {"accuracy": {"value": 0.641, "low": 0.53, "high": None}}


def test_metrics_are_written_with_what_was_chosen(tmp_path: Path) -> None:
    write_metrics({"auc": Interval(value=0.5, low=0.25, high=float("nan"))}, tmp_path, tau2=1.5, temperature=None)
    told = json.loads((tmp_path / METRICS_FILE).read_text())
    assert told == {"tau2": 1.5, "temperature": None, "metrics": {"auc": {"value": 0.5, "low": 0.25, "high": None}}}
