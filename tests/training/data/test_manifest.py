"""Manifests: hospitals' tables as they come, ours back as they were written, every complaint with its place."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.training.data.made import read, write
from training.data.columns import BmdUnit
from training.data.labels import LABELS, BoneLabel
from training.data.manifest import (
    ManifestError,
    ManifestRow,
    Modality,
    ReadOptions,
    Sex,
    load_read_options,
    manifest_of,
    read_manifest,
    write_manifest,
)

pytestmark = pytest.mark.unit

GERMAN = (
    "Pat.-Nr.;Untersuchungsdatum;KMD LWK1 (g/cm²);KMD L1-L4;T-Wert;Gerät;Geschlecht;Alter;Name\r\n"
    "007;05.03.2024;0,987;1,050;-2,5;Discovery A;w;062Y;Müller\r\n"
    "8;06.03.2024;;;-1,0;iDXA;Männlich;55,5;Weiß\r\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_a_german_export(tmp_path: Path, encoding: str, delimiter: str) -> None:
    manifest = read(write(tmp_path, GERMAN.replace(";", delimiter), encoding=encoding))
    first, second = manifest.rows
    assert (first.patient_id, first.study_date, first.sex, first.age, first.device) == (
        "007",
        date(2024, 3, 5),
        Sex.FEMALE,
        62.0,
        "Hologic",
    )
    assert first.bmd_g_cm2 == {"L1": 0.987, "L1-L4": 1.05}
    assert (first.t_score, first.label) == (-2.5, BoneLabel.OSTEOPOROSIS)
    assert (second.label, second.bmd_g_cm2, second.device, second.number) == (BoneLabel.NORMAL, {}, "GE Lunar", 3)
    assert any("'Name'" in notice for notice in manifest.notices)
    assert any("2 of 2 labels follow from T-scores" in notice for notice in manifest.notices)


def test_an_american_export(tmp_path: Path) -> None:
    headers = 'sep=,\n"MRN","Exam Date","L1 BMD","L2 BMD","T-Score L1"\n'
    text = headers + '"A1","12/31/2024","1.02","0.9",""\n\n"A2","01/02/2025","987 mg/cm2","","-1.2"\n'
    first, second = read(write(tmp_path, text)).rows
    assert (first.study_date, second.study_date) == (date(2024, 12, 31), date(2025, 1, 2))
    assert (first.bmd_g_cm2, second.bmd_g_cm2) == ({"L1": 1.02, "L2": 0.9}, {"L1": 0.987})
    assert (second.t_scores, second.label) == ({"L1": -1.2}, None)  # one vertebra is no diagnosis
    assert second.number == 5  # the line as a spreadsheet shows it


def test_every_complaint_at_once_with_its_place(tmp_path: Path) -> None:
    path = write(
        tmp_path, "patient_id,study_date,L1 BMD,T-Score,sex\n1,03/04/2024,987,-25,F\n,2024-01-01,0,-1,x\n1.2E+05,2024-01-01,0.9,,M\n"
    )
    with pytest.raises(ManifestError) as caught:
        read(path)
    lines = str(caught.value).splitlines()
    assert [(problem.row, problem.column) for problem in caught.value.problems] == [
        (2, "study_date"), (2, "T-Score"), (2, "L1 BMD"), (3, "L1 BMD"), (3, "sex"), (4, "patient_id"),
    ]  # fmt: skip
    assert lines[0].startswith(f"{path}:2: study_date: '03/04/2024' may be day/month or month/day")
    assert "a spreadsheet has shortened" in lines[-1]


def test_only_twenty_complaints_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, "patient_id,t_score\n" + "".join(f"{number},oops\n" for number in range(33)))
    with pytest.raises(ManifestError, match="and 13 more") as caught:
        read(path)
    assert len(caught.value.problems) == 33
    assert len(str(caught.value).splitlines()) == 21


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("patient_id,sex\n", "no row below the headers"),
        ("ID number,sex\n1,F\n", "no column is recognised as patient_id"),
        ("patient_id,sex\n,F\n", ":2: patient_id: is empty"),
        ("patient_id,L1 BMD\n1,0,987\n", "3 cells under 2 headers"),
        ('patient_id,sex\n"1,F\n', "not valid CSV"),
        ("patient_id,L1 BMD,bmd l1\n1,1,1\n", "bmd_L1_g_cm2 may be any of"),
        ("patient_id,L1 BMD,L2 BMD\n1,0.9,\n2,,\"0,9\"\n", "decimal comma"),
        ("patient_id,label\n1,2\n", "labels: {'2'"),
        ("patient_id,label,t_score\n1,normal,-2.6\n", "the label is normal, but a T-score of -2.6 is osteoporosis"),
        ("patient_id,file\n1,C:\\x\\1.dcm\n", "one Windows machine"),
        ("patient_id,series_uid\n1,1.2.3\n2,1.2.3\n", "the same series as patient '1' in row 2"),
        ("patient_id,path\n1,a\n2,a\n", "the same file as patient '1'"),
        ("patient_id,path,sex\n1,a,F\n1,a,M\n", "the same file stands in row 2"),
        ("patient_id,series_uid\n1,abc\n", "no DICOM UID"),
        ("patient_id,split\n1,train\n01,test\n", "a patient belongs to one part"),
        ("patient_id\0,sex\n1,F\n", "NUL"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read(write(tmp_path, text))
    assert said in str(caught.value)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    for name, content, said in (
        ("a.xlsx", b"PK", "workbook"),
        ("a.parquet", b"PAR1", "not a readable Parquet"),
        ("a.csv", b"\xff\xfea", "damaged"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ManifestError, match=said):
            read(tmp_path / name)
    with pytest.raises(ManifestError, match="No such file"):
        read(tmp_path / "absent.csv")


def test_paths_must_exist_and_begin_at_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "ct" / "1").mkdir(parents=True)
    text = "patient_id,modality,path,excluded_because\n1,CT,ct\\1,\n2,CT,ct/2,no contrast phase\n3,CT,ct/3,no\n"
    path = write(tmp_path, text)
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    assert [problem.row for problem in caught.value.problems] == [4]  # the excluded row's image need not be there
    manifest = read_manifest(path, check_paths=False)
    assert manifest.rows[0].path == tmp_path / "ct" / "1"
    assert [row.patient_id for row in manifest.used] == ["1", "3"]


def test_repeated_rows_are_dropped_and_similar_ids_told(tmp_path: Path) -> None:
    manifest = read(write(tmp_path, "patient_id,t_score,sex\nP-01,-1,F\nP-01,-1,F\np1,-2,M\np1,-3,F\n"))
    assert len(manifest.rows) == 3
    assert "row 3 repeats row 2 and is dropped" in manifest.notices
    assert "IDs that may be one patient (a split keeps them together): 'P-01', 'p1'" in manifest.notices
    assert "the sex differs between rows of 1 patients ('p1')" in manifest.notices


def test_options_from_yaml(tmp_path: Path) -> None:
    stated = write(
        tmp_path,
        "columns: {patient_id: Fall, bmd_L1_g_cm2: Wert}\nmodality: DXA\nbmd_unit: mg/cm2\ndecimal: ','\ndate_order: mdy\nmissing: [-999]\n"
        "labels: {1: osteoporosis}\nkeep_conflicting_labels: true\ndevices: {Raum 3: GE Lunar}\n",
        "map.yaml",
    )
    text = "Fall;Wert;Datum;Diagnose;T-Wert;Gerät\n1;1.050;03/04/2024;1;-0,5;raum 3\n2;-999;03/04/2024;;-999;Raum 4\n"
    manifest = read(write(tmp_path, text), load_read_options(stated))
    first, second = manifest.rows
    assert first.bmd_g_cm2 == {"L1": 1.05}
    assert first.study_date == date(2024, 3, 4)
    assert (first.label, first.device) == (BoneLabel.OSTEOPOROSIS, "GE Lunar")
    assert (second.bmd_g_cm2, second.t_score, second.label, second.device) == ({}, None, None, "Raum 4")
    assert any("the label is kept" in notice for notice in manifest.notices)
    assert any("unknown device 'Raum 4' in 1 rows" in notice for notice in manifest.notices)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colums: {}", "colums: Extra inputs"),
        ("columns: {patient: x}", "no column of a manifest"),
        ("decimal: ';'", "the decimal sign is"),
        ("encoding: klingon", "no known encoding"),
        ("- a", "must hold keys"),
        ("a: [", "not valid YAML"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ManifestError) as caught:
        load_read_options(write(tmp_path, text, "map.yaml"))
    assert said in str(caught.value)


def test_a_stated_header_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="there is no column 'Fal', which was stated to hold patient_id; is it 'Fall'"):
        read(write(tmp_path, "Fall;Wert\n1;2\n"), ReadOptions(columns={"patient_id": "Fal"}, modality=Modality.DXA))


def test_a_row_is_valid_or_is_none() -> None:
    for wrong in ({"patient_id": " "}, {"bmd_g_cm2": {"L7": 1.0}}, {"t_score": float("nan")}):
        with pytest.raises(ValueError):
            ManifestRow(**{"patient_id": "1", "modality": Modality.CT, **wrong})  # type: ignore[arg-type]


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), min_size=1, max_size=8).map(lambda text: f"p{text}q")
_ROWS = st.builds(
    ManifestRow,
    patient_id=_TEXT,
    modality=st.sampled_from(Modality),
    study_date=st.none() | st.dates(date(1990, 1, 1), date(2099, 1, 1)),
    label=st.none() | st.sampled_from(LABELS),
    bmd_g_cm2=st.dictionaries(st.sampled_from(["L1", "T12", "L1-L4"]), st.floats(0.2, 2.5)),
    t_scores=st.dictionaries(st.sampled_from(["L1", "L2"]), st.floats(-6, 6)),
    age=st.none() | st.floats(0, 110),
    site=st.none() | _TEXT,
    sex=st.none() | st.sampled_from(Sex),
    excluded_because=st.none() | _TEXT,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_ROWS, min_size=1, max_size=6), st.sampled_from(["csv", "parquet"]))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[ManifestRow], suffix: str) -> None:
    folder = tmp_path_factory.mktemp("written")
    placed = [ManifestRow(**{**vars(row), "path": folder / str(number)}) for number, row in enumerate(rows)]
    written = write_manifest(placed, folder / f"m.{suffix}")
    again = read_manifest(folder / f"m.{suffix}", check_paths=False)
    assert again.rows == tuple(placed)
    assert again.sha256 == written.sha256 == manifest_of(reversed(placed), folder).sha256
    first = (folder / f"m.{suffix}").read_bytes()
    write_manifest(again.rows, folder / f"m.{suffix}")
    assert (folder / f"m.{suffix}").read_bytes() == first


def test_a_moved_manifest_keeps_its_hash(tmp_path: Path) -> None:
    rows = [ManifestRow(patient_id="1", modality=Modality.CT, path=tmp_path / "a" / "images" / "1")]
    before = write_manifest(rows, tmp_path / "a" / "m.csv")
    (tmp_path / "a").rename(tmp_path / "b")
    after = read_manifest(tmp_path / "b" / "m.csv", check_paths=False)
    assert after.sha256 == before.sha256
    assert after.rows[0].path == tmp_path / "b" / "images" / "1"


def test_parquet_of_other_programs(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns = {"PatientID": ["1", "2"], "StudyDate": [date(2024, 1, 2), None], "L1 BMD": [0.9, float("nan")], "T-score": [-1.0, None]}
    parquet.write_table(pa.table(columns), tmp_path / "m.parquet")
    first, second = read(tmp_path / "m.parquet").rows
    assert (first.study_date, first.bmd_g_cm2, first.t_score) == (date(2024, 1, 2), {"L1": 0.9}, -1.0)
    assert (second.study_date, second.bmd_g_cm2, second.t_score) == (None, {}, None)
    parquet.write_table(pa.table({"PatientID": [1.0], "x": [[1]]}), tmp_path / "n.parquet")
    with pytest.raises(ManifestError, match="holds a list"):
        read(tmp_path / "n.parquet")
    parquet.write_table(pa.table({"PatientID": [1.0]}), tmp_path / "o.parquet")
    with pytest.raises(ManifestError, match="leading zeros are lost"):
        read(tmp_path / "o.parquet")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    write(tmp_path, "x", "file")
    with pytest.raises(ManifestError, match="cannot be written"):
        write_manifest([], tmp_path / "file" / "m.csv")


LONG = (
    "Patient ID,Scan Date,Region,BMD (mg/cm2),T-score,Area (cm2),Scanner\n"
    "1,2024-01-02,L1,987,-0.4,12.1,Horizon\n"
    "1,2024-01-02,L2,1012,-0.2,12.3,Horizon\n"
    "1,2024-01-02,L1 - L4,1001,-1.1,50.0,Horizon\n"
    "1,2024-01-02,Neck,700,-2.6,5.1,Horizon\n"
    "1,2025-01-02,LWK 1,950,,12.1,Horizon\n"
)


def test_one_row_a_level(tmp_path: Path) -> None:
    manifest = read(write(tmp_path, LONG))
    first, second = manifest.rows
    assert first.bmd_g_cm2 == {"L1": 0.987, "L2": 1.012, "L1-L4": 1.001}
    assert first.t_scores == {"L1": -0.4, "L2": -0.2, "L1-L4": -1.1}
    assert (first.label, first.t_score) == (BoneLabel.OSTEOPENIA, None)  # of L1-L4; the neck is another site
    assert (second.study_date, second.bmd_g_cm2, second.label, second.number) == (date(2025, 1, 2), {"L1": 0.95}, None, 6)
    assert "one row a level: 5 rows became 2" in manifest.notices
    assert "regions that are no level of the spine were left out: 'Neck' (1)" in manifest.notices
    assert "columns that were not used: 'Area (cm2)', 'Scanner'" in manifest.notices


def test_one_row_a_level_with_stated_columns(tmp_path: Path) -> None:
    text = LONG.replace("Region", "Where").replace("BMD (mg/cm2)", "Value").replace("T-score", "T")
    stated = ReadOptions(columns={"level": "Where", "bmd": "Value", "t_score": "T"}, bmd_unit=BmdUnit.MG_CM2, modality=Modality.DXA)
    assert read(write(tmp_path, text), stated).rows == read(write(tmp_path, LONG)).rows


def test_a_level_given_twice(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        read(write(tmp_path, LONG + "1,2024-01-02,L1,990,-0.4,12,Horizon\n"))
    assert "7: BMD (mg/cm2): L1 is given a second time, as '990' after '987'" in str(caught.value)
