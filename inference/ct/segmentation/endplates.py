"""The two endplates beside a disc, as surfaces over the disc's cross-section.

First the plane with the strongest mean rise of attenuation away from the disc is searched; then every column is given its own edge
near that plane, a quadratic surface is fitted to them robustly, and what remains is kept smoothed and bounded, so that concave and
crushed endplates keep their shape without following noise.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from inference.ct.segmentation.discs import Disc
from inference.ct.segmentation.grid import Floats, Points
from inference.ct.segmentation.straighten import StraightSpine

LATTICE_MM = 2.0
LATTICE_HALF = 17
STEP_MM = 0.5
MAX_OFFSET_MM = 13.0
COLUMN_SEARCH_MM = 4.0
MAX_RESIDUAL_MM = 2.5
CEILING_HU = 260.0


@dataclass(frozen=True, kw_only=True)
class Endplate:
    """A surface along = f(ahead, left) on a lattice of 2 mm.

    Attributes
    ----------
    surface
        (35, 35) plane index along the spine; axis 0 ahead, axis 1 left, the centre line at [17, 17].
    contrast_hu
        Mean rise of attenuation from disc to endplate.
    """

    surface: Floats
    contrast_hu: float

    def along(self, ahead_mm: Points, left_mm: Points) -> Points:
        """The surface at straight coordinates of any shape; the nearest known value beyond the lattice."""
        coordinates = np.stack([np.asarray(ahead_mm) / LATTICE_MM + LATTICE_HALF, np.asarray(left_mm) / LATTICE_MM + LATTICE_HALF])
        return np.asarray(ndimage.map_coordinates(self.surface, coordinates, order=1, mode="nearest"), dtype=np.float64)


def lattice() -> tuple[Points, Points]:
    """Ahead and left coordinates (35, 35) of the lattice, in mm."""
    line = (np.arange(2 * LATTICE_HALF + 1) - LATTICE_HALF) * LATTICE_MM
    ahead, left = np.meshgrid(line, line, indexing="ij")
    return ahead, left


def rise_away(spine: StraightSpine, disc: Disc, side: int, reach_mm: float) -> Floats:
    """(offsets, 35, 35) rise of attenuation per 3 mm at each offset from the disc's plane, towards the head (+1) or the foot (-1)."""
    ahead, left = lattice()
    plane = disc.along + (disc.sagittal_slope * ahead + disc.coronal_slope * left) / spine.curve.step_mm
    offsets = np.arange(-2.0, reach_mm + 2.0 + 1e-6, STEP_MM)
    along = plane[None] + side * offsets[:, None, None] / spine.curve.step_mm
    hu = np.clip(spine.sample(along, ahead[None], left[None]), -20.0, CEILING_HU)
    missing = ~np.isfinite(hu)
    smooth = ndimage.gaussian_filter(np.where(missing, 0.0, hu), (0.8 / STEP_MM, 0.7, 0.7))
    lag = round(1.5 / STEP_MM)
    rise = np.zeros_like(smooth)
    rise[lag:-lag] = smooth[2 * lag :] - smooth[: -2 * lag]
    touched = ndimage.maximum_filter1d(missing.astype(np.uint8), 2 * lag + 1, axis=0) > 0
    rise[touched] = 0.0
    return np.asarray(rise, dtype=np.float32)


def best_plane(rise: Floats, inside: Floats) -> tuple[Points, float]:
    """The plane (35, 35), in offset indices, of the strongest mean rise among tilts of up to 16 degrees against the disc."""
    ahead, left = lattice()
    rows, columns = np.nonzero(inside)
    values = rise[:, rows, columns]
    best, best_score = np.zeros_like(ahead), -np.inf
    first, last = round(2.5 / STEP_MM), rise.shape[0] - round(2.0 / STEP_MM)
    index = np.arange(first, last)
    for sagittal in np.tan(np.radians(np.arange(-16.0, 17.0, 4.0))):
        for coronal in np.tan(np.radians(np.arange(-12.0, 13.0, 4.0))):
            tilt = (sagittal * ahead + coronal * left) / STEP_MM
            source = np.clip(index[:, None] + np.rint(tilt[rows, columns]).astype(int)[None], 0, rise.shape[0] - 1)
            mean = values[source, np.arange(rows.size)[None]].mean(axis=1)
            mean -= 0.25 * index * STEP_MM + 40.0 * (sagittal**2 + coronal**2)
            top = int(np.argmax(mean))
            if mean[top] > best_score:
                best, best_score = index[top] + tilt, float(mean[top])
    return best, best_score


def robust_quadratic(heights: Points, weights: Points) -> Points:
    """A quadratic surface (35, 35) through weighted heights, refitted five times with outliers weighed down."""
    ahead, left = (grid.ravel() / 20.0 for grid in lattice())
    basis = np.column_stack([np.ones_like(ahead), ahead, left, ahead**2, ahead * left, left**2])
    use = weights.ravel() > 0
    known, base, weight = heights.ravel()[use], basis[use], weights.ravel()[use].copy()
    ridge = np.diag([0.0, 1e-3, 1e-3, 0.3, 0.3, 0.3]) * weight.sum() / 10.0
    current = weight.copy()
    coefficients = np.zeros(6)
    for _ in range(5):
        weighted = base * current[:, None]
        coefficients = np.linalg.solve(weighted.T @ base + ridge + 1e-9 * np.eye(6), weighted.T @ known)
        residual = known - base @ coefficients
        current = weight / (1.0 + (residual / 2.0) ** 2)
    return np.asarray((basis @ coefficients).reshape(heights.shape))


def find_endplate(spine: StraightSpine, disc: Disc, side: int, room_mm: float) -> Endplate:
    """The endplate on the head's (+1) or foot's (-1) side of a disc; ``room_mm`` is the distance to the next disc on that side."""
    at = int(np.clip(round(disc.along), 0, len(spine.curve.radius_mm) - 1))
    radius = float(spine.curve.radius_mm[at])
    depth = radius * float(spine.curve.depth_ratio[at])
    reach = float(np.clip(0.45 * room_mm, 5.0, MAX_OFFSET_MM))
    rise = rise_away(spine, disc, side, reach)
    ahead, left = lattice()
    distance = np.hypot(ahead / depth, left / radius)
    plane, contrast = best_plane(rise, np.asarray(distance <= 0.8))
    window = round(COLUMN_SEARCH_MM / STEP_MM)
    steps = np.arange(-window, window + 1)
    index = np.clip(np.rint(plane).astype(int)[None] + steps[:, None, None], 0, rise.shape[0] - 1)
    near = np.take_along_axis(rise, index, axis=0) - 1.2 * (steps[:, None, None] * STEP_MM) ** 2
    chosen = np.argmax(near, axis=0)
    strength = np.take_along_axis(near, chosen[None], axis=0)[0]
    heights = (np.take_along_axis(index, chosen[None], axis=0)[0] * STEP_MM - 2.0).astype(np.float64)
    weights = np.clip(strength, 0.0, 120.0) * (distance <= 0.9)
    fitted = robust_quadratic(heights, weights) if weights.sum() > 0 else plane * STEP_MM - 2.0
    residual = np.clip(heights - fitted, -2 * MAX_RESIDUAL_MM, 2 * MAX_RESIDUAL_MM)
    total = ndimage.gaussian_filter(weights, 1.5)
    residual = ndimage.gaussian_filter(residual * weights, 1.5) / np.maximum(total, 5.0)
    offset = np.maximum(fitted + np.clip(residual, -MAX_RESIDUAL_MM, MAX_RESIDUAL_MM), 0.0)
    middle = disc.along + (disc.sagittal_slope * ahead + disc.coronal_slope * left) / spine.curve.step_mm
    return Endplate(surface=(middle + side * offset / spine.curve.step_mm).astype(np.float32), contrast_hu=contrast)
