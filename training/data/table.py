"""The bare table of a CSV or Parquet file: headers, cells as text, and the row numbers that a spreadsheet shows."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from training.data.columns import recognise
from training.data.problems import ManifestError, Problem, Problems

DELIMITERS = (",", ";", "\t", "|")
PARQUET = (".parquet", ".pq")

_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_MAX_FIELD = 1_000_000
"""A longer cell means an unclosed quotation mark, not a value."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table. ``number`` counts from 1, the header's line included. ``cells`` are stripped text, as many as headers."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as text. ``typed`` is True where the file kept numbers as numbers (Parquet), so that no decimal comma can stand in it."""

    headers: tuple[str, ...]
    rows: tuple[Row, ...]
    typed: bool = False
    notices: tuple[str, ...] = field(default=())


def read_table(path: Path, *, delimiter: str | None = None, encoding: str | None = None) -> Table:
    """Read a CSV (comma, semicolon, tab or bar; UTF-8 with or without BOM, UTF-16, Windows-1252) or a Parquet file, told by the suffix.

    Raises
    ------
    ManifestError
        The file is absent, empty, damaged, in an encoding that was stated wrongly, or its rows are of unequal length.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ManifestError(path, [Problem(text=f"cannot be read: {error.strerror or error}")]) from None
    if path.suffix.lower() in PARQUET:
        return _read_parquet(path)
    if path.suffix.lower() in (".xls", ".xlsx", ".ods"):
        raise ManifestError(path, [Problem(text="this is a workbook; save its sheet as CSV (UTF-8) and read that")])
    text, notices = _decode(path, content, encoding)
    return _read_csv(path, text, delimiter, notices)


def _decode(path: Path, content: bytes, encoding: str | None) -> tuple[str, tuple[str, ...]]:
    if not content.strip():
        raise ManifestError(path, [Problem(text="the file is empty")])
    if encoding is not None:
        try:
            return content.decode(encoding), ()
        except (UnicodeDecodeError, LookupError) as error:
            raise ManifestError(path, [Problem(text=f"cannot be read as {encoding}, which was stated as its encoding: {error}")]) from None
    for mark, name in _BOMS:
        if content.startswith(mark):
            return _strict(path, content, name), ()
    try:
        return content.decode("utf-8"), ()
    except UnicodeDecodeError:
        notice = "not UTF-8: read as Windows-1252; state the encoding if letters look wrong"
        return _strict(path, content, "cp1252" if _is_cp1252(content) else "latin-1"), (notice,)


def _is_cp1252(content: bytes) -> bool:
    return not any(code in content for code in (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d"))


def _strict(path: Path, content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ManifestError(path, [Problem(text=f"begins like {encoding}, but is damaged: {error.reason}")]) from None


def _read_csv(path: Path, text: str, delimiter: str | None, notices: tuple[str, ...]) -> Table:
    if "\0" in text:
        raise ManifestError(path, [Problem(text="holds NUL characters: this is not a text file; save it as CSV (UTF-8)")])
    first, _, rest = text.partition("\n")
    skipped = 0
    if first.strip().strip('"').casefold().startswith("sep=") and rest:  # a line by which Excel is told the delimiter
        stated = first.strip().strip('"')[4:5]
        delimiter, text, skipped = delimiter or stated or "\t", rest, 1
    records = _records(path, text, delimiter or _detect_delimiter(path, text))
    numbered = [(number + skipped, cells) for number, cells in enumerate(records, start=1) if any(cells)]
    if not numbered:
        raise ManifestError(path, [Problem(text="the file is empty")])
    (_, headers), lines = numbered[0], numbered[1:]
    width = max(index for index, header in enumerate(headers, start=1) if header)
    problems = Problems(path)
    rows = [Row(number=number, cells=_fitted(cells, width)) for number, cells in lines if not any(cells[width:])]
    for number, cells in lines:
        if any(cells[width:]):
            problems.add(f"{len(cells)} cells under {width} headers; a comma inside a value must stand in quotation marks", row=number)
    problems.check()
    return Table(headers=tuple(headers[:width]), rows=tuple(rows), notices=notices)


def _fitted(cells: Sequence[str], width: int) -> tuple[str, ...]:
    """Spreadsheets leave trailing empty cells out, or add some."""
    return (*cells[:width], *("" for _ in range(width - len(cells))))


def _records(path: Path, text: str, delimiter: str) -> list[list[str]]:
    limit = csv.field_size_limit(_MAX_FIELD)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        return [[_stripped(cell) for cell in record] for record in reader]
    except csv.Error as error:
        raise ManifestError(path, [Problem(text=f"not valid CSV: {error}", row=reader.line_num)]) from None
    finally:
        csv.field_size_limit(limit)


def _stripped(cell: str) -> str:
    return cell.replace("\u00a0", " ").replace("\u200b", "").replace("\ufeff", "").strip()


def _detect_delimiter(path: Path, text: str) -> str:
    """The delimiter under which most headers are recognised; where that says nothing, the one that makes most columns."""
    head = text.lstrip().splitlines()[0]
    scores = []
    for delimiter in DELIMITERS:
        (headers,) = _records(path, head.replace("\r", ""), delimiter)[:1]
        scores.append((sum(recognise(header) is not None for header in headers), len(headers), delimiter))
    return max(scores, key=lambda score: score[:2])[2]


def _read_parquet(path: Path) -> Table:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        text = "Parquet needs an optional library: pip install 'osteon[training]'; or save the table as CSV"
        raise ManifestError(path, [Problem(text=text)]) from None
    try:
        content = parquet.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ManifestError(path, [Problem(text=f"not a readable Parquet file: {str(error).splitlines()[0]}")]) from None
    headers = tuple(str(name) for name in content.column_names)
    columns = [content.column(index).to_pylist() for index in range(len(headers))]
    problems = Problems(path)
    rows = []
    for number, values in enumerate(zip(*columns, strict=True), start=2):
        cells = []
        for header, value in zip(headers, values, strict=True):
            cell = _as_text(value)
            if cell is None:
                problems.add(f"holds a {type(value).__name__}, which is neither text, a number nor a date", row=number, column=header)
            cells.append(cell or "")
        rows.append(Row(number=number, cells=tuple(cells)))
    problems.check()
    return Table(headers=headers, rows=tuple(rows), typed=True)


def _as_text(value: Any) -> str | None:
    """A Parquet value as the text that a CSV would hold; None where there is no such text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float | date):
        return None
    if isinstance(value, datetime):
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, date) else _stripped(str(value))
