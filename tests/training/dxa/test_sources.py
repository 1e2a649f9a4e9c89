"""A user's images become cases as the node would crop them; what gives none is listed with its reason."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.dxa.crop import crop_spine
from inference.dxa.pixels import read_pixels
from inference.errors import Refusal
from tests.training.xray_patients import COARSE_MM, dxa, spine_patient
from training.data.labels import BoneLabel
from training.data.manifest import write_manifest
from training.data.rows import ManifestRow
from training.data.values import Modality
from training.dxa import simulated
from training.dxa.cases import LARGE, SMALL
from training.dxa.simulated import (
    COHORTS_OF_DXA,
    SimulatedOptions,
    device_t_score,
    exported,
    pixels_of,
    prepare_simulated,
    scans_of,
)
from training.dxa.sources import crops_of, picture_pixels, prepare_rows, read_source
from training.errors import TrainingError
from training.simulation.xray.dxa_dicom import AP_SPINE, REPORT, DxaOptions, write_dxa

pytestmark = pytest.mark.unit


def study(folder: Path, device: str = "Hologic") -> dict[str, Path]:
    return write_dxa(dxa(device), folder, DxaOptions())


def test_of_a_study_the_ap_spine_is_cropped_as_the_node_crops_it(tmp_path: Path) -> None:
    files = study(tmp_path)
    assert REPORT in files
    made = crops_of(sorted(files.values(), reverse=True))
    pixels = read_pixels(files[AP_SPINE])
    for name, size in (("image", SMALL), ("large", LARGE)):
        expected = crop_spine(pixels, size).image.astype(np.float16)
        assert made[name].dtype == np.float16
        np.testing.assert_array_equal(made[name], expected)


def test_a_picture_is_cropped_like_the_dicom_image_that_it_was_made_from(tmp_path: Path) -> None:
    scan = dxa("MEDIX").image
    Image.fromarray(scan).save(tmp_path / "p.png")
    pixels = picture_pixels(tmp_path / "p.png")
    np.testing.assert_allclose(pixels.grey, scan / np.float32(255), atol=1e-6)
    assert not pixels.coloured.any()
    made = crops_of([tmp_path / "p.png"])["image"]
    np.testing.assert_allclose(made, crops_of([study(tmp_path / "d", "MEDIX")[AP_SPINE]])["image"], atol=2e-3)


def test_coloured_pixels_are_marked_and_sixteen_bit_pictures_span_their_range(tmp_path: Path) -> None:
    colour = np.zeros((4, 4, 3), dtype=np.uint8)
    colour[0, 0] = (250, 220, 80)
    Image.fromarray(colour).save(tmp_path / "c.png")
    assert picture_pixels(tmp_path / "c.png").coloured.sum() == 1
    Image.fromarray(np.array([[1000, 3000]], dtype=np.uint16)).save(tmp_path / "w.png")
    wide = picture_pixels(tmp_path / "w.png")
    assert wide.relative
    np.testing.assert_allclose(wide.grey, [[0.0, 1.0]])
    (tmp_path / "no.png").write_bytes(b"nothing")
    with pytest.raises(Refusal, match="cannot be read"):
        picture_pixels(tmp_path / "no.png")


def test_a_manifest_gives_cases_and_reasons(tmp_path: Path) -> None:
    study(tmp_path / "a", "GE Lunar")
    for name in ("ramp.png", "c.png", "d.png"):
        Image.fromarray(np.tile(np.arange(200, dtype=np.uint8), (200, 1))).save(tmp_path / name)
    rows = [
        ManifestRow(patient_id="a", modality=Modality.DXA, path=Path("a"), t_score=-2.5, device="GE Lunar"),
        ManifestRow(patient_id="b", modality=Modality.DXA, path=Path("ramp.png"), label=BoneLabel.NORMAL),
        ManifestRow(patient_id="c", modality=Modality.DXA, path=Path("c.png")),
        ManifestRow(patient_id="d", modality=Modality.CT, path=Path("d.png"), label=BoneLabel.NORMAL),
    ]
    write_manifest(rows, tmp_path / "list.csv")
    manifest = read_source(tmp_path / "list.csv")
    assert [row.patient_id for row in manifest.rows] == ["a", "b", "c"]
    found = prepare_rows(manifest.rows, tmp_path / "cache", progress=False)
    assert [(case.patient, case.label, case.t_score, case.device) for case in found.cases] == [
        ("a", BoneLabel.OSTEOPOROSIS, -2.5, "GE Lunar")
    ]
    reasons = {one.patient: one.because for one in found.skipped}
    assert "SPINE_NOT_FOUND" in reasons["b"]
    assert "neither a class" in reasons["c"]
    write_manifest(rows[3:], tmp_path / "ct.csv")
    with pytest.raises(TrainingError, match="lists no DXA image"):
        read_source(tmp_path / "ct.csv")


def test_a_device_reads_levels_together_by_their_area() -> None:
    scan = dxa("Hologic")
    first, second = scan.levels[:2]
    bmd = (first.bmc_g + second.bmc_g) / (first.area_cm2 + second.area_cm2)
    assert device_t_score(scan, ("L1", "L2")) == pytest.approx((bmd - 1.047) / 0.110)
    assert device_t_score(scan, ("L1", "L2", "L3", "L4")) == pytest.approx(scan.total.t_score, abs=0.02)


@pytest.fixture
def one_patient(monkeypatch: pytest.MonkeyPatch) -> SimulatedOptions:
    """The patient of the other tests, coarsely painted."""
    options = SimulatedOptions(patients=1, paint_spacings_mm=(COARSE_MM,), scans=2)
    people = options.people()
    person = replace(people[0], patient=spine_patient(), device="MEDIX")
    monkeypatch.setattr(SimulatedOptions, "people", lambda _self: [person])
    return options


def test_a_simulated_patient_is_scanned_by_several_devices_and_painted_once(
    one_patient: SimulatedOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = prepare_simulated(one_patient, tmp_path, progress=False)
    devices = [case.device for case in found.cases] + [one.because.rpartition("(")[2].rstrip(")") for one in found.skipped]
    assert sorted(devices) == ["Hologic", "MEDIX"]
    assert len({case.patient for case in found.cases}) == 1
    case = found.cases[0]
    assert (case.image.shape, case.large.shape) == (SMALL, LARGE)
    assert 0 <= float(case.image.min()) < float(case.image.max()) <= 1
    assert case.t_score == pytest.approx(dxa(case.device).total.t_score, abs=0.15)  # other quanta, the same bone

    def never(*_: object, **__: object) -> None:
        raise AssertionError("painted again")

    monkeypatch.setattr(simulated, "paint_anatomy", never)
    again = prepare_simulated(one_patient, tmp_path, progress=False)
    np.testing.assert_array_equal(again.cases[0].image, case.image)
    alone = prepare_simulated(replace(one_patient, scans=1), tmp_path, progress=False)
    assert [one.device for one in alone.cases] == ["MEDIX"]
    monkeypatch.setattr(simulated, "CROP_VERSION", 0)
    recropped = prepare_simulated(one_patient, tmp_path, progress=False)
    np.testing.assert_array_equal(recropped.cases[0].image, case.image)
    with pytest.raises(AssertionError, match="painted again"):
        prepare_simulated(replace(one_patient, window=(0.1, 0.0)), tmp_path, progress=False)


def test_who_is_in_a_cohort() -> None:
    options = SimulatedOptions(patients=60, cohort=COHORTS_OF_DXA["clinic"])
    people = options.people()
    assert {person.device for person in people} == {"Hologic", "GE Lunar", "MEDIX"}
    assert any(abs(person.patient.scoliosis_deg) >= 8 for person in people)
    assert any(person.patient.wedge or person.patient.crush for person in people)
    assert options.devices(people[0])[0] == people[0].device
    assert len(set(options.devices(people[0]))) == 3
    assert replace(options, scans=1).plain(people[0]) == options.plain(people[0])  # who is painted is scanned by all
    assert replace(options, scans=1).devices(people[0]) == (people[0].device,)
    assert "60 simulated patients of the cohort 'clinic'" in options.words()
    for wrong in ({"patients": 0}, {"quanta": (2.0, 1.0)}, {"scans": 0}, {"paint_spacings_mm": (0.0,)}):
        with pytest.raises(TrainingError):
            replace(options, **wrong)


def test_a_kept_picture_is_what_the_node_reads_from_the_file(one_patient: SimulatedOptions, tmp_path: Path) -> None:
    person = one_patient.people()[0]
    kept = scans_of(person, one_patient, tmp_path)
    assert set(kept) == {f"{device} {what}" for device in ("Hologic", "GE Lunar", "MEDIX") for what in ("picture", "boxes", "t_score")}
    assert kept["MEDIX boxes"].shape == (4, 4)
    scan = dxa("GE Lunar")
    picture = exported(scan)
    read = read_pixels(write_dxa(scan, tmp_path / "study", DxaOptions(report_page=False))[AP_SPINE])
    np.testing.assert_array_equal(pixels_of(picture).grey, read.grey)
