"""From a table's text to manifest rows: columns found, conventions proved, every cell judged, every complaint kept."""

import difflib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any, TypeVar

from training.data.columns import BMD_COLUMNS, T_SCORE_COLUMNS, Matched, fold, match_columns
from training.data.labels import who_label
from training.data.options import ReadOptions
from training.data.problems import Problems
from training.data.rows import ManifestRow
from training.data.table import Row, Table
from training.data.values import (
    LABEL_WORDS,
    MODALITIES,
    SEXES,
    DateOrder,
    Modality,
    date_order,
    decimal_comma,
    is_missing,
    known_device,
    parse_age,
    parse_bmd,
    parse_date,
    parse_t_score,
    parse_word,
)

Value = TypeVar("Value")

_MANGLED = re.compile(r"\d[.,]?\d*E\+\d+", re.IGNORECASE)
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
"""Tolerant: leading zeros in a component are forbidden (PS3.5 9.1), and written."""
_NOT_EXCLUDED = frozenset(("no", "nein", "false", "0", "n"))
_EXCLUDED = frozenset(("yes", "ja", "true", "1", "y", "j", "x"))
_PARTS = {"training": "train", "val": "validation", "valid": "validation", "dev": "validation", "testing": "test"}
_SHOWN = 8


def parse_table(path: Path, table: Table, options: ReadOptions, required: Sequence[str]) -> tuple[tuple[ManifestRow, ...], tuple[str, ...]]:
    """The rows of a table and what a person should know of how it was read.

    Raises
    ------
    ManifestError
        With every complaint about headers, or, where these are clear, about cells.
    """
    problems = Problems(path)
    matched = match_columns(table.headers, options.columns)
    _check_headers(table, matched, options, required, problems)
    problems.check()
    reader = _Reader(table=table, matched=matched, options=options, problems=problems)
    comma, orders = reader.decimal_sign(), reader.date_orders()
    problems.check()
    rows = [reader.row(row, required, comma, orders) for row in table.rows]
    if not table.rows:
        problems.add("there is no row below the headers")
    problems.check()
    kept = tuple(row for row in rows if row is not None)
    return kept, tuple(_notices(matched, kept))


def _check_headers(table: Table, matched: Matched, options: ReadOptions, required: Sequence[str], problems: Problems) -> None:
    headers = {fold(header): header for header in table.headers}
    for name, stated in options.columns.items():
        if fold(stated) not in headers:
            near = difflib.get_close_matches(stated, table.headers, n=1)
            problems.add(f"there is no column {stated!r}, which was stated to hold {name}" + (f"; is it {near[0]!r}?" if near else ""))
    for name, rivals in matched.rivals.items():
        listed = ", ".join(repr(header) for header in rivals)
        problems.add(f"{name} may be any of {listed}; state which (columns: {{{name}: ...}})", row=1)
    for name in required:
        if name not in matched.positions and name not in options.columns and not (name == "modality" and options.modality is not None):
            listed = ", ".join(repr(header) for header in table.headers[:_SHOWN]) + (" ..." if len(table.headers) > _SHOWN else "")
            problems.add(f"no column is recognised as {name}; the headers are {listed}. State it (columns: {{{name}: ...}})", row=1)


def _notices(matched: Matched, rows: Sequence[ManifestRow]) -> list[str]:
    notices = []
    if matched.unused:
        listed = ", ".join(repr(header) for header in matched.unused[:_SHOWN])
        more = f" and {len(matched.unused) - _SHOWN} more" if len(matched.unused) > _SHOWN else ""
        notices.append(f"columns that were not used: {listed}{more}")
    unknown = Counter(row.device for row in rows if row.device is not None and known_device(row.device, {}) is None)
    notices += [f"unknown device {device!r} in {count} rows: its scale is unknown" for device, count in unknown.most_common(_SHOWN)]
    derived = sum(row.label is not None for row in rows) if "label" not in matched.positions else 0
    if derived:
        notices.append(f"{derived} of {len(rows)} labels follow from T-scores by the WHO's edges; the table has no label column")
    return notices


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """The cells of one table."""

    table: Table
    matched: Matched
    options: ReadOptions
    problems: Problems

    def decimal_sign(self) -> bool | None:
        """Whether decimal commas hold; a contradiction is noted."""
        if self.options.decimal is not None or self.table.typed:
            return self.options.decimal == ","
        numeric = ("age", "t_score", *BMD_COLUMNS, *T_SCORE_COLUMNS)
        cells = (self._cell(row, name) for name in numeric if name in self.matched.positions for row in self.table.rows)
        try:
            return decimal_comma(cells)
        except ValueError as error:
            self.problems.add(str(error))
            return None

    def date_orders(self) -> Mapping[str, DateOrder | None]:
        """What comes first in the dates of each column; a contradiction is noted."""
        orders: dict[str, DateOrder | None] = {}
        for name in ("study_date", "dxa_date"):
            orders[name] = self.options.date_order
            if name in self.matched.positions and self.options.date_order is None:
                try:
                    orders[name] = date_order(self._cell(row, name) for row in self.table.rows)
                except ValueError as error:
                    self.problems.add(str(error), column=self._header(name))
        return orders

    def row(self, row: Row, required: Sequence[str], comma: bool | None, orders: Mapping[str, DateOrder | None]) -> ManifestRow | None:
        """One row; None where a complaint was noted."""
        before = len(self.problems.found)
        options = self.options
        values: dict[str, Any] = {
            "patient_id": self._value(row, "patient_id", _patient_id),
            "path": self._value(row, "path", _path),
            "mask": self._value(row, "mask", _path),
            "study_date": self._value(row, "study_date", lambda cell: parse_date(cell, orders["study_date"])),
            "dxa_date": self._value(row, "dxa_date", lambda cell: parse_date(cell, orders["dxa_date"])),
            "modality": self._value(row, "modality", lambda cell: parse_word(cell, MODALITIES, options.modalities, "modalities"))
            or options.modality,
            "study_uid": self._value(row, "study_uid", _uid),
            "series_uid": self._value(row, "series_uid", _uid),
            "label": self._value(row, "label", lambda cell: parse_word(cell, LABEL_WORDS, options.labels, "labels")),
            "t_score": self._value(row, "t_score", lambda cell: parse_t_score(cell, comma)),
            "t_scores": self._by_level(row, T_SCORE_COLUMNS, lambda _, cell: parse_t_score(cell, comma)),
            "bmd_g_cm2": self._by_level(
                row, BMD_COLUMNS, lambda name, cell: parse_bmd(cell, comma, self.matched.units.get(name, options.bmd_unit))
            ),
            "device": self._value(row, "device", lambda cell: known_device(cell, options.devices) or cell),
            "sex": self._value(row, "sex", lambda cell: parse_word(cell, SEXES, options.sexes, "sexes")),
            "age": self._value(row, "age", lambda cell: parse_age(cell, comma)),
            "site": self._value(row, "site", str),
            "split": self._value(row, "split", _part),
            "excluded_because": self._value(row, "excluded_because", _exclusion),
        }
        for name in required:
            if values.get(name) is None and len(self.problems.found) == before:
                self.problems.add("is empty", row=row.number, column=self._header(name))
        if len(self.problems.found) > before:
            return None
        return _with_label(_dated(ManifestRow(**values, number=row.number)))

    def _value(self, row: Row, name: str, parse: Callable[[str], Value]) -> Value | None:
        """The value of one cell: None where the column is absent, the cell says "not known", or a complaint was noted."""
        cell = self._cell(row, name)
        if is_missing(cell) or cell in self.options.missing:
            return None
        try:
            return parse(cell)
        except ValueError as error:
            self.problems.add(str(error), row=row.number, column=self._header(name))
            return None

    def _by_level(self, row: Row, columns: Mapping[str, str], parse: Callable[[str, str], float]) -> dict[str, float]:
        """Values by level; ``parse`` is given the column's name and the cell."""
        values = {level: self._value(row, name, partial(parse, name)) for name, level in columns.items() if name in self.matched.positions}
        return {level: value for level, value in values.items() if value is not None}

    def _cell(self, row: Row, name: str) -> str:
        position = self.matched.positions.get(name)
        return row.cells[position] if position is not None else ""

    def _header(self, name: str) -> str:
        position = self.matched.positions.get(name)
        return self.table.headers[position] if position is not None else name


def _dated(row: ManifestRow) -> ManifestRow:
    """A list of DXA results may call the date of its own studies the DXA date."""
    if row.modality is Modality.DXA and row.study_date is None and row.dxa_date is not None:
        return replace(row, study_date=row.dxa_date, dxa_date=None)
    return row


def _with_label(row: ManifestRow) -> ManifestRow:
    """The class that the T-score gives, where the table gives none; neither known, none given."""
    if row.label is None and row.diagnostic_t_score is not None:
        return replace(row, label=who_label(row.diagnostic_t_score))
    return row


def _patient_id(cell: str) -> str:
    if _MANGLED.fullmatch(cell):
        raise ValueError(f"{cell!r} was a number that a spreadsheet has shortened; export the column as text")
    if re.fullmatch(r"\d+\.0", cell):
        raise ValueError(f"{cell!r} was read as a number with decimals, leading zeros are lost; export the column as text")
    return cell


def _path(cell: str) -> Path:
    """A path with the slashes of any system; where it begins is settled later."""
    if PureWindowsPath(cell).drive:
        raise ValueError(f"{cell!r} is a path on one Windows machine; write it relative to the manifest")
    return Path(cell.replace("\\", "/"))


def _uid(cell: str) -> str:
    if len(cell) > 64 or _UID.fullmatch(cell) is None:
        raise ValueError(f"{cell!r} is no DICOM UID")
    return cell


def _part(cell: str) -> str:
    return _PARTS.get(fold(cell), fold(cell))


def _exclusion(cell: str) -> str | None:
    if fold(cell) in _NOT_EXCLUDED:
        return None
    return "excluded; the table gives no reason" if fold(cell) in _EXCLUDED else cell
