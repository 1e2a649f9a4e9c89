"""Trabecular texture: coarser and less even as bone is lost, and without effect on the mean."""

import numpy as np
import pytest

from training.simulation import PatientParameters
from training.simulation.mineral import HU_PER_MG_CM3, attenuation_hu, vbmd_mg_cm3
from training.simulation.spine import build_spine
from training.simulation.texture import correlation_length_mm, draw_waves, relative_spread, texture_hu
from training.simulation.vertebra import interior_points, make_bone, trabecular_hu

pytestmark = pytest.mark.unit

STEP_MM = 0.5


def measured_length_mm(vbmd: float, axis: int) -> float:
    """Distance at which the autocorrelation of the field falls to exp(-1/2), over twelve fields."""
    line = np.arange(0, 24, STEP_MM, dtype=np.float32)
    grid = np.meshgrid(line, line[::4], line[::4], indexing="ij")
    points = [grid[0], grid[1], grid[2]]
    points[0], points[axis] = points[axis], points[0]
    shifts = np.arange(1, 24)
    correlation = np.zeros(len(shifts))
    for seed in range(12):
        field = texture_hu(draw_waves(np.random.default_rng(seed), vbmd), points)
        field = field - field.mean()
        correlation += np.array([float((field[shift:] * field[:-shift]).mean() / field.var()) for shift in shifts]) / 12
    return float(np.interp(-np.exp(-0.5), -correlation, shifts * STEP_MM))


@pytest.mark.parametrize("vbmd", [180.0, 110.0, 50.0])
def test_the_field_has_the_correlation_length_it_says(vbmd: float) -> None:
    assert measured_length_mm(vbmd, axis=0) == pytest.approx(correlation_length_mm(vbmd), rel=0.15)


def test_lost_bone_is_coarser_and_less_even_and_texture_follows_the_load() -> None:
    lengths = [measured_length_mm(vbmd, axis=0) for vbmd in (190.0, 120.0, 70.0, 35.0)]
    assert lengths == sorted(lengths)
    assert lengths[-1] > 1.8 * lengths[0]
    assert measured_length_mm(120.0, axis=2) > 1.2 * lengths[1]
    spreads = [relative_spread(vbmd) for vbmd in (190.0, 120.0, 70.0, 35.0)]
    assert spreads == sorted(spreads)


def test_the_field_has_the_spread_it_says() -> None:
    line = np.arange(0, 40, 1.0, dtype=np.float32)
    points = np.meshgrid(line, line, line, indexing="ij")
    for vbmd in (40.0, 150.0):
        spread = np.mean([texture_hu(draw_waves(np.random.default_rng(seed), vbmd), points).std() for seed in range(8)])
        assert spread == pytest.approx(relative_spread(vbmd) * vbmd * HU_PER_MG_CM3, rel=0.1)


@pytest.mark.parametrize("hu", [25.0, 120.0, 220.0])
def test_texture_moves_no_mean(hu: float) -> None:
    patient = PatientParameters(seed=6, trabecular_hu=hu)
    spine = build_spine(patient)
    for name in ("T8", "L2"):
        vertebra = spine.level(name)
        points, _ = interior_points(vertebra)
        bone = make_bone(vertebra, patient)
        assert float((texture_hu(bone.waves, points) + bone.offset_hu).mean()) == pytest.approx(0.0, abs=1e-3)


def test_levels_and_seeds_have_their_own_texture_and_keep_it() -> None:
    patient = PatientParameters(seed=6)
    spine = build_spine(patient)
    level, other = spine.level("L2"), spine.level("L3")
    points, inner = interior_points(level)
    first = trabecular_hu(level, make_bone(level, patient), points, inner)
    assert first.tobytes() == trabecular_hu(level, make_bone(level, patient), points, inner).tobytes()
    assert not np.array_equal(make_bone(level, patient).waves, make_bone(other, patient).waves)
    assert not np.array_equal(make_bone(level, PatientParameters(seed=7)).waves, make_bone(level, patient).waves)


@pytest.mark.parametrize("hu", [-30.0, 0.0, 100.0, 760.0])
def test_attenuation_and_mineral_are_each_others_inverse(hu: float) -> None:
    assert attenuation_hu(vbmd_mg_cm3(hu)) == pytest.approx(hu, abs=1e-9)
    assert vbmd_mg_cm3(hu) == pytest.approx((hu + 30) / 1.33)
