import numpy as np
import pytest
from numpy.typing import NDArray

from inference.preprocessing import resample_mask_nearest, resample_upright, upright_grid

pytestmark = pytest.mark.unit

SHAPE = (30, 40, 50)


def tilted(degrees: float, step_mm: float = 2.0, pixel_mm: float = 0.8) -> NDArray[np.float64]:
    """Images tilted about the patient's x axis, stacked along z as a table moves."""
    angle = np.radians(degrees)
    affine = np.eye(4)
    affine[:3, 0] = (0, 0, step_mm)
    affine[:3, 1] = (0, pixel_mm * np.cos(angle), -pixel_mm * np.sin(angle))
    affine[:3, 2] = (pixel_mm, 0, 0)
    affine[:3, 3] = (-20, -30, 100)
    return affine


def points(affine: NDArray[np.float64], shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """LPS mm (3, slices, rows, columns) of every voxel."""
    indices = np.stack(np.meshgrid(*[np.arange(size) for size in shape], indexing="ij"))
    return np.einsum("ij,j...->i...", affine[:3, :3], indices.astype(float)) + affine[:3, 3].reshape(3, 1, 1, 1)


@pytest.mark.parametrize("degrees", [-18.0, 5.0, 14.0])
def test_upright_grid_is_right_angled_and_holds_every_voxel(degrees: float) -> None:
    source = tilted(degrees)
    affine, shape = upright_grid(source, SHAPE)
    steps = affine[:3, :3]
    np.testing.assert_allclose(steps.T @ steps, np.diag([4.0, 0.64, 0.64]), atol=1e-9)
    np.testing.assert_allclose(steps[:, 0], (0, 0, 2))
    np.testing.assert_allclose(steps[:, 1], (0, 0.8, 0), atol=1e-12)
    inside = np.linalg.inv(affine) @ np.vstack([points(source, SHAPE).reshape(3, -1), np.ones(np.prod(SHAPE))])
    assert inside[:3].min() > -1e-6
    assert np.all(inside[:3].max(axis=1) <= np.array(shape) - 1 + 1e-6)


def test_untilted_grid_stays_as_it_is() -> None:
    source = tilted(0.0)
    affine, shape = upright_grid(source, SHAPE)
    np.testing.assert_allclose(affine, source, atol=1e-9)
    assert shape == SHAPE


def test_left_handed_grid_keeps_its_hand() -> None:
    source = tilted(10.0)
    source[:3, 1] *= -1
    affine, _ = upright_grid(source, SHAPE)
    assert np.sign(np.linalg.det(affine[:3, :3])) == np.sign(np.linalg.det(source[:3, :3]))
    assert affine[:3, 1] @ source[:3, 1] > 0


@pytest.mark.parametrize("degrees", [-18.0, 14.0])
def test_linear_attenuation_is_resampled_exactly(degrees: float) -> None:
    """Linear interpolation of a linear function is the function: what is left is rounding to whole HU."""

    def truth(place: NDArray[np.float64]) -> NDArray[np.float64]:
        return 100 + 3.0 * place[0] - 2.0 * place[1] + 4.0 * (place[2] - 130)

    source = tilted(degrees)
    hu = np.rint(truth(points(source, SHAPE))).astype(np.int16)
    affine, shape = upright_grid(source, SHAPE)
    upright = resample_upright(hu, source, affine, shape, fill=-1024)
    assert upright.shape == shape
    assert upright.dtype == np.int16
    places = points(affine, shape)
    indices = np.einsum("ij,j...->i...", np.linalg.inv(source[:3, :3]), places - source[:3, 3].reshape(3, 1, 1, 1))
    last = np.array(SHAPE).reshape(3, 1, 1, 1) - 1
    inside = np.all((indices >= 0) & (indices <= last), axis=0)
    np.testing.assert_allclose(upright[inside], truth(places)[inside], atol=1.01)
    assert inside.sum() > 0.8 * hu.size
    beyond = np.any((indices < -0.51) | (indices > last + 0.51), axis=0)
    assert np.all(upright[beyond] == -1024)
    assert beyond.any()


def test_mask_returns_to_the_source_grid_where_it_was() -> None:
    source = tilted(14.0)
    affine, shape = upright_grid(source, SHAPE)
    centre = np.array([0.0, -14.0, 128.0])

    def ball(grid: NDArray[np.float64], size: tuple[int, int, int]) -> NDArray[np.uint8]:
        away = np.linalg.norm(points(grid, size) - centre.reshape(3, 1, 1, 1), axis=0)
        return np.where(away < 9.0, 3, 0).astype(np.uint8)

    back = resample_mask_nearest(ball(affine, shape), affine, source, SHAPE)
    expected = ball(source, SHAPE)
    assert back.dtype == np.uint8
    assert back.shape == SHAPE
    assert set(np.unique(back)) == {0, 3}
    found = points(source, SHAPE)[:, back == 3].mean(axis=1)
    np.testing.assert_allclose(found, centre, atol=0.2)
    overlap = 2 * np.sum((back == 3) & (expected == 3)) / (np.sum(back == 3) + np.sum(expected == 3))
    assert overlap > 0.93
