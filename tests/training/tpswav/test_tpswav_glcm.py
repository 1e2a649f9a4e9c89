"""Texture maps against the matrix itself: Haralick's printed example, three nested loops, and scikit-image where it is installed."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from training.errors import TrainingError
from training.tpswav.glcm import DIRECTIONS, FEATURES, GlcmOptions, coarse_maps, grey_levels, interpolated, texture_maps, window_starts

pytestmark = pytest.mark.unit

HARALICK = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]])
"""Figure 3 of Haralick et al. 1973; its matrix at 0 degrees is [[4, 2, 1, 0], [2, 4, 0, 0], [1, 0, 6, 1], [0, 0, 1, 2]]."""


def features_of(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """PyRadiomics' formulas, written out, of a normalised matrix whose grey levels begin at 1."""
    found = np.zeros(4)
    for i, j in itertools.product(range(matrix.shape[0]), range(matrix.shape[1])):
        p = matrix[i, j]
        found += p * np.array([(i + 1) * (j + 1), i + 1, (i - j) ** 2, abs(i - j)])
    return found


def looped(window: NDArray[np.int32], levels: int, mask: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """The four features of one window from its matrices, one for each direction, each filled pair by pair."""
    inside = np.ones(window.shape, dtype=bool) if mask is None else mask
    found = []
    for direction in DIRECTIONS:
        matrix = np.zeros((levels, levels))
        for z, y, x in np.ndindex(*window.shape):
            other = (z + direction[0], y + direction[1], x + direction[2])
            if any(not 0 <= place < size for place, size in zip(other, window.shape, strict=True)):
                continue
            if inside[z, y, x] and inside[other]:
                i, j = window[z, y, x] - 1, window[other] - 1
                matrix[i, j] += 1
                matrix[j, i] += 1
        if matrix.sum():
            found.append(features_of(matrix / matrix.sum()))
    return np.mean(found, axis=0) if found else np.full(4, np.nan)


def random_levels(shape: tuple[int, int, int], levels: int = 8) -> NDArray[np.int32]:
    return np.random.default_rng(4).integers(1, levels + 1, shape).astype(np.int32)


def test_the_printed_matrix_of_haralick_gives_its_features() -> None:
    printed = np.array([[4, 2, 1, 0], [2, 4, 0, 0], [1, 0, 6, 1], [0, 0, 1, 2]]) / 24
    one_direction = np.zeros((4, 4))
    for y, x in itertools.product(range(4), range(3)):
        i, j = HARALICK[y, x], HARALICK[y, x + 1]
        one_direction[i, j] += 1
        one_direction[j, i] += 1
    np.testing.assert_array_equal(one_direction / 24, printed)
    # contrast = (2*2*1 + 2*1*4 + 2*1*1) / 24
    assert features_of(printed)[2] == pytest.approx(14 / 24)
    assert features_of(printed)[3] == pytest.approx((2 * 2 + 2 * 2 + 2) / 24)


def test_every_window_equals_its_matrices() -> None:
    options = GlcmOptions(window=4, step=3, levels=8)
    levels = random_levels((9, 8, 10))
    found = coarse_maps(levels, options)
    starts = [window_starts(size, 4, 3) for size in levels.shape]
    assert [list(axis) for axis in starts] == [[0, 3, 5], [0, 3, 4], [0, 3, 6]]
    assert found.shape == (4, 3, 3, 3)
    for place in np.ndindex(3, 3, 3):
        z, y, x = (int(axis[index]) for axis, index in zip(starts, place, strict=True))
        expected = looped(levels[z : z + 4, y : y + 4, x : x + 4], 8)
        np.testing.assert_allclose(found[(slice(None), *place)], expected, rtol=1e-6)


def test_a_mask_leaves_out_its_pairs_and_windows_without_any() -> None:
    options = GlcmOptions(window=3, step=3, levels=8)
    levels = random_levels((6, 6, 6))
    mask = np.random.default_rng(5).random((6, 6, 6)) < 0.6
    mask[:3, :3, :3] = False
    found = coarse_maps(levels, options, mask)
    assert np.isnan(found[:, 0, 0, 0]).all()
    for place in list(np.ndindex(2, 2, 2))[1:]:
        box = tuple(slice(3 * index, 3 * index + 3) for index in place)
        np.testing.assert_allclose(found[(slice(None), *place)], looped(levels[box], 8, mask[box]), rtol=1e-6)


def test_scikit_image_gives_the_same_in_a_plane() -> None:
    feature = pytest.importorskip("skimage.feature", reason="scikit-image is not installed")
    image = random_levels((1, 12, 12))[0]
    found = []
    for angle in (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4):
        matrix = feature.graycomatrix(image.astype(np.uint8), [1], [angle], levels=9, symmetric=True, normed=True)
        weights = matrix[1:, 1:, 0, 0]
        assert feature.graycoprops(matrix, "contrast")[0, 0] == pytest.approx(features_of(weights)[2])
        found.append(features_of(weights))
    levels = np.repeat(image[None], 12, axis=0)  # planes alike: the directions within one are a part of the 13
    thick = coarse_maps(levels, GlcmOptions(window=12, step=1, levels=8))[:, 0, 0, 0]
    along, across = np.mean([looped(image[None], 8)], axis=0), np.mean(found, axis=0)
    np.testing.assert_allclose(along, across, rtol=1e-6)
    # 4 directions in the plane, 8 that lean out of it and see the same pairs, 1 along the stack that sees equal levels
    still = np.array([np.mean(image.astype(float) ** 2), image.mean(), 0.0, 0.0])
    np.testing.assert_allclose(thick, (12 * across + still) / 13, rtol=1e-5)


def test_a_ramp_has_the_differences_that_its_slope_gives() -> None:
    levels = np.broadcast_to(np.arange(1, 9, dtype=np.int32), (8, 8, 8))
    contrast, difference = coarse_maps(levels, GlcmOptions(window=5, step=1, levels=8))[2:]
    # nine of the thirteen directions move along x by one level
    np.testing.assert_allclose(contrast, 9 / 13, rtol=1e-6)
    np.testing.assert_allclose(difference, 9 / 13, rtol=1e-6)


def test_grey_levels_begin_where_they_are_told() -> None:
    options = GlcmOptions(low_hu=-200, bin_hu=25, levels=40)
    np.testing.assert_array_equal(grey_levels(np.array([-1024, -200, -176, -175, 0, 774, 775, 3000]), options), [1, 1, 1, 2, 9, 39, 40, 40])


def test_maps_are_interpolated_between_the_centres_of_their_windows() -> None:
    options = GlcmOptions(window=3, step=2, levels=8)
    centres = window_starts(8, 3, 2) + 1.0
    np.testing.assert_array_equal(centres, [1, 3, 5, 6])
    line = np.array([0.0, 2.0, 4.0, 7.0], dtype=np.float32)
    coarse = np.broadcast_to(line[None, :, None, None], (1, 4, 4, 4)).copy()
    found = interpolated(coarse, (8, 8, 8), options)
    assert found.shape == (1, 8, 8, 8)
    np.testing.assert_allclose(found[0, :, 3, 5], [0, 0, 1, 2, 3, 4, 7, 7])
    np.testing.assert_allclose(found, np.broadcast_to(found[:, :, :1, :1], found.shape), rtol=1e-6)


def test_a_map_with_windows_everywhere_is_what_the_window_around_a_voxel_gives() -> None:
    hu = np.random.default_rng(6).normal(150, 90, (9, 9, 9))
    options = GlcmOptions(window=3, step=1)
    maps = texture_maps(hu, options)
    assert maps.shape == (len(FEATURES), 9, 9, 9)
    levels = grey_levels(hu, options)
    np.testing.assert_allclose(maps[:, 4, 2, 6], looped(levels[3:6, 1:4, 5:8], 40), rtol=1e-5)


def test_what_cannot_be_mapped_is_refused() -> None:
    with pytest.raises(TrainingError, match="no texture window"):
        texture_maps(np.zeros((4, 9, 9)))
    with pytest.raises(TrainingError, match="grey levels"):
        GlcmOptions(levels=65)
    with pytest.raises(TrainingError, match="2 voxels"):
        GlcmOptions(window=1)
