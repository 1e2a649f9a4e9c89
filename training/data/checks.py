"""What no single cell shows: rows given twice, one image under two patients, labels that contradict T-scores, absent files."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from training.data.columns import fold
from training.data.labels import who_label
from training.data.problems import Problems
from training.data.rows import ManifestRow, cells_of

_SHOWN = 5


def check_rows(
    path: Path, rows: Sequence[ManifestRow], *, keep_conflicting_labels: bool = False, check_paths: bool = True
) -> tuple[tuple[ManifestRow, ...], tuple[str, ...]]:
    """Judge the rows of one file together; their paths become absolute.

    Returns
    -------
    rows, notices
        The rows without exact repetitions, and what a person should know.

    Raises
    ------
    ManifestError
        With every complaint.
    """
    problems = Problems(path)
    kept, notices = _without_repetitions([_placed(row, path.absolute().parent) for row in rows])
    _check_images(kept, problems)
    _check_parts(kept, problems)
    for row, text in _label_conflicts(kept):
        if keep_conflicting_labels:
            notices.append(f"row {row.number}: {text}; the label is kept")
        else:
            problems.add(f"{text}; correct one, exclude the row, or keep the label (keep_conflicting_labels: true)", row=row.number)
    if check_paths:
        _check_paths(kept, problems)
    problems.check()
    return tuple(kept), (*notices, *_similar_patients(kept), *_differing_sexes(kept))


def patient_key(patient_id: str) -> str:
    """What is left of an ID when case, punctuation and leading zeros do not count: IDs with equal keys may be one patient."""
    folded = re.sub(r"[\W_]", "", fold(patient_id))
    return re.sub(r"(?<!\d)0+(?=\d)", "", folded) or patient_id


def _placed(row: ManifestRow, folder: Path) -> ManifestRow:
    paths = {"path": row.path, "mask": row.mask}
    return replace(row, **{name: folder / value for name, value in paths.items() if value is not None})  # type: ignore[arg-type]


def _without_repetitions(rows: Sequence[ManifestRow]) -> tuple[list[ManifestRow], list[str]]:
    first: dict[tuple[object, ...], ManifestRow] = {}
    repeated = []
    for row in rows:
        known = first.setdefault(tuple(cells_of(row, None).items()), row)
        if known is not row:
            repeated.append(f"row {row.number} repeats row {known.number} and is dropped")
    notices = repeated[:_SHOWN]
    if len(repeated) > _SHOWN:
        notices.append(f"{len(repeated) - _SHOWN} more rows repeat others and are dropped")
    return list(first.values()), notices


def _check_images(rows: Sequence[ManifestRow], problems: Problems) -> None:
    """One file, series or study belongs to one patient, and one file to one row."""
    names: dict[str, Callable[[ManifestRow], object]] = {
        "file": lambda row: row.path,
        "series": lambda row: row.series_uid,
        "study": lambda row: (row.study_uid, row.modality) if row.study_uid is not None else None,
    }
    for name, key in names.items():
        first: dict[object, ManifestRow] = {}
        for row in rows:
            if key(row) is None:
                continue
            known = first.setdefault(key(row), row)
            if known.patient_id != row.patient_id:
                said = f"patient {row.patient_id!r} has the same {name} as patient {known.patient_id!r} in row {known.number}"
                problems.add(f"{said}: one patient under two IDs, or a wrong {name}", row=row.number)
            elif known is not row and name == "file":
                problems.add(f"the same file stands in row {known.number} with other values", row=row.number)


def _check_parts(rows: Sequence[ManifestRow], problems: Problems) -> None:
    """A patient who was assigned beforehand was assigned to one part."""
    first: dict[str, ManifestRow] = {}
    for row in rows:
        if row.split is None or row.excluded_because is not None:
            continue
        known = first.setdefault(patient_key(row.patient_id), row)
        if known.split != row.split:
            said = f"patient {row.patient_id!r} is in {row.split!r}, but in {known.split!r} in row {known.number}"
            problems.add(f"{said}: a patient belongs to one part", row=row.number)


def _label_conflicts(rows: Sequence[ManifestRow]) -> list[tuple[ManifestRow, str]]:
    found = []
    for row in rows:
        score = row.diagnostic_t_score
        if score is not None and row.label is not None and row.excluded_because is None and who_label(score) is not row.label:
            found.append((row, f"the label is {row.label}, but a T-score of {score:g} is {who_label(score)} (WHO)"))
    return found


def _check_paths(rows: Sequence[ManifestRow], problems: Problems) -> None:
    """Images and masks of the rows that are used exist."""
    for row in rows:
        for name, path in (("path", row.path), ("mask", row.mask)):
            if path is not None and row.excluded_because is None and not path.exists():
                problems.add(f"there is no {path}; relative paths begin at the manifest's folder", row=row.number, column=name)


def _similar_patients(rows: Sequence[ManifestRow]) -> list[str]:
    """IDs that differ in case, punctuation or leading zeros alone."""
    by_key: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        by_key[patient_key(row.patient_id)][row.patient_id] = None
    similar = [list(ids) for ids in by_key.values() if len(ids) > 1]
    notices = [f"IDs that may be one patient (a split keeps them together): {', '.join(map(repr, ids))}" for ids in similar[:_SHOWN]]
    if len(similar) > _SHOWN:
        notices.append(f"{len(similar) - _SHOWN} more groups of IDs that may be one patient each")
    return notices


def _differing_sexes(rows: Sequence[ManifestRow]) -> list[str]:
    """Patients whose rows state different sexes: two patients under one ID, or a mistake."""
    sexes: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.sex is not None:
            sexes[row.patient_id].add(row.sex.value)
    differing = [patient for patient, found in sexes.items() if len(found) > 1]
    listed = ", ".join(map(repr, differing[:_SHOWN])) + (" ..." if len(differing) > _SHOWN else "")
    return [f"the sex differs between rows of {len(differing)} patients ({listed})"] if differing else []
