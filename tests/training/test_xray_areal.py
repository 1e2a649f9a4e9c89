"""Areal density: mineral over area, against sums over voxels; the scales of the devices, recovered by regression."""

import numpy as np
import pytest

from tests.training.xray_patients import painted_spine
from training.simulation.structure import Structure
from training.simulation.xray.areal import areal_bmd, level_regions, true_bone_map
from training.simulation.xray.devices import DEVICES
from training.simulation.xray.projection import axes_mm

pytestmark = pytest.mark.unit

LEVELS = ("L1", "L2", "L3", "L4", "L5")


def test_areal_density_is_the_mineral_of_the_columns_over_their_area() -> None:
    """Voxel by voxel, without the projection: 5 % because whole voxels of 2 mm are in or out here, and the code cuts pixels of 0.5 mm."""
    painted = painted_spine(spacing_mm=2.0)
    left, posterior, cranial = axes_mm(painted)
    spacing_cm = float(posterior[1] - posterior[0]) / 10
    regions = level_regions(painted.spine, left, cranial)
    vertebra = np.isin(painted.structures, (Structure.BODY, Structure.POSTERIOR))
    found = areal_bmd(painted)
    for name, region in regions.items():
        columns = vertebra.any(axis=1) & region
        mineral_g = float(painted.mineral_mg_cm3.transpose(0, 2, 1)[columns].sum(dtype=np.float64)) * spacing_cm**3 / 1e3
        area_cm2 = float(columns.sum()) * spacing_cm**2
        bmc, area, bmd = found[name]
        assert bmd == pytest.approx(bmc / area)
        assert area == pytest.approx(area_cm2, rel=0.05)
        assert bmc == pytest.approx(mineral_g, rel=0.05)
        assert bmd == pytest.approx(mineral_g / area_cm2, rel=0.05)


def test_every_lumbar_level_that_is_whole_is_measured() -> None:
    found = areal_bmd(painted_spine())
    assert tuple(found) == LEVELS
    areas = [area for _, area, _ in found.values()]
    assert all(10 < area < 25 for area in areas)  # DXA areas of L1-L4 lie between 10 and 20 cm2
    assert areas[:4] == sorted(areas[:4])


def test_regions_do_not_overlap_and_follow_the_spine() -> None:
    bone_map = true_bone_map(painted_spine())
    regions = level_regions(painted_spine().spine, bone_map.x_mm, bone_map.z_mm)
    assert int(sum(region.astype(int) for region in regions.values()).max()) == 1
    for name, region in regions.items():
        rows, _ = np.nonzero(region)
        place = painted_spine().spine.level(name).frame.origin[2]
        assert bone_map.z_mm[rows.min()] < place < bone_map.z_mm[rows.max()]


def test_density_rises_with_trabecular_bone_and_looks_like_a_patients() -> None:
    """Hologic's scale: young reference 1.047 at trabecular bone near 165 mg/cm3, osteoporosis (0.772) somewhat below 80."""
    readings = {}
    for hu in (40.0, 120.0, 190.0):
        found = areal_bmd(painted_spine(hu))
        mass, area = (sum(found[name][index] for name in LEVELS[:4]) for index in (0, 1))
        readings[hu] = DEVICES["Hologic"].reading(mass / area)
    assert readings[40.0] < 0.772 < readings[120.0] < 1.047 + 0.110
    assert readings[190.0] == pytest.approx(1.047, abs=0.11)


def test_the_painted_spacing_matters_little() -> None:
    fine, coarse = areal_bmd(painted_spine(spacing_mm=2.0)), areal_bmd(painted_spine(spacing_mm=3.0))
    for name in LEVELS[:4]:
        assert coarse[name][2] == pytest.approx(fine[name][2], rel=0.06)


def test_regression_recovers_the_published_cross_calibration() -> None:
    """Genant 1994: Hologic = 0.906 Lunar - 0.025 g/cm2."""
    true = np.linspace(0.4, 1.3, 40)
    lunar, hologic = (np.array([DEVICES[name].reading(value) for value in true]) for name in ("GE Lunar", "Hologic"))
    slope, offset = np.polyfit(lunar, hologic, 1)
    assert slope == pytest.approx(0.906, abs=1e-9)
    assert offset == pytest.approx(-0.025, abs=1e-9)


@pytest.mark.parametrize("name", sorted(DEVICES))
def test_a_scale_can_be_read_backwards(name: str) -> None:
    device = DEVICES[name]
    assert device.true(device.reading(0.83)) == pytest.approx(0.83)
    assert device.t_score(device.reference_g_cm2) == 0
    assert device.t_score(device.reference_g_cm2 - 2.5 * device.reference_sd_g_cm2) == pytest.approx(-2.5)


def test_the_devices_nearly_agree_in_t_scores_and_say_what_is_assumed() -> None:
    scores = [device.t_score(device.reading(0.70)) for device in DEVICES.values()]
    assert max(scores) - min(scores) < 0.3
    assert DEVICES["MEDIX"].assumed
    assert not DEVICES["Hologic"].assumed
