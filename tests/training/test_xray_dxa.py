"""Densitometry: two noisy beams give back the mineral that was painted, on the scale of each device."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.xray_patients import dxa, painted_spine, spine_patient
from training.simulation.parameters import PatientParameters
from training.simulation.xray.areal import areal_bmd
from training.simulation.xray.attenuation import Material, mass_attenuation_cm2_g
from training.simulation.xray.devices import DEVICES
from training.simulation.xray.dxa import USED_LEVELS, DxaParameters, scan_painted, simulate_dxa, solve_mineral
from training.simulation.xray.regions import DxaRegion, simulate_regions

pytestmark = pytest.mark.unit

HOLOGIC = DEVICES["Hologic"]
COHORT = [(10.0, 21), (60.0, 22), (100.0, 23), (140.0, 24), (200.0, 26)]


def test_two_beams_give_back_the_mineral_of_a_phantom() -> None:
    """Lean tissue with a fat layer that varies across, and a strip of 1 g/cm2; no noise."""
    lean = np.full((60, 200), 18.0, np.float32)
    fat = np.linspace(2.0, 6.0, 200, dtype=np.float32)[None, :].repeat(60, axis=0)
    mineral = np.zeros_like(lean)
    mineral[:, 80:120] = 1.0
    beams = [
        sum(
            mass * np.float32(mass_attenuation_cm2_g(material, energy))
            for mass, material in ((lean, Material.LEAN), (fat, Material.FAT), (mineral, Material.MINERAL))
        )
        for energy in (HOLOGIC.low_kev, HOLOGIC.high_kev)
    ]
    solved = solve_mineral(beams[0], beams[1], HOLOGIC, 1.0)
    assert solved[10:-10, 85:115] == pytest.approx(1.0, abs=0.01)
    assert solved[10:-10, 20:70] == pytest.approx(0.0, abs=0.01)


def test_measured_density_follows_the_true_one() -> None:
    true, read = [], []
    for trabecular_hu, seed in COHORT:
        painted = painted_spine(trabecular_hu, seed, spacing_mm=2.0)
        found = areal_bmd(painted)
        scan = scan_painted(painted, DxaParameters())
        true.append(sum(found[name][0] for name in USED_LEVELS) / sum(found[name][1] for name in USED_LEVELS))
        read.append(HOLOGIC.true(scan.total.bmd_g_cm2))
    slope, _ = np.polyfit(true, read, 1)
    assert slope == pytest.approx(1.0, abs=0.08)
    assert np.corrcoef(true, read)[0, 1] > 0.98
    assert np.abs(np.subtract(read, true)).max() < 0.06


def test_one_patient_on_three_devices() -> None:
    """Each on its own scale; back on the true scale they agree as repeated scans do, within 3 %."""
    readings = {name: dxa(name).total.bmd_g_cm2 for name in DEVICES}
    assert readings["GE Lunar"] > readings["MEDIX"] > readings["Hologic"]
    true = [DEVICES[name].true(value) for name, value in readings.items()]
    assert max(true) / min(true) < 1.03
    assert dxa("GE Lunar").spacing_mm == 0.6
    assert dxa("GE Lunar").image.shape[1] == 300


def test_levels_add_up_and_have_boxes_from_head_to_foot() -> None:
    scan = dxa()
    assert tuple(level.level for level in scan.levels) == USED_LEVELS
    assert scan.total.area_cm2 == pytest.approx(sum(level.area_cm2 for level in scan.levels), rel=1e-6)
    for upper, lower in zip(scan.levels, scan.levels[1:], strict=False):
        assert upper.box[0] < upper.box[2] <= lower.box[0] + 3
    for level in scan.levels:
        assert level.bmd_g_cm2 == pytest.approx(level.bmc_g / level.area_cm2)
        assert level.t_score == pytest.approx((level.bmd_g_cm2 - 1.047) / 0.110)
        first, left, last, right = level.box
        inside = scan.bmd_map[first:last, left:right]
        beside = scan.bmd_map[first:last, : max(left - 30, 1)]
        assert np.median(inside) > np.median(beside) + 0.3


def test_the_same_seed_gives_the_same_bytes() -> None:
    again = simulate_dxa(spine_patient(), dxa().acquisition)
    assert again.image.tobytes() == dxa().image.tobytes()
    assert again.levels == dxa().levels
    other = scan_painted(painted_spine(), replace(dxa().acquisition, seed=9))
    assert other.image.tobytes() != dxa().image.tobytes()
    assert other.total.bmd_g_cm2 == pytest.approx(dxa().total.bmd_g_cm2, rel=0.01)  # precision of a repeated scan


def test_contrast_and_posture_in_the_scanner_change_no_densitometry() -> None:
    lying = replace(spine_patient(), roll_deg=8.0)
    assert simulate_dxa(lying, dxa().acquisition).levels == dxa().levels


@pytest.mark.parametrize(("changes", "said"), [({"device": "Norland"}, "Hologic, GE Lunar, MEDIX"), ({"width_mm": 0.0}, "positive")])
def test_impossible_scans_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DxaParameters(**changes)  # type: ignore[arg-type]


def test_the_other_regions_are_pictures_of_bone() -> None:
    patient = PatientParameters(seed=8, trabecular_hu=140.0)
    scans = {scan.region: scan for scan in simulate_regions(patient, DxaParameters(device="GE Lunar"), spacing_mm=6.0)}
    assert set(scans) == set(DxaRegion)
    for scan in scans.values():
        low, high = np.percentile(scan.image, (5, 98))
        assert high - low > 60
    left, right = scans[DxaRegion.LEFT_FEMUR].image.astype(float), scans[DxaRegion.RIGHT_FEMUR].image.astype(float)
    assert np.corrcoef(left.ravel(), right[:, ::-1].ravel())[0, 1] > 0.8  # mirror images
    assert left[-40:, left.shape[1] // 2 :].mean() > left[-40:, : left.shape[1] // 4].mean() - 60
