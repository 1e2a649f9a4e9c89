"""Heights of a vertebral body along its own cranial axis, from its mask."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.ct.trabecular import BodyCrop, body_extents
from inference.findings import BodyHeights

PATCHES = {"anterior": (0.12, 0.28), "middle": (0.42, 0.58), "posterior": (0.72, 0.88)}
"""Patches of the endplates, as fractions of the body's depth from its anterior wall: rims and osteophytes stay outside."""
PATCH_HALF_WIDTH = 0.15
"""Half width of a patch left and right of the midline, of the body's width."""
STEP_MM = 0.5


def body_heights(crop: BodyCrop) -> BodyHeights | None:
    """Anterior, middle and posterior height: the median length of the columns through a patch each.

    A column's length is the integral of the linearly interpolated mask along the cranial axis, so it resolves parts of a voxel.

    Returns
    -------
    BodyHeights
        None where the mask is too small, or has no bone in a patch.
    """
    extents = body_extents(crop)
    if extents is None:
        return None
    (back, front), (right, left) = extents.anterior_mm, extents.left_mm
    margin_mm = 2 * max(crop.spacing_mm)
    along = np.arange(crop.frame_mm[:, 2].min() - margin_mm, crop.frame_mm[:, 2].max() + margin_mm, STEP_MM)
    half_width = PATCH_HALF_WIDTH * (left - right)
    across = np.linspace(-half_width, half_width, 9) + (left + right) / 2
    mask = crop.mask.astype(np.float32)
    heights: dict[str, float] = {}
    for name, (start, stop) in PATCHES.items():
        depth = front - np.linspace(start, stop, 7) * (front - back)
        heights[name] = _median_column_mm(crop, mask, depth, across, along)
    if min(heights.values()) <= 0:
        return None
    return BodyHeights(anterior_mm=heights["anterior"], middle_mm=heights["middle"], posterior_mm=heights["posterior"])


def _median_column_mm(
    crop: BodyCrop,
    mask: NDArray[np.float32],
    anterior: NDArray[np.float64],
    left: NDArray[np.float64],
    cranial: NDArray[np.float64],
) -> float:
    """Median length of the columns that stand on the grid ``anterior`` x ``left``."""
    grid = np.stack(np.meshgrid(anterior, left, cranial, indexing="ij"))  # (3, a, l, c) mm along (anterior, left, cranial)
    matrix, offset = crop.to_crop
    indices = np.tensordot(matrix, grid, axes=1) + offset[:, None, None, None]
    inside = ndimage.map_coordinates(mask, indices, order=1, mode="constant", cval=0.0)
    return float(np.median(inside.sum(axis=-1) * STEP_MM))
