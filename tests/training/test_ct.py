"""The simulated scan agrees with its own truth, and changes as the parameters say."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from tests.training.conftest import COARSE
from training.simulation import (
    AcquisitionParameters,
    ContrastPhase,
    FieldOfView,
    Kernel,
    PatientParameters,
    SimulatedCt,
    simulate_ct,
)

pytestmark = pytest.mark.unit

SLAB = replace(COARSE, rows=100, columns=64, z_range_mm=(-60.0, 60.0))
"""A short piece around L2 to L4."""
PATIENT = PatientParameters(seed=9, trabecular_hu=110.0)


def core(scan: SimulatedCt, level: str, depth_mm: float) -> np.ndarray:
    """Voxels of a body at least this deep under its surface."""
    truth = scan.truth.level(level)
    assert truth is not None
    mask = np.pad(scan.truth.bodies == truth.label, 1)
    return ndimage.distance_transform_edt(mask, sampling=scan.volume.spacing_mm)[1:-1, 1:-1, 1:-1] >= depth_mm


def test_every_whole_level_reads_its_true_attenuation(abdomen: SimulatedCt) -> None:
    whole = [level for level in abdomen.truth.levels if level.whole]
    assert [level.name for level in whole] == ["T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5"]
    for level in whole:
        assert abdomen.volume.hu[core(abdomen, level.name, 6.0)].mean() == pytest.approx(level.trabecular_hu, abs=2.0), level.name


def test_a_fine_rotated_scan_reads_its_true_attenuation(lumbar: SimulatedCt) -> None:
    for name in ("L1", "L2", "L3", "L4", "L5"):
        level = lumbar.truth.level(name)
        assert level is not None
        assert level.whole
        inside = core(lumbar, name, 4.5)
        assert inside.sum() > 2000
        assert lumbar.volume.hu[inside].mean() == pytest.approx(level.trabecular_hu, abs=2.0), name
        assert np.median(lumbar.volume.hu[inside]) == pytest.approx(level.trabecular_median_hu, abs=2.0), name


def test_truth_does_not_depend_on_the_scan(abdomen: SimulatedCt) -> None:
    other = simulate_ct(abdomen.patient, replace(SLAB, noise_sd_hu=40.0, kernel=Kernel.SHARP))
    fine, coarse = other.truth.level("L3"), abdomen.truth.level("L3")
    assert fine is not None
    assert coarse is not None
    assert replace(fine, whole=True) == coarse


def test_masks_lie_where_the_truth_says(abdomen: SimulatedCt, lumbar: SimulatedCt) -> None:
    for scan in (abdomen, lumbar):
        for level in scan.truth.levels:
            if not level.whole:
                continue
            found = scan.volume.to_lps_mm(np.argwhere(scan.truth.bodies == level.label)).mean(axis=0)
            assert found == pytest.approx(level.centre_lps_mm, abs=2.5), level.name
            assert np.dot(level.cranial, level.anterior) == pytest.approx(0.0, abs=1e-6)


def test_bodies_are_as_high_and_as_large_as_the_truth(lumbar: SimulatedCt) -> None:
    for name in ("L2", "L3", "L4"):
        level = lumbar.truth.level(name)
        assert level is not None
        mask = lumbar.truth.bodies == level.label
        points = lumbar.volume.to_lps_mm(np.argwhere(mask)) - np.array(level.centre_lps_mm)
        up, ahead = points @ np.array(level.cranial), points @ np.array(level.anterior)
        left = points @ np.cross(level.anterior, level.cranial) * -1
        middle = (np.abs(ahead) < 2) & (np.abs(left) < 2)
        assert np.ptp(up[middle]) + 1.2 == pytest.approx(level.middle_mm, abs=1.6)
        assert 20 < mask.sum() * 1.2**3 / 1000 < 45


def test_the_same_arguments_give_the_same_bytes() -> None:
    first, second = simulate_ct(PATIENT, SLAB), simulate_ct(PATIENT, SLAB)
    assert first.volume.hu.tobytes() == second.volume.hu.tobytes()
    assert first.truth.bodies.tobytes() == second.truth.bodies.tobytes()
    other = simulate_ct(replace(PATIENT, seed=10), SLAB)
    assert np.count_nonzero(first.volume.hu != other.volume.hu) > first.volume.hu.size / 2


def test_slices_ascend_and_the_affine_is_right_angled(abdomen: SimulatedCt) -> None:
    assert abdomen.volume.spacing_mm == pytest.approx((3.0, 3.0, 3.0))
    assert abdomen.volume.direction[:, 0] == pytest.approx([0, 0, 1])
    assert np.linalg.det(abdomen.volume.affine[:3, :3]) == pytest.approx(-27.0)
    assert abdomen.volume.hu.dtype == np.int16


def test_tissues_have_their_attenuation(abdomen: SimulatedCt) -> None:
    hu, level = abdomen.volume.hu, abdomen.truth.level("L3")
    assert level is not None

    def around(left: float, posterior: float, cranial: float) -> float:
        centre = abdomen.volume.to_indices(np.add(level.centre_lps_mm, (left, posterior, cranial)))
        i, j, k = np.rint(centre).astype(int)
        return float(np.median(hu[i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2]))

    assert around(0, 28, 0) == pytest.approx(14, abs=15)  # dural sac
    assert around(38, 4, 0) == pytest.approx(56, abs=12)  # psoas
    assert around(9, -31, 0) == pytest.approx(42, abs=15)  # aorta
    assert around(0, -300, 0) == pytest.approx(-1000, abs=20)
    rim = ndimage.binary_dilation(abdomen.truth.bodies == level.label) & (abdomen.truth.bodies == 0)
    edge = (abdomen.truth.bodies == level.label) & ndimage.binary_dilation(rim)
    assert np.median(hu[edge]) > level.trabecular_hu + 80  # a 1 mm cortex is still seen at 3 mm


@pytest.mark.parametrize(("phase", "gain"), [(ContrastPhase.ARTERIAL, 13.0), (ContrastPhase.VENOUS, 20.0)])
def test_contrast_raises_marrow_and_vessels(phase: ContrastPhase, gain: float) -> None:
    native, enhanced = simulate_ct(PATIENT, SLAB), simulate_ct(replace(PATIENT, contrast=phase), SLAB)
    before, after = native.truth.level("L3"), enhanced.truth.level("L3")
    assert before is not None
    assert after is not None
    assert after.trabecular_hu - before.trabecular_hu == pytest.approx(gain, abs=1.0)
    inside = core(native, "L3", 6.0)
    assert enhanced.volume.hu[inside].mean() - native.volume.hu[inside].mean() == pytest.approx(gain, abs=2.0)
    assert np.percentile(enhanced.volume.hu, 99) > np.percentile(native.volume.hu, 99)


@pytest.mark.parametrize(("kvp", "factor"), [(100.0, 1.07), (140.0, 0.95)])
def test_tube_voltage_scales_bone(kvp: float, factor: float) -> None:
    usual, other = (simulate_ct(PATIENT, replace(SLAB, kvp=value)).truth.level("L3") for value in (120.0, kvp))
    assert usual is not None
    assert other is not None
    assert other.trabecular_hu / usual.trabecular_hu == pytest.approx(factor, abs=0.01)


def test_cement_screws_focus_and_fractures_are_seen_and_said() -> None:
    patient = replace(PATIENT, cement=("L2",), screws=("L4",), dense_focus=("L3",), wedge={"L1": 0.4})
    scan = simulate_ct(patient, replace(SLAB, z_range_mm=(-60.0, 95.0)))
    altered = {level.name: level.altered for level in scan.truth.levels}
    assert altered["L1"] == ("fracture",)
    assert altered["L2"] == ("cement",)
    assert altered["L3"] == ("focus",)
    assert altered["L4"] == ("screws",)
    focus = scan.truth.level("L3")
    assert focus is not None
    assert focus.trabecular_hu - focus.trabecular_median_hu > 5
    assert scan.volume.hu[core(scan, "L2", 4.0)].max() > 1200
    assert (scan.volume.hu > 2500).sum() > 20


def test_metal_streaks_can_be_left_out() -> None:
    patient = replace(PATIENT, screws=("L3", "L4"))
    quiet = replace(SLAB, noise_sd_hu=0.0)
    with_streaks = simulate_ct(patient, quiet).volume.hu.astype(int)
    without = simulate_ct(patient, replace(quiet, metal_artifacts=False)).volume.hu.astype(int)
    difference = with_streaks - without
    assert difference.min() < -150
    assert difference.max() > 60
    plain = simulate_ct(PATIENT, quiet).volume.hu
    assert np.array_equal(plain, simulate_ct(PATIENT, replace(quiet, metal_artifacts=False)).volume.hu)


def test_a_crushed_level_is_flat_and_one_too_flat_has_no_true_attenuation() -> None:
    scan = simulate_ct(replace(PATIENT, crush={"L3": 0.75}), SLAB)
    crushed, neighbour = scan.truth.level("L3"), scan.truth.level("L2")
    assert crushed is not None
    assert neighbour is not None
    assert crushed.anterior_mm < 0.3 * neighbour.anterior_mm
    assert crushed.trabecular_hu is None
    assert (scan.truth.bodies == crushed.label).sum() < 0.5 * (scan.truth.bodies == neighbour.label).sum()


def test_a_heart_scan_shows_no_lumbar_level_but_bright_chambers() -> None:
    patient = replace(PATIENT, contrast=ContrastPhase.ARTERIAL)
    scan = simulate_ct(
        patient,
        AcquisitionParameters(rows=80, columns=80, pixel_spacing_mm=2.5, slice_spacing_mm=3.0, field_of_view=FieldOfView.HEART),
    )
    names = [level.name for level in scan.truth.levels]
    assert "L1" not in names
    assert {"T7", "T8", "T9"} <= {level.name for level in scan.truth.levels if level.whole}
    middle = scan.volume.hu[5:-5]
    assert ((middle > 280) & (middle < 340)).sum() * 2.5 * 2.5 * 3 / 1000 > 60
    assert (middle < -800).mean() > 0.2


def test_a_chest_scan_has_lungs_twelve_ribs_and_l1() -> None:
    scan = simulate_ct(PATIENT, replace(COARSE, field_of_view=FieldOfView.CHEST))
    levels = {level.name: level.whole for level in scan.truth.levels}
    assert levels["T1"]
    assert levels["L1"]
    assert "L4" not in levels
    body = ndimage.binary_fill_holes(scan.volume.hu[30] > -500)
    lung_litres = ((scan.volume.hu < -700) & ndimage.binary_erosion(scan.volume.hu < -300, border_value=1)).sum() * 0.027 / 1000
    assert body.any()
    assert lung_litres > 2.0


def test_six_lumbar_vertebrae_and_missing_twelfth_ribs() -> None:
    patient = replace(PATIENT, lumbar_count=6, t12_rib_mm=0.0)
    scan = simulate_ct(patient, COARSE)
    usual = simulate_ct(replace(patient, t12_rib_mm=110.0), COARSE)
    last = scan.truth.level("L6")
    assert last is not None
    assert last.whole
    changed = np.abs(scan.volume.hu.astype(int) - usual.volume.hu) > 150
    where = scan.volume.to_lps_mm(np.argwhere(changed))
    t12 = scan.truth.level("T12")
    assert t12 is not None
    relative = where - np.array(t12.centre_lps_mm)
    assert changed.sum() > 30
    assert np.abs(relative[:, 0]).max() > 60
    assert np.abs(relative[:, 2]).max() < 80


def test_a_tilted_gantry_shears_the_affine_and_moves_no_anatomy() -> None:
    straight, leaning = simulate_ct(PATIENT, SLAB), simulate_ct(PATIENT, replace(SLAB, gantry_tilt_deg=15.0))
    axes = leaning.volume.direction
    assert np.degrees(np.arcsin(axes[:, 0] @ axes[:, 1])) == pytest.approx(15.0)
    for scan in (straight, leaning):
        level = scan.truth.level("L3")
        assert level is not None
        found = scan.volume.to_lps_mm(np.argwhere(scan.truth.bodies == level.label)).mean(axis=0)
        assert found == pytest.approx(level.centre_lps_mm, abs=2.5)


def test_thick_slices_average_thin_ones() -> None:
    quiet = replace(SLAB, noise_sd_hu=0.0, slice_spacing_mm=1.0, pixel_spacing_mm=2.0)
    thin = simulate_ct(PATIENT, quiet).volume
    thick = simulate_ct(PATIENT, replace(quiet, slice_spacing_mm=5.0)).volume
    expected = thin.hu[8:13].mean(axis=0)
    assert np.abs(thick.hu[2] - expected).mean() < 12
    assert np.abs(thick.hu[2] - thin.hu[10]).mean() > np.abs(thick.hu[2] - expected).mean()


@pytest.mark.parametrize("changes", [{"rows": 0}, {"kvp": 90}, {"noise_sd_hu": -1}, {"z_range_mm": (5.0, 1.0)}, {"gantry_tilt_deg": 40}])
def test_impossible_acquisitions_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        AcquisitionParameters(**changes)


def test_a_hip_prosthesis_is_metal_on_the_right_side_alone() -> None:
    low = replace(COARSE, z_range_mm=(-260.0, -170.0), noise_sd_hu=0.0)
    plain, metal = simulate_ct(PATIENT, low), simulate_ct(replace(PATIENT, hip_prosthesis=True), low)
    where = metal.volume.to_lps_mm(np.argwhere(metal.volume.hu > 2500))
    middle = metal.volume.to_lps_mm(np.array([[0, 0, 63.5]]))[0, 0]
    assert len(where) * 0.027 > 20
    assert (where[:, 0] < middle - 40).all()
    assert plain.volume.hu.max() < 1200
