"""Grid, slice averaging, kernel and noise, each on its own."""

from dataclasses import replace

import numpy as np
import pytest

from training.simulation import AcquisitionParameters, Kernel
from training.simulation.acquisition import Grid, make_grid, reconstruct, slice_image
from training.simulation.canvas import Canvas

pytestmark = pytest.mark.unit

PLAIN = AcquisitionParameters(rows=64, columns=64, pixel_spacing_mm=1.0, slice_spacing_mm=1.0, noise_sd_hu=10.0)


def canvas_for(grid: Grid, value: float = 50.0) -> Canvas:
    canvas = Canvas(grid.fine_shape, grid.fine_affine, width_mm=1.0)
    canvas.hu[:] = value
    return canvas


def test_the_grid_is_centred_and_slices_ascend() -> None:
    grid = make_grid(PLAIN, (-5.0, 4.5), (10.0, 20.0))
    assert grid.shape == (10, 64, 64)
    middle = grid.affine @ np.array([0, 31.5, 31.5, 1])
    assert middle[:3] == pytest.approx([10.0, 20.0, -5.0])
    assert grid.affine[2, 0] == 1.0


@pytest.mark.parametrize(
    ("spacing", "thickness", "planes", "window"), [(1.0, None, 1, 1), (5.0, None, 5, 5), (5.0, 2.5, 5, 2), (2.0, 4.0, 3, 6)]
)
def test_thick_slices_are_painted_in_an_odd_number_of_planes(spacing: float, thickness: float | None, planes: int, window: int) -> None:
    grid = make_grid(replace(PLAIN, slice_spacing_mm=spacing, slice_thickness_mm=thickness), (0.0, 20.0), (0.0, 0.0))
    assert (grid.planes, grid.window) == (planes, window)
    centre_plane = grid.fine_affine @ np.array([grid.planes // 2, 0, 0, 1])
    assert centre_plane == pytest.approx(grid.affine @ np.array([0, 0, 0, 1]))


def test_a_slice_averages_over_its_thickness() -> None:
    grid = make_grid(replace(PLAIN, slice_spacing_mm=5.0), (0.0, 20.0), (0.0, 0.0))
    canvas = canvas_for(grid, 0.0)
    canvas.hu[5:10] = np.arange(5, dtype=np.float32)[:, None, None] * 10
    assert slice_image(canvas, grid, 1).mean() == pytest.approx(20.0)
    half = replace(grid, window=2)
    assert slice_image(canvas, half, 1).mean() == pytest.approx(0.25 * 10 + 0.5 * 20 + 0.25 * 30)


@pytest.mark.parametrize("kernel", list(Kernel))
@pytest.mark.parametrize("wanted", [5.0, 25.0])
def test_noise_has_the_wanted_spread_in_the_middle(kernel: Kernel, wanted: float) -> None:
    grid = make_grid(PLAIN, (0.0, 20.0), (0.0, 0.0))
    hu = reconstruct(canvas_for(grid), grid, replace(PLAIN, kernel=kernel, noise_sd_hu=wanted), seed=1)
    assert hu[:, 24:40, 24:40].std() == pytest.approx(wanted, rel=0.08)
    assert hu.mean() == pytest.approx(50, abs=0.5)


def test_soft_noise_is_correlated_and_sharp_noise_is_not() -> None:
    grid = make_grid(PLAIN, (0.0, 20.0), (0.0, 0.0))

    def neighbours(kernel: Kernel) -> float:
        hu = reconstruct(canvas_for(grid), grid, replace(PLAIN, kernel=kernel), seed=1).astype(float) - 50
        return float((hu[:, :, 1:] * hu[:, :, :-1]).mean() / hu.var())

    assert neighbours(Kernel.SOFT) > 0.5
    assert neighbours(Kernel.SHARP) < 0.25


def test_a_sharp_kernel_overshoots_at_an_edge_and_a_soft_one_does_not() -> None:
    grid = make_grid(PLAIN, (0.0, 1.0), (0.0, 0.0))
    canvas = canvas_for(grid, 0.0)
    canvas.hu[:, :, 32:] = 100.0
    quiet = replace(PLAIN, noise_sd_hu=0.0)
    soft, sharp = (reconstruct(canvas, grid, replace(quiet, kernel=kernel), seed=1)[0, 32] for kernel in (Kernel.SOFT, Kernel.SHARP))
    assert (soft.min(), soft.max()) == (0, 100)
    assert sharp.max() > 110
    assert sharp.min() < -10
    assert soft[31] > 5


def test_values_stay_in_twelve_bits() -> None:
    grid = make_grid(PLAIN, (0.0, 1.0), (0.0, 0.0))
    canvas = canvas_for(grid, 9000.0)
    canvas.hu[:, :32] = -5000.0
    hu = reconstruct(canvas, grid, replace(PLAIN, metal_artifacts=False), seed=1)
    assert (hu.min(), hu.max()) == (-1024, 3071)
