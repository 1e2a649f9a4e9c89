"""Manifests on disk: CSV or Parquet, ours or a hospital's. ``docs/manifest.md`` describes the format for a person."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from training.data.checks import check_rows
from training.data.columns import COLUMNS
from training.data.files import replace_file
from training.data.long import widen
from training.data.options import ReadOptions, load_read_options
from training.data.parse import parse_table
from training.data.problems import ManifestError, Problem
from training.data.rows import Cell, Manifest, ManifestRow, cells_of, manifest_of
from training.data.table import PARQUET, read_table
from training.data.values import Modality, Sex

__all__ = [
    "REQUIRED",
    "Manifest",
    "ManifestError",
    "ManifestRow",
    "Modality",
    "ReadOptions",
    "Sex",
    "load_read_options",
    "manifest_of",
    "read_manifest",
    "write_manifest",
]

REQUIRED = ("patient_id", "modality", "path")
"""Without these there is nothing to train on."""

_ALWAYS_WRITTEN = ("patient_id", "study_date", "modality", "path", "label")
_DATES = ("study_date", "dxa_date")


def read_manifest(
    path: Path, options: ReadOptions | None = None, *, required: Sequence[str] = REQUIRED, check_paths: bool = True
) -> Manifest:
    """Read a CSV or Parquet table, ours or exported by a hospital, with one row a study or one row a level.

    Parameters
    ----------
    options
        What the table does not say itself (see :class:`~training.data.options.ReadOptions`).
    required
        Columns that must be there and filled. A list of DXA results needs ``("patient_id",)`` and ``options.modality``.
    check_paths
        Whether images and masks must exist.

    Raises
    ------
    ManifestError
        With every complaint: file, row (as a spreadsheet counts), column, what to do.
    """
    stated = options if options is not None else ReadOptions()
    table = read_table(path, delimiter=stated.delimiter, encoding=stated.encoding)
    table, stated = widen(path, table, stated)
    rows, notices = parse_table(path, table, stated, required)
    rows, found = check_rows(path, rows, keep_conflicting_labels=stated.keep_conflicting_labels, check_paths=check_paths)
    return Manifest(rows=rows, folder=path.absolute().parent, notices=(*table.notices, *notices, *found))


def write_manifest(rows: Iterable[ManifestRow], path: Path) -> Manifest:
    """Write rows to ``path`` (Parquet for ``.parquet`` or ``.pq``, else CSV: UTF-8, commas, decimal points, ISO dates).

    Absolute paths are written relative to the manifest's folder. The same rows give the same bytes; a reader never sees half a file.

    Returns
    -------
    Manifest
        What was written.

    Raises
    ------
    ManifestError
        The folder cannot be written to, or Parquet's library is missing.
    """
    manifest = Manifest(rows=tuple(rows), folder=path.absolute().parent)
    lines = [cells_of(row, manifest.folder) for row in manifest.rows]
    held = {column for line in lines for column, cell in line.items() if cell is not None}
    columns = [column for column in COLUMNS if column in held or column in _ALWAYS_WRITTEN]
    content = _parquet(path, columns, lines) if path.suffix.lower() in PARQUET else _csv(columns, lines)
    try:
        replace_file(path, content)
    except OSError as error:
        raise ManifestError(path, [Problem(text=f"cannot be written: {error.strerror or error}")]) from None
    return manifest


def _csv(columns: Sequence[str], lines: Sequence[dict[str, Cell]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_as_text(line.get(column)) for column in columns] for line in lines)
    return out.getvalue().encode("utf-8")


def _as_text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return repr(float(cell))  # numpy's floats write their type, too
    return cell.isoformat() if isinstance(cell, date) else str(cell)


def _parquet(path: Path, columns: Sequence[str], lines: Sequence[dict[str, Cell]]) -> bytes:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        text = "Parquet needs an optional library: pip install 'osteon[training]'; or choose a name that ends in .csv"
        raise ManifestError(path, [Problem(text=text)]) from None
    fields: list[Any] = [pa.field(column, _parquet_type(pa, column)) for column in columns]
    table = pa.Table.from_pylist([{column: line.get(column) for column in columns} for line in lines], schema=pa.schema(fields))
    out = io.BytesIO()
    parquet.write_table(table, out)
    return out.getvalue()


def _parquet_type(pa: Any, column: str) -> Any:
    if column in _DATES:
        return pa.date32()
    return pa.float64() if column == "age" or column.startswith(("bmd_", "t_score")) else pa.string()
