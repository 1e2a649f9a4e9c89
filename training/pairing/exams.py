"""DXA examinations from a table: values by the manifest's reader, and the columns that only pairing needs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from training.data.columns import fold
from training.data.manifest import ManifestRow, Modality, ReadOptions, read_manifest
from training.data.problems import Problems
from training.data.table import Table, read_table
from training.data.values import DateOrder, date_order, is_missing
from training.pairing.reasons import PairReason, Why
from training.pairing.records import DxaExam, Person, parse_day

_BIRTH_DATE = ("birthdate", "dateofbirth", "birthday", "dob", "patientbirthdate", "patientsbirthdate", "geburtsdatum", "gebdatum", "gebdat")
_ISSUER = ("issuerofpatientid", "issuer", "patientidissuer", "assigningauthority")
_DAY_MONTH_YEAR = re.compile(r"(\d{1,2})([./-])\s?(\d{1,2})\2\s?(\d{4})(?:\s[\d:]*)?")


@dataclass(frozen=True, kw_only=True)
class ExamTable:
    """The examinations of a table, and what a person should know of how it was read."""

    exams: tuple[DxaExam, ...]
    notices: tuple[str, ...]


def read_exams(path: Path, options: ReadOptions, issuer: str = "") -> ExamTable:
    """Read a list of DXA results: patient ID, date and values, one row an examination or one a level.

    Columns are recognised as in a manifest, and beside them the patient's birth date and the Issuer of Patient ID; ``issuer`` stands for
    the whole table where it has no such column. Rows of another modality are left out with a notice.

    Raises
    ------
    ManifestError
        With every complaint: file, row, column.
    """
    stated = options if options.modality is not None else options.model_copy(update={"modality": Modality.DXA})
    manifest = read_manifest(path, stated, required=("patient_id",), check_paths=False)
    table = read_table(path, delimiter=stated.delimiter, encoding=stated.encoding)
    births, issuers = _identity_columns(path, table, stated)
    rows = [row for row in manifest.rows if row.modality is Modality.DXA]
    notices = [left for notice in manifest.notices if (left := _without_used(notice, table))]
    if len(rows) < len(manifest.rows):
        notices.append(f"{len(manifest.rows) - len(rows)} rows are of another modality than DXA and were left out")
    exams = tuple(
        replace(_exam(row, path.name), person=_person(row, births.get(row.number or 0), issuers.get(row.number or 0, issuer)))
        for row in rows
    )
    return ExamTable(exams=exams, notices=tuple(notices))


def _exam(row: ManifestRow, name: str) -> DxaExam:
    excluded = Why(code=PairReason.ROW_EXCLUDED, text=row.excluded_because) if row.excluded_because is not None else None
    return DxaExam(
        person=Person(patient_id=row.patient_id),
        exam_date=row.study_date,
        source=f"{name} row {row.number}",
        bmd_g_cm2=row.bmd_g_cm2,
        t_scores=row.t_scores,
        t_score=row.t_score,
        label=row.label,
        device=row.device or "",
        site=row.site or "",
        study_instance_uid=row.study_uid or "",
        excluded=excluded,
    )


def _person(row: ManifestRow, birth_date: date | None, issuer: str) -> Person:
    sex = row.sex.value if row.sex is not None else ""
    return Person(patient_id=row.patient_id, issuer=issuer, sex=sex, birth_date=birth_date, age_years=row.age)


def _identity_columns(path: Path, table: Table, options: ReadOptions) -> tuple[Mapping[int, date], Mapping[int, str]]:
    """Birth dates and issuers by the number of their row."""
    problems = Problems(path)
    births: dict[int, date] = {}
    birth = _position(table, _BIRTH_DATE, "birth date", problems)
    if birth is not None:
        births = _birth_dates(table, birth, options, problems)
    issuer = _position(table, _ISSUER, "issuer of the patient ID", problems)
    problems.check()
    if issuer is None:
        return births, {}
    return births, {row.number: row.cells[issuer] for row in table.rows if not is_missing(row.cells[issuer])}


def _birth_dates(table: Table, column: int, options: ReadOptions, problems: Problems) -> dict[int, date]:
    cells = [
        (row, row.cells[column]) for row in table.rows if not is_missing(row.cells[column]) and row.cells[column] not in options.missing
    ]
    try:
        order = options.date_order or date_order(cell for _, cell in cells)
    except ValueError as error:
        problems.add(str(error), column=table.headers[column])
        return {}
    births = {}
    for row, cell in cells:
        try:
            births[row.number] = parse_birth_date(cell, order)
        except ValueError as error:
            problems.add(str(error), row=row.number, column=table.headers[column])
    return births


def parse_birth_date(cell: str, order: DateOrder | None) -> date:
    """A birth date: as :func:`training.data.values.parse_date` reads dates, but of any century.

    Raises
    ------
    ValueError
        No date with four digits of year, or day and month cannot be told apart.
    """
    day = parse_day(cell.split("T")[0].split(" ")[0])
    if day is not None:
        return day
    found = _DAY_MONTH_YEAR.fullmatch(cell)
    if found is None:
        raise ValueError(f"{cell!r} is no date with four digits of year; write YYYY-MM-DD")
    first, second, year = int(found[1]), int(found[3]), int(found[4])
    if found[2] != "." and order is None and first != second and max(first, second) <= 12:
        raise ValueError(f"{cell!r} may be day/month or month/day; state which (date_order: dmy or mdy) or write YYYY-MM-DD")
    day_first = found[2] == "." or (first > 12 if order is None else order is DateOrder.DAY_FIRST)
    try:
        return date(year, *((second, first) if day_first else (first, second)))
    except ValueError:
        raise ValueError(f"{cell!r} is not a date of the calendar") from None


def _position(table: Table, names: tuple[str, ...], what: str, problems: Problems) -> int | None:
    found = [index for index, header in enumerate(table.headers) if _key(header) in names]
    if len(found) > 1:
        listed = ", ".join(repr(table.headers[index]) for index in found)
        problems.add(f"the {what} may be any of {listed}; delete or rename all but one", row=1)
    return found[0] if len(found) == 1 else None


def _key(header: str) -> str:
    return re.sub(r"[^a-z0-9]", "", fold(header))


def _without_used(notice: str, table: Table) -> str:
    """The manifest reader's notice about unused columns, less those that are used here; empty where none is left."""
    start = "columns that were not used: "
    if not notice.startswith(start):
        return notice
    used = {repr(header) for header in table.headers if _key(header) in (*_BIRTH_DATE, *_ISSUER)}
    left = [part for part in notice.removeprefix(start).split(", ") if part not in used]
    return start + ", ".join(left) if left else ""
