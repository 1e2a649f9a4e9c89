"""Sampled patients vary as asked, and stay themselves when more are asked for."""

import nibabel
import numpy as np
import pytest

from tests.paths import real_image
from training.simulation import ContrastPhase, FieldOfView, Kernel, PatientParameters, SimulatedCt, sample_patients
from training.simulation.spine import build_spine


@pytest.mark.unit
def test_samples_repeat_and_do_not_depend_on_how_many_are_drawn() -> None:
    assert sample_patients(12, 5)[:4] == sample_patients(4, 5)
    assert sample_patients(4, 5) != sample_patients(4, 6)


@pytest.mark.unit
def test_samples_cover_density_contrast_spacing_and_kernel() -> None:
    patients, acquisitions = zip(*sample_patients(150, 1, FieldOfView.CHEST), strict=True)
    density = np.array([patient.trabecular_hu for patient in patients])
    assert 40 <= density.min() < 55
    assert 205 < density.max() <= 220
    assert {patient.contrast for patient in patients} == set(ContrastPhase)
    assert {patient.sex for patient in patients} == {"F", "M"}
    assert {acquisition.kernel for acquisition in acquisitions} == set(Kernel)
    assert {acquisition.field_of_view for acquisition in acquisitions} == {FieldOfView.CHEST}
    spacings = [acquisition.slice_spacing_mm for acquisition in acquisitions]
    assert min(spacings) == 0.7
    assert max(spacings) == 5.0
    fractured = [patient for patient in patients if patient.wedge]
    assert 3 < len(fractured) < 30
    assert all(patient.trabecular_hu < 90 for patient in fractured)
    assert len({patient.seed for patient in patients}) == 150


@pytest.mark.unit
def test_every_sample_covers_the_body_it_scans() -> None:
    for patient, acquisition in sample_patients(40, 2):
        assert acquisition.columns * acquisition.pixel_spacing_mm >= 390
        assert 20 <= patient.age_years <= 95


@pytest.mark.real
def test_bodies_and_their_spacing_are_those_of_a_real_man(abdomen: SimulatedCt) -> None:
    folder = "ct/abdomen_native_3mm"
    labels_image = nibabel.load(real_image(f"{folder}/vertebrae.nii.gz"))
    labels = np.asarray(labels_image.dataobj)
    bodies = np.asarray(nibabel.load(real_image(f"{folder}/vertebral_bodies.nii.gz")).dataobj) == 1
    centres = {}
    for name, value in {"L1": 31, "L2": 30, "L3": 29, "L4": 28, "L5": 27}.items():
        mask = (labels == value) & bodies
        centres[name] = (labels_image.affine @ np.append(np.argwhere(mask).mean(axis=0), 1))[:3]
        simulated = abdomen.truth.level(name)
        assert simulated is not None
        volume_ml = (abdomen.truth.bodies == simulated.label).sum() * 0.027
        assert volume_ml == pytest.approx(mask.sum() * 0.027, rel=0.35), name
    spine = build_spine(PatientParameters(seed=1, sex="M", body_scale=1.0))
    for above, below in (("L1", "L2"), ("L2", "L3"), ("L3", "L4"), ("L4", "L5")):
        mine = np.linalg.norm(spine.level(above).frame.origin - spine.level(below).frame.origin)
        assert mine == pytest.approx(np.linalg.norm(centres[above] - centres[below]), rel=0.12), above
