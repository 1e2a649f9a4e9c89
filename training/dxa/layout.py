"""Folders as public data sets come: pictures with a spreadsheet beside them, or pictures in one folder per class.

The paper's data are on Mendeley Data (Kale et al. 2025, doi 10.17632/kys6x6wykj): pictures, and a table with BMD, T-score, Z-score, BMI and
the like. A table is matched to pictures by a column of file names, else by the patient's ID in the picture's name. Its headers are
recognised as those of any manifest; a workbook must be saved as CSV first.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from training.data.checks import patient_key
from training.data.columns import fold
from training.data.manifest import read_manifest
from training.data.options import ReadOptions, load_read_options
from training.data.rows import Manifest, ManifestRow, manifest_of
from training.data.table import PARQUET
from training.data.values import LABEL_WORDS, Modality
from training.errors import TrainingError

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
COLUMNS_FILE = "columns.yaml"
"""In the folder: what the table does not say itself (:class:`training.data.options.ReadOptions`)."""
_TABLES = (".csv", ".tsv", ".txt", *PARQUET)
_WORKBOOKS = (".xls", ".xlsx", ".ods")
_COPY = re.compile(r"[\s_-]*(\(\d+\)|copy(\s*\d+)?|(aug|flip|rot|zoom|shift|shear)\w*)$", re.IGNORECASE)
"""What names of copies end in: `` (2)``, ``_copy``, ``_aug_3``, ``-flipped``, ``_rot40``."""


def read_layout(folder: Path) -> Manifest:
    """The pictures of a folder as manifest rows of modality DXA.

    Raises
    ------
    TrainingError
        There is no picture; there are several tables, or neither a table nor folders named as classes; the table cannot be read.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    pictures = [path for path in files if path.suffix.lower() in (*PICTURES, ".dcm")]
    tables = [path for path in files if path.suffix.lower() in _TABLES and path.name != COLUMNS_FILE]
    if not pictures:
        raise TrainingError(f"{folder} holds no picture ({', '.join(PICTURES)}) and no .dcm file")
    if len(tables) > 1:
        raise TrainingError(f"{folder} holds several tables ({', '.join(path.name for path in tables)}); leave the one with the classes")
    if tables:
        return _with_table(folder, tables[0], pictures)
    if workbooks := [path.name for path in files if path.suffix.lower() in _WORKBOOKS]:
        raise TrainingError(f"{folder}: save the sheet of {workbooks[0]} as CSV (UTF-8) beside it")
    return _by_class(folder, pictures)


def _by_class(folder: Path, pictures: Sequence[Path]) -> Manifest:
    """One folder per class, anywhere below: the nearest folder whose name is a class counts."""
    rows, outside = [], 0
    for path in pictures:
        names = [fold(part) for part in path.relative_to(folder).parts[:-1]]
        label = next((LABEL_WORDS[name] for name in reversed(names) if name in LABEL_WORDS), None)
        if label is None:
            outside += 1
            continue
        rows.append(ManifestRow(patient_id=patient_of(path), modality=Modality.DXA, path=path.absolute(), label=label))
    if not rows:
        known = ", ".join(dict.fromkeys(LABEL_WORDS))
        raise TrainingError(f"{folder} holds no table, and no folder named as a class ({known})")
    notices = (f"{outside} pictures lie in no folder named as a class",) if outside else ()
    return Manifest(rows=tuple(rows), folder=folder.absolute(), notices=notices)


def _with_table(folder: Path, table: Path, pictures: Sequence[Path]) -> Manifest:
    stated = load_read_options(folder / COLUMNS_FILE) if (folder / COLUMNS_FILE).exists() else ReadOptions()
    if stated.modality is None:
        stated = stated.model_copy(update={"modality": Modality.DXA})
    read = read_manifest(table, stated, required=("patient_id",), check_paths=False)
    named, by_patient = _by_name(pictures), _by_patient(pictures)
    rows: list[ManifestRow] = []
    missing: list[str] = []
    for row in read.rows:
        found = _pictures_of(row, named, by_patient)
        if not found:
            missing.append(row.patient_id)
        rows += [replace(row, path=path.absolute()) for path in found]
    if not rows:
        raise TrainingError(f"{table}: no row names a picture of the folder, and no picture is named as a patient")
    notices = (*read.notices, *((f"no picture of {', '.join(missing[:5])} ({len(missing)} rows)",) if missing else ()))
    return replace(manifest_of(rows, folder.absolute()), notices=notices)


def _pictures_of(row: ManifestRow, named: Mapping[str, Path], by_patient: Mapping[str, Sequence[Path]]) -> Sequence[Path]:
    if row.path is not None:
        for key in (row.path.name, row.path.stem):
            if key.casefold() in named:
                return (named[key.casefold()],)
        return ()
    return by_patient.get(patient_key(row.patient_id), ())


def _by_name(pictures: Sequence[Path]) -> dict[str, Path]:
    """By file name and by stem; a name that two pictures have names neither."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in pictures:
        for key in {path.name.casefold(), path.stem.casefold()}:
            found[key].append(path)
    return {key: paths[0] for key, paths in found.items() if len(paths) == 1}


def _by_patient(pictures: Sequence[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for path in pictures:
        found[patient_key(patient_of(path))].append(path)
    return found


def patient_of(path: Path) -> str:
    """The patient that a picture's name stands for: its stem without what marks a copy. Copies with other names share their pixels."""
    stem = path.stem
    while (shorter := _COPY.sub("", stem)) not in ("", stem):
        stem = shorter
    return stem
