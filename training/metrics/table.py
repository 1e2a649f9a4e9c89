"""Tables like the papers': ours with its interval, the paper's figure beside it, as Markdown for a person and CSV for a program."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from numpy.typing import ArrayLike

from training.data.files import replace_file
from training.errors import TrainingError
from training.metrics.bootstrap import Interval
from training.metrics.classification import confusion_matrix
from training.metrics.comparison import Comparison

NOTHING = "–"
"""What stands where there is no number."""
METRICS_FILE = "metrics.json"
"""What a run was found to do on its test part."""


@dataclass(frozen=True, kw_only=True)
class TableColumn:
    """One metric.

    Attributes
    ----------
    key
        Its name in :attr:`TableRow.ours` and :attr:`TableRow.paper`.
    percent
        Shown times 100; both ours and the paper's are given as fractions.
    better
        Which end is good: the best of ours is set in bold. None: neither (a bias).
    """

    key: str
    heading: str
    percent: bool = False
    digits: int = 2
    better: Literal["higher", "lower"] | None = "higher"

    def shown(self, value: float) -> str:
        """A number with this column's digits."""
        if not math.isfinite(value):
            return NOTHING
        text = f"{value * (100.0 if self.percent else 1.0):.{self.digits}f}"
        return text.removeprefix("-") if float(text) == 0.0 else text


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One method. ``versus`` is its test against the table's reference; ``note`` says, for instance, why it was not run."""

    name: str
    ours: Mapping[str, Interval | float] = field(default_factory=dict)
    paper: Mapping[str, float] = field(default_factory=dict)
    versus: Comparison | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class ResultTable:
    """A table of a paper, run again.

    Attributes
    ----------
    measured_on
        What ours was measured on, in words: the figures of a paper come from other patients, and the reader must see it.
    source
        The paper and its table.
    """

    title: str
    measured_on: str
    source: str
    columns: tuple[TableColumn, ...]
    rows: tuple[TableRow, ...]

    def __post_init__(self) -> None:
        known = {column.key for column in self.columns}
        unknown = sorted({key for row in self.rows for key in (*row.ours, *row.paper)} - known)
        if unknown:
            raise ValueError(f"{self.title}: there is no column for {', '.join(unknown)}")
        if not self.measured_on.strip():
            raise ValueError(f"{self.title}: say what ours was measured on")

    def markdown(self) -> str:
        """The table for a person. The best of ours is bold; the interval stands in brackets, the paper's figure in its own column."""
        best = {column.key: self._best(column) for column in self.columns}
        with_paper = [column.key for column in self.columns if any(column.key in row.paper for row in self.rows)]
        tested, noted = any(row.versus for row in self.rows), any(row.note for row in self.rows)
        head = ["method"]
        for column in self.columns:
            heading = column.heading + (" %" if column.percent else "")
            head += [heading, "paper"] if column.key in with_paper else [heading]
        head += [*(["p"] if tested else []), *(["note"] if noted else [])]
        lines = [head, ["---", *("---:" for _ in head[1:])]]
        if noted:
            lines[1][-1] = "---"
        for row in self.rows:
            cells = [row.name]
            for column in self.columns:
                cells.append(_cell(column, row.ours.get(column.key), bold=row is best[column.key]))
                if column.key in with_paper:
                    cells.append(column.shown(row.paper.get(column.key, math.nan)))
            cells += [*([_p(row.versus)] if tested else []), *([row.note] if noted else [])]
            lines.append(cells)
        return f"**{self.title}**\n\n" + "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines) + f"\n\n{self._legend()}\n"

    def csv(self) -> str:
        """The table for a program: every number in full, as a fraction where it is one; empty where there is none."""
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n")
        keys = [f"{column.key}{part}" for column in self.columns for part in ("", "_low", "_high", "_undefined", "_paper")]
        writer.writerow(["method", *keys, "test", "difference", "p", "note"])
        for row in self.rows:
            cells: list[float | str | None] = [row.name]
            for column in self.columns:
                found = row.ours.get(column.key, math.nan)
                parts = (
                    (found.value, found.low, found.high, float(found.undefined))
                    if isinstance(found, Interval)
                    else (found, None, None, None)
                )
                cells += [*parts, row.paper.get(column.key)]
            test = row.versus
            cells += [test.test, test.difference, test.p] if test is not None else [None, None, None]
            writer.writerow([_in_full(cell) for cell in (*cells, row.note)])
        return out.getvalue()

    def write(self, path: Path) -> tuple[Path, Path]:
        """Write ``path`` with ``.md`` and ``.csv``.

        Raises
        ------
        TrainingError
            The folder cannot be written to.
        """
        written = path.with_suffix(".md"), path.with_suffix(".csv")
        try:
            for target, text in zip(written, (self.markdown(), self.csv()), strict=True):
                replace_file(target, text.encode("utf-8"))
        except OSError as error:
            raise TrainingError(f"{path}: the table cannot be written: {error.strerror or error}") from None
        return written

    def _best(self, column: TableColumn) -> TableRow | None:
        """The row that is best of ours, where there are several to choose from."""
        values = {index: _value(row.ours[column.key]) for index, row in enumerate(self.rows) if column.key in row.ours}
        finite = {index: value for index, value in values.items() if math.isfinite(value)}
        if column.better is None or len(finite) < 2:
            return None
        choose = max if column.better == "higher" else min
        return self.rows[choose(finite, key=lambda index: finite[index])]

    def _legend(self) -> str:
        held = [cell for row in self.rows for cell in row.ours.values() if isinstance(cell, Interval) and math.isfinite(cell.low)]
        said = [f"Ours: {self.measured_on}."]
        if held:
            levels = ", ".join(f"{100 * level:g} %" for level in sorted({cell.level for cell in held}))
            said.append(f"In brackets: {levels} bootstrap intervals over patients ({max(cell.resamples for cell in held)} resamples).")
        tests = dict.fromkeys(row.versus.test for row in self.rows if row.versus is not None)
        said += [f"p: {', '.join(tests)}."] if tests else []
        return " ".join([*said, f"Paper: {self.source}, on its own patients."])


def _value(cell: Interval | float) -> float:
    return cell.value if isinstance(cell, Interval) else cell


def _cell(column: TableColumn, cell: Interval | float | None, *, bold: bool) -> str:
    if cell is None:
        return NOTHING
    text = column.shown(_value(cell))
    text = f"**{text}**" if bold else text
    if isinstance(cell, Interval) and math.isfinite(cell.low):
        text += f" ({column.shown(cell.low)} to {column.shown(cell.high)})"
    return text


def _p(test: Comparison | None) -> str:
    if test is None or not math.isfinite(test.p):
        return NOTHING
    return "< 0.001" if test.p < 0.001 else f"{test.p:.3f}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _in_full(cell: float | str | None) -> str:
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return ""
    return cell if isinstance(cell, str) else repr(float(cell))


def value_lines(columns: Sequence[TableColumn], values: Mapping[str, Interval]) -> list[str]:
    """Values with their 95 % intervals, a row per metric, as lines of a Markdown table."""
    lines = ["| | value | 95 % interval |", "| --- | ---: | ---: |"]
    for column in columns:
        unit, found = " %" if column.percent else "", values[column.key]
        lines.append(f"| {column.heading} | {column.shown(found.value)}{unit} | {column.shown(found.low)} to {column.shown(found.high)} |")
    return lines


def confusion_lines(truth: ArrayLike, predicted: ArrayLike, classes: Sequence[str]) -> list[str]:
    """The confusion matrix of (n,) class numbers as lines of a Markdown table."""
    matrix = confusion_matrix(truth, predicted, len(classes))
    lines = [f"| true \\ predicted | {' | '.join(classes)} |", f"| --- | {' | '.join('---:' for _ in classes)} |"]
    return lines + [f"| {name} | {' | '.join(str(count) for count in row)} |" for name, row in zip(classes, matrix, strict=True)]


def interval_json(values: Mapping[str, Interval]) -> dict[str, dict[str, float | None]]:
    """``{name: {value, low, high}}``; what is not finite is null."""
    return {
        name: {key: number if math.isfinite(number := getattr(one, key)) else None for key in ("value", "low", "high")}
        for name, one in values.items()
    }


def write_metrics(metrics: Mapping[str, Interval], out: Path, **chosen: float | None) -> None:
    """``{"tau2": ..., "metrics": {name: {value, low, high}}}`` in ``out/metrics.json``; what is not defined is null.

    Parameters
    ----------
    chosen
        What was chosen on the validation part, by name.
    """
    replace_file(out / METRICS_FILE, (json.dumps({**chosen, "metrics": interval_json(metrics)}, indent=1) + "\n").encode())
