"""The error of a median by noise: against the formula, against many draws, and in a body beside muscle."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from inference.ct.noise import autocovariance, less_trend, median_error_hu, standard_error_hu
from inference.ct.segmentation.base import VertebralBody
from inference.ct.trabecular import BodyCrop, core_mask, crop_body
from inference.volume import Volume

pytestmark = pytest.mark.unit

SPACING_MM = (2.0, 1.5, 1.5)
EVERYWHERE = np.ones((16, 24, 24), dtype=bool)


def noise(seed: int, sd_hu: float, correlation_mm: float, shape: tuple[int, ...] = (16, 24, 24)) -> NDArray[np.float32]:
    """Noise of a standard deviation, correlated in the slice alone."""
    white = np.random.default_rng(seed).standard_normal((shape[0], shape[1] + 12, shape[2] + 12), dtype=np.float32)
    sigma = correlation_mm / SPACING_MM[1]
    smooth = ndimage.gaussian_filter(white, (0, sigma, sigma)) if sigma else white
    return np.asarray(smooth[:, 6:-6, 6:-6] * np.float32(sd_hu / smooth.std()))


def test_of_voxels_that_know_nothing_of_each_other_the_median_errs_by_the_textbook() -> None:
    """s sqrt(pi / 2 n): 40 HU and 400 voxels make 2.51 HU."""
    found = standard_error_hu(noise(1, 40.0, 0.0), EVERYWHERE, SPACING_MM, 400)
    assert found == pytest.approx(40.0 * math.sqrt(math.pi / 2 / 400), rel=0.15)


def test_autocovariance_by_hand() -> None:
    residual = np.array([2.0, -1.0, 3.0, 100.0]).reshape(1, 1, 4)
    mask = np.array([True, True, True, False]).reshape(1, 1, 4)
    covariance, lags_mm = autocovariance(residual, mask, (9.0, 9.0, 2.0))
    np.testing.assert_allclose(lags_mm.ravel(), [4, 2, 0, 2, 4])
    np.testing.assert_allclose(covariance.ravel(), [6, -2.5, 14 / 3, -2.5, 6])  # 2 x 3; (2 x -1 + -1 x 3) / 2; (4 + 1 + 9) / 3


@pytest.mark.parametrize("correlation_mm", [0.0, 0.8, 1.6])
def test_the_estimate_of_one_image_is_what_many_images_show(correlation_mm: float) -> None:
    medians = [float(np.median(noise(seed, 60.0, correlation_mm))) for seed in range(200)]
    found = [standard_error_hu(noise(seed, 60.0, correlation_mm), EVERYWHERE, SPACING_MM, EVERYWHERE.size) for seed in range(200, 220)]
    assert np.mean([value for value in found if value is not None]) == pytest.approx(float(np.std(medians)), rel=0.2)


def test_too_few_voxels_tell_nothing_and_an_even_region_has_no_noise() -> None:
    assert standard_error_hu(noise(1, 40.0, 0.0), EVERYWHERE & (np.arange(24) < 1), SPACING_MM, 400) is None
    assert standard_error_hu(np.zeros(EVERYWHERE.shape), EVERYWHERE, SPACING_MM, 400) == 0.0


def test_a_trend_is_taken_off_within_the_mask_alone() -> None:
    mask = EVERYWHERE & (np.arange(24) < 12)
    hu = np.where(mask, 50.0, 900.0).astype(np.float32)
    assert np.abs(less_trend(hu, mask, SPACING_MM)[mask]).max() < 1e-3


def scanned(sd_hu: float, texture_hu: float) -> tuple[Volume, BodyCrop]:
    """A body of 150 HU, 30 x 30 x 30 mm, with a texture of its own, in muscle of 55 HU; noise over all."""
    shape = (24, 64, 64)
    bodies = np.zeros(shape, np.uint8)
    bodies[4:19, 22:42, 22:42] = 1
    texture = ndimage.gaussian_filter(np.random.default_rng(5).standard_normal(shape), 1.5)
    hu = np.where(bodies == 1, 150.0 + texture * texture_hu / texture.std(), 55.0) + noise(6, sd_hu, 0.8, shape)
    volume = Volume(hu=np.rint(hu).astype(np.int16), affine=np.array([[0, 0, 1.5, 0], [0, 1.5, 0, 0], [2.0, 0, 0, 0], [0, 0, 0, 1]]))
    vertebra = VertebralBody(
        label=1,
        level="L1",
        level_certain=True,
        whole=True,
        centre_lps_mm=volume.to_lps_mm(np.argwhere(bodies == 1).mean(axis=0)[None])[0],
        cranial=np.array([0.0, 0.0, 1.0]),
        anterior=np.array([0.0, -1.0, 0.0]),
        left=np.array([1.0, 0.0, 0.0]),
    )
    (box,) = ndimage.find_objects(bodies)
    return volume, crop_body(volume, bodies, vertebra, box)


@pytest.mark.parametrize("sd_hu", [15.0, 60.0, 90.0])
@pytest.mark.parametrize("texture_hu", [0.0, 60.0])
def test_coarse_bone_is_not_taken_for_noise(sd_hu: float, texture_hu: float) -> None:
    volume, crop = scanned(sd_hu, texture_hu)
    core = core_mask(crop, 4.0)
    medians = [np.median(noise(seed, sd_hu, 0.8, (24, 64, 64))[4:19, 22:42, 22:42][core[1:-1, 1:-1, 1:-1]]) for seed in range(20, 60)]
    found = median_error_hu(volume, crop, core)
    assert found == pytest.approx(float(np.std(medians)), rel=0.35)


def test_an_empty_region_has_no_error() -> None:
    volume, crop = scanned(15.0, 0.0)
    assert median_error_hu(volume, crop, np.zeros_like(crop.mask)) is None
