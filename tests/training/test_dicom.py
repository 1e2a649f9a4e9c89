"""The written study is valid DICOM, reads back to the same volume, and cannot be mistaken for a person's."""

import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from inference.ct.series import choose_series, load_series
from inference.reading import find_files, read_headers
from tests.peers.tools import require_peer
from training.simulation import (
    AcquisitionParameters,
    ContrastPhase,
    PatientParameters,
    SimulatedCt,
    StudyOptions,
    identity,
    simulate_ct,
    write_dicom,
)
from training.simulation.identity import study_identity
from training.simulation.vendors import STYLES, Vendor

SMALL = AcquisitionParameters(rows=40, columns=48, pixel_spacing_mm=6.0, slice_spacing_mm=7.5, z_range_mm=(-40.0, 40.0))
PATIENT = PatientParameters(seed=21, age_years=71, contrast=ContrastPhase.VENOUS)


@pytest.fixture(scope="module")
def scan() -> SimulatedCt:
    return simulate_ct(PATIENT, SMALL)


@pytest.fixture(scope="module")
def study(scan: SimulatedCt, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_dicom(scan, tmp_path_factory.mktemp("study"), StudyOptions(localizer=True, secondary_capture=True))


@pytest.mark.integration
def test_dciodvfy_has_nothing_to_say(study: list[Path]) -> None:
    require_peer("dciodvfy")
    for path in (study[0], study[-2], study[-1]):
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        lines = [line for line in (said.stdout + said.stderr).splitlines() if line.strip()]
        assert lines in (["CTImage"], ["SCImage"]), path.name
        assert said.returncode == 0


@pytest.mark.integration
def test_highdicom_reads_the_same_volume(study: list[Path], scan: SimulatedCt) -> None:
    series = [pydicom.dcmread(path) for path in study if path.name.startswith("CT")]
    volume = highdicom.get_volume_from_series(series)
    array, affine = np.asarray(volume.array), np.asarray(volume.affine)
    if (affine[:3, 0] @ scan.volume.affine[:3, 0]) < 0:
        array = array[::-1]
    assert array.shape == scan.volume.hu.shape
    assert np.array_equal(np.rint(array).astype(np.int16), scan.volume.hu)
    assert volume.spacing == pytest.approx((7.5, 6.0, 6.0))


@pytest.mark.unit
def test_positions_are_those_of_the_volume_head_first(study: list[Path], scan: SimulatedCt) -> None:
    series = [pydicom.dcmread(path) for path in study[:-2]]
    heights = [float(instance.ImagePositionPatient[2]) for instance in series]
    assert [instance.InstanceNumber for instance in series] == list(range(1, len(series) + 1))
    assert np.diff(heights) == pytest.approx(-7.5)
    corner = scan.volume.to_lps_mm(np.array([[len(series) - 1, 0, 0]]))[0]
    assert [float(value) for value in series[0].ImagePositionPatient] == pytest.approx(corner, abs=1e-5)
    assert series[0].ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
    assert series[0].PatientPosition == "HFS"


@pytest.mark.unit
def test_a_feet_first_series_starts_at_the_feet(tmp_path: Path) -> None:
    scan = simulate_ct(PATIENT, replace(SMALL, feet_first=True))
    first, second = (pydicom.dcmread(path) for path in write_dicom(scan, tmp_path)[:2])
    assert first.PatientPosition == "FFS"
    assert float(second.ImagePositionPatient[2]) - float(first.ImagePositionPatient[2]) == pytest.approx(7.5)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("roll_deg", "position", "orientation"),
    [
        (10.0, "HFS", (1, 0, 0, 0, 1, 0)),
        (90.0, "HFDL", (0, -1, 0, 1, 0, 0)),
        (180.0, "HFP", (-1, 0, 0, 0, -1, 0)),
        (-90.0, "HFDR", (0, 1, 0, -1, 0, 0)),
    ],
)
def test_lps_turns_with_a_prone_or_decubitus_patient(roll_deg: float, position: str, orientation: tuple[int, ...], tmp_path: Path) -> None:
    scan = simulate_ct(replace(PATIENT, roll_deg=roll_deg), SMALL)
    written = pydicom.dcmread(write_dicom(scan, tmp_path)[0])
    assert written.PatientPosition == position
    assert [float(value) for value in written.ImageOrientationPatient] == list(orientation)
    truth = scan.truth.level("L3")
    assert truth is not None
    assert truth.anterior[1] < -0.9
    found = scan.volume.to_lps_mm(np.argwhere(scan.truth.bodies == truth.label)).mean(axis=0)
    assert found == pytest.approx(truth.centre_lps_mm, abs=4.0)


@pytest.mark.unit
def test_a_tilted_gantry_tilts_the_orientation_but_not_the_way_of_the_couch(tmp_path: Path) -> None:
    scan = simulate_ct(PATIENT, replace(SMALL, gantry_tilt_deg=12.0))
    first, second = (pydicom.dcmread(path) for path in write_dicom(scan, tmp_path)[:2])
    step = np.subtract(first.ImagePositionPatient, second.ImagePositionPatient).astype(float)
    assert step == pytest.approx([0.0, 0.0, 7.5], abs=1e-5)
    column = np.array([float(value) for value in first.ImageOrientationPatient[3:]])
    assert column == pytest.approx([0.0, np.cos(np.radians(12)), np.sin(np.radians(12))], abs=1e-5)
    assert first.GantryDetectorTilt == 12


@pytest.mark.unit
def test_nobody_can_take_it_for_a_person(study: list[Path]) -> None:
    for path in study:
        instance = pydicom.dcmread(path, stop_before_pixels=True)
        assert str(instance.PatientName).startswith("SIMULATED^")
        assert instance.PatientID.startswith("SIM")
        assert "SIMULATED" in instance.SeriesDescription
        assert "SIMULATED" in instance.StudyDescription
        assert instance.PatientAge == "071Y"
        age_at_study = (int(instance.StudyDate) - int(instance.PatientBirthDate)) // 10000
        assert age_at_study == 71


@pytest.mark.unit
def test_uids_are_unique_repeatable_and_differ_between_patients_and_scans(study: list[Path], scan: SimulatedCt, tmp_path: Path) -> None:
    uids = [pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in study]
    assert len(set(uids)) == len(uids)
    again = write_dicom(simulate_ct(PATIENT, SMALL), tmp_path, StudyOptions(localizer=True, secondary_capture=True))
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in study]
    other_patient = replace(scan, patient=replace(PATIENT, seed=22))
    other_scan = replace(scan, acquisition=replace(SMALL, kvp=100.0))
    mine = identity(scan)
    assert identity(other_patient).patient_id != mine.patient_id
    assert identity(other_scan).patient_id == mine.patient_id
    assert len({identity(each).study_instance_uid for each in (scan, other_patient, other_scan)}) == 3
    assert all(len(uid) <= 64 and uid.startswith("2.25.") for uid in uids)


@pytest.mark.unit
def test_the_study_carries_a_localizer_and_a_secondary_capture(study: list[Path]) -> None:
    localizer, capture = (pydicom.dcmread(path) for path in study[-2:])
    assert localizer.SOPClassUID == CTImageStorage
    assert localizer.ImageType[2] == "LOCALIZER"
    assert capture.SOPClassUID == SecondaryCaptureImageStorage
    assert capture.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert len({pydicom.dcmread(path).SeriesInstanceUID for path in study}) == 3
    assert len({pydicom.dcmread(path).StudyInstanceUID for path in study}) == 1
    assert capture.pixel_array.max() > 200


@pytest.mark.unit
def test_rescale_can_be_missing_and_contrast_unsaid(scan: SimulatedCt, tmp_path: Path) -> None:
    quiet = replace(scan, acquisition=replace(SMALL, omit_rescale=True))
    instance = pydicom.dcmread(write_dicom(quiet, tmp_path / "a", StudyOptions(contrast_in_header=False))[0])
    assert "RescaleIntercept" not in instance
    assert "RescaleSlope" not in instance
    assert "ContrastBolusAgent" not in instance
    assert "VENOUS" not in instance.StudyDescription
    assert instance.pixel_array.astype(int).mean() == pytest.approx(scan.volume.hu[-1].mean() + 1024, abs=0.01)
    said = pydicom.dcmread(write_dicom(scan, tmp_path / "b")[0])
    assert said.ContrastBolusAgent
    assert said.RescaleIntercept == -1024


@pytest.mark.integration
@pytest.mark.parametrize("vendor", list(Vendor))
def test_dciodvfy_has_nothing_to_say_of_any_vendor_style(vendor: Vendor, scan: SimulatedCt, tmp_path: Path) -> None:
    require_peer("dciodvfy")
    first = write_dicom(scan, tmp_path, StudyOptions(vendor=vendor))[0]
    said = subprocess.run(["dciodvfy", str(first)], capture_output=True, text=True, check=False)
    assert [line for line in (said.stdout + said.stderr).splitlines() if line.strip()] == ["CTImage"]


@pytest.mark.unit
@pytest.mark.parametrize("vendor", list(Vendor))
def test_every_vendor_style_reads_back_to_the_same_attenuation(vendor: Vendor, scan: SimulatedCt, tmp_path: Path) -> None:
    write_dicom(scan, tmp_path, StudyOptions(vendor=vendor))
    headers, skipped = read_headers(find_files([tmp_path]))
    assert not skipped
    loaded = load_series(choose_series(headers).candidates[0], max_slice_spacing_mm=8.0)
    inside = scan.truth.bodies > 0
    assert np.array_equal(loaded.volume.hu[inside], scan.volume.hu[inside])
    padded = STYLES[vendor].padding is not None
    assert np.array_equal(loaded.volume.hu, scan.volume.hu) is not padded
    assert (loaded.volume.hu[:, 0, 0] == -1024).all() or not padded


@pytest.mark.unit
def test_vendor_styles_differ_where_real_ones_do_and_claim_to_be_nobody(scan: SimulatedCt, tmp_path: Path) -> None:
    written = {vendor: pydicom.dcmread(write_dicom(scan, tmp_path / vendor, StudyOptions(vendor=vendor))[1]) for vendor in list(Vendor)}
    assert all(str(instance.Manufacturer).startswith("Osteon simulation") for instance in written.values())
    assert all("SIMULATED" in instance.SeriesDescription for instance in written.values())
    assert written[Vendor.GE].PixelPaddingValue == -2000
    assert written[Vendor.CANON].RescaleIntercept == 0
    assert len(written[Vendor.SIEMENS].WindowCenter) == 2
    assert written[Vendor.PHILIPS].SliceLocation == pytest.approx(7.5)
    assert written[Vendor.PHILIPS].SliceLocation != written[Vendor.PHILIPS].ImagePositionPatient[2]
    assert len({instance.ConvolutionKernel for instance in written.values()}) == len(Vendor)
    assert len({instance.StudyInstanceUID for instance in written.values()}) == 1


@pytest.mark.unit
def test_studies_of_a_patient_share_the_patient_and_nothing_else() -> None:
    later = date(2025, 3, 1)
    scanned, film = study_identity(PATIENT, "CT", SMALL), study_identity(replace(PATIENT, contrast=ContrastPhase.NATIVE), "CXR")
    assert scanned.patient_id == film.patient_id
    assert scanned.birth_date == film.birth_date
    assert scanned.study_instance_uid != film.study_instance_uid
    after = study_identity(PATIENT, "CT", SMALL, study_date=later)
    assert (after.study_date, after.age) == ("20250301", "072Y")
    assert after.patient_id == scanned.patient_id
    assert after.study_instance_uid != scanned.study_instance_uid


@pytest.mark.unit
def test_every_patient_has_the_stated_age_on_the_first_study_date() -> None:
    for seed in range(366):
        who = study_identity(replace(PATIENT, seed=seed), "CT")
        assert who.age == "071Y"
        assert (int(who.study_date) - int(who.birth_date)) // 10000 == 71
