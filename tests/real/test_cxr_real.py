"""Every real chest film, and what only looks like one, decided rightly. Nothing was tuned on them; ``docs/cxr.md`` describes each."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from inference.cxr.recognise import FilmDecision, decide_film
from inference.cxr.turns import Turn
from inference.cxr.view import View
from inference.errors import ReasonCode, WarningCode
from inference.findings import Findings
from inference.reading import read_header, read_headers
from inference.workflows import WorkflowOptions, run_workflow
from tests.paths import real_image

pytestmark = pytest.mark.real

PA_1024 = "cxr/dicom/1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm"
MISLABELLED = "cxr/dicom/Fake_MONOHR1.dcm"
PHILIPS = "cxr/dicom/RG1_J2KI.dcm"
SMALL = "cxr/dicom/gdcm-CR-MONO1-10-chest.dcm"
DOG, LEG, SCOUT = (f"cxr/negatives/{name}.dcm" for name in ("dog_thorax_dx", "leg_cr", "ct_scout"))
PNGS = ("2168a917", "5f619d7e", "6b5af975", "b343e657", "c4a0e11a", "fff13f3a")
Grey = NDArray[np.uint8]


def run(path: Path) -> Findings:
    headers, skipped = read_headers([path])
    assert not skipped
    return run_workflow("cxr", headers, WorkflowOptions())


def as_dicom(pixels: Grey, path: Path) -> Path:
    """A film as a CR whose header says nothing of body part and view."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(entropy_srcs=["study"]), generate_uid(entropy_srcs=["series"])
    ds.PatientID, ds.PatientName, ds.Modality, ds.BodyPartExamined, ds.ViewPosition = "REAL-FILM", "", "CR", "", ""
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds.PixelData = np.ascontiguousarray(pixels).tobytes() + b"\0" * (pixels.size % 2)
    ds["PixelData"].VR = "OB"
    ds.save_as(path, enforce_file_format=True)
    return path


def png(name: str) -> Grey:
    return np.asarray(Image.open(real_image(f"cxr/frontal_png/{name}.png")).convert("L"), dtype=np.uint8)


@pytest.mark.parametrize(
    ("relative", "inverted", "warnings"),
    [
        (PA_1024, False, {WarningCode.LOSSY_COMPRESSION, WarningCode.PRINT_FILLED}),
        (MISLABELLED, True, {WarningCode.LOSSY_COMPRESSION, WarningCode.POLARITY_WRONG, WarningCode.PRINT_FILLED}),
        (PHILIPS, False, {WarningCode.LOSSY_COMPRESSION, WarningCode.PIXEL_SIZE_UNKNOWN}),
        (SMALL, False, {WarningCode.IDENTITY_INCOMPLETE, WarningCode.PIXEL_SIZE_UNKNOWN}),
    ],
)
def test_real_films_are_used_as_they_lie(relative: str, inverted: bool, warnings: set[WarningCode]) -> None:
    found = run(real_image(relative))
    assert found.reason is not None
    assert found.reason.code is ReasonCode.NO_TRAINED_MODEL
    assert found.cxr is not None
    assert found.cxr.used is not None
    film = found.cxr.used.film
    assert film is not None
    assert found.cxr.used.view is View.PA
    assert (film.turn, film.negative) == (Turn(), inverted)
    assert {notice.code for notice in found.warnings} == warnings


def test_the_mislabelled_film_becomes_the_same_array_as_the_right_one() -> None:
    right, wrong = (decide_film(read_header(real_image(name))).film for name in (PA_1024, MISLABELLED))
    assert right is not None
    assert wrong is not None
    assert np.abs(right.image - wrong.image).max() <= 1e-5


@pytest.mark.parametrize(
    ("relative", "code"),
    [(DOG, ReasonCode.NOT_HUMAN), (LEG, ReasonCode.WRONG_BODY_PART), (SCOUT, ReasonCode.LOCALIZER)],
)
def test_what_only_looks_like_a_chest_film_is_refused_by_its_header(relative: str, code: ReasonCode) -> None:
    found = run(real_image(relative))
    assert found.reason is not None
    assert found.reason.code is code
    assert found.cxr is not None
    assert found.cxr.used is None


@pytest.mark.parametrize("relative", [DOG, LEG, SCOUT])
def test_and_by_its_image_where_the_header_is_blank(relative: str, tmp_path: Path) -> None:
    ds = dcmread(real_image(relative))
    values = ds.pixel_array.astype(np.float64)
    grey = (values - values.min()) / np.ptp(values) * 255
    grey = 255 - grey if ds.PhotometricInterpretation == "MONOCHROME1" else grey
    larger = np.kron(np.rint(grey).astype(np.uint8), np.ones((3, 3), dtype=np.uint8)) if min(grey.shape) < 300 else grey.astype(np.uint8)
    found = decide_film(read_header(as_dicom(larger, tmp_path / "film.dcm")))
    assert found.reason is not None
    assert found.reason.code is ReasonCode.WRONG_BODY_PART


@pytest.mark.parametrize("name", PNGS)
def test_frontal_films_without_a_word_in_the_header_are_known_by_their_image(name: str, tmp_path: Path) -> None:
    found = decide_film(read_header(as_dicom(png(name), tmp_path / "film.dcm")))
    assert found.used, found.because
    assert found.view is View.FRONTAL
    assert found.film is not None
    assert (found.film.turn, found.film.negative) == (Turn(), False)


def lying(name: str, quarters: int, folder: Path) -> FilmDecision:
    return decide_film(read_header(as_dicom(np.rot90(png(name), -quarters), folder / "film.dcm")))


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("name", PNGS)
def test_a_real_film_that_lies_turned_is_turned_upright_or_refused(name: str, quarters: int, tmp_path: Path) -> None:
    found = lying(name, quarters, tmp_path)
    if found.used:
        assert found.film is not None
        assert found.film.turn.quarters == quarters
        return
    assert name == "2168a917"  # a large heart and a lifted diaphragm: not clear enough to turn
    assert found.reason is not None


def test_the_decision_is_in_the_json(tmp_path: Path) -> None:
    from node.report_cxr import cxr_report

    found = run(as_dicom(np.rot90(png("5f619d7e")), tmp_path / "film.dcm"))
    report = cxr_report(found.cxr)
    assert report is not None
    (film,) = report["films"]
    assert film["used"]
    assert film["view"] == "frontal"
    assert film["position"]["quarter_turns_counter_clockwise"] == 3
    assert film["seen"]["fit"] > 0.7
