"""Studies of chest films on disk: which film is used, why the others are not, and what is said for want of a model."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEGBaseline8Bit

from inference.errors import ReasonCode, WarningCode
from inference.findings import Findings, Outcome
from inference.reading import find_files, group_studies, read_headers
from inference.workflows import WorkflowOptions, run_workflow
from node.report_cxr import cxr_report
from tests.inference.cxr.films import dataset

pytestmark = pytest.mark.unit


def run(folder: Path, *films: Dataset) -> Findings:
    """The films as one study."""
    for number, ds in enumerate(films):
        ds.StudyInstanceUID, ds.PatientID, ds.PatientName = "1.2.3", "P1", "Doe^Jane"
        ds.PatientBirthDate = "19500102"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.3.4.{number}")
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    headers, skipped = read_headers(find_files([folder]))
    assert not skipped
    (study,) = group_studies(headers).values()
    return run_workflow("cxr", study, WorkflowOptions())


def test_of_pa_lateral_and_ap_the_pa_film_is_used(tmp_path: Path) -> None:
    found = run(tmp_path, dataset("AP"), dataset("lateral"), dataset("PA"))
    assert found.outcome is Outcome.REFUSED
    assert found.reason is not None
    assert found.reason.code is ReasonCode.NO_TRAINED_MODEL
    assert "bone density is not estimated" in found.reason.text
    assert found.cxr is not None
    assert found.cxr.used is not None
    assert found.cxr.used.sop_instance_uid == "1.2.3.4.2"
    codes = {Path(item.path).name: item.reason.code for item in found.skipped}
    assert codes == {"0.dcm": ReasonCode.OTHER_SERIES_PREFERRED, "1.dcm": ReasonCode.NOT_FRONTAL}
    assert [notice.code for notice in found.warnings] == []


def test_a_study_without_a_frontal_film_has_the_films_own_reason(tmp_path: Path) -> None:
    found = run(tmp_path, dataset("lateral"))
    assert found.reason is not None
    assert found.reason.code is ReasonCode.NOT_FRONTAL
    assert found.cxr is not None
    assert found.cxr.used is None


def test_the_used_films_notices_are_the_studys(tmp_path: Path) -> None:
    ds = dataset("AP")
    ds.PhotometricInterpretation = "MONOCHROME1"
    ds.LossyImageCompression = "01"
    found = run(tmp_path, ds)
    codes = [notice.code for notice in found.warnings]
    assert codes == [WarningCode.AP_FILM, WarningCode.POLARITY_WRONG, WarningCode.PRINT_FILLED, WarningCode.LOSSY_COMPRESSION]


def test_json_tells_how_the_film_lies_and_why_it_is_refused(tmp_path: Path) -> None:
    found = run(tmp_path, dataset("PA"), dataset("lateral"))
    report = cxr_report(found.cxr)
    assert report is not None
    used, lateral = report["films"]
    assert used["view"] == "PA"
    assert used["position"]["to_stored"][0][:2] == [1.0, 0.0]
    assert used["position"]["lungs"]["top"] < used["position"]["lungs"]["bottom"]
    assert set(used["seen"]) == {"fit", "lead", "column_over_lungs"}
    assert (lateral["used"], lateral["position"], lateral["seen"]) == (False, None, None)
    assert lateral["reason"]["code"] == "NOT_FRONTAL"
    assert cxr_report(None) is None


def test_a_damaged_film_is_refused_not_raised(tmp_path: Path) -> None:
    ds = dataset("PA")
    ds.PixelData = ds.PixelData[:1000]
    found = run(tmp_path, ds)
    assert found.reason is not None
    assert found.reason.code is ReasonCode.UNREADABLE_PIXELS


def test_a_film_in_a_syntax_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    ds = dataset("PA")
    native = ds.PixelData
    ds.PixelData = encapsulate([native])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    found = run(tmp_path, ds)
    assert found.reason is not None
    assert found.reason.code is ReasonCode.UNREADABLE_PIXELS
