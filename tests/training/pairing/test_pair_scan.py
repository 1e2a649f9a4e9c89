"""Folders of DICOM files: which studies they hold, and why one cannot be used."""

from datetime import date
from pathlib import Path

import pytest

from inference.ct.series import choose_series
from inference.reading import find_files, read_headers
from tests.training.pairing import hospital
from training.errors import TrainingError
from training.pairing.journal import Journal
from training.pairing.records import ImageKind, ImageStudy, parse_day
from training.pairing.scan import Scan, scan_folders
from training.pairing.studies import ImageOptions

pytestmark = pytest.mark.unit


def scan(folder: Path, options: ImageOptions | None = None, journal: Path | None = None) -> Scan:
    """Scan, seeing that progress is told to the end."""
    told: list[tuple[int, int]] = []
    with Journal(journal) as open_journal:
        found = scan_folders([folder], options or ImageOptions(), open_journal, lambda done, total: told.append((done, total)))
    assert told[-1] == (found.files, found.files)
    return found


def only(folder: Path, options: ImageOptions | None = None) -> ImageStudy:
    """The one image study of a folder."""
    (found,) = scan(folder, options).images
    return found


def reason(study: ImageStudy) -> str:
    """The code of its exclusion."""
    assert study.excluded is not None
    return str(study.excluded.code)


def test_the_ct_series_is_the_one_that_inference_would_measure(tmp_path: Path) -> None:
    hospital.ct(tmp_path, "A", "2024-03-01", PatientSex="F", PatientBirthDate="19500102", IssuerOfPatientID="NORTH")
    study = only(tmp_path)
    headers, _ = read_headers(find_files([tmp_path]))
    best = choose_series(headers).candidates[0]
    assert study.series_instance_uid == best.series_instance_uid
    assert set(study.paths) == {header.path for header in best.headers}
    assert len(study.paths) == hospital.SLICES
    assert (study.person.issuer, study.person.sex, study.person.birth_date) == ("NORTH", "F", date(1950, 1, 2))


def test_a_ct_of_the_head_is_no_spine(tmp_path: Path) -> None:
    hospital.ct(tmp_path, "A", "2024-03-01", BodyPartExamined="HEAD")
    assert reason(only(tmp_path)) == "WRONG_BODY_PART"


@pytest.mark.parametrize(
    ("views", "changes", "code"),
    [
        (("LL",), {}, "NOT_FRONTAL"),
        (("",), {}, "VIEW_NOT_STATED"),
        (("PA",), {"BodyPartExamined": ""}, "BODY_PART_NOT_STATED"),
        (("PA",), {"BodyPartExamined": "HAND"}, "WRONG_BODY_PART"),
        (("PA",), {"PresentationIntentType": "FOR PROCESSING"}, "FOR_PROCESSING"),
        (("PA",), {"PatientSpeciesDescription": "Canine species"}, "NOT_HUMAN"),
    ],
)
def test_films_that_are_no_frontal_chest(tmp_path: Path, views: tuple[str, ...], changes: dict[str, str], code: str) -> None:
    hospital.film(tmp_path, "A", "2024-03-01", views, **changes)
    assert reason(only(tmp_path)) == code


def test_of_several_films_the_pa_one(tmp_path: Path) -> None:
    hospital.film(tmp_path, "A", "2024-03-01", ("LL", "AP", "PA"))
    study = only(tmp_path)
    assert [path.name for path in study.paths] == ["A-2024-03-01-cr-2.dcm"]


def test_unstated_films_are_taken_on_request(tmp_path: Path) -> None:
    hospital.film(tmp_path, "A", "2024-03-01", ("",), BodyPartExamined="")
    assert only(tmp_path, ImageOptions(accept_unstated=True)).excluded is None


@pytest.mark.parametrize("changes", [{"PatientID": "B"}, {"PatientBirthDate": "19400101"}, {"IssuerOfPatientID": "S"}, {"PatientSex": "M"}])
def test_two_patients_in_one_study(tmp_path: Path, changes: dict[str, str]) -> None:
    plain = {"PatientBirthDate": "19500101", "IssuerOfPatientID": "N", "PatientSex": "F", "StudyInstanceUID": "2.25.7"}
    hospital.film(tmp_path / "a", "A", "2024-03-01", ("PA",), **plain)
    hospital.film(tmp_path / "b", "A", "2024-03-01", ("PA",), **{**plain, **changes, "StudyTime": "111111", "AccessionNumber": "x"})
    second = next((tmp_path / "b").iterdir())
    _with_new_uids(second)
    assert reason(only(tmp_path)) == "IDENTITY_CONFLICT"


def _with_new_uids(path: Path) -> None:
    from pydicom import dcmread

    ds = dcmread(path)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "2.25.99"
    ds.save_as(path)


def test_dxa_sent_as_cr_is_no_film_and_its_report_gives_values(tmp_path: Path) -> None:
    hospital.dxa_image(tmp_path, "A", "2024-03-01")
    hospital.dxa_report(tmp_path, "A", "2024-03-01", {"L1": 0.9, "L1-L4": 0.95})
    found = scan(tmp_path)
    assert found.images == ()
    (exam,) = found.exams
    assert exam.bmd_g_cm2 == {"L1": 0.9, "L1-L4": 0.95}
    assert (exam.device, exam.exam_date) == ("GE Lunar", date(2024, 3, 1))


def test_unreadable_files_and_copies_are_listed(tmp_path: Path) -> None:
    hospital.film(tmp_path / "a", "A", "2024-03-01", ("PA",))
    (tmp_path / "copy.dcm").write_bytes(next((tmp_path / "a").iterdir()).read_bytes())
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "cut.dcm").write_bytes(b"\0" * 128 + b"DICM\2\0\0\0UL")
    found = scan(tmp_path)
    assert len(found.images) == 1
    assert {Path(one.path).name for one in found.skipped} >= {"notes.txt", "cut.dcm"}
    assert sorted(str(one.reason.code) for one in found.skipped)[0] == "DUPLICATE_INSTANCE"


def test_only_the_wanted_kind(tmp_path: Path) -> None:
    hospital.ct(tmp_path, "A", "2024-03-01")
    hospital.film(tmp_path, "A", "2024-03-01")
    assert only(tmp_path, ImageOptions(kinds=frozenset({ImageKind.CXR}))).kind is ImageKind.CXR


def test_the_journal_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    hospital.film(tmp_path / "d", "A", "2024-03-01")
    (tmp_path / "d" / "x.txt").write_text("nothing")
    journal = tmp_path / "journal"
    first = scan(tmp_path / "d", journal=journal)
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-20])  # killed in the middle of a line
    assert scan(tmp_path / "d", journal=journal) == first
    assert journal.read_bytes() == whole
    before = journal.stat().st_size
    assert scan(tmp_path / "d", journal=journal) == first
    assert journal.stat().st_size == before


def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\n")
    with pytest.raises(TrainingError, match="no cache of this command"):
        Journal(path)
    assert path.read_text() == "dear diary\n"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="There is no folder"):
        scan_folders([tmp_path / "absent"], ImageOptions(), Journal(None), lambda _, __: None)


@pytest.mark.parametrize(
    ("text", "day"), [("20240229", date(2024, 2, 29)), ("2024.02.29", date(2024, 2, 29)), ("20230229", None), ("", None), ("2024", None)]
)
def test_dicom_dates(text: str, day: date | None) -> None:
    assert parse_day(text) == day
