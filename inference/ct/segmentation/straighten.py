"""The spine made straight: a volume sampled in planes across the centre line of the bodies."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from inference.ct.segmentation.centreline import Curve
from inference.ct.segmentation.grid import Floats, Points, WorkGrid

HALF_WIDTH_MM = 44
IN_PLANE_MM = 1.0


@dataclass(frozen=True, kw_only=True)
class StraightSpine:
    """Attenuation in the spine's own coordinates.

    Attributes
    ----------
    hu
        float32 (along, ahead, left), NaN outside the scan: axis 0 runs to the head in steps of ``curve.step_mm``, axis 1 to the
        front and axis 2 to the left in steps of 1 mm; the centre line is at index ``HALF_WIDTH_MM`` of both.
    curve
        The centre line and its frames.
    """

    hu: Floats
    curve: Curve

    def to_frame_mm(self, along: Points, ahead_mm: Points, left_mm: Points) -> Points:
        """Frame points (..., 3) of straight coordinates; ``along`` is a fractional plane index."""
        plane = np.clip(along, 0, len(self.curve.points_mm) - 1)
        beyond = (np.asarray(along) - plane) * self.curve.step_mm

        def at(values: Points) -> Points:
            below = np.floor(plane).astype(int)
            above = np.minimum(below + 1, len(values) - 1)
            share = (plane - below)[..., None]
            return np.asarray(values[below] * (1 - share) + values[above] * share)

        curve = self.curve
        return np.asarray(
            at(curve.points_mm)
            + beyond[..., None] * at(curve.tangent)
            + np.asarray(ahead_mm)[..., None] * at(curve.anterior)
            + np.asarray(left_mm)[..., None] * at(curve.left)
        )

    def sample(self, along: Points, ahead_mm: Points, left_mm: Points) -> Floats:
        """Linearly interpolated attenuation at straight coordinates of any one shape; NaN outside."""
        coordinates = np.stack(np.broadcast_arrays(along, ahead_mm + HALF_WIDTH_MM, left_mm + HALF_WIDTH_MM)).astype(np.float32)
        return np.asarray(ndimage.map_coordinates(self.hu, coordinates, order=1, mode="constant", cval=np.nan, output=np.float32))


def straighten(grid: WorkGrid, curve: Curve) -> StraightSpine:
    """Sample the working grid in planes across the curve, a few planes at a time to keep the memory small."""
    offsets = np.arange(-HALF_WIDTH_MM, HALF_WIDTH_MM + 1) * IN_PLANE_MM
    out = np.empty((len(curve.points_mm), offsets.size, offsets.size), dtype=np.float32)
    for first in range(0, len(out), 64):
        chunk = slice(first, min(first + 64, len(out)))
        positions = (
            curve.points_mm[chunk, None, None]
            + offsets[None, :, None, None] * curve.anterior[chunk, None, None]
            + offsets[None, None, :, None] * curve.left[chunk, None, None]
        )
        out[chunk] = grid.sample(positions)
    return StraightSpine(hu=out, curve=curve)
