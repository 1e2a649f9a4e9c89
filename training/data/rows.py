"""A manifest in memory: one row a study (or one of its series), with its label, its bone densities and where its images lie."""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

from training.data.columns import BMD_LEVELS, bmd_column, t_score_column
from training.data.labels import BoneLabel
from training.data.values import Modality, Sex

Cell = str | float | date | None


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """One study of one patient. What is None or empty is not known; nothing stands in for it.

    Attributes
    ----------
    patient_id
        As the hospital writes it, leading zeros and all.
    path
        A DICOM file, a folder of DICOM files, a NIfTI or another image. Relative paths are relative to the manifest's folder; a manifest
        that was read holds absolute ones.
    label
        The class that is to be learnt: given, or by the WHO's edges from :attr:`diagnostic_t_score`.
    t_score
        The T-score on which the patient's diagnosis rests (often the lowest of several sites).
    t_scores, bmd_g_cm2
        By level (``L1`` ... ``L4``, ``L1-L4``), on the scale of ``device``.
    dxa_date
        Date of the DXA study that the values come from, where that is another study.
    mask
        A label image on the grid of ``path``.
    split
        A part that was fixed beforehand.
    excluded_because
        Why the row is listed, but not used.
    number
        Line of the file that it was read from.

    Raises
    ------
    ValueError
        An empty patient ID, an unknown level, or a number that is not finite.
    """

    patient_id: str
    modality: Modality
    path: Path | None = None
    study_date: date | None = None
    study_uid: str | None = None
    series_uid: str | None = None
    label: BoneLabel | None = None
    t_score: float | None = None
    t_scores: Mapping[str, float] = field(default_factory=dict)
    bmd_g_cm2: Mapping[str, float] = field(default_factory=dict)
    dxa_date: date | None = None
    device: str | None = None
    site: str | None = None
    sex: Sex | None = None
    age: float | None = None
    mask: Path | None = None
    split: str | None = None
    excluded_because: str | None = None
    number: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.patient_id.strip():
            raise ValueError("a row needs a patient ID")
        unknown = [level for level in (*self.t_scores, *self.bmd_g_cm2) if level not in BMD_LEVELS]
        if unknown:
            raise ValueError(f"no level: {', '.join(unknown)}; known are T1 to T12, L1 to L6 and L1-L4")
        numbers = (*self.t_scores.values(), *self.bmd_g_cm2.values(), *(v for v in (self.t_score, self.age) if v is not None))
        if not all(math.isfinite(value) for value in numbers):
            raise ValueError(f"patient {self.patient_id}: a number that is not finite; leave out what is not known")

    @property
    def diagnostic_t_score(self) -> float | None:
        """The T-score that decides the class: the stated one, else that of L1-L4. Never one vertebra's (ISCD)."""
        return self.t_score if self.t_score is not None else self.t_scores.get("L1-L4")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Rows in the order of their file.

    Attributes
    ----------
    folder
        Where relative paths begin; None for a manifest that was never in a file.
    notices
        What a person should know of how the file was read (rows dropped, headers not used, unknown devices).
    """

    rows: tuple[ManifestRow, ...]
    folder: Path | None = None
    notices: tuple[str, ...] = ()

    @cached_property
    def used(self) -> tuple[ManifestRow, ...]:
        """The rows that are not excluded."""
        return tuple(row for row in self.rows if row.excluded_because is None)

    @cached_property
    def patients(self) -> tuple[str, ...]:
        """Patient IDs of the used rows, in order of appearance."""
        return tuple(dict.fromkeys(row.patient_id for row in self.used))

    @cached_property
    def sha256(self) -> str:
        """Hash of everything that the rows say, whatever their order, the file's format and where the folder lies."""
        rows = [
            json.dumps({key: _plain(value) for key, value in cells_of(row, self.folder).items() if key != "split"}) for row in self.rows
        ]
        return hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()


def cells_of(row: ManifestRow, folder: Path | None) -> dict[str, Cell]:
    """A row as the cells of a file in ``folder``, by column; columns of levels that the row does not know are left out."""
    cells: dict[str, Cell] = {
        "patient_id": row.patient_id,
        "study_date": row.study_date,
        "modality": row.modality.value,
        "path": _relative(row.path, folder),
        "study_uid": row.study_uid,
        "series_uid": row.series_uid,
        "label": row.label.value if row.label is not None else None,
        "t_score": row.t_score,
        "dxa_date": row.dxa_date,
        "device": row.device,
        "site": row.site,
        "sex": row.sex.value if row.sex is not None else None,
        "age": row.age,
        "mask": _relative(row.mask, folder),
        "split": row.split,
        "excluded_because": row.excluded_because,
    }
    cells |= {bmd_column(level): row.bmd_g_cm2[level] for level in BMD_LEVELS if level in row.bmd_g_cm2}
    return cells | {t_score_column(level): row.t_scores[level] for level in BMD_LEVELS if level in row.t_scores}


def manifest_of(rows: Iterable[ManifestRow], folder: Path | None = None) -> Manifest:
    """A manifest of rows that were made, not read."""
    return Manifest(rows=tuple(rows), folder=folder)


def _relative(path: Path | None, folder: Path | None) -> str | None:
    """A path as it stands in a file of that folder: with slashes, and relative where it can be."""
    if path is None:
        return None
    if not path.is_absolute() or folder is None:
        return path.as_posix()
    try:
        return Path(os.path.relpath(path, folder.absolute())).as_posix()
    except ValueError:  # another drive
        return path.as_posix()


def _plain(value: Cell) -> str | float | None:
    return value.isoformat() if isinstance(value, date) else value
