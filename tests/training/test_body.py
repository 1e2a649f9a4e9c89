"""One body for every modality: bones, labels and mineral lie on each other, and variants are seen."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.training.conftest import COARSE
from training.simulation import ContrastPhase, FieldOfView, PatientParameters, simulate_ct
from training.simulation.body import PaintedPatient, Structure, paint_anatomy
from training.simulation.canvas import Canvas
from training.simulation.ct import paint_scan
from training.simulation.degeneration import osteophytes, paint_osteophytes
from training.simulation.ilium import Ilium
from training.simulation.shoulder import clavicle_points, humeral_head
from training.simulation.spine import build_spine
from training.simulation.texture import correlation_length_mm
from training.simulation.torso import build_torso
from training.simulation.vertebra import make_bone, paint_body

pytestmark = pytest.mark.unit

PATIENT = PatientParameters(seed=14, body_scale=1.0, trabecular_hu=130.0, age_years=40, aortic_calcification=0.0)
BONES = (Structure.BODY, Structure.POSTERIOR, Structure.SACRUM, Structure.RIB, Structure.PELVIS, Structure.OTHER_BONE)


@cache
def whole() -> PaintedPatient:
    return paint_anatomy(PATIENT, spacing_mm=3.0)


@cache
def lumbar(spacing_mm: float, aortic_calcification: float = 0.0) -> PaintedPatient:
    patient = replace(PATIENT, aortic_calcification=aortic_calcification)
    return paint_anatomy(patient, spacing_mm=spacing_mm, z_range_mm=(-24.0, 24.0))


def painted_l3(patient: PatientParameters) -> np.ndarray:
    """Attenuation of the inside of L3 at 1 mm."""
    vertebra = build_spine(patient).level("L3")
    affine = np.eye(4)[[2, 1, 0, 3]]
    affine[:3, 3] = vertebra.frame.origin - (12, 9, 5)
    canvas = Canvas((11, 14, 25), affine, width_mm=1.0)
    paint_body(canvas, vertebra, make_bone(vertebra, patient), patient.body_scale, 1)
    return canvas.hu.astype(float)


def points_of(painted: PaintedPatient, mask: np.ndarray) -> np.ndarray:
    """Anatomical coordinates (N, 3) of the voxels of a mask."""
    return np.argwhere(mask) @ painted.affine[:3, :3].T + painted.affine[:3, 3]


def structure_at(painted: PaintedPatient, point: np.ndarray) -> Structure:
    index = np.rint(np.linalg.inv(painted.affine) @ [*point, 1])[:3].astype(int)
    return Structure(painted.structures[tuple(index)])


def volume_cm3(painted: PaintedPatient, structure: Structure) -> float:
    return float((painted.structures == structure).sum() * np.abs(np.linalg.det(painted.affine[:3, :3])) / 1000)


def test_labelled_bodies_are_bodies_and_only_the_neck_has_no_label() -> None:
    painted = whole()
    labelled = painted.bodies > 0
    assert (painted.structures[labelled] == Structure.BODY).mean() > 0.995
    unlabelled = points_of(painted, (painted.structures == Structure.BODY) & ~labelled)
    assert (unlabelled[:, 2] > painted.spine.level("T1").frame.origin[2]).mean() > 0.95
    assert sorted(np.unique(painted.bodies)) == list(range(18))


@pytest.mark.parametrize(
    ("structure", "low_cm3", "high_cm3"),
    [
        (Structure.BODY, 330, 620),
        (Structure.POSTERIOR, 150, 420),
        (Structure.DISC, 80, 220),
        (Structure.SACRUM, 110, 300),
        (Structure.RIB, 130, 420),
        (Structure.PELVIS, 500, 1500),
        (Structure.OTHER_BONE, 150, 700),
    ],
)
def test_every_structure_has_the_volume_of_an_adult(structure: Structure, low_cm3: float, high_cm3: float) -> None:
    assert low_cm3 < volume_cm3(whole(), structure) < high_cm3


def test_bones_are_where_they_belong() -> None:
    painted = whole()
    spine, torso = painted.spine, painted.torso
    for name in ("T2", "T8", "L1", "L5"):
        vertebra = spine.level(name)
        assert structure_at(painted, vertebra.frame.origin) is Structure.BODY
        behind = vertebra.frame.point(0, vertebra.depth_mm / 2 + 8, 0)
        assert structure_at(painted, behind) is Structure.BACKGROUND  # the canal
    assert structure_at(painted, spine.level("S1").frame.origin) is Structure.SACRUM
    for sign in (-1.0, 1.0):
        assert structure_at(painted, clavicle_points(torso, spine, sign)[2]) is Structure.OTHER_BONE
        assert structure_at(painted, humeral_head(spine, 1.0, sign)) is Structure.OTHER_BONE


def test_the_sacroiliac_joints_are_narrow_and_open() -> None:
    painted = paint_anatomy(PATIENT, spacing_mm=1.0, z_range_mm=(-117.0, -112.0))
    for sign in (-1.0, 1.0):
        sacrum, ilium = (
            points_of(painted, (painted.structures == which) & (painted.structures > 0)) for which in (Structure.SACRUM, Structure.PELVIS)
        )
        inner, outer = sacrum[sign * sacrum[:, 0] > 30], ilium[sign * ilium[:, 0] > 30]
        nearest = [float(np.sqrt(((outer - point) ** 2).sum(axis=1)).min()) for point in inner[::40]]
        assert 1.0 < min(nearest) < 4.5


def test_the_wings_mirror_each_other_and_widen_upwards() -> None:
    ilium = Ilium(s1=np.zeros(3), scale=1.0)
    y, z = np.zeros(1, np.float32), np.array([-40.0, -10.0, 20.0], np.float32)
    inner = [float(ilium.inner(y, z[n : n + 1])[0]) for n in range(3)]
    assert inner == sorted(inner)
    painted = whole()
    x = points_of(painted, painted.structures == Structure.PELVIS)[:, 0]
    assert (x > 0).mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("spacing_mm", [1.5, 3.0])
def test_mineral_of_a_core_is_its_density_times_its_volume(spacing_mm: float) -> None:
    painted = lumbar(spacing_mm)
    truth = simulate_ct(PATIENT, replace(COARSE, rows=24, columns=24, z_range_mm=(-20.0, 20.0))).truth.level("L3")
    assert truth is not None
    vertebra = painted.spine.level("L3")
    points = (points_of(painted, painted.bodies == truth.label) - vertebra.frame.origin) @ vertebra.frame.axes
    deep = (np.abs(points[:, 0]) < 14) & (np.abs(points[:, 1] + 2) < 8) & (np.abs(points[:, 2]) < 7)
    density = painted.mineral_mg_cm3[painted.bodies == truth.label][deep]
    assert truth.vbmd_mg_cm3 is not None
    assert density.mean() == pytest.approx(truth.vbmd_mg_cm3, rel=0.04)


def test_mineral_does_not_depend_on_the_grid() -> None:
    densities = []
    for spacing in (1.5, 3.0):
        painted = lumbar(spacing)
        densities.append(float(painted.mineral_mg_cm3.sum() * spacing**3 / (painted.hu.shape[0] * spacing)))
    assert densities[1] == pytest.approx(densities[0], rel=0.03)


def test_mineral_is_in_bone_and_calcification_alone() -> None:
    painted = lumbar(3.0)
    soft = painted.structures == Structure.BACKGROUND
    assert painted.mineral_mg_cm3[painted.mineral_mg_cm3 > 150].size > 0
    assert float(painted.mineral_mg_cm3[soft & (painted.hu < -200)].max()) == 0.0
    calcified = lumbar(3.0, aortic_calcification=0.9)
    assert calcified.mineral_mg_cm3.sum() > painted.mineral_mg_cm3.sum() * 1.002


def test_contrast_and_tube_voltage_change_no_mineral_and_metal_holds_none() -> None:
    scan = replace(COARSE, rows=50, columns=50, z_range_mm=(-24.0, 42.0))
    plain = paint_scan(PATIENT, scan)
    other = paint_scan(replace(PATIENT, contrast=ContrastPhase.VENOUS), replace(scan, kvp=100.0))
    assert other.mineral_mg_cm3 == pytest.approx(plain.mineral_mg_cm3, abs=1e-3)
    assert not np.allclose(other.hu, plain.hu)
    cemented = paint_scan(replace(PATIENT, cement=("L3",), screws=("L2",)), scan)
    metal = cemented.hu > 1800
    assert metal.sum() > 20
    assert cemented.mineral_mg_cm3[metal].sum() < 0.5 * plain.mineral_mg_cm3[metal].sum()
    assert cemented.mineral_mg_cm3.sum() < plain.mineral_mg_cm3.sum()


def test_painting_is_deterministic() -> None:
    first, second = (paint_anatomy(PATIENT, spacing_mm=4.0, z_range_mm=(-40.0, 40.0)) for _ in range(2))
    assert first.hu.tobytes() == second.hu.tobytes()
    assert first.mineral_mg_cm3.tobytes() == second.mineral_mg_cm3.tobytes()
    assert first.structures.tobytes() == second.structures.tobytes()


def test_the_scan_has_the_structures_of_the_body() -> None:
    scan = simulate_ct(PATIENT, replace(COARSE, field_of_view=FieldOfView.TRUNK))
    seen = {Structure(value) for value in np.unique(scan.truth.structures)}
    assert seen == set(Structure)
    assert scan.truth.structures.shape == scan.volume.hu.shape
    median = {which: float(np.median(scan.volume.hu[scan.truth.structures == which])) for which in BONES}
    assert all(value > 100 for value in median.values()), median


@pytest.mark.parametrize("changes", [{}, {"kyphosis_deg": 60.0}, {"wedge": {"T12": 0.4, "T8": 0.4}}])
def test_a_bent_spine_keeps_chest_and_neck_before_it(changes: dict[str, Any]) -> None:
    patient = replace(PATIENT, **changes)
    spine = build_spine(patient)
    torso = build_torso(patient, spine)
    for vertebra in (*spine.cervical[:2], spine.neck, *spine.vertebrae):
        front = float(torso.front(np.array([vertebra.frame.origin[2]], np.float32))[0])
        assert vertebra.frame.origin[1] - front > 45, vertebra.name


def test_age_brings_osteophytes_that_are_dense_and_in_front() -> None:
    young, old = replace(PATIENT, age_years=30), replace(PATIENT, age_years=85)
    spine = build_spine(old)
    count = {who.age_years: sum(len(osteophytes(level, who, n)) for n, level in enumerate(spine.vertebrae)) for who in (young, old)}
    assert count[30] == 0
    assert count[85] > 20
    affine = np.eye(4)[[2, 1, 0, 3]] @ np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = spine.level("L3").frame.origin - 40
    canvas = Canvas((80, 80, 80), affine, width_mm=1.0)
    for number in range(60):
        paint_osteophytes(canvas, spine.level("L3"), old, number)
    assert (canvas.structures == Structure.BODY).sum() > 50
    assert canvas.hu.max() > 400


def test_thin_bone_is_coarse_in_the_painted_body() -> None:
    lengths = []
    for hu in (30.0, 230.0):
        core = painted_l3(replace(PATIENT, trabecular_hu=hu))
        core = core - core.mean()
        steps = [float((core[:, :, n:] * core[:, :, : core.shape[2] - n]).mean() / core.var()) for n in (1, 2, 3, 4)]
        lengths.append(sum(steps))
    assert lengths[0] > 1.25 * lengths[1]
    assert correlation_length_mm(40.0) > correlation_length_mm(180.0)
