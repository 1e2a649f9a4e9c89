"""The working frame: any axis order and sign, isotropic voxels, and values that are no HU."""

import itertools

import numpy as np
import pytest

from inference.ct.segmentation.grid import WorkGrid, axis_weights, check_intensity_scale, frame_of, resample
from inference.ct.segmentation.scale import soft_tissue_shift_hu
from inference.errors import ReasonCode, Refusal
from inference.volume import Volume
from tests.inference.ct.segmentation.overlap import moved

pytestmark = pytest.mark.unit


def ramp_volume() -> Volume:
    """Attenuation grows by 1 per mm to the head, 10 per mm to the back and 100 per 5 mm to the left."""
    z, y, x = np.meshgrid(np.arange(4) * 3.0, np.arange(5) * 2.0, np.arange(6) * 1.5, indexing="ij")
    affine = np.array([[0.0, 0, 1.5, -20], [0, 2.0, 0, -30], [3.0, 0, 0, 100], [0, 0, 0, 1]])
    return Volume(hu=np.rint(z + 10 * y + 20 * x).astype(np.int16), affine=affine)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(False, False, False), (True, False, False), (False, True, True), (True, True, True)])
def test_every_axis_order_and_sign_gives_the_same_oriented_scan(order: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> None:
    plain = ramp_volume()
    other = moved(plain, order, flips)
    frame = frame_of(other)
    assert frame.spacing_mm == pytest.approx((3.0, 2.0, 1.5))
    np.testing.assert_array_equal(frame.view(other.hu), plain.hu)
    np.testing.assert_allclose(frame.to_lps_mm(np.array([3.0, 4.0, 1.5])), [-20 + 1.5, -30 + 4.0, 100 + 3.0])
    np.testing.assert_allclose(frame.vector_to_lps(np.array([1.0, 0.0, 0.0])), [0, 0, 1], atol=1e-12)


def test_writing_to_the_view_writes_to_the_native_mask() -> None:
    volume = moved(ramp_volume(), (2, 0, 1), (True, False, True))
    mask = np.zeros(volume.hu.shape, dtype=np.uint8)
    frame_of(volume).view(mask)[3, 4, 5] = 7
    where = np.argwhere(mask == 7)
    assert len(where) == 1
    np.testing.assert_allclose(volume.to_lps_mm(where)[0], [-20 + 7.5, -30 + 8.0, 100 + 9.0])


def test_a_flat_array_is_no_volume() -> None:
    flat = Volume(hu=np.zeros((1, 5, 5), dtype=np.int16), affine=np.eye(4))
    with pytest.raises(Refusal) as refused:
        frame_of(flat)
    assert refused.value.code is ReasonCode.NOT_A_VOLUME


def test_axes_that_match_no_anatomical_order_are_refused() -> None:
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (0.1, 0.2, 0.97), (0.2, 0.1, 0.97), (0.97, 0.1, 0.2)
    with pytest.raises(Refusal, match="oblique"):
        frame_of(Volume(hu=np.zeros((4, 4, 4), dtype=np.int16), affine=affine))


@pytest.mark.parametrize(("count", "step_mm", "target_mm", "new"), [(10, 3.0, 1.5, 19), (11, 0.75, 1.5, 6), (7, 1.5, 1.5, 7)])
def test_weights_sum_to_one_and_keep_a_ramp(count: int, step_mm: float, target_mm: float, new: int) -> None:
    weights = axis_weights(count, step_mm, target_mm)
    assert weights.shape == (new, count)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)
    ramp = weights @ (np.arange(count) * step_mm)
    np.testing.assert_allclose(ramp[1:-1], np.arange(new)[1:-1] * target_mm, atol=1e-5)


def test_resampling_keeps_a_linear_scan_and_clips_metal() -> None:
    volume = ramp_volume()
    frame = frame_of(volume)
    grid = resample(frame.view(volume.hu), frame.spacing_mm, 1.5)
    assert grid.hu.shape == (7, 6, 6)
    points = np.array([[4.5, 3.0, 3.0], [3.0, 4.5, 4.5]])
    np.testing.assert_allclose(grid.sample(points), [4.5 + 30 + 60, 3 + 45 + 90], atol=0.6)
    assert np.isnan(grid.sample(np.array([[-5.0, 0, 0]]))[0])
    metal = np.full((3, 3, 3), 30000, dtype=np.int16)
    assert resample(metal, (1.5, 1.5, 1.5), 1.5).hu.max() == 3071


@pytest.mark.parametrize(("soft", "plausible"), [(40, True), (-100, True), (1064, False), (600, False)])
def test_values_that_are_no_hu_are_refused(soft: int, plausible: bool) -> None:
    hu = np.full((12, 30, 30), -1000.0 if plausible else 0.0, dtype=np.float32)
    hu[:, 6:24, 6:24] = soft
    if not plausible:
        hu[:] = soft
    grid = WorkGrid(hu=hu, spacing_mm=1.5)
    if plausible:
        check_intensity_scale(grid)
        return
    with pytest.raises(Refusal) as refused:
        check_intensity_scale(grid)
    assert refused.value.code is ReasonCode.IMPLAUSIBLE_HU


@pytest.mark.parametrize(("displaced_hu", "expected_hu"), [(0, 0), (25, 0), (-100, -100), (100, 100)])
def test_a_displaced_scale_is_recognised_by_fat_and_muscle(displaced_hu: float, expected_hu: float) -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(-100, 15, 4000), rng.normal(50, 15, 6000)]).astype(np.float32) + np.float32(displaced_hu)
    assert soft_tissue_shift_hu(values) == pytest.approx(expected_hu, abs=10)
