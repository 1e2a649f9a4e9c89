"""From a painted canvas to what a scanner would have reconstructed: slice averaging, kernel, noise, streaks, couch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.simulation.canvas import Canvas, FloatArray
from training.simulation.parameters import AcquisitionParameters, Kernel
from training.simulation.tissue import METAL_HU

LOWEST_HU, HIGHEST_HU = -1024, 3071
_PLANE_MM = 1.5
"""Slices further apart than this are averaged from planes at most this far apart."""
_CORRELATION_MM = {Kernel.SOFT: 0.75, Kernel.SHARP: 0.35}
_SPREAD_MM = {Kernel.SOFT: 0.55, Kernel.SHARP: 0.25}
_METAL_EDGE_HU = 2400.0


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where the slices lie. ``affine`` maps (slice, row, column, 1) to LPS mm; ``planes`` are painted per slice, an odd number."""

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    planes: int
    window: int

    @property
    def fine_shape(self) -> tuple[int, int, int]:
        """(planes of all slices, rows, columns)."""
        return (self.shape[0] * self.planes, self.shape[1], self.shape[2])

    @property
    def fine_affine(self) -> NDArray[np.float64]:
        """The affine of the painted planes: the middle plane of each slice lies on the slice."""
        out = self.affine.copy()
        step = self.affine[:3, 0] / self.planes
        out[:3, 0] = step
        out[:3, 3] = self.affine[:3, 3] - step * (self.planes // 2)
        return out


def make_grid(acquisition: AcquisitionParameters, z_range_mm: tuple[float, float], centre_mm: Sequence[float]) -> Grid:
    """Slices from the lowest to the highest position, ascending, centred on ``centre_mm`` (x, y) in LPS.

    A tilted gantry shears the grid: slices lean about the left-right axis while the couch still moves along z.
    """
    spacing, pixel = acquisition.slice_spacing_mm, acquisition.pixel_spacing_mm
    slices = max(1, int((z_range_mm[1] - z_range_mm[0]) / spacing) + 1)
    planes = max(1, int(np.ceil(spacing / max(_PLANE_MM, pixel))))
    planes += 1 - planes % 2
    window = max(1, round(acquisition.thickness_mm / spacing * planes))
    lean = np.radians(acquisition.gantry_tilt_deg)
    affine = np.eye(4)
    affine[:3, 0] = (0, 0, spacing)
    affine[:3, 1] = np.array([0, np.cos(lean), np.sin(lean)]) * pixel
    affine[:3, 2] = (pixel, 0, 0)
    half_row, half_column = (acquisition.rows - 1) / 2, (acquisition.columns - 1) / 2
    first = np.array([centre_mm[0], centre_mm[1], z_range_mm[0]])
    affine[:3, 3] = first - affine[:3, 1] * half_row - affine[:3, 2] * half_column
    return Grid(shape=(slices, acquisition.rows, acquisition.columns), affine=affine, planes=planes, window=window)


def paint_couch(canvas: Canvas, fine_affine: NDArray[np.float64], couch_mm: tuple[float, float]) -> None:
    """A curved couch of thin shells under the patient. ``couch_mm`` is the (x, y) of its top in LPS; it does not roll with the patient."""
    rows = np.arange(canvas.shape[1])
    columns = np.arange(canvas.shape[2])
    y = fine_affine[1, 3] + fine_affine[1, 1] * rows[:, None] - couch_mm[1]
    x = fine_affine[0, 3] + fine_affine[0, 2] * columns[None, :] - couch_mm[0]
    top = y + 0.0011 * x * x
    inside = np.abs(x) - 210
    for start, thick, value in ((0.0, 2.5, 20.0), (32.0, 2.5, 20.0)):
        shell = np.maximum(np.abs(top - start - thick / 2) - thick / 2, inside)
        share = np.clip(0.5 - shell / canvas.width_mm, 0, 1).astype(np.float32)
        touched = np.flatnonzero(share.any(axis=1))
        if touched.size:
            band = slice(int(touched[0]), int(touched[-1]) + 1)
            view = canvas.hu[:, band]
            view += share[band] * (value - view) * (view < -900)


def reconstruct(canvas: Canvas, grid: Grid, acquisition: AcquisitionParameters, seed: int) -> NDArray[np.int16]:
    """The scanned volume, int16, shape of the grid: averaged over the slice, filtered, with streaks and noise."""
    out = np.empty(grid.shape, dtype=np.int16)
    rng = np.random.default_rng((seed, 41))
    shade = _noise_shade(grid, acquisition)
    for index in range(grid.shape[0]):
        image = slice_image(canvas, grid, index)
        if acquisition.metal_artifacts:
            image = _add_streaks(image, acquisition.pixel_spacing_mm, rng)
        image = _apply_kernel(image, acquisition)
        if acquisition.noise_sd_hu > 0:
            image += _noise(rng, image.shape, acquisition) * shade
        out[index] = np.clip(np.rint(image), LOWEST_HU, HIGHEST_HU).astype(np.int16)
    return out


def slice_image(canvas: Canvas, grid: Grid, index: int) -> FloatArray:
    """One slice of the canvas averaged over the slice thickness, noise-free, float32 (rows, columns)."""
    middle = index * grid.planes + grid.planes // 2
    half = grid.window // 2
    first, last = max(middle - half, 0), min(middle + half + 1, canvas.shape[0])
    planes = canvas.hu[first:last]
    if grid.window % 2 == 0 and planes.shape[0] == grid.window + 1:
        weights = np.ones(grid.window + 1, dtype=np.float32)
        weights[[0, -1]] = 0.5
        averaged: FloatArray = np.tensordot(weights / weights.sum(), planes, axes=1)
        return averaged
    mean: FloatArray = planes.mean(axis=0, dtype=np.float32)
    return mean


def body_labels(canvas: Canvas, grid: Grid) -> NDArray[np.uint8]:
    """Body labels on the grid: those of each slice's middle plane."""
    return np.ascontiguousarray(canvas.labels[grid.planes // 2 :: grid.planes])


def _apply_kernel(image: FloatArray, acquisition: AcquisitionParameters) -> FloatArray:
    sigma = _SPREAD_MM[acquisition.kernel] / acquisition.pixel_spacing_mm
    if sigma > 0.2:
        image = ndimage.gaussian_filter(image, sigma, truncate=3)
    if acquisition.kernel is Kernel.SHARP:
        wide = ndimage.gaussian_filter(image, 1.2 / acquisition.pixel_spacing_mm, truncate=3)
        image = image + 0.9 * (image - wide)
    return image


def _noise(rng: np.random.Generator, shape: tuple[int, ...], acquisition: AcquisitionParameters) -> FloatArray:
    """Correlated noise of unit standard deviation times the wanted one; a sharp kernel has no low frequencies in it."""
    white = rng.standard_normal(shape, dtype=np.float32)
    sigma = _CORRELATION_MM[acquisition.kernel] / acquisition.pixel_spacing_mm
    noise: FloatArray = ndimage.gaussian_filter(white, sigma, truncate=3) if sigma > 0.2 else white
    if acquisition.kernel is Kernel.SHARP:
        noise = noise - 0.7 * ndimage.gaussian_filter(noise, 1.2 / acquisition.pixel_spacing_mm, truncate=3)
    return noise * np.float32(acquisition.noise_sd_hu / max(float(noise.std()), 1e-6))


def _noise_shade(grid: Grid, acquisition: AcquisitionParameters) -> FloatArray:
    """Noise is strongest in the middle of the body: 1 there, falling to 0.6 outwards; (rows, columns)."""
    rows, columns = grid.shape[1:]
    y = (np.arange(rows, dtype=np.float32)[:, None] - rows / 2) * np.float32(acquisition.pixel_spacing_mm)
    x = (np.arange(columns, dtype=np.float32)[None, :] - columns / 2) * np.float32(acquisition.pixel_spacing_mm)
    return np.asarray(0.6 + 0.4 * np.exp(-(x * x + y * y) / np.float32(2 * 130**2)), dtype=np.float32)


def _add_streaks(image: FloatArray, pixel_mm: float, rng: np.random.Generator) -> FloatArray:
    """Beam hardening of metal: dark bands between pieces, bright flanks, and fine rays around each (De Man 1999 describes the pattern)."""
    metal = image > _METAL_EDGE_HU * 0.6 + 0.4 * METAL_HU - 700
    if not metal.any():
        return image
    labels, count = ndimage.label(metal)
    sizes = ndimage.sum_labels(metal, labels, np.arange(1, count + 1)) * pixel_mm**2
    centres = np.array(ndimage.center_of_mass(metal, labels, np.arange(1, count + 1))) * pixel_mm
    keep = np.argsort(sizes)[::-1][:6]
    y = np.arange(image.shape[0], dtype=np.float32)[:, None] * np.float32(pixel_mm)
    x = np.arange(image.shape[1], dtype=np.float32)[None, :] * np.float32(pixel_mm)
    body = image > -300
    streaks = np.zeros_like(image)
    for first in keep:
        strength = min(float(np.sqrt(sizes[first])) / 8, 2.0)
        streaks += _rays(y - np.float32(centres[first][0]), x - np.float32(centres[first][1]), strength, rng)
        for second in keep:
            if second > first:
                streaks += _band(y, x, centres[first], centres[second], strength)
    return np.where(metal, image, image + streaks * np.where(body, 1.0, 0.4)).astype(np.float32)


def _rays(dy: FloatArray, dx: FloatArray, strength: float, rng: np.random.Generator) -> FloatArray:
    distance = np.sqrt(dx * dx + dy * dy) + np.float32(4)
    angle = np.arctan2(dy, dx)
    wave = np.zeros(np.broadcast_shapes(dy.shape, dx.shape), dtype=np.float32)
    for order in (2, 5, 9, 14, 21):
        wave += np.float32(rng.uniform(0.4, 1.0)) * np.cos(order * angle + np.float32(rng.uniform(0, 2 * np.pi)))
    return np.asarray(strength * 900.0 * wave / (distance + 0.04 * distance**2), dtype=np.float32)


def _band(y: FloatArray, x: FloatArray, first: NDArray[np.float64], second: NDArray[np.float64], strength: float) -> FloatArray:
    step = second - first
    length = float(np.linalg.norm(step)) + 1e-6
    unit = step / length
    along = (y - float(first[0])) * float(unit[0]) + (x - float(first[1])) * float(unit[1])
    across = -(y - float(first[0])) * float(unit[1]) + (x - float(first[1])) * float(unit[0])
    outside = np.maximum(np.maximum(-along, along - length), 0)
    u2 = (across / 5.0) ** 2
    return np.asarray(-strength * 260.0 * (1 - 0.7 * u2) * np.exp(-0.5 * u2) * np.exp(-outside / 45.0), dtype=np.float32)
