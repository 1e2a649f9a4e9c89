"""Films and DXA scans as DICOM: the headers with which such images arrive, and what a validator says of them."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from inference.reading import read_header
from node.config_file import load_config
from node.routing import decide
from tests.peers.tools import require_peer
from tests.training.xray_patients import dxa, film
from training.simulation.xray.dxa_dicom import AP_SPINE, REPORT, DxaOptions, write_dxa
from training.simulation.xray.film import SimulatedFilm
from training.simulation.xray.film_dicom import FilmFormat, FilmOptions, Spacing, write_film
from training.simulation.xray.projection import View
from training.simulation.xray.regions import DxaRegion, RegionScan

pytestmark = pytest.mark.unit

SHIPPED = load_config(Path(__file__).resolve().parents[2] / "config.yaml").routes
FILMS = [FilmOptions(format=kind, inverted=inverted) for kind in FilmFormat for inverted in (False, True)]
IDXA_HABITS = ("<Laterality>", "Exposed Area", "Standard Extended")
"""A GE Lunar iDXA writes an empty Laterality, and an Exposed Area into a CR image; the validator warns of both."""
IDXA_HABITS = ("<Laterality>", "Exposed Area", "Standard Extended")
"""A GE Lunar iDXA writes an empty Laterality, and an Exposed Area into a CR image; the validator warns of both."""
OTHERS = tuple(RegionScan(region=region, image=np.full((60, 41), 90, np.uint8), spacing_mm=1.0) for region in DxaRegion)


def lateral() -> SimulatedFilm:
    return replace(film(), acquisition=replace(film().acquisition, view=View.LATERAL))


@pytest.mark.parametrize("options", FILMS, ids=lambda options: f"{options.format}-{'MONO1' if options.inverted else 'MONO2'}")
def test_a_film_reads_back_as_it_was_made(tmp_path: Path, options: FilmOptions) -> None:
    ds = pydicom.dcmread(write_film(film(), tmp_path, options))
    stored = ds.pixel_array
    if options.inverted:
        assert ds.PhotometricInterpretation == "MONOCHROME1"
        stored = 4095 - stored
    assert np.array_equal(stored, film().image)
    assert str(ds.PatientName).startswith("SIMULATED")
    assert ds.Modality == ("CR" if options.format is FilmFormat.CR else "DX")
    assert (ds.BodyPartExamined, ds.ViewPosition, ds.BitsStored) == ("CHEST", "PA", 12)
    assert decide([read_header(Path(ds.filename))], SHIPPED).route == "chest-radiograph"


@pytest.mark.parametrize(
    ("spacing", "present"), [(Spacing.IMAGER, (True, False)), (Spacing.PIXEL, (True, True)), (Spacing.ABSENT, (False, False))]
)
def test_spacing_is_given_here_or_there_or_nowhere(tmp_path: Path, spacing: Spacing, present: tuple[bool, bool]) -> None:
    ds = pydicom.dcmread(write_film(film(), tmp_path, FilmOptions(format=FilmFormat.CR, spacing=spacing)))
    assert ("ImagerPixelSpacing" in ds, "PixelSpacing" in ds) == present
    assert "ImagerPixelSpacing" in pydicom.dcmread(write_film(film(), tmp_path, FilmOptions(spacing=spacing)))


def test_the_view_may_be_missing_and_a_lateral_says_so(tmp_path: Path) -> None:
    blank = pydicom.dcmread(write_film(film(), tmp_path / "blank", FilmOptions(view_in_header=False)))
    assert blank.ViewPosition == ""
    side = pydicom.dcmread(write_film(lateral(), tmp_path / "lateral"))
    assert side.ViewPosition == "LL"
    assert side.ViewCodeSequence[0].CodeMeaning == "left lateral"
    assert side.PatientOrientation == ["P", "F"]


def test_a_lunar_export_names_the_region_in_one_place_only(tmp_path: Path) -> None:
    paths = write_dxa(dxa("GE Lunar"), tmp_path, DxaOptions(others=OTHERS))
    assert list(paths) == [AP_SPINE, *DxaRegion]
    instances = {region: pydicom.dcmread(path) for region, path in paths.items()}
    assert len({ds.SeriesInstanceUID for ds in instances.values()}) == 1
    for region, ds in instances.items():
        assert ds.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
        assert (ds.SOPClassUID.name, ds.Modality) == ("Computed Radiography Image Storage", "CR")
        assert ds.ProtocolName == ds.PerformedProcedureStepDescription == region
        assert (ds.BodyPartExamined, ds.ViewPosition, ds.Laterality) == ("", "", "")
        assert (ds.SeriesDescription, ds.PhotometricInterpretation, ds.BitsStored) == ("DXA Images", "MONOCHROME2", 8)
        assert not {"PixelSpacing", "ImagerPixelSpacing", "WindowCenter", "RescaleSlope"} & set(ds.dir())
    spine = instances[AP_SPINE].pixel_array
    assert (spine[:, 0] == 255).all()
    assert (spine[:, -1] == 255).all()
    assert decide([read_header(paths[AP_SPINE])], SHIPPED).route == "dxa"


@pytest.mark.parametrize("device", ["Hologic", "MEDIX"])
def test_a_secondary_capture_comes_with_a_page_of_t_scores(tmp_path: Path, device: str) -> None:
    paths = write_dxa(dxa(device), tmp_path)
    image, page = (pydicom.dcmread(paths[name]) for name in (AP_SPINE, REPORT))
    assert image.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert {image.SOPClassUID.name, page.SOPClassUID.name} == {"Secondary Capture Image Storage"}
    assert np.array_equal(image.pixel_array, dxa(device).image[:, : image.Columns])
    assert (page.PhotometricInterpretation, page.BurnedInAnnotation) == ("RGB", "YES")
    assert page.pixel_array[:, :, 0].std() > 20
    assert image.SeriesInstanceUID != page.SeriesInstanceUID
    assert list(write_dxa(dxa(device), tmp_path / "bare", DxaOptions(report_page=False))) == [AP_SPINE]


def test_every_study_of_a_patient_has_the_patient_and_its_own_uid(tmp_path: Path) -> None:
    files = [write_film(film(), tmp_path / "film"), write_dxa(dxa(), tmp_path / "dxa")[AP_SPINE]]
    instances = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    assert len({ds.PatientID for ds in instances}) == 1
    assert len({ds.StudyInstanceUID for ds in instances}) == 2
    again = write_film(film(), tmp_path / "again")
    assert again.read_bytes() == files[0].read_bytes()


@pytest.mark.integration
def test_dciodvfy_finds_no_error(tmp_path: Path) -> None:
    require_peer("dciodvfy")
    paths = [write_film(film(), tmp_path / f"{number}", options) for number, options in enumerate(FILMS)]
    paths.append(write_film(lateral(), tmp_path / "lateral", FilmOptions(spacing=Spacing.PIXEL)))
    for device in ("Hologic", "MEDIX", "GE Lunar"):
        paths += write_dxa(dxa(device), tmp_path / device, DxaOptions(others=OTHERS)).values()
    for path in paths:
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        complaints = [line for line in said.stderr.splitlines() if line.startswith(("Error", "Warning"))]
        unexpected = [line for line in complaints if not any(word in line for word in IDXA_HABITS)]
        assert unexpected == [], path
        assert "GE Lunar" in str(path) or complaints == [], path
