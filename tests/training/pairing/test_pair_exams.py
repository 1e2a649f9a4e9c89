"""DXA tables as hospitals export them, and values out of structured reports."""

from datetime import date
from pathlib import Path

import pytest
from pydicom import Dataset

from tests.training.pairing.hospital import container, number
from training.data.manifest import ManifestError, ReadOptions
from training.data.values import DateOrder
from training.pairing.exams import parse_birth_date, read_exams
from training.pairing.sr import values_of

pytestmark = pytest.mark.unit


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    """A CSV file."""
    path = folder / "dxa.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_german_export(tmp_path: Path) -> None:
    headers = "Pat.-Nr.;Untersuchungsdatum;Geschlecht;Geburtsdatum;T-Score;L1 BMD (g/cm2);Gerät"
    text = f"{headers}\n0017;15.04.2024;w;01.02.1940;-2,6;0,801;Lunar iDXA\n"
    (found,) = read_exams(table(tmp_path, text, "cp1252"), ReadOptions()).exams
    assert (found.person.patient_id, found.person.sex, found.person.birth_date) == ("0017", "F", date(1940, 2, 1))
    assert (found.exam_date, found.t_score, found.bmd_g_cm2, found.device) == (date(2024, 4, 15), -2.6, {"L1": 0.801}, "GE Lunar")
    assert found.label == "osteoporosis"


def test_an_american_export_with_bom_and_issuer(tmp_path: Path) -> None:
    text = "\ufeffMRN,Exam Date,DOB,Issuer,L1-L4 BMD (g/cm2)\nA1,04/15/2024,12/31/1939,NORTH,0.95\nA2,01/02/2024,01/02/1940,,1.1\n"
    exams = read_exams(table(tmp_path, text), ReadOptions(), issuer="SOUTH").exams
    assert [one.person.issuer for one in exams] == ["NORTH", "SOUTH"]
    assert [one.person.birth_date for one in exams] == [date(1939, 12, 31), date(1940, 1, 2)]
    assert exams[1].exam_date == date(2024, 1, 2)


def test_values_that_are_missing_stay_missing(tmp_path: Path) -> None:
    text = "patient_id,study_date,t_score,birth date\nA,2024-01-01,,n/a\nB,,-1.0,\n"
    without, undated = read_exams(table(tmp_path, text), ReadOptions()).exams
    assert not without.has_values
    assert (without.label, without.person.birth_date, undated.exam_date) == (None, None, None)


def test_rows_of_other_modalities_and_excluded_ones(tmp_path: Path) -> None:
    text = "patient_id,study_date,modality,t_score,excluded_because\nA,2024-01-01,CT,-1,\nA,2024-01-01,DXA,-1,metal\n"
    read = read_exams(table(tmp_path, text), ReadOptions())
    assert [one.excluded.text for one in read.exams if one.excluded] == ["metal"]
    assert any("1 rows are of another modality" in notice for notice in read.notices)


def test_the_notice_of_unused_columns_leaves_out_those_that_pairing_uses(tmp_path: Path) -> None:
    text = "patient_id,study_date,t_score,DOB,remark\nA,2024-01-01,-1,1950-01-01,x\n"
    assert "columns that were not used: 'remark'" in read_exams(table(tmp_path, text), ReadOptions()).notices


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("patient_id,study_date,t_score,DOB\nA,2024-01-01,-1,01/02/50\n", "dxa.csv:2: DOB: '01/02/50' is no date with four digits"),
        ("patient_id,study_date,t_score,DOB\nA,2024-01-01,-1,01/02/1950\n", "may be day/month or month/day"),
        ("patient_id,study_date,t_score,DOB\nA,2024-01-01,-1,31.02.1950\n", "not a date of the calendar"),
        ("patient_id,study_date,t_score,DOB,Birth Date\nA,2024-01-01,-1,,\n", "may be any of 'DOB', 'Birth Date'"),
        ("study_date,t_score\n2024-01-01,-1\n", "no column is recognised as patient_id"),
    ],
)
def test_complaints_name_the_row_and_the_column(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ManifestError) as raised:
        read_exams(table(tmp_path, text), ReadOptions())
    assert complaint in str(raised.value)


@pytest.mark.parametrize(
    ("cell", "order", "expected"),
    [
        ("19400201", None, date(1940, 2, 1)),
        ("1940-02-01 00:00:00", None, date(1940, 2, 1)),
        ("1.2.1940", None, date(1940, 2, 1)),
        ("01/02/1940", DateOrder.DAY_FIRST, date(1940, 2, 1)),
        ("01/02/1940", DateOrder.MONTH_FIRST, date(1940, 1, 2)),
        ("13/02/1940", None, date(1940, 2, 13)),
    ],
)
def test_birth_dates_of_any_century(cell: str, order: DateOrder | None, expected: date) -> None:
    assert parse_birth_date(cell, order) == expected


def report(*children: Dataset) -> Dataset:
    """A report with these content items."""
    ds = Dataset()
    ds.ContentSequence = list(children)
    return ds


def test_numbers_of_a_report_that_say_what_they_are() -> None:
    levels = [number(f"{level} BMD", value) for level, value in (("L1", 0.81), ("L2", 0.9))]
    region = container("L1-L4", [number("Bone mineral density", 0.87), number("T-score", -2.4, "1")])
    values = values_of(report(container("Lumbar spine", [*levels, region])))
    assert values is not None
    assert values.bmd_g_cm2 == {"L1": 0.81, "L2": 0.9, "L1-L4": 0.87}
    assert (values.t_scores, values.t_score) == ({"L1-L4": -2.4}, -2.4)


@pytest.mark.parametrize(
    "content",
    [
        number("L1 BMD", 0.81, "g"),
        number("L1 BMC", 12.0, "g/cm2"),
        number("BMD", 0.81),
        number("L1 BMD", 810.0),
        container("Left femur", [number("L1 BMD", 0.81)]),
        container("L2-L4", [number("BMD", 0.81)]),
        container("L1", [number("Z-score", -1.0, "1")]),
        container("L1", [number("BMD", 0.81), number("BMD", 0.85)]),
    ],
    ids=["unit", "content", "no level", "mg", "femur", "other region", "Z", "two values"],
)
def test_numbers_in_doubt_are_left_alone(content: Dataset) -> None:
    assert values_of(report(content)) is None
