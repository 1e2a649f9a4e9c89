"""What lies beside the spine, in the spine's own coordinates: the sacral alae and the ribs that let levels be counted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.ct.segmentation.centreline import Curve
from inference.ct.segmentation.grid import Floats, Points, WorkGrid

STEP_MM = 2.0
BEHIND_MM, AHEAD_MM, ASIDE_MM = 70.0, 50.0, 150.0
VOXEL_ML = STEP_MM**3 / 1000.0


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """A wide straightened volume.

    Attributes
    ----------
    hu
        float32 (along, ahead, left), 2 mm; smoothed; 0 outside the scan.
    seen
        True where the scan reaches.
    edge
        True within 4 mm of where it ends, and at the sides of this volume.
    along
        (N,) plane index of the centre line of each row.
    ahead_mm, left_mm
        Coordinates of the other two axes.
    radius_mm
        (N,) half-width of the column.
    """

    hu: Floats
    seen: NDArray[np.bool_]
    edge: NDArray[np.bool_]
    along: Points
    ahead_mm: Points
    left_mm: Points
    radius_mm: Points


def look_around(grid: WorkGrid, curve: Curve) -> Surroundings:
    """Sample the working grid 150 mm to either side of the spine, 70 mm behind and 50 mm ahead of it."""
    every = max(1, round(STEP_MM / curve.step_mm))
    rows = np.arange(0, len(curve.points_mm), every)
    ahead = np.arange(-BEHIND_MM, AHEAD_MM + 0.1, STEP_MM)
    left = np.arange(-ASIDE_MM, ASIDE_MM + 0.1, STEP_MM)
    hu = np.empty((rows.size, ahead.size, left.size), dtype=np.float32)
    for first in range(0, rows.size, 32):
        chunk = rows[first : first + 32]
        positions = (
            curve.points_mm[chunk, None, None]
            + ahead[None, :, None, None] * curve.anterior[chunk, None, None]
            + left[None, None, :, None] * curve.left[chunk, None, None]
        )
        hu[first : first + 32] = grid.sample(positions)
    seen = np.isfinite(hu)
    smooth = ndimage.gaussian_filter(np.where(seen, hu, np.float32(0.0)), 0.6)
    return Surroundings(
        hu=smooth, seen=seen, edge=edge_of(seen), along=rows.astype(float), ahead_mm=ahead, left_mm=left, radius_mm=curve.radius_mm[rows]
    )


def edge_of(seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where something that goes on would be cut off: within 4 mm of unseen places, and at the first and last row and column."""
    edge = np.asarray(ndimage.binary_dilation(~seen, iterations=2), dtype=bool)
    edge[[0, -1]] = True
    edge[:, :, [0, -1]] = True
    return edge


def beside(around: Surroundings, side: int, margin_mm: float) -> NDArray[np.bool_]:
    """(along, 1, left) True on one side (+1 left, -1 right), farther than the column's half-width plus a margin."""
    lateral = around.left_mm * side
    return np.asarray((lateral[None] > around.radius_mm[:, None] + margin_mm)[:, None, :])
